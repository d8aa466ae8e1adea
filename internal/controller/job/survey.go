package job

import (
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/controller/pods"
)

// survey is the state of a job: what its pods have come to, each counted once. A pod that has finished counts
// as long as it has the tracking finalizer and is not among the uncounted in the job's status; those and
// all before them are counted in the status.
type survey struct {
	job  *batchv1.Job
	pods []*corev1.Pod
	// released are pods whose finalizer was taken, though the informer may not know it yet.
	released map[types.UID]struct{}

	active                              []*corev1.Pod
	ready, terminating                  int32
	succeeded, failed                   int32
	newSucceeded, newFailed             []*corev1.Pod
	uncountedSucceeded, uncountedFailed []types.UID

	// Of indexed jobs:
	before, done indexes             // completed by the status, and with the pods that succeeded since
	failedOnes   *indexes            // failed for good; nil without a limit per index
	lastFailed   map[int]*corev1.Pod // by index, the failed pod that the next will replace; with a limit per index
	backoff      backoff
}

func look(job *batchv1.Job, all []*corev1.Pod, released map[types.UID]struct{}, b backoff) *survey {
	s := &survey{job: job, pods: all, released: released}
	if u := job.Status.UncountedTerminatedPods; u != nil {
		s.uncountedSucceeded, s.uncountedFailed = u.Succeeded, u.Failed
	}
	for _, p := range all {
		switch {
		case pods.IsActive(p):
			s.active = append(s.active, p)
			if pods.IsReady(p) {
				s.ready++
			}
		case pods.IsTerminating(p):
			s.terminating++
		}
		if !s.tracks(p) || isIndexed(job) && !s.inRange(p) {
			continue
		}
		if p.Status.Phase == corev1.PodSucceeded && !slices.Contains(s.uncountedSucceeded, p.UID) {
			s.newSucceeded = append(s.newSucceeded, p)
		}
		if s.hasFailed(p) && !slices.Contains(s.uncountedFailed, p.UID) {
			s.newFailed = append(s.newFailed, p)
		}
	}
	s.backoff = b.after(s.newSucceeded, s.newFailed)
	s.count()
	return s
}

func (s *survey) count() {
	s.succeeded = s.job.Status.Succeeded + int32(len(s.newSucceeded)+len(s.uncountedSucceeded))
	s.failed = s.job.Status.Failed + int32(len(s.uncountedFailed))
	for _, p := range s.newFailed {
		if judgeFailure(s.job.Spec.PodFailurePolicy, p).counts() {
			s.failed++
		}
	}
	if !isIndexed(s.job) {
		return
	}
	s.before = parseIndexes(s.job.Status.CompletedIndexes, s.completions())
	s.done = s.before.with(s.among(func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodSucceeded })...)
	s.succeeded = int32(s.done.len())
	if s.job.Spec.BackoffLimitPerIndex == nil {
		return
	}
	failed := parseIndexes(ptr.Deref(s.job.Status.FailedIndexes, ""), s.completions()).with(s.among(s.failsIndex)...)
	s.failedOnes = &failed
	s.lastFailed = s.toReplace()
}

// among is the indexes of those pods, with the finalizer on them, for which f is true.
func (s *survey) among(f func(*corev1.Pod) bool) (all []int) {
	for _, p := range s.pods {
		if s.inRange(p) && isTracked(p) && f(p) {
			all = append(all, indexOf(p))
		}
	}
	return all
}

// failsIndex tells whether a pod was the last attempt at its index.
func (s *survey) failsIndex(p *corev1.Pod) bool {
	if !s.hasFailed(p) {
		return false
	}
	f := judgeFailure(s.job.Spec.PodFailurePolicy, p)
	return f.action == batchv1.PodFailurePolicyActionFailIndex ||
		f.counts() && count(p, batchv1.JobIndexFailureCountAnnotation) >= int(*s.job.Spec.BackoffLimitPerIndex)
}

// toReplace finds for each index that is to be tried again its last pod. That keeps its finalizer, and with it
// the count of failures, until the next pod has taken it over.
func (s *survey) toReplace() map[int]*corev1.Pod {
	settled := s.done.union(*s.failedOnes).union(indexesOf(s.active))
	last := map[int]*corev1.Pod{}
	for _, p := range s.pods {
		n := indexOf(p)
		if !s.tracks(p) || !s.inRange(p) || !s.hasFailed(p) || settled.has(n) {
			continue
		}
		if old := last[n]; old == nil || attempts(old) <= attempts(p) && !finishedAt(p).Before(finishedAt(old)) {
			last[n] = p
		}
	}
	return last
}

// tracks tells whether a pod has yet to be counted, or let go.
func (s *survey) tracks(p *corev1.Pod) bool {
	_, released := s.released[p.UID]
	return isTracked(p) && !released
}

func (s *survey) inRange(p *corev1.Pod) bool {
	n := indexOf(p)
	return n != noIndex && n < s.completions()
}

// hasFailed counts pods that are being deleted, unless the job waits for how they end.
func (s *survey) hasFailed(p *corev1.Pod) bool {
	if p.Status.Phase == corev1.PodFailed {
		return true
	}
	return !replacesFailedOnly(s.job) && p.DeletionTimestamp != nil && p.Status.Phase != corev1.PodSucceeded
}

func (s *survey) completions() int { return int(ptr.Deref(s.job.Spec.Completions, 0)) }

func isTracked(p *corev1.Pod) bool {
	return slices.Contains(p.Finalizers, batchv1.JobTrackingFinalizer)
}

func isIndexed(j *batchv1.Job) bool {
	return ptr.Deref(j.Spec.CompletionMode, "") == batchv1.IndexedCompletion
}

func isSuspended(j *batchv1.Job) bool { return ptr.Deref(j.Spec.Suspend, false) }

// replacesFailedOnly tells whether a pod is replaced only when it has ended, not as soon as it is deleted.
func replacesFailedOnly(j *batchv1.Job) bool {
	return ptr.Deref(j.Spec.PodReplacementPolicy, "") == batchv1.Failed || j.Spec.PodFailurePolicy != nil
}
