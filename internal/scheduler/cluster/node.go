package cluster

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Node is a node and what its pods use of it.
type Node struct {
	Name string
	// Object is nil for a node that is known only by the pods that are said to be on it.
	Object      *corev1.Node
	Allocatable Resources
	MaxPods     int
	Images      map[string]int64 // bytes by name

	Requested Resources
	// CPU and Memory are requested in the sense of Shape.
	CPU, Memory int64
	Ports       []Port
	Pods        []*Pod
	// Opinionated are those of Pods that have terms.
	Opinionated []*Pod

	// Index is the node's place in Cluster.Nodes, until the layout changes.
	Index int
	// Generation is larger than that of all nodes that changed before this one did.
	Generation uint64

	newer, older *Node // in the order of generations
}

// Label is the value of a label.
func (n *Node) Label(key string) (value string, ok bool) {
	value, ok = n.Object.Labels[key]
	return value, ok
}

// Clone is a copy to try things on.
func (n *Node) Clone() *Node {
	c := *n
	c.Requested = n.Requested.clone()
	c.Ports = slices.Clone(n.Ports)
	c.Pods = slices.Clone(n.Pods)
	c.Opinionated = slices.Clone(n.Opinionated)
	c.newer, c.older = nil, nil
	return &c
}

// Add puts a pod on the node.
func (n *Node) Add(p *Pod) {
	n.Pods = append(n.Pods, p)
	if p.HasTerms() {
		n.Opinionated = append(n.Opinionated, p)
	}
	n.Ports = append(n.Ports, p.Ports...)
	n.count(p, 1)
}

// Remove takes a pod off the node, where it is.
func (n *Node) Remove(p *Pod) {
	n.Pods = drop(n.Pods, p)
	if p.HasTerms() {
		n.Opinionated = drop(n.Opinionated, p)
	}
	for _, port := range p.Ports {
		if i := slices.Index(n.Ports, port); i >= 0 {
			n.Ports = slices.Delete(n.Ports, i, i+1)
		}
	}
	n.count(p, -1)
}

func (n *Node) count(p *Pod, sign int64) {
	n.Requested.add(&p.Requests, sign)
	n.CPU += sign * p.CPU
	n.Memory += sign * p.Memory
}

func drop(pods []*Pod, p *Pod) []*Pod {
	i := slices.Index(pods, p)
	if i < 0 {
		return pods
	}
	last := len(pods) - 1
	pods[i] = pods[last]
	pods[last] = nil
	return pods[:last]
}

func (n *Node) read(o *corev1.Node) {
	n.Object = o
	n.Allocatable = resourcesOf(o.Status.Allocatable)
	n.MaxPods = int(o.Status.Allocatable.Pods().Value())
	n.Images = nil
	for i := range o.Status.Images {
		image := &o.Status.Images[i]
		for _, name := range image.Names {
			if n.Images == nil {
				n.Images = map[string]int64{}
			}
			n.Images[name] = image.SizeBytes
		}
	}
}
