package nodelifecycle

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// grace is how long a node may be silent.
	grace = 50 * time.Second
	// startupGrace is how long a node may take that has never said how it is.
	startupGrace = time.Minute
)

// ready is the node's condition, nil if it has none.
func ready(n *corev1.Node) *corev1.NodeCondition { return condition(n, corev1.NodeReady) }

func condition(n *corev1.Node, t corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range n.Status.Conditions {
		if n.Status.Conditions[i].Type == t {
			return &n.Status.Conditions[i]
		}
	}
	return nil
}

func isReady(n *corev1.Node) bool {
	c := ready(n)
	return c != nil && c.Status == corev1.ConditionTrue
}

// silence is how much longer a node may be silent that was last heard of at some time.
func silence(n *corev1.Node, heard, now time.Time) time.Duration {
	limit := grace
	if ready(n) == nil {
		limit = startupGrace
	}
	return heard.Add(limit).Sub(now)
}

// silent is what the status of a node becomes that was silent for too long; nil if that is known already.
func silent(n *corev1.Node, now time.Time) *corev1.Node {
	n = n.DeepCopy()
	changed := false
	for _, t := range []corev1.NodeConditionType{corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure} {
		c := condition(n, t)
		switch {
		case c == nil:
			n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{
				Type: t, Status: corev1.ConditionUnknown, Reason: "NodeStatusNeverUpdated", Message: "Kubelet never posted node status.",
				LastHeartbeatTime: n.CreationTimestamp, LastTransitionTime: metav1.NewTime(now),
			})
		case c.Status != corev1.ConditionUnknown:
			c.Status, c.Reason, c.Message = corev1.ConditionUnknown, "NodeStatusUnknown", "Kubelet stopped posting node status."
			c.LastTransitionTime = metav1.NewTime(now)
		default:
			continue
		}
		changed = true
	}
	if !changed {
		return nil
	}
	return n
}

// taintOf says which conditions keep pods away, and by which taint.
var taintOf = map[corev1.NodeConditionType]map[corev1.ConditionStatus]string{
	corev1.NodeReady: {
		corev1.ConditionFalse: corev1.TaintNodeNotReady, corev1.ConditionUnknown: corev1.TaintNodeUnreachable,
	},
	corev1.NodeMemoryPressure:     {corev1.ConditionTrue: corev1.TaintNodeMemoryPressure},
	corev1.NodeDiskPressure:       {corev1.ConditionTrue: corev1.TaintNodeDiskPressure},
	corev1.NodePIDPressure:        {corev1.ConditionTrue: corev1.TaintNodePIDPressure},
	corev1.NodeNetworkUnavailable: {corev1.ConditionTrue: corev1.TaintNodeNetworkUnavailable},
}

// isOurs tells whether a taint is put and taken by this controller alone.
func isOurs(t corev1.Taint) bool {
	switch t.Effect {
	case corev1.TaintEffectNoExecute:
		return t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable
	case corev1.TaintEffectNoSchedule:
		if t.Key == corev1.TaintNodeUnschedulable {
			return true
		}
		for _, keys := range taintOf {
			for _, key := range keys {
				if t.Key == key {
					return true
				}
			}
		}
	}
	return false
}

// outcast is the taint that throws pods out of a node as it is; none if the node is ready or has said nothing.
func outcast(n *corev1.Node) string {
	if c := ready(n); c != nil {
		return taintOf[corev1.NodeReady][c.Status]
	}
	return ""
}

// isOutcast tells whether a node throws pods out because it is not ready.
func isOutcast(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Effect == corev1.TaintEffectNoExecute && isOurs(t) })
}

// taints is what the taints of a node should be. Those that stay keep the time since when they are there.
func taints(n *corev1.Node, throwOut bool, now time.Time) []corev1.Taint {
	var want []corev1.Taint
	for _, c := range n.Status.Conditions {
		if key := taintOf[c.Type][c.Status]; key != "" {
			want = append(want, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule})
		}
	}
	if n.Spec.Unschedulable {
		want = append(want, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
	}
	if key := outcast(n); key != "" && throwOut {
		want = append(want, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoExecute})
	}
	all := slices.DeleteFunc(slices.Clone(n.Spec.Taints), func(old corev1.Taint) bool {
		return isOurs(old) && !slices.ContainsFunc(want, func(t corev1.Taint) bool { return t.MatchTaint(&old) })
	})
	for _, t := range want {
		if !slices.ContainsFunc(all, func(old corev1.Taint) bool { return t.MatchTaint(&old) }) {
			at := metav1.NewTime(now)
			t.TimeAdded = &at
			all = append(all, t)
		}
	}
	return all
}

// labels is the old names of what a node says about itself, where they are missing or wrong.
func labels(n *corev1.Node) map[string]string {
	wrong := map[string]string{}
	for name, old := range map[string]string{corev1.LabelOSStable: "beta.kubernetes.io/os", corev1.LabelArchStable: "beta.kubernetes.io/arch"} {
		if v, ok := n.Labels[name]; ok && n.Labels[old] != v {
			wrong[old] = v
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return wrong
}
