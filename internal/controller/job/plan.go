package job

import (
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/controller/pods"
)

// verdict is why a job is over before all its pods have been counted; nil if it is not. What was decided once
// stands. again is when the deadline passes.
func (s *survey) verdict(now time.Time) (c *batchv1.JobCondition, again time.Duration) {
	if c := condition(&s.job.Status, batchv1.JobSuccessCriteriaMet); isTrue(c) {
		return c, 0
	}
	if c := condition(&s.job.Status, batchv1.JobFailureTarget); isTrue(c) {
		return newCondition(batchv1.JobFailed, c.Reason, c.Message, now), 0
	}
	fails := func(reason, message string) *batchv1.JobCondition {
		return newCondition(batchv1.JobFailureTarget, reason, message, now)
	}
	for _, p := range s.pods {
		if s.hasFailed(p) {
			if f := judgeFailure(s.job.Spec.PodFailurePolicy, p); f.message != "" {
				return fails(batchv1.JobReasonPodFailurePolicy, f.message), 0
			}
		}
	}
	if s.failed > ptr.Deref(s.job.Spec.BackoffLimit, 6) || s.restartsTooOften() {
		return fails(batchv1.JobReasonBackoffLimitExceeded, "Job has reached the specified backoff limit"), 0
	}
	if left, ok := s.deadline(now); ok {
		if left <= 0 {
			return fails(batchv1.JobReasonDeadlineExceeded, "Job was active longer than specified deadline"), 0
		}
		again = left
	}
	if s.failedOnes != nil {
		failed := s.failedOnes.len()
		switch {
		case s.job.Spec.MaxFailedIndexes != nil && failed > int(*s.job.Spec.MaxFailedIndexes):
			return fails(batchv1.JobReasonMaxFailedIndexesExceeded, "Job has exceeded the specified maximal number of failed indexes"), 0
		case failed > 0 && failed+s.done.len() >= s.completions():
			return fails(batchv1.JobReasonFailedIndexes, "Job has failed indexes"), 0
		}
	}
	if message, met := succeedsBy(s.job.Spec.SuccessPolicy, s.completions(), s.done); met {
		return newCondition(batchv1.JobSuccessCriteriaMet, batchv1.JobReasonSuccessPolicy, message, now), 0
	}
	return nil, again
}

// restartsTooOften is about pods that the node restarts in place.
func (s *survey) restartsTooOften() bool {
	if s.job.Spec.Template.Spec.RestartPolicy != corev1.RestartPolicyOnFailure {
		return false
	}
	var restarts int32
	for _, p := range s.pods {
		if p.Status.Phase != corev1.PodRunning && p.Status.Phase != corev1.PodPending {
			continue
		}
		for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
			restarts += c.RestartCount
		}
	}
	return restarts > 0 && restarts >= ptr.Deref(s.job.Spec.BackoffLimit, 6)
}

// deadline is how long the job may still be active, if there is a limit.
func (s *survey) deadline(now time.Time) (left time.Duration, ok bool) {
	limit, start := s.job.Spec.ActiveDeadlineSeconds, s.job.Status.StartTime
	if limit == nil || start == nil || isSuspended(s.job) {
		return 0, false
	}
	return time.Duration(*limit)*time.Second - now.Sub(start.Time), true
}

// isComplete tells whether enough pods have succeeded. Jobs without a number of completions are done when one
// has and the others have ended.
func (s *survey) isComplete(active int32) bool {
	if s.job.Spec.Completions == nil {
		return s.succeeded > 0 && active == 0
	}
	return s.succeeded >= *s.job.Spec.Completions && active == 0
}

// plan is what to do about the number of pods. Only one of delete and create is there.
type plan struct {
	delete  []*corev1.Pod
	create  int
	indexes []int // one for each pod to create; empty if they have none
	again   time.Duration
}

func (s *survey) plan(now time.Time) (p plan) {
	if isSuspended(s.job) {
		return plan{delete: s.removable(len(s.active), now)}
	}
	want := int(s.wanted())
	if extra := s.removable(max(0, len(s.active)-want), now); len(extra) > 0 {
		return plan{delete: extra[:min(len(extra), pods.Burst)]}
	}
	missing := want - len(s.active)
	if replacesFailedOnly(s.job) {
		missing -= int(s.terminating)
	}
	if missing <= 0 {
		return plan{}
	}
	perIndex := s.failedOnes != nil
	if wait := s.backoff.remaining(now); wait > 0 && !perIndex {
		return plan{again: wait}
	}
	p.create = min(missing, pods.Burst)
	if !isIndexed(s.job) {
		return p
	}
	p.indexes = s.pending(p.create)
	if perIndex {
		p.indexes, p.again = s.due(p.indexes, now)
	}
	p.create = len(p.indexes)
	return p
}

// wanted is how many pods should be active.
func (s *survey) wanted() int32 {
	parallelism := ptr.Deref(s.job.Spec.Parallelism, 1)
	if s.job.Spec.Completions != nil {
		return max(0, min(parallelism, *s.job.Spec.Completions-s.succeeded))
	}
	if s.succeeded > 0 {
		return int32(len(s.active))
	}
	return parallelism
}

// pending is the first indexes that have neither an outcome nor a pod.
func (s *survey) pending(n int) []int {
	taken := s.done.union(indexesOf(s.active))
	if replacesFailedOnly(s.job) {
		for _, p := range s.pods {
			if pods.IsTerminating(p) && indexOf(p) != noIndex {
				taken = taken.with(indexOf(p))
			}
		}
	}
	if s.failedOnes != nil {
		taken = taken.union(*s.failedOnes)
	}
	return taken.firstMissing(n, s.completions())
}

// due is which of some indexes may be tried now, or when the first of them may.
func (s *survey) due(all []int, now time.Time) (due []int, again time.Duration) {
	for _, n := range all {
		wait := backoffOf(s.lastFailed[n]).remaining(now)
		if wait == 0 {
			due = append(due, n)
		} else if again == 0 || wait < again {
			again = wait
		}
	}
	return due, again
}

// removable is at least n of the active pods: those without a valid index of their own go in any case.
func (s *survey) removable(n int, now time.Time) []*corev1.Pod {
	var gone []*corev1.Pod
	left := slices.Clone(s.active)
	rank := pods.Ranking{Now: now}
	if isIndexed(s.job) {
		rank.Sort(left)
		slices.Reverse(left) // the best first
		taken := map[int]bool{}
		left = slices.DeleteFunc(left, func(p *corev1.Pod) bool {
			if s.inRange(p) && !taken[indexOf(p)] {
				taken[indexOf(p)] = true
				return false
			}
			gone = append(gone, p)
			return true
		})
	}
	if len(gone) < n {
		rank.Sort(left)
		gone = append(gone, left[:n-len(gone)]...)
	}
	return gone
}

// failuresBefore is what the annotations of the next pod of an index say.
func (s *survey) failuresBefore(index int) map[string]string {
	p := s.lastFailed[index]
	counted, ignored := 0, 0
	if p != nil {
		counted, ignored = count(p, batchv1.JobIndexFailureCountAnnotation), count(p, batchv1.JobIndexIgnoredFailureCountAnnotation)
		if judgeFailure(s.job.Spec.PodFailurePolicy, p).counts() {
			counted++
		} else {
			ignored++
		}
	}
	all := map[string]string{batchv1.JobIndexFailureCountAnnotation: strconv.Itoa(counted)}
	if ignored > 0 {
		all[batchv1.JobIndexIgnoredFailureCountAnnotation] = strconv.Itoa(ignored)
	}
	return all
}

func newCondition(t batchv1.JobConditionType, reason, message string, now time.Time) *batchv1.JobCondition {
	return &batchv1.JobCondition{
		Type: t, Status: corev1.ConditionTrue, LastProbeTime: metav1.NewTime(now), LastTransitionTime: metav1.NewTime(now),
		Reason: reason, Message: message,
	}
}

func condition(s *batchv1.JobStatus, t batchv1.JobConditionType) *batchv1.JobCondition {
	for n := range s.Conditions {
		if s.Conditions[n].Type == t {
			return &s.Conditions[n]
		}
	}
	return nil
}

func isTrue(c *batchv1.JobCondition) bool { return c != nil && c.Status == corev1.ConditionTrue }

// setCondition tells whether that changed anything. What is false from the start is not mentioned.
func setCondition(s *batchv1.JobStatus, c batchv1.JobCondition) bool {
	old := condition(s, c.Type)
	switch {
	case old == nil && c.Status == corev1.ConditionFalse:
		return false
	case old == nil:
		s.Conditions = append(s.Conditions, c)
		return true
	case old.Status == c.Status && old.Reason == c.Reason && old.Message == c.Message:
		return false
	}
	*old = c
	return true
}

func isFinished(j *batchv1.Job) bool {
	return isTrue(condition(&j.Status, batchv1.JobComplete)) || isTrue(condition(&j.Status, batchv1.JobFailed))
}
