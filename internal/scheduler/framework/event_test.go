package framework_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/proa-dev/proa/internal/scheduler/framework"
	st "github.com/proa-dev/proa/internal/scheduler/schedulertest"
)

func TestEventLabels(t *testing.T) {
	node := func(f func(*corev1.Node)) *corev1.Node {
		n := st.Node("n", "1", "1Gi")
		f(n)
		return n
	}
	pod := func(f func(*corev1.Pod)) *corev1.Pod { return st.Pod("p", "1", "1Gi", f) }
	was, had := node(func(*corev1.Node) {}), pod(func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "g"}} })
	gated := had.Spec.SchedulingGates
	for want, e := range map[string]framework.Event{
		"NodeAdd":    {NewNode: was},
		"NodeDelete": {OldNode: was},
		"NodeUpdate": {OldNode: was, NewNode: was},
		"NodeUpdateNodeTaint": {OldNode: was, NewNode: node(func(n *corev1.Node) {
			n.Spec.Unschedulable = true
			n.Labels = map[string]string{"a": "b"}
		})},
		"NodeUpdateNodeAllocatable": {OldNode: was, NewNode: node(func(n *corev1.Node) { n.Status.Allocatable[corev1.ResourceCPU] = resource.MustParse("2") })},
		"NodeUpdateNodeLabel":       {OldNode: was, NewNode: node(func(n *corev1.Node) { n.Labels = map[string]string{"a": "b"} })},
		"NodeUpdateNodeCondition":   {OldNode: was, NewNode: node(func(n *corev1.Node) { n.Status.Conditions = []corev1.NodeCondition{{Type: "X"}} })},
		"NodeUpdateNodeAnnotation":  {OldNode: was, NewNode: node(func(n *corev1.Node) { n.Annotations = map[string]string{"a": "b"} })},
		"AssignedPodAdd":            {NewPod: had},
		"AssignedPodDelete":         {OldPod: had},
		"AssignedPodUpdate":         {OldPod: had, NewPod: had},
		"AssignedPodUpdatePodLabel": {OldPod: had, NewPod: pod(func(p *corev1.Pod) { p.Labels = map[string]string{"a": "b"} })},
		"AssignedPodUpdatePodScaleDown": {OldPod: had, NewPod: pod(func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("500m")
		})},
		framework.Ungated: {Own: true, OldPod: had, NewPod: pod(func(*corev1.Pod) {})},
		"UnschedulablePodUpdatePodToleration": {Own: true, OldPod: had, NewPod: pod(func(p *corev1.Pod) {
			p.Spec.SchedulingGates = gated
			p.Spec.Tolerations = []corev1.Toleration{{Key: "x"}}
		})},
	} {
		if got := e.Label(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
