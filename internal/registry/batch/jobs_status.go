package batch

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry/field"
)

// Since spec.managedBy lets anyone be a Job's controller, the server holds every controller to the states
// that clients rely on: a finished job stays finished, has no pods left and says when it started; a complete
// one says when it ended; counters only grow.
//
// A rule is checked when one of the fields that it speaks of changes, and not otherwise: a status that broke
// a rule before it was made must stay writable, and a change of the spec may break a rule until the
// controller has caught up (indexes beyond completions that were just scaled down).

// isTrue tells whether the job has a condition and it holds.
func isTrue(j *batchv1.Job, t batchv1.JobConditionType) bool {
	return hasCondition(j, t, corev1.ConditionTrue)
}

func hasCondition(j *batchv1.Job, t batchv1.JobConditionType, status corev1.ConditionStatus) bool {
	for i := range j.Status.Conditions {
		if c := &j.Status.Conditions[i]; c.Type == t && c.Status == status {
			return true
		}
	}
	return false
}

// jobTransition is one write of a status: what it says, and what about it is new.
type jobTransition struct {
	new, old *batchv1.Job
	errs     field.ErrorList
}

func (t *jobTransition) turned(c batchv1.JobConditionType) bool {
	return isTrue(t.new, c) != isTrue(t.old, c)
}

func (t *jobTransition) finishedChanged() bool { return isFinished(t.new) != isFinished(t.old) }

func isFinished(j *batchv1.Job) bool {
	return isTrue(j, batchv1.JobComplete) || isTrue(j, batchv1.JobFailed)
}

// invalid adds an error if broken.
func (t *jobTransition) invalid(broken bool, name string, value any, message string) {
	if broken {
		t.errs = append(t.errs, field.Invalid(field.NewPath("status", name), value, message))
	}
}

// exclude adds an error if the job's conditions contradict each other.
func (t *jobTransition) exclude(broken bool, message string) {
	t.invalid(broken, "conditions", field.OmitValueType{}, message)
}

func (t *jobTransition) required(broken bool, name, message string) {
	if broken {
		t.errs = append(t.errs, field.Required(field.NewPath("status", name), message))
	}
}

func validateJobStatus(new, old *batchv1.Job) field.ErrorList {
	t := &jobTransition{new: new, old: old}
	t.checkCounts()
	t.checkComplete()
	t.checkFinished()
	t.checkIndexes()
	t.checkPods()
	t.checkSuccess()
	t.checkKept()
	return t.errs
}

func (t *jobTransition) checkCounts() {
	s, path := &t.new.Status, field.NewPath("status")
	t.errs = append(t.errs, nonNegative(&s.Active, path.Child("active"))...)
	t.errs = append(t.errs, nonNegative(&s.Succeeded, path.Child("succeeded"))...)
	t.errs = append(t.errs, nonNegative(&s.Failed, path.Child("failed"))...)
	t.errs = append(t.errs, nonNegative(s.Ready, path.Child("ready"))...)
	t.errs = append(t.errs, nonNegative(s.Terminating, path.Child("terminating"))...)
	if u := s.UncountedTerminatedPods; u != nil {
		seen := map[types.UID]bool{}
		path = path.Child("uncountedTerminatedPods")
		t.errs = append(t.errs, validateUIDs(u.Succeeded, seen, path.Child("succeeded"))...)
		t.errs = append(t.errs, validateUIDs(u.Failed, seen, path.Child("failed"))...)
	}
}

// validateUIDs checks that each UID is there once, also in the lists that have been seen before.
func validateUIDs(uids []types.UID, seen map[types.UID]bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, uid := range uids {
		switch {
		case uid == "":
			errs = append(errs, field.Invalid(path.Index(i), uid, "must not be empty"))
		case seen[uid]:
			errs = append(errs, field.Duplicate(path.Index(i), uid))
		}
		seen[uid] = true
	}
	return errs
}

func (t *jobTransition) checkComplete() {
	s := &t.new.Status
	complete, failed := isTrue(t.new, batchv1.JobComplete), isTrue(t.new, batchv1.JobFailed)
	completeTurned, failedTurned := t.turned(batchv1.JobComplete), t.turned(batchv1.JobFailed)
	completionChanged := !t.old.Status.CompletionTime.Equal(s.CompletionTime)
	startChanged := !t.old.Status.StartTime.Equal(s.StartTime)
	failedIndexesChanged := !ptr.Equal(t.old.Status.FailedIndexes, s.FailedIndexes)

	t.exclude((completeTurned || failedTurned) && complete && failed, "cannot set Complete=True and Failed=true conditions")
	t.exclude((completeTurned || t.turned(batchv1.JobFailureTarget)) && complete && isTrue(t.new, batchv1.JobFailureTarget),
		"cannot set Complete=True and FailureTarget=true conditions")
	t.invalid((completeTurned || completionChanged) && s.CompletionTime != nil && !complete, "completionTime", s.CompletionTime,
		"cannot set completionTime when there is no Complete=True condition")
	t.required((completeTurned || completionChanged) && s.CompletionTime == nil && complete, "completionTime",
		"completionTime is required for Complete jobs")
	t.invalid((startChanged || completionChanged) && s.StartTime != nil && s.CompletionTime != nil && s.CompletionTime.Before(s.StartTime),
		"completionTime", s.CompletionTime, "must be equal to or after `startTime`")
	t.exclude((failedTurned || failedIndexesChanged) && failed && !isTrue(t.new, batchv1.JobFailureTarget),
		"cannot set Failed=True condition without the FailureTarget=true condition")
	t.exclude((completeTurned || t.turned(batchv1.JobSuccessCriteriaMet)) && complete && !isTrue(t.new, batchv1.JobSuccessCriteriaMet),
		"cannot set Complete=True condition without the SuccessCriteriaMet=true condition")
}

func (t *jobTransition) checkFinished() {
	if !isFinished(t.new) {
		return
	}
	s, was, changed := &t.new.Status, &t.old.Status, t.finishedChanged()
	t.invalid((changed || s.Active != was.Active) && s.Active > 0, "active", s.Active, "active>0 is invalid for finished job")

	neverRuns := ptr.Deref(t.new.Spec.Suspend, false) && ptr.Equal(t.new.Spec.Completions, ptr.To[int32](0))
	t.required((changed || !s.StartTime.Equal(was.StartTime)) && !neverRuns && s.StartTime == nil, "startTime",
		"startTime is required for finished job")

	u := s.UncountedTerminatedPods
	t.invalid((changed || !equality.Semantic.DeepEqual(was.UncountedTerminatedPods, u)) && u != nil && len(u.Failed)+len(u.Succeeded) > 0,
		"uncountedTerminatedPods", u, "must be empty for finished job")
}

func (t *jobTransition) checkIndexes() {
	s, was, spec := &t.new.Status, &t.old.Status, &t.new.Spec
	completedChanged := s.CompletedIndexes != was.CompletedIndexes
	failedChanged := !ptr.Equal(s.FailedIndexes, was.FailedIndexes)
	if completedChanged && spec.Completions != nil {
		_, err := countIndexes(s.CompletedIndexes, *spec.Completions)
		t.invalid(err != nil, "completedIndexes", s.CompletedIndexes, fmt.Sprintf("error parsing completedIndexes: %v", err))
	}
	if failedChanged && spec.Completions != nil && spec.BackoffLimitPerIndex != nil && s.FailedIndexes != nil {
		_, err := countIndexes(*s.FailedIndexes, *spec.Completions)
		t.invalid(err != nil, "failedIndexes", s.FailedIndexes, fmt.Sprintf("error parsing failedIndexes: %v", err))
	}
	t.invalid(completedChanged && s.CompletedIndexes != "" && !isIndexed(spec), "completedIndexes", s.CompletedIndexes,
		"cannot set non-empty completedIndexes when non-indexed completion mode")
	t.invalid(failedChanged && spec.BackoffLimitPerIndex == nil && s.FailedIndexes != nil, "failedIndexes", s.FailedIndexes,
		"cannot set non-null failedIndexes when backoffLimitPerIndex is null")
	if (failedChanged || completedChanged) && spec.Completions != nil && s.FailedIndexes != nil {
		index, found := overlap(s.CompletedIndexes, *s.FailedIndexes, *spec.Completions)
		t.invalid(found, "failedIndexes", s.FailedIndexes, fmt.Sprintf("failedIndexes and completedIndexes overlap at index: %d", index))
	}
}

func (t *jobTransition) checkPods() {
	s, was := &t.new.Status, &t.old.Status
	t.invalid((t.finishedChanged() || !ptr.Equal(s.Terminating, was.Terminating)) && isFinished(t.new) && ptr.Deref(s.Terminating, 0) > 0,
		"terminating", s.Terminating, "terminating>0 is invalid for finished job")
	t.invalid((!ptr.Equal(s.Ready, was.Ready) || s.Active != was.Active) && s.Ready != nil && *s.Ready > s.Active,
		"ready", s.Ready, "cannot set more ready pods than active")
}

// checkSuccess holds whatever changes.
func (t *jobTransition) checkSuccess() {
	success := isTrue(t.new, batchv1.JobSuccessCriteriaMet)
	t.exclude(success && isTrue(t.new, batchv1.JobFailed), "cannot set SuccessCriteriaMet=True and Failed=true conditions")
	t.exclude(success && isTrue(t.new, batchv1.JobFailureTarget), "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions")
	t.exclude(t.new.Spec.SuccessPolicy != nil && !success && isTrue(t.new, batchv1.JobComplete),
		"cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True")
}

// checkKept compares with the old status what may not be taken back.
func (t *jobTransition) checkKept() {
	s, was, spec := &t.new.Status, &t.old.Status, &t.new.Spec
	for _, c := range []batchv1.JobConditionType{batchv1.JobFailed, batchv1.JobComplete, batchv1.JobFailureTarget} {
		t.exclude(isTrue(t.old, c) && !isTrue(t.new, c), fmt.Sprintf("cannot disable the terminal %s=True condition", c))
	}
	t.invalid(s.Failed < was.Failed, "failed", s.Failed, "cannot decrease the failed counter")
	// An Indexed Job that is scaled down forgets the indexes beyond its end.
	scales := isIndexed(spec) && ptr.Equal(spec.Completions, spec.Parallelism)
	t.invalid(!scales && s.Succeeded < was.Succeeded, "succeeded", s.Succeeded, "cannot decrease the succeeded counter")
	t.invalid(s.CompletionTime != nil && was.CompletionTime != nil && !s.CompletionTime.Equal(was.CompletionTime),
		"completionTime", s.CompletionTime, "field is immutable")
	resumes := isTrue(t.old, batchv1.JobSuspended) && hasCondition(t.new, batchv1.JobSuspended, corev1.ConditionFalse)
	t.invalid(!resumes && was.StartTime != nil && !s.StartTime.Equal(was.StartTime) && !ptr.Deref(spec.Suspend, false),
		"startTime", s.StartTime, "field is immutable for unsuspended job once set")
	success, had := isTrue(t.new, batchv1.JobSuccessCriteriaMet), isTrue(t.old, batchv1.JobSuccessCriteriaMet)
	t.exclude(had && !success, "cannot disable the SuccessCriteriaMet=True condition")
	t.exclude(isTrue(t.old, batchv1.JobComplete) && !had && success, "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions")
}
