package job

import (
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/controller/pods"
)

// Replacements of failed pods wait this long, doubled with each failure in a row.
const (
	minBackoff = 10 * time.Second
	maxBackoff = 10 * time.Minute
)

// backoff is how often pods have failed since one last succeeded, and when they did last. It is kept in
// memory only: a controller that starts anew is in no hurry to wait.
type backoff struct {
	failures int
	last     time.Time
}

// after takes in pods that have finished since.
func (b backoff) after(succeeded, failed []*corev1.Pod) backoff {
	if len(succeeded) == 0 {
		b.failures += len(failed)
		for n, p := range failed {
			if n == 0 {
				b.last = finishedAt(p)
			}
			b.last = latest(b.last, finishedAt(p))
		}
		return b
	}
	var success time.Time
	for _, p := range succeeded {
		success = latest(success, finishedAt(p))
	}
	b = backoff{}
	for _, p := range failed {
		if at := finishedAt(p); at.After(success) {
			b.failures++
			b.last = latest(b.last, at)
		}
	}
	return b
}

// remaining is how long the next pod has to wait.
func (b backoff) remaining(now time.Time) time.Duration {
	if b.failures == 0 {
		return 0
	}
	wait := minBackoff
	for n := 1; n < b.failures && wait < maxBackoff; n++ {
		wait = min(2*wait, maxBackoff)
	}
	return max(0, wait-now.Sub(b.last))
}

// backoffOf is the backoff of an index whose last pod is p.
func backoffOf(p *corev1.Pod) backoff {
	if p == nil {
		return backoff{}
	}
	return backoff{failures: attempts(p) + 1, last: finishedAt(p)}
}

// attempts is how many pods of its index failed before a pod.
func attempts(p *corev1.Pod) int {
	return count(p, batchv1.JobIndexFailureCountAnnotation) + count(p, batchv1.JobIndexIgnoredFailureCountAnnotation)
}

func count(p *corev1.Pod, annotation string) int {
	n, err := strconv.ParseInt(p.Annotations[annotation], 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return int(n)
}

// finishedAt is when a pod's last container ended, or what comes closest.
func finishedAt(p *corev1.Pod) time.Time {
	if t := containersEnd(p); !t.IsZero() {
		return t
	}
	if c := pods.Condition(p, corev1.PodReady); c != nil && c.Status == corev1.ConditionFalse && !c.LastTransitionTime.IsZero() {
		return c.LastTransitionTime.Time
	}
	if p.DeletionTimestamp != nil {
		return p.DeletionTimestamp.Add(-time.Duration(ptr.Deref(p.DeletionGracePeriodSeconds, 0)) * time.Second)
	}
	return p.CreationTimestamp.Time
}

// containersEnd is the zero time if a container, or a sidecar, has not ended.
func containersEnd(p *corev1.Pod) (end time.Time) {
	all := p.Status.ContainerStatuses
	for _, s := range p.Status.InitContainerStatuses {
		if slices.ContainsFunc(p.Spec.InitContainers, func(c corev1.Container) bool {
			return c.Name == s.Name && ptr.Deref(c.RestartPolicy, "") == corev1.ContainerRestartPolicyAlways
		}) {
			all = append(slices.Clip(all), s)
		}
	}
	for _, s := range all {
		if s.State.Terminated == nil || s.State.Terminated.FinishedAt.IsZero() {
			return time.Time{}
		}
		end = latest(end, s.State.Terminated.FinishedAt.Time)
	}
	return end
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
