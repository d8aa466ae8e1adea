// Package pods is what the loops that run pods share: what a pod's status means, how pods are made from a
// template, and which of them go first.
package pods

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// IsFinished tells whether a pod's containers have stopped for good.
func IsFinished(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// IsActive tells whether a pod runs or will.
func IsActive(p *corev1.Pod) bool { return !IsFinished(p) && p.DeletionTimestamp == nil }

// IsTerminating tells whether a pod is being deleted and may still run.
func IsTerminating(p *corev1.Pod) bool { return !IsFinished(p) && p.DeletionTimestamp != nil }

// Condition is a pod's condition of a type; nil if it has none. It is the pod's own.
func Condition(p *corev1.Pod, t corev1.PodConditionType) *corev1.PodCondition {
	for n := range p.Status.Conditions {
		if p.Status.Conditions[n].Type == t {
			return &p.Status.Conditions[n]
		}
	}
	return nil
}

// IsReady tells whether a pod is ready.
func IsReady(p *corev1.Pod) bool {
	c := Condition(p, corev1.PodReady)
	return c != nil && c.Status == corev1.ConditionTrue
}

// IsAvailable tells whether a pod has been ready for so many seconds.
func IsAvailable(p *corev1.Pod, minReadySeconds int32, now time.Time) bool {
	if !IsReady(p) {
		return false
	}
	since := readySince(p)
	return minReadySeconds == 0 ||
		!since.IsZero() && !since.Add(time.Duration(minReadySeconds)*time.Second).After(now)
}

// UntilAvailable is how long it takes until the next of the pods becomes available; zero if none will by the
// mere passage of time.
func UntilAvailable(all []*corev1.Pod, minReadySeconds int32, now time.Time) time.Duration {
	var first time.Duration
	for _, p := range all {
		since := readySince(p)
		if since.IsZero() {
			continue
		}
		wait := since.Add(time.Duration(minReadySeconds) * time.Second).Sub(now)
		if wait > 0 && (first == 0 || wait < first) {
			first = wait
		}
	}
	return first
}

// readySince is the zero time for pods that are not ready.
func readySince(p *corev1.Pod) metav1.Time {
	if c := Condition(p, corev1.PodReady); c != nil && c.Status == corev1.ConditionTrue {
		return c.LastTransitionTime
	}
	return metav1.Time{}
}
