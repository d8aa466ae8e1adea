package endpoints

import (
	"bytes"
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/dump"
	utilnet "k8s.io/utils/net"

	"github.com/proa-dev/proa/internal/controller/backends"
	"github.com/proa-dev/proa/internal/controller/pods"
)

const (
	labelManagedBy = "endpoints.kubernetes.io/managed-by"
	managedBy      = "endpoint-controller"
	// maxAddresses of an object. What is beyond is left out; clients find it in the endpoint slices.
	maxAddresses = 1000
)

// decide makes the endpoints of a Service from the pods that it selects; nil if the present ones will do.
// present is nil if there are none.
func decide(s *corev1.Service, selected []*corev1.Pod, present *corev1.Endpoints, trigger time.Time) *corev1.Endpoints {
	wanted := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name}}
	if present != nil {
		wanted.ObjectMeta = *present.ObjectMeta.DeepCopy()
	}
	wanted.Labels = labelsFor(s)
	wanted.Subsets = subsets(s, selected)
	if wanted.Annotations == nil {
		wanted.Annotations = map[string]string{}
	}
	delete(wanted.Annotations, corev1.EndpointsOverCapacity)
	if truncate(wanted.Subsets) {
		wanted.Annotations[corev1.EndpointsOverCapacity] = "truncated"
	}
	if present != nil && same(present, wanted) {
		return nil
	}
	backends.Annotate(wanted.Annotations, trigger)
	return wanted
}

func same(a, b *corev1.Endpoints) bool {
	return a.Annotations[corev1.EndpointsOverCapacity] == b.Annotations[corev1.EndpointsOverCapacity] &&
		equality.Semantic.DeepEqual(a.Labels, b.Labels) && equality.Semantic.DeepEqual(a.Subsets, b.Subsets)
}

func labelsFor(s *corev1.Service) map[string]string {
	l := map[string]string{}
	maps.Copy(l, s.Labels)
	delete(l, corev1.IsHeadlessService)
	if backends.IsHeadless(s) {
		l[corev1.IsHeadlessService] = ""
	}
	l[labelManagedBy] = managedBy
	return l
}

// address is where a pod can be reached.
type address struct {
	corev1.EndpointAddress
	ready bool
}

// key says who is at the address, and whether it is ready.
func (a address) key() string { return fmt.Sprint(a.IP, "/", a.TargetRef.UID, "/", a.ready) }

// subsets puts together the ports that the very same addresses serve, in the one order that everybody computes.
func subsets(s *corev1.Service, selected []*corev1.Pod) []corev1.EndpointSubset {
	byPort := map[corev1.EndpointPort][]address{}
	for _, p := range selected {
		a, ok := addressOf(s, p)
		if !ok {
			continue
		}
		for _, port := range ports(s, p) {
			byPort[port] = append(byPort[port], a)
		}
	}
	bySet := map[string]*corev1.EndpointSubset{}
	for port, addresses := range byPort {
		slices.SortFunc(addresses, compare)
		var set strings.Builder
		for _, a := range addresses {
			set.WriteString(a.key() + " ")
		}
		subset := bySet[set.String()]
		if subset == nil {
			subset = subsetOf(addresses)
			bySet[set.String()] = subset
		}
		if port != noPort {
			subset.Ports = append(subset.Ports, port)
		}
	}
	var all []corev1.EndpointSubset
	for _, subset := range bySet {
		sortByHash(subset.Ports)
		all = append(all, *subset)
	}
	sortByHash(all)
	return all
}

// noPort stands for headless Services without ports, which have addresses all the same.
var noPort = corev1.EndpointPort{Port: -1}

func ports(s *corev1.Service, p *corev1.Pod) []corev1.EndpointPort {
	if len(s.Spec.Ports) == 0 && s.Spec.ClusterIP == corev1.ClusterIPNone {
		return []corev1.EndpointPort{noPort}
	}
	var all []corev1.EndpointPort
	for n := range s.Spec.Ports {
		sp := &s.Spec.Ports[n]
		number, ok := backends.Port(p, sp)
		port := corev1.EndpointPort{Name: sp.Name, Port: number, Protocol: sp.Protocol, AppProtocol: sp.AppProtocol}
		if ok && !slices.Contains(all, port) {
			all = append(all, port)
		}
	}
	return all
}

func addressOf(s *corev1.Service, p *corev1.Pod) (address, bool) {
	wanted := s.Spec.PublishNotReadyAddresses || p.DeletionTimestamp == nil
	ips := backends.Addresses(p, isIPv6(s, p))
	if !wanted || !backends.HasAddress(p) || len(ips) == 0 {
		return address{}, false
	}
	a := address{
		EndpointAddress: corev1.EndpointAddress{
			IP: ips[0], NodeName: &p.Spec.NodeName,
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: p.Namespace, Name: p.Name, UID: p.UID},
		},
		ready: s.Spec.PublishNotReadyAddresses || pods.IsReady(p),
	}
	if name := backends.Hostname(p, s); name != nil {
		a.Hostname = *name
	}
	return a, true
}

// isIPv6 is the first family of the Service; that of the pod if it has none.
func isIPv6(s *corev1.Service, p *corev1.Pod) bool {
	switch {
	case len(s.Spec.IPFamilies) > 0:
		return s.Spec.IPFamilies[0] == corev1.IPv6Protocol
	case !backends.IsHeadless(s):
		return utilnet.IsIPv6String(s.Spec.ClusterIP)
	}
	return utilnet.IsIPv6String(p.Status.PodIP)
}

func compare(a, b address) int {
	return cmp.Or(strings.Compare(a.IP, b.IP), strings.Compare(string(a.TargetRef.UID), string(b.TargetRef.UID)))
}

func subsetOf(addresses []address) *corev1.EndpointSubset {
	s := &corev1.EndpointSubset{}
	for _, a := range addresses {
		if a.ready {
			s.Addresses = append(s.Addresses, a.EndpointAddress)
		} else {
			s.NotReadyAddresses = append(s.NotReadyAddresses, a.EndpointAddress)
		}
	}
	return s
}

// sortByHash is the order that kube-controller-manager has, which says nothing but is always the same.
func sortByHash[T any](all []T) {
	if len(all) < 2 {
		return
	}
	type hashed struct {
		hash []byte
		item T
	}
	keyed := make([]hashed, len(all))
	for n, item := range all {
		h := fnv.New128a()
		fmt.Fprintf(h, "%v", dump.ForHash(item))
		keyed[n] = hashed{h.Sum(nil), item}
	}
	slices.SortFunc(keyed, func(a, b hashed) int { return bytes.Compare(a.hash, b.hash) })
	for n := range keyed {
		all[n] = keyed[n].item
	}
}

// truncate keeps as many addresses as there may be, ready ones before others, of each subset in proportion.
func truncate(all []corev1.EndpointSubset) bool {
	var ready, notReady int
	for _, s := range all {
		ready += len(s.Addresses)
		notReady += len(s.NotReadyAddresses)
	}
	if ready+notReady <= maxAddresses {
		return false
	}
	room, of := maxAddresses-ready, notReady
	if ready > maxAddresses {
		room, of = maxAddresses, ready
	}
	left := room
	for n := range all {
		s := &all[n]
		list := &s.NotReadyAddresses
		if ready > maxAddresses {
			s.NotReadyAddresses = nil
			list = &s.Addresses
		}
		share := min((len(*list)*room+of-1)/of, left, len(*list))
		*list = (*list)[:share]
		left -= share
	}
	return true
}
