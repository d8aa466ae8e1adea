package framework

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/scheduler/cluster"
)

// The search for nodes ends when enough are found that will do: all in small clusters, from half of them
// down to a twentieth in large ones.
const (
	enoughNodes   = 100
	enoughPercent = 5
)

// Decision is where a pod goes, or why it goes nowhere.
type Decision struct {
	Pod  *cluster.Pod // as it was read
	Node string       // empty if none will do
	// Evaluated nodes were looked at, and Feasible of them will do.
	Evaluated, Feasible int

	// Message says why none will do, in the words that users see; By is who is to blame.
	Message string
	By      Plugins
	// Preemption is what would make room; nil if it was not tried.
	Preemption *Preemption
}

// rejected is a node that will not do.
type rejected struct {
	node *cluster.Node
	by   int
	why  *Rejection
}

// Decide finds the best node for a pod. If none will do, it finds out whether removing pods would help.
func (f *Framework) Decide(pod *corev1.Pod) Decision {
	nodes := f.cluster.Nodes()
	if len(nodes) == 0 {
		return Decision{Message: "no nodes available to schedule pods", By: noNodes}
	}
	c := f.classOf(pod)
	f.reached(PreFilter, c.status())
	p := &cluster.Pod{Pod: pod, Shape: c.shape}
	f.feasible, f.rejected = f.feasible[:0], f.rejected[:0]
	f.search(c, p, nodes)
	if c.refused == nil {
		f.reached(Filter, Success) // whatever it came to, as with Kubernetes
	}
	d := Decision{Pod: p, Evaluated: len(f.feasible) + len(f.rejected), Feasible: len(f.feasible)}
	if len(f.feasible) > 0 {
		d.Node = f.best(c).Name
		if d.Feasible > 1 {
			f.reached(Score, Success)
		}
		return d
	}
	d.By = c.limited
	if c.refused != nil {
		d.By |= 1 << c.refusedBy
	}
	for i := range f.rejected {
		d.By |= 1 << f.rejected[i].by
	}
	d.Preemption = f.preempt(c, p)
	f.reached(PostFilter, d.Preemption.status())
	d.Message = f.explain(c, len(nodes)) + d.Preemption.suffix()
	return d
}

// search fills in the nodes that will do and those that will not.
func (f *Framework) search(c *class, p *cluster.Pod, nodes []*cluster.Node) {
	if c.refused != nil || c.nodes != nil && len(c.nodes) == 0 {
		return
	}
	if name := f.Nominated(p.UID); name != "" {
		n := f.cluster.Node(name)
		if n != nil && c.allows(n) {
			if _, r := f.judge(c, p, n); r == nil {
				f.feasible = append(f.feasible, n)
				return
			}
		}
	}
	if c.nodes != nil {
		nodes = f.allowed(c, nodes)
		if len(nodes) == 0 {
			return
		}
	}
	enough := enoughOf(len(nodes))
	for i := range nodes {
		n := nodes[(f.start+i)%len(nodes)]
		by, r := f.judge(c, p, n)
		if r != nil {
			f.rejected = append(f.rejected, rejected{node: n, by: by, why: r})
			continue
		}
		if f.feasible = append(f.feasible, n); len(f.feasible) == enough {
			break
		}
	}
	f.start = (f.start + len(f.feasible) + len(f.rejected)) % len(f.cluster.Nodes())
}

func (f *Framework) allowed(c *class, nodes []*cluster.Node) []*cluster.Node {
	var some []*cluster.Node
	for _, n := range nodes {
		if c.nodes[n.Name] {
			some = append(some, n)
		}
	}
	return some
}

func enoughOf(nodes int) int {
	if nodes < enoughNodes {
		return nodes
	}
	percent := max(50-nodes/125, enoughPercent)
	return max(nodes*percent/100, enoughNodes)
}

// judge is class.judge with respect for the pods that are nominated to a node: a pod must fit beside those
// that do not rank below it, and without them too, since they may go elsewhere.
func (f *Framework) judge(c *class, p *cluster.Pod, n *cluster.Node) (by int, r *Rejection) {
	if crowded := f.crowd(p, n); crowded != nil {
		by, r = c.try(crowded)
		c.show(n)
		if r != nil {
			return by, r
		}
	}
	return c.judge(n)
}

// best is the node with the highest score; one of them by chance if there are several.
func (f *Framework) best(c *class) *cluster.Node {
	if len(f.feasible) == 1 {
		return f.feasible[0]
	}
	f.total = append(f.total[:0], make([]int64, len(f.feasible))...)
	f.scores = append(f.scores[:0], make([]int64, len(f.feasible))...)
	for j, i := range c.score {
		for k, n := range f.feasible {
			f.scores[k] = c.scores[n.Index*len(c.score)+j]
		}
		if normalize := c.judges[i].Normalize; normalize != nil {
			normalize(f.scores)
		}
		f.tally(i)
	}
	for _, i := range c.scoreAmong {
		c.judges[i].ScoreAmong(f.feasible, f.scores)
		f.tally(i)
	}
	best, ties := 0, 1
	for k := 1; k < len(f.total); k++ {
		switch {
		case f.total[k] > f.total[best]:
			best, ties = k, 1
		case f.total[k] == f.total[best]:
			if ties++; f.random.IntN(ties) == 0 {
				best = k
			}
		}
	}
	return f.feasible[best]
}

func (f *Framework) tally(plugin int) {
	weight := f.plugins[plugin].Weight
	for k, s := range f.scores {
		if s < 0 || s > MaxScore {
			panic(fmt.Sprintf("framework: %s scores %d, which is not in the range from 0 to %d", f.plugins[plugin].Name(), s, MaxScore))
		}
		f.total[k] += weight * s
	}
}
