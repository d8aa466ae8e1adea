package core

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// An update of a Service is often the manifest that once created it: without the values that the server
// allocated, or with the values of a type that it no longer has. The hooks here make of it what was
// meant, in this order:
//
//  1. Values that were allocated and are not given again are kept.
//  2. clusterIP and clusterIPs are brought in line, for clients that know only the first.
//  3. Values that the new type cannot have are cleared, unless they were changed too: validation
//     refuses those.

func prepareServiceUpdate(new, old *corev1.Service) {
	keepAllocated(new, old)
	pluralizeClusterIP(new, old)
	clearUnfit(new, old)
}

func keepAllocated(new, old *corev1.Service) {
	if hasClusterIP(old) && hasClusterIP(new) {
		if new.Spec.ClusterIP == "" {
			new.Spec.ClusterIP = old.Spec.ClusterIP
		}
		if len(new.Spec.ClusterIPs) == 0 {
			new.Spec.ClusterIPs = slices.Clone(old.Spec.ClusterIPs)
		}
	}
	if wantsNodePorts(old) && wantsNodePorts(new) {
		keepNodePorts(new, old)
	}
	if needsHealthCheck(old) && needsHealthCheck(new) && new.Spec.HealthCheckNodePort == 0 {
		new.Spec.HealthCheckNodePort = old.Spec.HealthCheckNodePort
	}
}

// keepNodePorts gives ports the node port that the port of the same name had, unless another port of
// the new Service asks for that very number.
func keepNodePorts(new, old *corev1.Service) {
	byName := map[string]int32{}
	for _, p := range old.Spec.Ports {
		byName[p.Name] = p.NodePort
	}
	asked := nodePorts(new)
	for i := range new.Spec.Ports {
		p := &new.Spec.Ports[i]
		if had := byName[p.Name]; p.NodePort == 0 && !slices.Contains(asked, had) {
			p.NodePort = had
		}
	}
}

func nodePorts(s *corev1.Service) []int32 {
	var ports []int32
	for _, p := range s.Spec.Ports {
		if p.NodePort != 0 {
			ports = append(ports, p.NodePort)
		}
	}
	return ports
}

// pluralizeClusterIP sets clusterIPs where the client only wrote clusterIP. old is nil on create.
func pluralizeClusterIP(new, old *corev1.Service) {
	if old == nil {
		if new.Spec.ClusterIP != "" && len(new.Spec.ClusterIPs) == 0 {
			new.Spec.ClusterIPs = []string{new.Spec.ClusterIP}
		}
		return
	}
	samePlural := slices.Equal(new.Spec.ClusterIPs, old.Spec.ClusterIPs)
	switch {
	case new.Spec.ClusterIP == old.Spec.ClusterIP:
		if len(new.Spec.ClusterIPs) == 0 {
			new.Spec.ClusterIPs = slices.Clone(old.Spec.ClusterIPs)
		}
	case !samePlural:
		// Both were changed, so validation compares them.
	case new.Spec.ClusterIP == "":
		new.Spec.ClusterIPs = nil
	default:
		new.Spec.ClusterIPs = []string{new.Spec.ClusterIP}
	}
}

func clearUnfit(new, old *corev1.Service) {
	was, is := &old.Spec, &new.Spec
	if hasClusterIP(old) && !hasClusterIP(new) {
		if is.ClusterIP == was.ClusterIP && slices.Equal(is.ClusterIPs, was.ClusterIPs) {
			is.ClusterIP, is.ClusterIPs = "", nil
		}
		if slices.Equal(is.IPFamilies, was.IPFamilies) {
			is.IPFamilies = nil
		}
		if ptr.Equal(is.IPFamilyPolicy, was.IPFamilyPolicy) {
			is.IPFamilyPolicy = nil
		}
	}
	if mayHaveNodePorts(old) && !mayHaveNodePorts(new) && containsAll(nodePorts(old), nodePorts(new)) {
		for i := range is.Ports {
			is.Ports[i].NodePort = 0
		}
	}
	if needsHealthCheck(old) && !needsHealthCheck(new) && is.HealthCheckNodePort == was.HealthCheckNodePort {
		is.HealthCheckNodePort = 0
	}
	if isLoadBalancer(old) && !isLoadBalancer(new) {
		if ptr.Equal(is.AllocateLoadBalancerNodePorts, was.AllocateLoadBalancerNodePorts) {
			is.AllocateLoadBalancerNodePorts = nil
		}
		if ptr.Equal(is.LoadBalancerClass, was.LoadBalancerClass) {
			is.LoadBalancerClass = nil
		}
	}
	if externallyAccessible(old) && !externallyAccessible(new) && is.ExternalTrafficPolicy == was.ExternalTrafficPolicy {
		is.ExternalTrafficPolicy = ""
	}
	if !isLoadBalancer(new) {
		new.Status.LoadBalancer = corev1.LoadBalancerStatus{}
	}
}

func containsAll[E comparable](all, some []E) bool {
	return !slices.ContainsFunc(some, func(e E) bool { return !slices.Contains(all, e) })
}
