package deployment

import (
	"fmt"
	"math"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of the condition Progressing.
const (
	replicaSetUpdated        = "ReplicaSetUpdated"
	replicaSetCreateError    = "ReplicaSetCreateError"
	newReplicaSetCreated     = "NewReplicaSetCreated"
	foundNewReplicaSet       = "FoundNewReplicaSet"
	newReplicaSetAvailable   = "NewReplicaSetAvailable"
	progressDeadlineExceeded = "ProgressDeadlineExceeded"
	deploymentPaused         = "DeploymentPaused"
	deploymentResumed        = "DeploymentResumed"
)

// counts is the status but for Progressing and ReplicaFailure, which stay as they are.
func (r *rollout) counts() appsv1.DeploymentStatus {
	all := r.all()
	available := total(all, func(s *set) int32 { return s.Status.AvailableReplicas })
	s := appsv1.DeploymentStatus{
		ObservedGeneration:  r.d.Generation,
		Replicas:            total(all, func(s *set) int32 { return s.Status.Replicas }),
		ReadyReplicas:       total(all, func(s *set) int32 { return s.Status.ReadyReplicas }),
		AvailableReplicas:   available,
		UnavailableReplicas: max(total(all, (*set).replicas)-available, 0),
		TerminatingReplicas: terminating(all),
		CollisionCount:      r.d.Status.CollisionCount,
		Conditions:          slices.Clone(r.d.Status.Conditions),
	}
	if r.current != nil {
		s.UpdatedReplicas = r.current.Status.Replicas
	}
	if available >= r.wants()-maxUnavailable(r.d) {
		r.set(&s, appsv1.DeploymentAvailable, corev1.ConditionTrue, "MinimumReplicasAvailable",
			"Deployment has minimum availability.")
	} else {
		r.set(&s, appsv1.DeploymentAvailable, corev1.ConditionFalse, "MinimumReplicasUnavailable",
			"Deployment does not have minimum availability.")
	}
	return s
}

// terminating is unknown, nil, if it is for one of the sets that has a status.
func terminating(sets []*set) *int32 {
	var n int32
	for _, s := range sets {
		switch {
		case s.Status.TerminatingReplicas != nil:
			n += *s.Status.TerminatingReplicas
		case s.Status.ObservedGeneration != 0:
			return nil
		}
	}
	return &n
}

// rolloutStatus is the status of a Deployment that is neither paused nor being scaled.
func (r *rollout) rolloutStatus() appsv1.DeploymentStatus {
	s := r.counts()
	if !hasDeadline(r.d) {
		drop(&s, appsv1.DeploymentProgressing)
	} else {
		r.syncProgress(&s)
	}
	if failure := r.failure(); failure != nil {
		put(&s, *failure)
	} else {
		drop(&s, appsv1.DeploymentReplicaFailure)
	}
	return s
}

func (r *rollout) syncProgress(s *appsv1.DeploymentStatus) {
	present := condition(&r.d.Status, appsv1.DeploymentProgressing)
	if present != nil && present.Reason == newReplicaSetAvailable && s.Replicas == s.UpdatedReplicas {
		return // what is complete cannot fail to progress
	}
	subject := fmt.Sprintf("Deployment %q", r.d.Name)
	if r.current != nil {
		subject = fmt.Sprintf("ReplicaSet %q", r.current.Name)
	}
	switch {
	case isComplete(r.d, s):
		r.set(s, appsv1.DeploymentProgressing, corev1.ConditionTrue, newReplicaSetAvailable, subject+" has successfully progressed.")
	case progressed(&r.was.Status, s):
		c := r.newCondition(appsv1.DeploymentProgressing, corev1.ConditionTrue, replicaSetUpdated, subject+" is progressing.")
		if present != nil && present.Status == corev1.ConditionTrue {
			c.LastTransitionTime = present.LastTransitionTime
		}
		drop(s, appsv1.DeploymentProgressing) // so that LastUpdateTime, from which the deadline runs, is new
		put(s, c)
	case r.timedOut(present):
		r.set(s, appsv1.DeploymentProgressing, corev1.ConditionFalse, progressDeadlineExceeded, subject+" has timed out progressing.")
	}
}

func isComplete(d *appsv1.Deployment, s *appsv1.DeploymentStatus) bool {
	n := wants(d)
	return s.UpdatedReplicas == n && s.Replicas == n && s.AvailableReplicas == n && s.ObservedGeneration >= d.Generation
}

// progressed tells whether there is more that is new, or less that is old, or more that works.
func progressed(old, new *appsv1.DeploymentStatus) bool {
	return new.UpdatedReplicas > old.UpdatedReplicas ||
		new.Replicas-new.UpdatedReplicas < old.Replicas-old.UpdatedReplicas ||
		new.ReadyReplicas > old.ReadyReplicas || new.AvailableReplicas > old.AvailableReplicas
}

func hasDeadline(d *appsv1.Deployment) bool {
	return d.Spec.ProgressDeadlineSeconds != nil && *d.Spec.ProgressDeadlineSeconds != math.MaxInt32
}

func (r *rollout) timedOut(c *appsv1.DeploymentCondition) bool {
	switch {
	case c == nil, c.Reason == newReplicaSetAvailable:
		return false
	case c.Reason == progressDeadlineExceeded:
		return true
	}
	return r.due(c).Before(r.now)
}

func (r *rollout) due(c *appsv1.DeploymentCondition) time.Time {
	return c.LastUpdateTime.Add(time.Duration(*r.d.Spec.ProgressDeadlineSeconds) * time.Second)
}

// deadline is when to look again whether there was progress; zero if no deadline is running.
func (r *rollout) deadline(s *appsv1.DeploymentStatus) time.Duration {
	c := condition(s, appsv1.DeploymentProgressing)
	if c == nil || !hasDeadline(r.d) || isComplete(r.d, s) ||
		c.Reason == progressDeadlineExceeded || c.Reason == newReplicaSetAvailable {
		return 0
	}
	return max(r.due(c).Sub(r.now), 0) + time.Second
}

// failure is why a set cannot make pods, the current one's before the others'.
func (r *rollout) failure() *appsv1.DeploymentCondition {
	sets := r.old
	if r.current != nil {
		sets = append([]*set{r.current}, r.old...)
	}
	for _, s := range sets {
		for _, c := range s.Status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure {
				return &appsv1.DeploymentCondition{
					Type: appsv1.DeploymentReplicaFailure, Status: c.Status, Reason: c.Reason, Message: c.Message,
					LastUpdateTime: c.LastTransitionTime, LastTransitionTime: c.LastTransitionTime,
				}
			}
		}
	}
	return nil
}

// syncPaused stops the deadline's clock while the Deployment is paused.
func (r *rollout) syncPaused() {
	if !hasDeadline(r.d) {
		return
	}
	c := condition(&r.d.Status, appsv1.DeploymentProgressing)
	if c != nil && c.Reason == progressDeadlineExceeded {
		return
	}
	paused := c != nil && c.Reason == deploymentPaused
	switch {
	case r.d.Spec.Paused && !paused:
		r.progress(corev1.ConditionUnknown, deploymentPaused, "Deployment is paused")
	case !r.d.Spec.Paused && paused:
		r.progress(corev1.ConditionUnknown, deploymentResumed, "Deployment is resumed")
	}
}

func (r *rollout) progress(status corev1.ConditionStatus, reason, message string) {
	r.set(&r.d.Status, appsv1.DeploymentProgressing, status, reason, message)
}

func (r *rollout) set(s *appsv1.DeploymentStatus, t appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string) {
	put(s, r.newCondition(t, status, reason, message))
}

func (r *rollout) newCondition(t appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string) appsv1.DeploymentCondition {
	now := metav1.NewTime(r.now)
	return appsv1.DeploymentCondition{
		Type: t, Status: status, Reason: reason, Message: message, LastUpdateTime: now, LastTransitionTime: now,
	}
}

func condition(s *appsv1.DeploymentStatus, t appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for n := range s.Conditions {
		if s.Conditions[n].Type == t {
			return &s.Conditions[n]
		}
	}
	return nil
}

// put leaves a condition alone whose status and reason do not change.
func put(s *appsv1.DeploymentStatus, c appsv1.DeploymentCondition) {
	if present := condition(s, c.Type); present != nil && present.Status == c.Status {
		if present.Reason == c.Reason {
			return
		}
		c.LastTransitionTime = present.LastTransitionTime
	}
	drop(s, c.Type)
	s.Conditions = append(s.Conditions, c)
}

// drop makes a new slice, because the old one may be shared.
func drop(s *appsv1.DeploymentStatus, t appsv1.DeploymentConditionType) {
	var rest []appsv1.DeploymentCondition
	for _, c := range s.Conditions {
		if c.Type != t {
			rest = append(rest, c)
		}
	}
	s.Conditions = rest
}
