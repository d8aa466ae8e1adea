package plugins

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/scheduler/cluster"
	"github.com/proa-dev/proa/internal/scheduler/framework"
)

// nodeName keeps pods that name a node from others.
type nodeName struct{}

func (nodeName) Name() string { return "NodeName" }

func (nodeName) Judge(p *cluster.Pod, _ *cluster.Cluster) (framework.Judge, *framework.Rejection) {
	want := p.Spec.NodeName
	if want == "" {
		return framework.Judge{}, nil
	}
	other := framework.RejectFinally("node(s) didn't match the requested node name")
	return alone(func(n *cluster.Node) *framework.Rejection {
		if n.Name != want {
			return other
		}
		return nil
	}), nil
}

func (nodeName) Wakes(p *corev1.Pod, e *framework.Event) bool {
	return nodeIsNew(e) && e.NewNode.Name == p.Spec.NodeName
}
