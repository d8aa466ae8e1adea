package lifecycle

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// Rejection is why a node refuses a pod.
type Rejection struct{ Reason, Message string }

// Demand is what a pod takes of its node. CPU is in thousandths.
type Demand struct {
	amounts map[corev1.ResourceName]int64
	ports   []hostPort
}

// Usage is what the pods of a node take together. The zero value is an empty node.
type Usage struct {
	amounts map[corev1.ResourceName]int64
	ports   []hostPort
}

type hostPort struct {
	ip       string
	protocol corev1.Protocol
	port     int32
}

// DemandOf is what a pod asks for.
func DemandOf(p *corev1.Pod) Demand {
	d := Demand{amounts: map[corev1.ResourceName]int64{corev1.ResourcePods: 1}}
	for name, q := range resource.PodRequests(p, resource.PodResourcesOptions{}) {
		if name == corev1.ResourceCPU {
			d.amounts[name] = q.MilliValue()
		} else {
			d.amounts[name] = q.Value()
		}
	}
	for i := range p.Spec.Containers {
		d.ports = append(d.ports, hostPorts(&p.Spec.Containers[i])...)
	}
	for i := range p.Spec.InitContainers {
		if c := &p.Spec.InitContainers[i]; isSidecar(c) {
			d.ports = append(d.ports, hostPorts(c)...)
		}
	}
	return d
}

func hostPorts(c *corev1.Container) (all []hostPort) {
	for _, p := range c.Ports {
		if p.HostPort > 0 {
			all = append(all, hostPort{ip: p.HostIP, protocol: p.Protocol, port: p.HostPort})
		}
	}
	return all
}

// Add counts a pod in.
func (u *Usage) Add(d Demand) {
	if u.amounts == nil {
		u.amounts = map[corev1.ResourceName]int64{}
	}
	for name, n := range d.amounts {
		u.amounts[name] += n
	}
	u.ports = append(u.ports, d.ports...)
}

// Remove counts a pod out that was counted in.
func (u *Usage) Remove(d Demand) {
	for name, n := range d.amounts {
		u.amounts[name] -= n
	}
	for _, p := range d.ports {
		if i := slices.Index(u.ports, p); i >= 0 {
			u.ports = slices.Delete(u.ports, i, i+1)
		}
	}
}

// Admit tells why a node cannot take a pod; nil if it can. Resources that the node does not know are
// somebody else's business.
func Admit(p *corev1.Pod, d Demand, node *corev1.Node, used *Usage) *Rejection {
	for _, name := range d.inOrder() {
		if r := fits(name, d.amounts[name], node.Status.Allocatable, used.amounts[name]); r != nil {
			return r
		}
	}
	if ok, err := nodeaffinity.GetRequiredNodeAffinity(p).Match(node); err != nil || !ok {
		return predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
	}
	for _, port := range d.ports {
		if slices.ContainsFunc(used.ports, port.collides) {
			return predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports")
		}
	}
	for i := range node.Spec.Taints {
		if t := &node.Spec.Taints[i]; t.Effect == corev1.TaintEffectNoExecute && !tolerates(p, t) {
			return predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate")
		}
	}
	return nil
}

// inOrder is the order in which resources are looked at: the well-known first.
func (d Demand) inOrder() []corev1.ResourceName {
	known := []corev1.ResourceName{
		corev1.ResourcePods, corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage,
	}
	var others []corev1.ResourceName
	for name := range d.amounts {
		if !slices.Contains(known, name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	return append(known, others...)
}

func fits(name corev1.ResourceName, asked int64, allocatable corev1.ResourceList, used int64) *Rejection {
	q, known := allocatable[name]
	if asked == 0 || !known {
		return nil
	}
	capacity := q.Value()
	if name == corev1.ResourceCPU {
		capacity = q.MilliValue()
	}
	if asked <= capacity-used {
		return nil
	}
	return &Rejection{
		Reason: "OutOf" + string(name),
		Message: fmt.Sprintf("Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d",
			name, asked, used, capacity),
	}
}

func predicate(name, text string) *Rejection {
	return &Rejection{Reason: name, Message: fmt.Sprintf("Predicate %s failed: %s", name, text)}
}

func (p hostPort) collides(o hostPort) bool {
	anyIP := func(ip string) bool { return ip == "" || ip == "0.0.0.0" || ip == "::" }
	return p.port == o.port && p.protocolOrTCP() == o.protocolOrTCP() && (p.ip == o.ip || anyIP(p.ip) || anyIP(o.ip))
}

func (p hostPort) protocolOrTCP() corev1.Protocol {
	if p.protocol == "" {
		return corev1.ProtocolTCP
	}
	return p.protocol
}

func tolerates(p *corev1.Pod, t *corev1.Taint) bool {
	return slices.ContainsFunc(p.Spec.Tolerations, func(o corev1.Toleration) bool {
		return (o.Effect == "" || o.Effect == t.Effect) && (o.Key == t.Key || o.Key == "" && o.Operator == corev1.TolerationOpExists) &&
			(o.Operator == corev1.TolerationOpExists || o.Value == t.Value)
	})
}
