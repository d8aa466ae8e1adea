package admission

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// DefaultTolerationSeconds lets pods stay for a while on a node that does not answer.
type DefaultTolerationSeconds struct {
	// NotReady and Unreachable are how many seconds; 0 is 300.
	NotReady, Unreachable int64
}

var _ Mutator = DefaultTolerationSeconds{}

// Name implements Plugin.
func (DefaultTolerationSeconds) Name() string { return "DefaultTolerationSeconds" }

// Handles implements Plugin.
func (DefaultTolerationSeconds) Handles(op Operation, resource schema.GroupResource, subresource string) bool {
	return resource == pods && subresource == "" && (op == Create || op == Update)
}

// Mutate implements Mutator.
func (d DefaultTolerationSeconds) Mutate(_ context.Context, r *Request) error {
	pod, ok := r.Object.(*corev1.Pod)
	if !ok {
		return nil
	}
	// Whether both are missing is decided before either is added.
	notReady, unreachable := tolerates(pod, corev1.TaintNodeNotReady), tolerates(pod, corev1.TaintNodeUnreachable)
	if !notReady {
		tolerate(pod, corev1.TaintNodeNotReady, d.NotReady)
	}
	if !unreachable {
		tolerate(pod, corev1.TaintNodeUnreachable, d.Unreachable)
	}
	return nil
}

func tolerates(pod *corev1.Pod, taint string) bool {
	for _, t := range pod.Spec.Tolerations {
		if (t.Key == taint || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "") {
			return true
		}
	}
	return false
}

func tolerate(pod *corev1.Pod, taint string, seconds int64) {
	if seconds == 0 {
		seconds = 300
	}
	pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{
		Key: taint, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds,
	})
}
