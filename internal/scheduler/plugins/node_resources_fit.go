package plugins

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/scheduler/cluster"
	"github.com/proa-dev/proa/internal/scheduler/framework"
)

// nodeResourcesFit keeps pods from nodes that have too little left, and prefers those that have most left.
type nodeResourcesFit struct{}

func (nodeResourcesFit) Name() string { return "NodeResourcesFit" }

func (nodeResourcesFit) Judge(p *cluster.Pod, _ *cluster.Cluster) (framework.Judge, *framework.Rejection) {
	shape := p.Shape
	others := slices.Sorted(maps.Keys(shape.Requests.Others))
	return framework.Judge{
		Filter: func(n *cluster.Node) *framework.Rejection {
			return fits(&shape.Requests, others, n)
		},
		Score: func(n *cluster.Node) int64 {
			var sum, count int64
			for _, s := range []struct{ used, all int64 }{
				{n.CPU + shape.CPU, n.Allocatable.MilliCPU}, {n.Memory + shape.Memory, n.Allocatable.Memory},
			} {
				if s.all == 0 {
					continue
				}
				count++
				if s.used <= s.all {
					sum += (s.all - s.used) * framework.MaxScore / s.all
				}
			}
			if count == 0 {
				return 0
			}
			return sum / count
		},
	}, nil
}

// fits is nil if a node has what is asked for.
func fits(asked *cluster.Resources, others []corev1.ResourceName, n *cluster.Node) *framework.Rejection {
	var r *framework.Rejection
	lacks := func(what string, final bool) {
		if r == nil {
			r = &framework.Rejection{}
		}
		r.Reasons = append(r.Reasons, what)
		r.Final = r.Final || final
	}
	if len(n.Pods)+1 > n.MaxPods {
		lacks("Too many pods", false)
	}
	have, used := &n.Allocatable, &n.Requested
	if asked.MilliCPU > 0 && asked.MilliCPU > have.MilliCPU-used.MilliCPU {
		lacks("Insufficient cpu", asked.MilliCPU > have.MilliCPU)
	}
	if asked.Memory > 0 && asked.Memory > have.Memory-used.Memory {
		lacks("Insufficient memory", asked.Memory > have.Memory)
	}
	if asked.Ephemeral > 0 && asked.Ephemeral > have.Ephemeral-used.Ephemeral {
		lacks("Insufficient ephemeral-storage", asked.Ephemeral > have.Ephemeral)
	}
	for _, name := range others {
		if v := asked.Others[name]; v > 0 && v > have.Others[name]-used.Others[name] {
			lacks("Insufficient "+string(name), v > have.Others[name])
		}
	}
	return r
}

func (nodeResourcesFit) Wakes(p *corev1.Pod, e *framework.Event) bool {
	switch {
	case podIsGone(e):
		return true
	case e.NewPod != nil:
		return e.OldPod != nil && shrunk(p, e)
	case e.NewNode == nil:
		return false
	}
	asked := &cluster.ShapeOf(p).Requests
	others := slices.Collect(maps.Keys(asked.Others))
	now := emptyNode(e.NewNode)
	if fits(asked, others, now) != nil {
		return false
	}
	return e.OldNode == nil || grown(asked, emptyNode(e.OldNode), now)
}

func emptyNode(o *corev1.Node) *cluster.Node {
	c := cluster.New()
	c.SetNode(o)
	return c.Node(o.Name)
}

// grown tells if a node has more than it had of anything that is asked for.
func grown(asked *cluster.Resources, was, is *cluster.Node) bool {
	a, b := &was.Allocatable, &is.Allocatable
	if is.MaxPods > was.MaxPods ||
		asked.MilliCPU > 0 && b.MilliCPU > a.MilliCPU ||
		asked.Memory > 0 && b.Memory > a.Memory ||
		asked.Ephemeral > 0 && b.Ephemeral > a.Ephemeral {
		return true
	}
	for name, v := range asked.Others {
		if v > 0 && b.Others[name] > a.Others[name] {
			return true
		}
	}
	return false
}

// shrunk tells of a pod that asks for less than it did, be it the waiting one itself.
func shrunk(p *corev1.Pod, e *framework.Event) bool {
	was, is := cluster.ShapeOf(e.OldPod).Requests, cluster.ShapeOf(e.NewPod).Requests
	asked := cluster.ShapeOf(p).Requests
	if e.Own {
		asked = was
	}
	if asked.MilliCPU > 0 && is.MilliCPU < was.MilliCPU ||
		asked.Memory > 0 && is.Memory < was.Memory ||
		asked.Ephemeral > 0 && is.Ephemeral < was.Ephemeral {
		return true
	}
	for name, v := range asked.Others {
		if v > 0 && is.Others[name] < was.Others[name] {
			return true
		}
	}
	return false
}
