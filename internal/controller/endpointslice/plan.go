package endpointslice

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/utils/net"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller/backends"
	"github.com/proa-dev/proa/internal/controller/owned"
)

const (
	managedBy = "endpointslice-controller.k8s.io"
	// maxEndpoints of a slice.
	maxEndpoints = 100
)

// plan is which slices are written.
type plan struct {
	create, update, delete []*discoveryv1.EndpointSlice
	problems               []error // why pods were left out, though they should not be
}

// decide makes a Service's slices hold the pods that it selects, with few writes: each write goes to every node.
//
//  1. Pods are grouped by the family of their address and by the ports at which they serve; a slice is of one
//     group.
//  2. In each slice, what is no longer wanted goes, and what has changed is renewed.
//  3. What is missing goes into slices that are written anyway, the fullest first; then, if all of the rest
//     fits, into the fullest slice that has room for it; then into new ones. Slices are never merged.
//  4. A family without any pod has one empty slice, so that clients see that there is none.
//
// The slices are those of the Service that this controller manages and that are not being deleted.
func decide(s *corev1.Service, selected []*corev1.Pod, present []*discoveryv1.EndpointSlice, node func(string) *corev1.Node, trigger time.Time) plan {
	var all plan
	byType := map[discoveryv1.AddressType][]*discoveryv1.EndpointSlice{}
	families := addressTypes(s)
	for _, slice := range present {
		if slices.Contains(families, slice.AddressType) {
			byType[slice.AddressType] = append(byType[slice.AddressType], slice)
		} else {
			all.delete = append(all.delete, slice)
		}
	}
	for _, t := range families {
		p := decideType(s, t, selected, byType[t], node)
		all.create = append(all.create, p.create...)
		all.update = append(all.update, p.update...)
		all.delete = append(all.delete, p.delete...)
		all.problems = append(all.problems, p.problems...)
	}
	if s.DeletionTimestamp != nil {
		all.create = nil
	}
	for _, slice := range append(slices.Clone(all.create), all.update...) {
		slice.Annotations = maps.Clone(slice.Annotations)
		if slice.Annotations == nil {
			slice.Annotations = map[string]string{}
		}
		backends.Annotate(slice.Annotations, trigger)
	}
	return all
}

// group is the wanted endpoints with the same ports, by who they are.
type group struct {
	ports []discoveryv1.EndpointPort
	byKey map[string]*discoveryv1.Endpoint
}

func decideType(s *corev1.Service, t discoveryv1.AddressType, selected []*corev1.Pod, present []*discoveryv1.EndpointSlice, node func(string) *corev1.Node) plan {
	var p plan
	existing := map[string][]*discoveryv1.EndpointSlice{}
	for _, slice := range present {
		if isOwned(slice, s) {
			k := portsKey(slice.Ports)
			existing[k] = append(existing[k], slice)
		} else {
			p.delete = append(p.delete, slice)
		}
	}
	groups, problems := wanted(s, t, selected, node)
	p.problems = problems
	for _, k := range slices.Sorted(maps.Keys(groups)) {
		p.fit(s, t, existing[k], groups[k])
	}
	for _, k := range slices.Sorted(maps.Keys(existing)) {
		if groups[k] == nil {
			p.delete = append(p.delete, existing[k]...)
		}
	}
	if len(p.create) == 0 && len(p.delete) == len(present) {
		p.keepOne(s, t)
	}
	p.reuse(s)
	return p
}

// wanted are the endpoints that there should be, by ports.
func wanted(s *corev1.Service, t discoveryv1.AddressType, selected []*corev1.Pod, node func(string) *corev1.Node) (map[string]*group, []error) {
	groups := map[string]*group{}
	var problems []error
	for _, pod := range selected {
		if !backends.HasAddress(pod) {
			continue
		}
		ports := portsOf(s, pod)
		k := portsKey(ports)
		if groups[k] == nil {
			groups[k] = &group{ports: ports, byKey: map[string]*discoveryv1.Endpoint{}}
		}
		n := node(pod.Spec.NodeName)
		if n == nil && !s.Spec.PublishNotReadyAddresses {
			problems = append(problems, fmt.Errorf("skipping Pod %s for Service %s/%s: Node %s Not Found",
				pod.Name, s.Namespace, s.Name, pod.Spec.NodeName))
			continue
		}
		if e := endpointOf(s, t, pod, n); len(e.Addresses) > 0 {
			groups[k].byKey[endpointKey(e)] = e
		}
	}
	return groups, problems
}

// fit brings the slices of one group to what is wanted of it, which it uses up.
func (p *plan) fit(s *corev1.Service, t discoveryv1.AddressType, existing []*discoveryv1.EndpointSlice, g *group) {
	var unchanged, changed []*discoveryv1.EndpointSlice
	slices.SortFunc(existing, func(a, b *discoveryv1.EndpointSlice) int { return strings.Compare(a.Name, b.Name) })
	for _, slice := range existing {
		kept, same := keep(slice, g)
		l := labelsFor(s)
		switch {
		case len(kept) == 0 && !same:
			p.delete = append(p.delete, slice)
		case same && equality.Semantic.DeepEqual(slice.Labels, l):
			unchanged = append(unchanged, slice)
		default:
			draft := *slice
			draft.Endpoints, draft.Labels = kept, l
			changed = append(changed, &draft)
		}
	}
	missing := make([]discoveryv1.Endpoint, 0, len(g.byKey))
	for _, k := range slices.Sorted(maps.Keys(g.byKey)) {
		missing = append(missing, *g.byKey[k])
	}
	slices.SortStableFunc(changed, func(a, b *discoveryv1.EndpointSlice) int {
		return cmp.Compare(len(b.Endpoints), len(a.Endpoints))
	})
	for _, slice := range changed {
		missing = fill(slice, missing)
	}
	for len(missing) > 0 {
		if n := roomFor(unchanged, len(missing)); n >= 0 {
			draft := *unchanged[n]
			draft.Endpoints = slices.Clone(draft.Endpoints)
			missing = fill(&draft, missing)
			changed = append(changed, &draft)
			unchanged = slices.Delete(unchanged, n, n+1)
			continue
		}
		slice := newSlice(s, t, g.ports)
		missing = fill(slice, missing)
		p.create = append(p.create, slice)
	}
	p.update = append(p.update, changed...)
}

// keep is those of a slice's endpoints that are wanted, as they are wanted, and whether that is all of them just
// as they are. It takes them out of the group.
func keep(slice *discoveryv1.EndpointSlice, g *group) (kept []discoveryv1.Endpoint, same bool) {
	same = true
	for n := range slice.Endpoints {
		have := &slice.Endpoints[n]
		k := endpointKey(have)
		want := g.byKey[k]
		if want == nil {
			same = false
			continue
		}
		delete(g.byKey, k)
		kept = append(kept, *want)
		same = same && sameEndpoint(have, want)
	}
	return kept, same
}

func fill(slice *discoveryv1.EndpointSlice, missing []discoveryv1.Endpoint) (rest []discoveryv1.Endpoint) {
	n := min(len(missing), max(maxEndpoints-len(slice.Endpoints), 0))
	slice.Endpoints = append(slice.Endpoints, missing[:n]...)
	return missing[n:]
}

// roomFor is the index of the fullest slice into which n more endpoints fit; -1 if there is none.
func roomFor(all []*discoveryv1.EndpointSlice, n int) int {
	best := -1
	for i, slice := range all {
		size := len(slice.Endpoints)
		if n < maxEndpoints && size+n <= maxEndpoints && (best < 0 || size > len(all[best].Endpoints)) {
			best = i
		}
	}
	return best
}

// keepOne sees that a family without pods has an empty slice.
func (p *plan) keepOne(s *corev1.Service, t discoveryv1.AddressType) {
	empty := newSlice(s, t, []discoveryv1.EndpointPort{})
	if len(p.delete) == 1 {
		there := p.delete[0]
		if len(there.Endpoints) == 0 && len(there.Ports) == 0 && isOwned(there, s) &&
			equality.Semantic.DeepEqual(there.Labels, empty.Labels) {
			p.delete = nil
			return
		}
	}
	p.create = append(p.create, empty)
}

// reuse makes an update of a creation and a deletion: one write instead of two, and never none in between.
func (p *plan) reuse(s *corev1.Service) {
	var rest []*discoveryv1.EndpointSlice
	for _, old := range p.delete {
		if len(p.create) == 0 || !isOwned(old, s) {
			rest = append(rest, old)
			continue
		}
		last := len(p.create) - 1
		draft := *old
		draft.Labels, draft.Ports, draft.Endpoints = p.create[last].Labels, p.create[last].Ports, p.create[last].Endpoints
		p.create = p.create[:last]
		p.update = append(p.update, &draft)
	}
	p.delete = rest
}

func newSlice(s *corev1.Service, t discoveryv1.AddressType, ports []discoveryv1.EndpointPort) *discoveryv1.EndpointSlice {
	prefix := s.Name + "-"
	if len(validation.NameIsDNSSubdomain(prefix, true)) > 0 {
		prefix = s.Name
	}
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Namespace, GenerateName: prefix, Labels: labelsFor(s),
			OwnerReferences: []metav1.OwnerReference{owned.RefTo(s, client.Services)},
		},
		AddressType: t, Ports: ports, Endpoints: []discoveryv1.Endpoint{},
	}
}

// labelsFor are the Service's own but for those that have a meaning here.
func labelsFor(s *corev1.Service) map[string]string {
	l := map[string]string{}
	maps.Copy(l, s.Labels)
	delete(l, corev1.IsHeadlessService)
	if backends.IsHeadless(s) {
		l[corev1.IsHeadlessService] = ""
	}
	l[discoveryv1.LabelServiceName] = s.Name
	l[discoveryv1.LabelManagedBy] = managedBy
	return l
}

func isOwned(slice *discoveryv1.EndpointSlice, s *corev1.Service) bool {
	return slices.ContainsFunc(slice.OwnerReferences, func(r metav1.OwnerReference) bool {
		return r.UID == s.UID && r.Kind == "Service" && r.APIVersion == "v1"
	})
}

// addressTypes are the Service's families; for a Service that was never defaulted, what its address says.
func addressTypes(s *corev1.Service) []discoveryv1.AddressType {
	var types []discoveryv1.AddressType
	for _, f := range s.Spec.IPFamilies {
		switch f {
		case corev1.IPv4Protocol:
			types = append(types, discoveryv1.AddressTypeIPv4)
		case corev1.IPv6Protocol:
			types = append(types, discoveryv1.AddressTypeIPv6)
		}
	}
	switch {
	case len(types) > 0:
		return types
	case backends.IsHeadless(s):
		return []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6}
	case utilnet.IsIPv6String(s.Spec.ClusterIP):
		return []discoveryv1.AddressType{discoveryv1.AddressTypeIPv6}
	}
	return []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4}
}
