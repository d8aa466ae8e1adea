package replicaset

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/owned"
)

// kind is one of the two kinds that the loop works for.
type kind[T any] struct {
	client.Kind[T]
	controller string
	view       func(*T) *view
	// withStatus is the object with another status, nothing else of it copied.
	withStatus func(*T, appsv1.ReplicaSetStatus) *T
	// terminating says whether the status counts the pods that are being deleted.
	terminating bool
}

// New makes the controller of ReplicaSets.
func New(d controller.Deps) controller.Runner {
	return newLoop(d, replicaSets()).loop
}

// NewForReplicationControllers makes the controller of ReplicationControllers.
func NewForReplicationControllers(d controller.Deps) controller.Runner {
	return newLoop(d, replicationControllers()).loop
}

func replicaSets() kind[appsv1.ReplicaSet] {
	return kind[appsv1.ReplicaSet]{
		Kind:       client.ReplicaSets,
		controller: "replicaset-controller",
		view: func(rs *appsv1.ReplicaSet) *view {
			return &view{
				Object: rs, replicas: ptr.Deref(rs.Spec.Replicas, 1), minReadySeconds: rs.Spec.MinReadySeconds,
				template: &rs.Spec.Template, status: rs.Status,
				selects: func(l map[string]string) bool { return owned.Selects(rs.Spec.Selector, l) },
			}
		},
		withStatus: func(rs *appsv1.ReplicaSet, s appsv1.ReplicaSetStatus) *appsv1.ReplicaSet {
			changed := *rs
			changed.Status = s
			return &changed
		},
		terminating: true,
	}
}

func replicationControllers() kind[corev1.ReplicationController] {
	return kind[corev1.ReplicationController]{
		Kind:       client.ReplicationControllers,
		controller: "replicationcontroller-controller",
		view: func(rc *corev1.ReplicationController) *view {
			v := &view{
				Object: rc, replicas: ptr.Deref(rc.Spec.Replicas, 1), minReadySeconds: rc.Spec.MinReadySeconds,
				template: rc.Spec.Template, status: statusOfRC(rc.Status),
				selects: func(l map[string]string) bool {
					return len(rc.Spec.Selector) > 0 && owned.Contains(l, rc.Spec.Selector)
				},
			}
			if v.template == nil {
				v.template = &corev1.PodTemplateSpec{}
			}
			return v
		},
		withStatus: func(rc *corev1.ReplicationController, s appsv1.ReplicaSetStatus) *corev1.ReplicationController {
			changed := *rc
			changed.Status = statusForRC(s)
			return &changed
		},
	}
}

func statusOfRC(s corev1.ReplicationControllerStatus) appsv1.ReplicaSetStatus {
	out := appsv1.ReplicaSetStatus{
		Replicas: s.Replicas, FullyLabeledReplicas: s.FullyLabeledReplicas, ReadyReplicas: s.ReadyReplicas,
		AvailableReplicas: s.AvailableReplicas, ObservedGeneration: s.ObservedGeneration,
	}
	for _, c := range s.Conditions {
		out.Conditions = append(out.Conditions, appsv1.ReplicaSetCondition{
			Type: appsv1.ReplicaSetConditionType(c.Type), Status: c.Status, LastTransitionTime: c.LastTransitionTime,
			Reason: c.Reason, Message: c.Message,
		})
	}
	return out
}

func statusForRC(s appsv1.ReplicaSetStatus) corev1.ReplicationControllerStatus {
	out := corev1.ReplicationControllerStatus{
		Replicas: s.Replicas, FullyLabeledReplicas: s.FullyLabeledReplicas, ReadyReplicas: s.ReadyReplicas,
		AvailableReplicas: s.AvailableReplicas, ObservedGeneration: s.ObservedGeneration,
	}
	for _, c := range s.Conditions {
		out.Conditions = append(out.Conditions, corev1.ReplicationControllerCondition{
			Type: corev1.ReplicationControllerConditionType(c.Type), Status: c.Status, LastTransitionTime: c.LastTransitionTime,
			Reason: c.Reason, Message: c.Message,
		})
	}
	return out
}
