// Package backends is what the loops share that publish the pods behind a Service: which pods those are, at
// which addresses and ports, and when they have changed.
package backends

import (
	"maps"
	"net"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilnet "k8s.io/utils/net"

	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/owned"
	"github.com/proa-dev/proa/internal/controller/pods"
	"github.com/proa-dev/proa/internal/informer"
)

// HasOwn tells whether a Service's endpoints are for us to publish, and not for its user, or for DNS.
func HasOwn(s *corev1.Service) bool {
	return s.Spec.Selector != nil && s.Spec.Type != corev1.ServiceTypeExternalName
}

// Of is the pods that a Service selects.
func Of(i *informer.Informer[corev1.Pod], s *corev1.Service) []*corev1.Pod {
	var selected []*corev1.Pod
	for _, p := range i.InNamespace(s.Namespace) {
		if owned.Contains(p.Labels, s.Spec.Selector) {
			selected = append(selected, p)
		}
	}
	return selected
}

// HasAddress tells whether a pod can be reached at all: not before it has an address, not when it has ended.
func HasAddress(p *corev1.Pod) bool {
	return !pods.IsFinished(p) && (p.Status.PodIP != "" || len(p.Status.PodIPs) > 0)
}

// Addresses are a pod's addresses of one family.
func Addresses(p *corev1.Pod, ipv6 bool) []string {
	var found []string
	for _, a := range p.Status.PodIPs {
		if ip := utilnet.ParseIPSloppy(a.IP); isIPv6(ip) == ipv6 && ip != nil {
			found = append(found, ip.String())
		}
	}
	return found
}

func isIPv6(ip net.IP) bool { return utilnet.IsIPv6(ip) }

// Hostname is the name by which cluster DNS knows a pod under a Service; nil if it has none.
func Hostname(p *corev1.Pod, s *corev1.Service) *string {
	if p.Spec.Hostname == "" || p.Spec.Subdomain != s.Name {
		return nil
	}
	return &p.Spec.Hostname
}

// Port is the port of a pod that a Service's port leads to. A pod may not have the one that is named.
func Port(p *corev1.Pod, s *corev1.ServicePort) (int32, bool) {
	if s.TargetPort.Type == intstr.Int {
		return s.TargetPort.IntVal, true
	}
	for n := range p.Spec.Containers {
		if port, ok := named(&p.Spec.Containers[n], s); ok {
			return port, true
		}
	}
	for n := range p.Spec.InitContainers {
		c := &p.Spec.InitContainers[n]
		if c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways {
			continue
		}
		if port, ok := named(c, s); ok {
			return port, true
		}
	}
	return 0, false
}

func named(c *corev1.Container, s *corev1.ServicePort) (int32, bool) {
	for _, port := range c.Ports {
		if port.Name == s.TargetPort.StrVal && port.Protocol == s.Protocol {
			return port.ContainerPort, true
		}
	}
	return 0, false
}

// IsHeadless tells whether a Service has no address of its own.
func IsHeadless(s *corev1.Service) bool {
	return s.Spec.ClusterIP == corev1.ClusterIPNone || s.Spec.ClusterIP == ""
}

// Follow is a handler that asks a loop to look at the Services whose endpoints a pod's change may change.
func Follow(l *controller.Loop, services *informer.Informer[corev1.Service]) informer.Handler[corev1.Pod] {
	touch := func(p *corev1.Pod) {
		for _, s := range services.InNamespace(p.Namespace) {
			if HasOwn(s) && owned.Contains(p.Labels, s.Spec.Selector) {
				l.Add(informer.KeyOf(s))
			}
		}
	}
	return informer.Handler[corev1.Pod]{
		Add:    func(p *corev1.Pod, _ bool) { touch(p) },
		Delete: touch,
		Update: func(old, new *corev1.Pod) {
			moved := !maps.Equal(old.Labels, new.Labels)
			if !moved && looksSame(old, new) {
				return
			}
			touch(new)
			if moved {
				touch(old)
			}
		},
	}
}

// looksSame tells whether a change of a pod does not show in any endpoints.
func looksSame(a, b *corev1.Pod) bool {
	if len(a.Status.PodIPs) != len(b.Status.PodIPs) {
		return false
	}
	for n := range a.Status.PodIPs {
		if a.Status.PodIPs[n].IP != b.Status.PodIPs[n].IP {
			return false
		}
	}
	return pods.IsReady(a) == pods.IsReady(b) && pods.IsFinished(a) == pods.IsFinished(b) &&
		(a.DeletionTimestamp == nil) == (b.DeletionTimestamp == nil) &&
		a.Spec.NodeName == b.Spec.NodeName && a.Spec.Hostname == b.Spec.Hostname && a.Spec.Subdomain == b.Spec.Subdomain
}
