package plugins

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/scheduler/cluster"
	"github.com/proa-dev/proa/internal/scheduler/framework"
)

// taintToleration keeps pods from nodes whose taints they do not tolerate, and prefers those with fewer taints
// that ask for it.
type taintToleration struct{}

func (taintToleration) Name() string { return "TaintToleration" }

func (taintToleration) Judge(p *cluster.Pod, _ *cluster.Cluster) (framework.Judge, *framework.Rejection) {
	tolerations := p.Spec.Tolerations
	untolerated := framework.RejectFinally("node(s) had untolerated taint(s)")
	return framework.Judge{
		Filter: func(n *cluster.Node) *framework.Rejection {
			if keptOut(n.Object, tolerations) {
				return untolerated
			}
			return nil
		},
		Score: func(n *cluster.Node) (unwanted int64) {
			for i := range n.Object.Spec.Taints {
				t := &n.Object.Spec.Taints[i]
				if t.Effect == corev1.TaintEffectPreferNoSchedule && !tolerates(tolerations, t) {
					unwanted++
				}
			}
			return unwanted
		},
		Normalize: func(scores []int64) { scale(scores, true) },
	}, nil
}

func (taintToleration) Wakes(p *corev1.Pod, e *framework.Event) bool {
	if moreTolerant(e) {
		return true
	}
	if e.NewNode == nil || keptOut(e.NewNode, p.Spec.Tolerations) {
		return false
	}
	return e.OldNode == nil || keptOut(e.OldNode, p.Spec.Tolerations)
}
