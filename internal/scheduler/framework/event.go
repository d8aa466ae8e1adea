package framework

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/component-helpers/resource"
)

// Event is a change that may let pods run that could not. It is about a node, or about a pod on a node, or
// about the pod itself that waits.
type Event struct {
	// OldNode is nil if the node is new, NewNode if it is gone.
	OldNode, NewNode *corev1.Node
	// OldPod and NewPod are states of a pod on a node in the same way; of the pod itself if Own.
	OldPod, NewPod *corev1.Pod
	Own            bool
}

// What pods wait for, as Kubernetes' metrics call it.
const (
	PodAdded = "UnschedulablePodAdd"
	Ungated  = "UnschedulablePodUpdatePodSchedulingGatesEliminated"
)

// Label is what Kubernetes' metrics call the event. Of several changes it is the first.
func (e *Event) Label() string {
	switch {
	case e.NewNode != nil && e.OldNode != nil:
		return "Node" + nodeChange(e.OldNode, e.NewNode)
	case e.NewNode != nil:
		return "NodeAdd"
	case e.OldNode != nil:
		return "NodeDelete"
	}
	about := "AssignedPod"
	if e.Own {
		about = "UnschedulablePod"
	}
	switch {
	case e.OldPod == nil:
		return about + "Add"
	case e.NewPod == nil:
		return about + "Delete"
	}
	return about + podChange(e.OldPod, e.NewPod)
}

func nodeChange(old, n *corev1.Node) string {
	switch {
	case old.Spec.Unschedulable != n.Spec.Unschedulable:
		return "UpdateNodeTaint"
	case !equality.Semantic.DeepEqual(old.Status.Allocatable, n.Status.Allocatable):
		return "UpdateNodeAllocatable"
	case !maps.Equal(old.Labels, n.Labels):
		return "UpdateNodeLabel"
	case !equality.Semantic.DeepEqual(old.Spec.Taints, n.Spec.Taints):
		return "UpdateNodeTaint"
	case !slices.EqualFunc(old.Status.Conditions, n.Status.Conditions, sameCondition):
		return "UpdateNodeCondition"
	case !maps.Equal(old.Annotations, n.Annotations):
		return "UpdateNodeAnnotation"
	}
	return "Update"
}

func sameCondition(a, b corev1.NodeCondition) bool { return a.Type == b.Type && a.Status == b.Status }

func podChange(old, p *corev1.Pod) string {
	switch {
	case !maps.Equal(old.Labels, p.Labels):
		return "UpdatePodLabel"
	case asksLess(old, p):
		return "UpdatePodScaleDown"
	case len(old.Spec.SchedulingGates) > 0 && len(p.Spec.SchedulingGates) == 0:
		return "UpdatePodSchedulingGatesEliminated"
	case len(old.Spec.Tolerations) != len(p.Spec.Tolerations):
		return "UpdatePodToleration"
	}
	return "Update"
}

func asksLess(old, p *corev1.Pod) bool {
	o := resource.PodResourcesOptions{UseStatusResources: true}
	now := resource.PodRequests(p, o)
	for name, was := range resource.PodRequests(old, o) {
		if is, ok := now[name]; !ok || is.Cmp(was) < 0 {
			return true
		}
	}
	return false
}
