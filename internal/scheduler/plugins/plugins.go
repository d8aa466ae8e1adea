// Package plugins are the concerns of placement that Kubernetes' default profile has, each in its file, with
// its names, weights, formulas and the reasons that users read.
package plugins

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/klog/v2"

	"github.com/proa-dev/proa/internal/scheduler/cluster"
	"github.com/proa-dev/proa/internal/scheduler/framework"
)

// Owners knows what stands for a pod besides itself.
type Owners interface {
	// Selector matches the pods that belong together with this one, by Services and controllers. It is
	// empty if none do.
	Selector(pod *corev1.Pod) labels.Selector
}

// Default is the plugins of the default profile, in the order in which they filter.
func Default(o Owners) []framework.Weighted {
	return []framework.Weighted{
		{Plugin: nodeUnschedulable{}},
		{Plugin: nodeName{}},
		{Plugin: taintToleration{}, Weight: 3},
		{Plugin: nodeAffinity{}, Weight: 2},
		{Plugin: nodePorts{}},
		{Plugin: nodeResourcesFit{}, Weight: 1},
		{Plugin: podTopologySpread{owners: o}, Weight: 2},
		{Plugin: interPodAffinity{}, Weight: 2},
		{Plugin: balancedAllocation{}, Weight: 1},
		{Plugin: imageLocality{}, Weight: 1},
	}
}

// scale stretches scores so that the largest is MaxScore, and turns them around if less is better.
func scale(scores []int64, lessIsBetter bool) {
	var largest int64
	for _, s := range scores {
		largest = max(largest, s)
	}
	for i, s := range scores {
		if largest > 0 {
			s = framework.MaxScore * s / largest
		}
		if lessIsBetter {
			s = framework.MaxScore - s
		}
		scores[i] = s
	}
}

// tolerates tells if any of the tolerations is for a taint.
func tolerates(tolerations []corev1.Toleration, taint *corev1.Taint) bool {
	for i := range tolerations {
		if tolerations[i].ToleratesTaint(klog.Background(), taint, false) {
			return true
		}
	}
	return false
}

// keptOut tells if a node has a taint that keeps pods with the tolerations from it.
func keptOut(n *corev1.Node, tolerations []corev1.Toleration) bool {
	for i := range n.Spec.Taints {
		t := &n.Spec.Taints[i]
		if (t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute) && !tolerates(tolerations, t) {
			return true
		}
	}
	return false
}

// moreTolerant tells of a change of a pod's own tolerations.
func moreTolerant(e *framework.Event) bool {
	return e.Own && !equality.Semantic.DeepEqual(e.OldPod.Spec.Tolerations, e.NewPod.Spec.Tolerations)
}

// nodeIsNew tells of a node that came.
func nodeIsNew(e *framework.Event) bool { return e.OldNode == nil && e.NewNode != nil }

// podIsGone tells of a pod that left its node.
func podIsGone(e *framework.Event) bool { return e.OldPod != nil && e.NewPod == nil }

// alone is the verdict of a filter that needs nothing but a node.
func alone(filter func(n *cluster.Node) *framework.Rejection) framework.Judge {
	return framework.Judge{Filter: filter}
}
