package tainteviction

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// patience is how long a pod stays with the taints of its node that throw pods out: for ever if forever, and not
// at all if it is zero.
func patience(taints []corev1.Taint, tolerations []corev1.Toleration) (limit time.Duration, forever bool) {
	forever = true
	for n := range taints {
		if taints[n].Effect != corev1.TaintEffectNoExecute {
			continue
		}
		at := slices.IndexFunc(tolerations, func(t corev1.Toleration) bool { return t.ToleratesTaint(klog.Background(), &taints[n], false) })
		if at < 0 {
			return 0, false
		}
		seconds := tolerations[at].TolerationSeconds
		if seconds == nil {
			continue
		}
		if d := time.Duration(max(0, *seconds)) * time.Second; forever || d < limit {
			limit, forever = d, false
		}
	}
	return limit, forever
}
