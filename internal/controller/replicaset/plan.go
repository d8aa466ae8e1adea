package replicaset

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller/owned"
	"github.com/proa-dev/proa/internal/controller/pods"
)

// view is a ReplicaSet or a ReplicationController, as far as the loop cares which.
type view struct {
	client.Object
	replicas        int32
	minReadySeconds int32
	template        *corev1.PodTemplateSpec
	status          appsv1.ReplicaSetStatus
	selects         func(labels map[string]string) bool
}

// plan is how many pods to create, or which to delete.
type plan struct {
	create int
	delete []*corev1.Pod
}

// decide compares the active pods of a set with what it wants. neighbors are the active pods of the whole
// workload by node; it is asked for only if there is a choice.
func decide(v *view, active []*corev1.Pod, neighbors func() map[string]int, now time.Time) plan {
	missing := int(v.replicas) - len(active)
	if missing >= 0 {
		return plan{create: min(missing, pods.Burst)}
	}
	extra := min(-missing, pods.Burst)
	if extra == len(active) {
		return plan{delete: active}
	}
	sorted := slices.Clone(active)
	pods.Ranking{Now: now, Neighbors: neighbors()}.Sort(sorted)
	return plan{delete: sorted[:extra]}
}

// statusOf is what is true of a set's pods. failure is why they could not be made as many as wanted.
func statusOf(v *view, active, terminating []*corev1.Pod, failure error, now time.Time) appsv1.ReplicaSetStatus {
	s := appsv1.ReplicaSetStatus{
		Replicas:            int32(len(active)),
		TerminatingReplicas: ptr.To(int32(len(terminating))),
		ObservedGeneration:  v.GetGeneration(),
		Conditions:          v.status.Conditions,
	}
	for _, p := range active {
		if owned.Contains(p.Labels, v.template.Labels) {
			s.FullyLabeledReplicas++
		}
		if pods.IsReady(p) {
			s.ReadyReplicas++
		}
		if pods.IsAvailable(p, v.minReadySeconds, now) {
			s.AvailableReplicas++
		}
	}
	failed := slices.IndexFunc(s.Conditions, isFailure)
	switch {
	case failure != nil && failed < 0:
		s.Conditions = append(slices.Clone(s.Conditions), appsv1.ReplicaSetCondition{
			Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue,
			Reason: failureReason(len(active), int(v.replicas)), Message: failure.Error(),
			LastTransitionTime: metav1.NewTime(now.Truncate(time.Second)),
		})
	case failure == nil && failed >= 0:
		s.Conditions = slices.DeleteFunc(slices.Clone(s.Conditions), isFailure)
	}
	return s
}

func isFailure(c appsv1.ReplicaSetCondition) bool { return c.Type == appsv1.ReplicaSetReplicaFailure }

func failureReason(have, want int) string {
	switch {
	case have < want:
		return "FailedCreate"
	case have > want:
		return "FailedDelete"
	}
	return ""
}
