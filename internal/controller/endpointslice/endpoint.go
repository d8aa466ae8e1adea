package endpointslice

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/controller/backends"
	"github.com/proa-dev/proa/internal/controller/pods"
)

// endpointOf is a pod as clients of a Service see it. One that is being deleted is not ready, but serves as long
// as it does. n is nil if its node is unknown.
func endpointOf(s *corev1.Service, t discoveryv1.AddressType, p *corev1.Pod, n *corev1.Node) *discoveryv1.Endpoint {
	serving, terminating := pods.IsReady(p), p.DeletionTimestamp != nil
	e := &discoveryv1.Endpoint{
		Addresses: backends.Addresses(p, t == discoveryv1.AddressTypeIPv6),
		Conditions: discoveryv1.EndpointConditions{
			Ready:       ptr.To(s.Spec.PublishNotReadyAddresses || serving && !terminating),
			Serving:     &serving,
			Terminating: &terminating,
		},
		TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: p.Namespace, Name: p.Name, UID: p.UID},
		Hostname:  backends.Hostname(p, s),
	}
	slices.Sort(e.Addresses)
	if p.Spec.NodeName != "" {
		e.NodeName = &p.Spec.NodeName
	}
	if n != nil && n.Labels[corev1.LabelTopologyZone] != "" {
		e.Zone = ptr.To(n.Labels[corev1.LabelTopologyZone])
	}
	e.Hints = hintsFor(s, e)
	return e
}

// hintsFor says who should use an endpoint that is ready, if the Service wants its traffic kept close.
func hintsFor(s *corev1.Service, e *discoveryv1.Endpoint) *discoveryv1.EndpointHints {
	if s.Spec.TrafficDistribution == nil || !*e.Conditions.Ready {
		return nil
	}
	var h discoveryv1.EndpointHints
	switch *s.Spec.TrafficDistribution {
	case corev1.ServiceTrafficDistributionPreferSameNode:
		if e.NodeName != nil {
			h.ForNodes = []discoveryv1.ForNode{{Name: *e.NodeName}}
		}
	case corev1.ServiceTrafficDistributionPreferClose, corev1.ServiceTrafficDistributionPreferSameZone:
	default:
		return nil
	}
	if e.Zone != nil {
		h.ForZones = []discoveryv1.ForZone{{Name: *e.Zone}}
	}
	if h.ForNodes == nil && h.ForZones == nil {
		return nil
	}
	return &h
}

// endpointKey says who an endpoint is. All else about it can change in place.
func endpointKey(e *discoveryv1.Endpoint) string {
	k := strings.Join(e.Addresses, ",") + "/" + ptr.Deref(e.Hostname, "")
	if e.TargetRef != nil {
		k += "/" + e.TargetRef.Namespace + "/" + e.TargetRef.Name
	}
	return k
}

// sameEndpoint tells whether two endpoints of one key are the same in all else.
func sameEndpoint(a, b *discoveryv1.Endpoint) bool {
	c, d := a.Conditions, b.Conditions
	return ptr.Equal(c.Ready, d.Ready) && ptr.Equal(c.Serving, d.Serving) && ptr.Equal(c.Terminating, d.Terminating) &&
		ptr.Equal(a.NodeName, b.NodeName) && ptr.Equal(a.Zone, b.Zone) &&
		a.TargetRef.UID == b.TargetRef.UID && a.TargetRef.Kind == b.TargetRef.Kind && sameHints(a.Hints, b.Hints)
}

func sameHints(a, b *discoveryv1.EndpointHints) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.Equal(a.ForZones, b.ForZones) && slices.Equal(a.ForNodes, b.ForNodes)
}

// portsOf are the ports at which a pod serves a Service. They are none, not unknown, if it has none of them.
func portsOf(s *corev1.Service, p *corev1.Pod) []discoveryv1.EndpointPort {
	all := []discoveryv1.EndpointPort{}
	for n := range s.Spec.Ports {
		sp := &s.Spec.Ports[n]
		if port, ok := backends.Port(p, sp); ok {
			all = append(all, discoveryv1.EndpointPort{
				Name: &sp.Name, Port: &port, Protocol: &sp.Protocol, AppProtocol: sp.AppProtocol,
			})
		}
	}
	return all
}

// portsKey is the same for the same ports in any order.
func portsKey(all []discoveryv1.EndpointPort) string {
	if len(all) == 1 {
		return portKey(all[0])
	}
	keys := make([]string, len(all))
	for n, p := range all {
		keys[n] = portKey(p)
	}
	slices.Sort(keys)
	return strings.Join(keys, ";")
}

// portKey has no part with a space in it but the last.
func portKey(p discoveryv1.EndpointPort) string {
	k := ptr.Deref(p.Name, "") + " " + strconv.Itoa(int(ptr.Deref(p.Port, -1))) + " " + string(ptr.Deref(p.Protocol, ""))
	if p.AppProtocol != nil {
		k += " " + *p.AppProtocol
	}
	return k
}
