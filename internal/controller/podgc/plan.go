package podgc

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/controller/pods"
)

// reason is why a pod is removed; keep if it is not.
type reason int

const (
	keep         reason = iota
	orphaned            // its node is gone
	outOfService        // it is being deleted, and its node will never say that it has stopped
	unscheduled         // it is being deleted, and no node knows it
)

// judge decides about a pod on a node, nil if there is none by that name.
func judge(p *corev1.Pod, node *corev1.Node) reason {
	switch {
	case p.Spec.NodeName == "" && p.DeletionTimestamp != nil:
		return unscheduled
	case p.Spec.NodeName == "":
		return keep
	case node == nil:
		return orphaned
	case p.DeletionTimestamp != nil && isOutOfService(node):
		return outOfService
	}
	return keep
}

// isOutOfService tells whether somebody has vouched for a node that nothing runs there any more.
func isOutOfService(n *corev1.Node) bool {
	ready := slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
	return !ready && slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeOutOfService })
}

// surplus is the finished pods beyond a number: those that were evicted first, then the oldest.
func surplus(all []*corev1.Pod, limit int) []*corev1.Pod {
	var finished []*corev1.Pod
	for _, p := range all {
		if pods.IsFinished(p) {
			finished = append(finished, p)
		}
	}
	if len(finished) <= limit {
		return nil
	}
	slices.SortFunc(finished, func(a, b *corev1.Pod) int {
		return cmp.Or(evictedFirst(a, b), a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	return finished[:len(finished)-limit]
}

func evictedFirst(a, b *corev1.Pod) int {
	switch x, y := isEvicted(a), isEvicted(b); {
	case x == y:
		return 0
	case x:
		return -1
	}
	return 1
}

func isEvicted(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodFailed && p.Status.Reason == "Evicted"
}
