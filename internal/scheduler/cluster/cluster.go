// Package cluster is what the scheduler knows: the nodes, the pods on them, and the pods that it has decided
// to put on them but whose binding it has not seen yet (they are assumed).
//
// There is one copy, changed in place by whoever holds the scheduler's lock; decisions are made under the
// same lock, so they need no snapshot. Every change of a node gives it a new generation and makes it the
// newest of a list in that order: who has seen generation g finds what changed since by walking from the
// newest back to g, and pays for nothing else. What moves the nodes' places (Node.Index), or the weight of
// images, changes the layout instead, after which nothing that was remembered by place holds any more.
package cluster

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Cluster is nodes and pods. The zero value is not ready: use New.
type Cluster struct {
	nodes      map[string]*Node
	order      []*Node // nodes with an object; made when asked for, if stale
	stale      bool
	layout     uint64
	generation uint64
	newest     *Node

	pods       map[types.UID]placed
	images     map[string]int // nodes that have it
	priorities map[int32]int  // pods that have it
	namespaces map[string]map[string]string
}

type placed struct {
	pod     *Pod
	node    *Node
	assumed bool
}

// New makes an empty cluster.
func New() *Cluster {
	return &Cluster{
		nodes: map[string]*Node{}, pods: map[types.UID]placed{}, images: map[string]int{},
		priorities: map[int32]int{}, namespaces: map[string]map[string]string{},
	}
}

// Nodes are the nodes in the order in which they are looked at: one of each zone in turn.
func (c *Cluster) Nodes() []*Node {
	if c.stale {
		c.arrange()
	}
	return c.order
}

// Node is the node of a name, if it has an object.
func (c *Cluster) Node(name string) *Node {
	n := c.nodes[name]
	if n == nil || n.Object == nil {
		return nil
	}
	return n
}

// Layout changes when nodes come, go, move to other zones or have other images.
func (c *Cluster) Layout() uint64 { return c.layout }

// Generation is that of the newest change of a node.
func (c *Cluster) Generation() uint64 { return c.generation }

// Changed calls f for the nodes that changed after a generation.
func (c *Cluster) Changed(since uint64, f func(*Node)) {
	for n := c.newest; n != nil && n.Generation > since; n = n.older {
		if n.Object != nil {
			f(n)
		}
	}
}

// NodesWithImage is on how many nodes an image is.
func (c *Cluster) NodesWithImage(name string) int { return c.images[name] }

// HasBelow tells if any pod has a priority below p.
func (c *Cluster) HasBelow(p int32) bool {
	for other := range c.priorities {
		if other < p {
			return true
		}
	}
	return false
}

// NamespaceLabels are the labels of a namespace.
func (c *Cluster) NamespaceLabels(name string) map[string]string { return c.namespaces[name] }

// Namespaces are the labels of all namespaces.
func (c *Cluster) Namespaces() map[string]map[string]string { return c.namespaces }

// SetNamespace says that a namespace has some labels.
func (c *Cluster) SetNamespace(name string, labels map[string]string) (changed bool) {
	old, ok := c.namespaces[name]
	c.namespaces[name] = labels
	return !ok || !maps.Equal(old, labels)
}

// RemoveNamespace says that a namespace is gone.
func (c *Cluster) RemoveNamespace(name string) { delete(c.namespaces, name) }

// SetNode says that a node is there, or how it is now.
func (c *Cluster) SetNode(o *corev1.Node) {
	n := c.node(o.Name)
	old := *n
	n.read(o)
	switch {
	case old.Object == nil, zoneOf(old.Object) != zoneOf(o), !maps.Equal(old.Images, n.Images):
		c.countImages(old.Images, -1)
		c.countImages(n.Images, 1)
		c.moved()
	case sameForPods(&old, n):
		return
	}
	c.touch(n)
}

// RemoveNode says that a node is gone.
func (c *Cluster) RemoveNode(name string) {
	n := c.nodes[name]
	if n == nil || n.Object == nil {
		return
	}
	c.countImages(n.Images, -1)
	n.Object, n.Images = nil, nil
	c.moved()
	c.release(n)
}

// Has tells if a pod is on a node or assumed to be, and IsAssumed if the latter.
func (c *Cluster) Has(uid types.UID) bool { _, ok := c.pods[uid]; return ok }

// IsAssumed tells if a pod is assumed to be on a node.
func (c *Cluster) IsAssumed(uid types.UID) bool { return c.pods[uid].assumed }

// Pod is the last known state of a pod on a node; nil if it is on none.
func (c *Cluster) Pod(uid types.UID) *corev1.Pod {
	if p := c.pods[uid].pod; p != nil {
		return p.Pod
	}
	return nil
}

// Assume puts a pod on a node before the API says so.
func (c *Cluster) Assume(p *Pod, node string) { c.place(p, node, true) }

// SetPod says that a pod is on the node that its spec names, or how it is now.
func (c *Cluster) SetPod(o *corev1.Pod) {
	old, ok := c.pods[o.UID]
	if !ok {
		c.place(NewPod(o), o.Spec.NodeName, false)
		return
	}
	p := &Pod{Pod: o, Shape: old.pod.Shape}
	if !sameSpec(old.pod.Pod, o) || !asksAsSpecified(old.pod.Pod) || !asksAsSpecified(o) {
		if shape := ShapeOf(o); !shape.sameRequests(old.pod.Shape) {
			p.Shape = shape
		}
	}
	if old.node.Name == o.Spec.NodeName && p.Shape == old.pod.Shape && sameForOthers(old.pod.Pod, o) {
		old.replace(p)
		c.pods[o.UID] = placed{pod: p, node: old.node}
		return
	}
	c.RemovePod(o.UID)
	c.place(p, o.Spec.NodeName, false)
}

// RemovePod says that a pod is gone, whether it was assumed or not, and returns it; nil if it was not here.
func (c *Cluster) RemovePod(uid types.UID) *Pod {
	old, ok := c.pods[uid]
	if !ok {
		return nil
	}
	delete(c.pods, uid)
	priority := old.pod.Priority()
	if c.priorities[priority]--; c.priorities[priority] == 0 {
		delete(c.priorities, priority)
	}
	old.node.Remove(old.pod)
	c.touch(old.node)
	c.release(old.node)
	return old.pod
}

// Forget takes back an assumption. It returns nil if there is none, or it has come true.
func (c *Cluster) Forget(uid types.UID) *Pod {
	if !c.IsAssumed(uid) {
		return nil
	}
	return c.RemovePod(uid)
}

func (c *Cluster) place(p *Pod, node string, assumed bool) {
	n := c.node(node)
	n.Add(p)
	c.priorities[p.Priority()]++
	c.pods[p.UID] = placed{pod: p, node: n, assumed: assumed}
	c.touch(n)
}

// replace swaps a pod for one that means the same to all others.
func (old placed) replace(p *Pod) {
	for _, pods := range [][]*Pod{old.node.Pods, old.node.Opinionated} {
		if i := slices.Index(pods, old.pod); i >= 0 {
			pods[i] = p
		}
	}
}

func (c *Cluster) node(name string) *Node {
	n := c.nodes[name]
	if n == nil {
		n = &Node{Name: name}
		c.nodes[name] = n
	}
	return n
}

// release drops a node that has neither an object nor pods.
func (c *Cluster) release(n *Node) {
	if n.Object == nil && len(n.Pods) == 0 {
		c.unlink(n)
		delete(c.nodes, n.Name)
	}
}

func (c *Cluster) touch(n *Node) {
	c.generation++
	n.Generation = c.generation
	if c.newest == n {
		return
	}
	c.unlink(n)
	n.older = c.newest
	if c.newest != nil {
		c.newest.newer = n
	}
	c.newest = n
}

func (c *Cluster) unlink(n *Node) {
	if n.newer != nil {
		n.newer.older = n.older
	}
	if n.older != nil {
		n.older.newer = n.newer
	}
	if c.newest == n {
		c.newest = n.older
	}
	n.newer, n.older = nil, nil
}

func (c *Cluster) moved() {
	c.stale = true
	c.layout++
}

func (c *Cluster) countImages(images map[string]int64, by int) {
	for name := range images {
		if c.images[name] += by; c.images[name] == 0 {
			delete(c.images, name)
		}
	}
}
