package admission

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TaintNodesByCondition keeps pods off new nodes until the node controller has found them ready.
type TaintNodesByCondition struct{}

var _ Mutator = TaintNodesByCondition{}

// Name implements Plugin.
func (TaintNodesByCondition) Name() string { return "TaintNodesByCondition" }

// Handles implements Plugin.
func (TaintNodesByCondition) Handles(op Operation, resource schema.GroupResource, subresource string) bool {
	return op == Create && resource == nodes && subresource == ""
}

// Mutate implements Mutator.
func (TaintNodesByCondition) Mutate(_ context.Context, r *Request) error {
	node, ok := r.Object.(*corev1.Node)
	if !ok {
		return nil
	}
	taint := corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}
	if !slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.MatchTaint(&taint) }) {
		node.Spec.Taints = append(node.Spec.Taints, taint)
	}
	return nil
}
