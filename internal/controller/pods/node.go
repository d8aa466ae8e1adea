package pods

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/informer"
)

const byNode = "node"

// IndexByNode makes an informer's pods findable by OnNode.
func IndexByNode(i *informer.Informer[corev1.Pod]) {
	i.AddIndex(byNode, func(p *corev1.Pod) []string {
		if p.Spec.NodeName == "" {
			return nil
		}
		return []string{p.Spec.NodeName}
	})
}

// OnNode is the pods that are bound to a node.
func OnNode(i *informer.Informer[corev1.Pod], node string) []*corev1.Pod {
	return i.ByIndex(byNode, node)
}

// Disruption is why a pod is about to be ended from outside.
type Disruption struct{ Reason, Message string }

// Mark writes a disruption, if any, and a phase, if any, into a pod's status before the pod is deleted, so that
// its owner can tell why it ended.
func Mark(ctx context.Context, t client.Transport, p *corev1.Pod, d *Disruption, phase corev1.PodPhase, now time.Time) error {
	status := map[string]any{}
	if phase != "" && phase != p.Status.Phase {
		status["phase"] = phase
	}
	if d != nil {
		c := corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: d.Reason, Message: d.Message,
			ObservedGeneration: p.Generation, LastTransitionTime: metav1.NewTime(now),
		}
		if old := Condition(p, c.Type); old == nil || old.Status != c.Status || old.Reason != c.Reason || old.Message != c.Message {
			status["conditions"] = []corev1.PodCondition{c}
		}
	}
	if len(status) == 0 {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": p.UID}, "status": status})
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	_, err = client.Pods.Patch(ctx, t, p.Namespace, p.Name, types.StrategicMergePatchType, patch, "status")
	return err
}
