package job

import (
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// How pods are counted, each exactly once, whatever fails in between:
//
//  1. The UIDs of pods that have finished are written into status.uncountedTerminatedPods. (The completed
//     indexes of a job that has them do the same for pods that succeeded.)
//  2. The tracking finalizer is taken from these pods. They may vanish from now on.
//  3. UIDs whose pods have no finalizer any more leave the list, and the counts grow by their number.
//
// account is the first step, settle the third. A job is finished when nothing is left to be counted and none
// of its pods runs any more.

// maxUncounted bounds the list of UIDs, and how many pods of one job are worked on at a time.
const maxUncounted = 500

// account writes the first step into the job's status, and returns the pods that may go then. more tells that
// there are others still. finish is why the job is over, nil if it is not, and is returned as the condition
// that the job will end with.
func (s *survey) account(finish *batchv1.JobCondition, now time.Time) (release []*corev1.Pod, more bool, final *batchv1.JobCondition) {
	s.settle(nil)
	status := &s.job.Status
	var newIndexes []int
	newPods := 0
	for _, p := range s.pods {
		if !s.tracks(p) || !s.mayGo(p, finish) {
			continue
		}
		if newPods >= maxUncounted {
			more = true
			break
		}
		release = append(release, p)
		failed := slices.Contains(status.UncountedTerminatedPods.Failed, p.UID)
		switch {
		case failed:
		case p.Status.Phase != corev1.PodSucceeded:
			if s.countsAsFailed(p, finish) {
				status.UncountedTerminatedPods.Failed = append(status.UncountedTerminatedPods.Failed, p.UID)
				newPods++
			}
		case isIndexed(s.job):
			if s.inRange(p) && !s.before.has(indexOf(p)) {
				newIndexes = append(newIndexes, indexOf(p))
				newPods++
			}
		case !slices.Contains(status.UncountedTerminatedPods.Succeeded, p.UID):
			status.UncountedTerminatedPods.Succeeded = append(status.UncountedTerminatedPods.Succeeded, p.UID)
			newPods++
		}
	}
	if isIndexed(s.job) {
		s.accountIndexes(newIndexes)
	}
	return release, more, s.target(finish, now)
}

func (s *survey) accountIndexes(more []int) {
	status := &s.job.Status
	done := s.done.with(more...)
	status.Succeeded, status.CompletedIndexes = int32(done.len()), done.String()
	status.FailedIndexes = nil
	if s.failedOnes != nil {
		status.FailedIndexes = ptr.To(s.failedOnes.String())
	}
}

// mayGo tells whether a pod needs its finalizer no more once it is in the status.
func (s *survey) mayGo(p *corev1.Pod, finish *batchv1.JobCondition) bool {
	if s.job.DeletionTimestamp != nil || finish != nil || p.Status.Phase == corev1.PodSucceeded {
		return true
	}
	last := s.lastFailed[indexOf(p)]
	return s.hasFailed(p) && (last == nil || last.UID != p.UID)
}

// countsAsFailed is about pods that did not succeed. When a job fails, all of them count.
func (s *survey) countsAsFailed(p *corev1.Pod, finish *batchv1.JobCondition) bool {
	jobFails := finish != nil && finish.Type != batchv1.JobSuccessCriteriaMet
	if !s.hasFailed(p) && !jobFails || isIndexed(s.job) && !s.inRange(p) {
		return false
	}
	return judgeFailure(s.job.Spec.PodFailurePolicy, p).counts()
}

// target mentions in the status what the job is about to end with, before any pod goes that was the reason.
func (s *survey) target(finish *batchv1.JobCondition, now time.Time) *batchv1.JobCondition {
	if finish == nil || finish.Type == batchv1.JobFailed {
		return finish
	}
	if condition(&s.job.Status, finish.Type) == nil {
		s.job.Status.Conditions = append(s.job.Status.Conditions, *finish)
	}
	end := batchv1.JobFailed
	if finish.Type == batchv1.JobSuccessCriteriaMet {
		end = batchv1.JobComplete
	}
	return newCondition(end, finish.Reason, finish.Message, now)
}

// settle moves UIDs whose pods have no finalizer any more from the list to the counts. released are those
// that lost it just now.
func (s *survey) settle(released []*corev1.Pod) {
	status := &s.job.Status
	if status.UncountedTerminatedPods == nil {
		status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{}
	}
	tracked := map[types.UID]bool{}
	for _, p := range s.pods {
		tracked[p.UID] = s.tracks(p)
	}
	for _, p := range released {
		tracked[p.UID] = false
	}
	move := func(list *[]types.UID, count *int32) {
		n := len(*list)
		*list = slices.DeleteFunc(slices.Clone(*list), func(uid types.UID) bool { return !tracked[uid] })
		if len(*list) == 0 {
			*list = nil
		}
		*count += int32(n - len(*list))
	}
	move(&status.UncountedTerminatedPods.Succeeded, &status.Succeeded)
	move(&status.UncountedTerminatedPods.Failed, &status.Failed)
}

// end writes the last condition if nothing is left to be done.
func (s *survey) end(final *batchv1.JobCondition) bool {
	status := &s.job.Status
	u := status.UncountedTerminatedPods
	if final == nil || len(u.Succeeded)+len(u.Failed) > 0 || ptr.Deref(status.Terminating, 0) > 0 {
		return false
	}
	setCondition(status, *final)
	if final.Type == batchv1.JobComplete {
		status.CompletionTime = &final.LastTransitionTime
	}
	return true
}
