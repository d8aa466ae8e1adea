package plugins

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/scheduler/cluster"
	"github.com/proa-dev/proa/internal/scheduler/framework"
)

// nodeUnschedulable keeps pods from nodes that are cordoned.
type nodeUnschedulable struct{}

func (nodeUnschedulable) Name() string { return "NodeUnschedulable" }

func (nodeUnschedulable) Judge(p *cluster.Pod, _ *cluster.Cluster) (framework.Judge, *framework.Rejection) {
	taint := &corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
	if tolerates(p.Spec.Tolerations, taint) {
		return framework.Judge{}, nil
	}
	cordoned := framework.RejectFinally("node(s) were unschedulable")
	return alone(func(n *cluster.Node) *framework.Rejection {
		if n.Object.Spec.Unschedulable {
			return cordoned
		}
		return nil
	}), nil
}

func (nodeUnschedulable) Wakes(_ *corev1.Pod, e *framework.Event) bool {
	if moreTolerant(e) {
		return true
	}
	return e.NewNode != nil && !e.NewNode.Spec.Unschedulable && (e.OldNode == nil || e.OldNode.Spec.Unschedulable)
}
