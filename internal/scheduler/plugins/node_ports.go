package plugins

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/scheduler/cluster"
	"github.com/proa-dev/proa/internal/scheduler/framework"
)

// nodePorts keeps pods from nodes whose ports they want and others have.
type nodePorts struct{}

func (nodePorts) Name() string { return "NodePorts" }

func (nodePorts) Judge(p *cluster.Pod, _ *cluster.Cluster) (framework.Judge, *framework.Rejection) {
	want := p.Ports
	if len(want) == 0 {
		return framework.Judge{}, nil
	}
	taken := framework.Reject("node(s) didn't have free ports for the requested pod ports")
	return alone(func(n *cluster.Node) *framework.Rejection {
		if conflict(want, n.Ports) {
			return taken
		}
		return nil
	}), nil
}

func conflict(want, have []cluster.Port) bool {
	for _, w := range want {
		for _, h := range have {
			if w.Conflicts(h) {
				return true
			}
		}
	}
	return false
}

func (nodePorts) Wakes(p *corev1.Pod, e *framework.Event) bool {
	if podIsGone(e) {
		return conflict(cluster.ShapeOf(p).Ports, cluster.ShapeOf(e.OldPod).Ports)
	}
	return nodeIsNew(e)
}
