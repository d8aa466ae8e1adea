package batch

import (
	"fmt"
	"math"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/core"
	"github.com/proa-dev/proa/internal/registry/field"
)

// Jobs run pods until enough of them have succeeded.
var Jobs = registry.Resource[batchv1.Job]{
	Group: "batch", Kind: "Job", Name: "jobs", Categories: []string{"all"},
	Namespaced:     true,
	Versions:       []registry.Version[batchv1.Job]{registry.Hub[batchv1.Job]("v1")},
	Default:        defaultJob,
	DefaultLabels:  true,
	PrepareCreate:  prepareJob,
	Validate:       validateJob,
	ValidateUpdate: validateJobUpdate,
	Warn:           warnJob,
	Status:         func(j *batchv1.Job) any { return &j.Status },
	ValidateStatus: validateJobStatus,
	Spec:           func(j *batchv1.Job) any { return &j.Spec },
	Columns: []registry.Column[batchv1.Job]{
		{Name: "Status", Description: "Status of the job.", Value: func(j *batchv1.Job) any { return jobState(j) }},
		{
			Name: "Completions", Description: batchv1.JobStatus{}.SwaggerDoc()["succeeded"],
			Value: func(j *batchv1.Job) any { return jobCompletions(j) },
		},
		{Name: "Duration", Description: "Time required to complete the job.", Value: func(j *batchv1.Job) any { return jobDuration(j) }},
		registry.Age[batchv1.Job](),
		registry.Containers(jobTemplate),
		registry.Images(jobTemplate),
		{
			Name: "Selector", Description: batchv1.JobSpec{}.SwaggerDoc()["selector"], Wide: true,
			Value: func(j *batchv1.Job) any { return metav1.FormatLabelSelector(j.Spec.Selector) },
		},
	},
	Fields: []registry.Field[batchv1.Job]{
		// Labels may come from the template.
		{Name: "status.successful", Reads: []string{"spec.template"}, Value: func(j *batchv1.Job) string { return strconv.Itoa(int(j.Status.Succeeded)) }},
	},
	UnknownField:     "field label %q not supported for Job",
	OrphansByDefault: true,
	OrphansWarning:   "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning",
}

// The labels by which a job finds its pods, and those that it had before they got a prefix.
const (
	legacyUIDLabel  = "controller-uid"
	legacyNameLabel = "job-name"
)

func jobTemplate(j *batchv1.Job) *corev1.PodTemplateSpec { return &j.Spec.Template }

// setDefault sets *p to a pointer to v where it is nil.
func setDefault[V any](p **V, v V) {
	if *p == nil {
		*p = &v
	}
}

func defaultJob(j *batchv1.Job) {
	s := &j.Spec
	if s.Parallelism == nil {
		setDefault(&s.Completions, 1) // but a job that says how many run at a time may end with any of them
	}
	setDefault(&s.Parallelism, 1)
	if s.BackoffLimitPerIndex != nil {
		setDefault(&s.BackoffLimit, math.MaxInt32)
	}
	setDefault(&s.BackoffLimit, 6)
	setDefault(&s.CompletionMode, batchv1.NonIndexedCompletion)
	setDefault(&s.Suspend, false)
	setDefault(&s.ManualSelector, false)
	if s.PodFailurePolicy != nil {
		setDefault(&s.PodReplacementPolicy, batchv1.Failed)
	}
	setDefault(&s.PodReplacementPolicy, batchv1.TerminatingOrFailed)
	// The job's labels are the template's where it has none of its own. They share one map, so that the
	// labels which prepareJob generates are the job's too.
	if len(j.Labels) == 0 && s.Template.Labels != nil {
		j.Labels = s.Template.Labels
	}
	defaultTemplates(s)
}

// defaultTemplates fills what lies inside a job's spec and is defaulted in CronJobs too.
func defaultTemplates(s *batchv1.JobSpec) {
	if s.PodFailurePolicy != nil {
		for i := range s.PodFailurePolicy.Rules {
			conditions := s.PodFailurePolicy.Rules[i].OnPodConditions
			for j := range conditions {
				if conditions[j].Status == "" {
					conditions[j].Status = corev1.ConditionTrue
				}
			}
		}
	}
	core.DefaultPodTemplate(&s.Template)
}

// prepareJob generates a selector that no other controller's can overlap with, unless the user brings one.
// Labels that the user has set already stay, for validation to refuse where they are wrong.
func prepareJob(j *batchv1.Job) {
	if *j.Spec.ManualSelector {
		return
	}
	t := &j.Spec.Template
	if t.Labels == nil {
		t.Labels = map[string]string{}
	}
	for key, value := range generatedLabels(j) {
		if _, ok := t.Labels[key]; !ok {
			t.Labels[key] = value
		}
	}
	setDefault(&j.Spec.Selector, metav1.LabelSelector{})
	if j.Spec.Selector.MatchLabels == nil {
		j.Spec.Selector.MatchLabels = map[string]string{}
	}
	if _, ok := j.Spec.Selector.MatchLabels[batchv1.ControllerUidLabel]; !ok {
		j.Spec.Selector.MatchLabels[batchv1.ControllerUidLabel] = string(j.UID)
	}
	if len(j.Labels) == 0 {
		j.Labels = t.Labels
	}
}

// generatedLabels are those that the pods of a job get.
func generatedLabels(j *batchv1.Job) map[string]string {
	return map[string]string{
		batchv1.ControllerUidLabel: string(j.UID), legacyUIDLabel: string(j.UID),
		batchv1.JobNameLabel: j.Name, legacyNameLabel: j.Name,
	}
}

func jobState(j *batchv1.Job) string {
	switch {
	case isTrue(j, batchv1.JobComplete):
		return "Complete"
	case isTrue(j, batchv1.JobFailed):
		return "Failed"
	case j.DeletionTimestamp != nil:
		return "Terminating"
	case isTrue(j, batchv1.JobSuspended):
		return "Suspended"
	case isTrue(j, batchv1.JobFailureTarget):
		return "FailureTarget"
	case isTrue(j, batchv1.JobSuccessCriteriaMet):
		return "SuccessCriteriaMet"
	}
	return "Running"
}

func jobCompletions(j *batchv1.Job) string {
	if j.Spec.Completions != nil {
		return fmt.Sprintf("%d/%d", j.Status.Succeeded, *j.Spec.Completions)
	}
	if parallelism := ptr.Deref(j.Spec.Parallelism, 0); parallelism > 1 {
		return fmt.Sprintf("%d/1 of %d", j.Status.Succeeded, parallelism)
	}
	return fmt.Sprintf("%d/1", j.Status.Succeeded)
}

func jobDuration(j *batchv1.Job) string {
	switch {
	case j.Status.StartTime == nil:
		return ""
	case j.Status.CompletionTime == nil:
		return duration.HumanDuration(time.Since(j.Status.StartTime.Time))
	}
	return duration.HumanDuration(j.Status.CompletionTime.Sub(j.Status.StartTime.Time))
}

func warnJob(new, old *batchv1.Job) []string {
	path := field.NewPath("spec")
	if old == nil {
		return append(registry.PodNameWarnings(new.Name), warnJobSpec(&new.Spec, path)...)
	}
	if new.Generation == old.Generation {
		return nil
	}
	return warnJobSpec(&new.Spec, path)
}

func warnJobSpec(s *batchv1.JobSpec, path *field.Path) []string {
	var warnings []string
	if isIndexed(s) && ptr.Deref(s.Completions, 0) > manyCompletions && ptr.Deref(s.Parallelism, 0) > manyParallel {
		warnings = append(warnings, path.String()+": In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail")
	}
	return append(warnings, core.PodTemplateWarnings(&s.Template, path.Child("template"))...)
}
