package batch

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry/field"
)

func validateJobUpdate(new, old *batchv1.Job) field.ErrorList {
	path, s, was := field.NewPath("spec"), &new.Spec, &old.Spec
	errs := validateLabelsKept(new, old)
	errs = append(errs, validateCompletionsUpdate(s, was, path.Child("completions"))...)
	errs = append(errs, apivalidation.ValidateImmutableField(s.Selector, was.Selector, path.Child("selector").Common())...)
	errs = append(errs, validateTemplateUpdate(new, old, path.Child("template"))...)
	errs = append(errs, apivalidation.ValidateImmutableField(s.CompletionMode, was.CompletionMode, path.Child("completionMode").Common())...)
	errs = append(errs, apivalidation.ValidateImmutableField(s.PodFailurePolicy, was.PodFailurePolicy, path.Child("podFailurePolicy").Common())...)
	errs = append(errs, apivalidation.ValidateImmutableField(s.BackoffLimitPerIndex, was.BackoffLimitPerIndex, path.Child("backoffLimitPerIndex").Common())...)
	errs = append(errs, apivalidation.ValidateImmutableField(s.ManagedBy, was.ManagedBy, path.Child("managedBy").Common())...)
	return append(errs, apivalidation.ValidateImmutableField(s.SuccessPolicy, was.SuccessPolicy, path.Child("successPolicy").Common())...)
}

// validateLabelsKept refuses to drop a generated label with a prefix from a job that has them.
func validateLabelsKept(new, old *batchv1.Job) field.ErrorList {
	if *new.Spec.ManualSelector || new.Spec.Selector == nil || !hasPrefixedLabels(old) || hasPrefixedLabels(new) {
		return nil
	}
	generated := generatedLabels(new)
	errs := validateHasLabel(&new.Spec.Template, batchv1.ControllerUidLabel, generated[batchv1.ControllerUidLabel])
	return append(errs, validateHasLabel(&new.Spec.Template, batchv1.JobNameLabel, generated[batchv1.JobNameLabel])...)
}

// validateCompletionsUpdate lets Indexed Jobs alone be scaled, and only whole: completions together with
// parallelism.
func validateCompletionsUpdate(new, old *batchv1.JobSpec, path *field.Path) field.ErrorList {
	if !isIndexed(new) {
		return apivalidation.ValidateImmutableField(new.Completions, old.Completions, path.Common())
	}
	if new.Completions == nil || ptr.Equal(new.Completions, old.Completions) || *new.Completions == *new.Parallelism {
		return nil
	}
	return field.ErrorList{field.Invalid(path, new.Completions, "can only be modified in tandem with spec.parallelism")}
}

// validateTemplateUpdate lets a queue place a job that waits for it: while the job is suspended and has no
// pods, its template's scheduling directives and resources may change. KEP-2926, KEP-5440.
func validateTemplateUpdate(new, old *batchv1.Job, path *field.Path) field.ErrorList {
	t, was := &new.Spec.Template, &old.Spec.Template
	waits := ptr.Deref(old.Spec.Suspend, false) && old.Status.Active == 0 &&
		(old.Status.StartTime == nil || isTrue(old, batchv1.JobSuspended))
	if !waits {
		return apivalidation.ValidateImmutableField(t, was, path.Common())
	}
	was = was.DeepCopy()
	allowScheduling(t, was)
	allowResources(t.Spec.Containers, was.Spec.Containers)
	allowResources(t.Spec.InitContainers, was.Spec.InitContainers)
	return apivalidation.ValidateImmutableField(t.Spec, was.Spec, path.Child("spec").Common())
}

// allowScheduling makes was equal to t in what says where pods may run.
func allowScheduling(t, was *corev1.PodTemplateSpec) {
	switch has, had := t.Spec.Affinity != nil, was.Spec.Affinity != nil; {
	case has && had:
		was.Spec.Affinity.NodeAffinity = t.Spec.Affinity.NodeAffinity
	case has:
		was.Spec.Affinity = &corev1.Affinity{NodeAffinity: t.Spec.Affinity.NodeAffinity}
	case had:
		was.Spec.Affinity.NodeAffinity = nil
		if equality.Semantic.DeepEqual(was.Spec.Affinity, &corev1.Affinity{}) {
			was.Spec.Affinity = nil
		}
	}
	was.Spec.NodeSelector = t.Spec.NodeSelector
	was.Spec.Tolerations = t.Spec.Tolerations
	was.Spec.SchedulingGates = t.Spec.SchedulingGates
}

// allowResources makes the resources of the same containers equal.
func allowResources(containers, was []corev1.Container) {
	if len(containers) != len(was) {
		return
	}
	for i := range containers {
		if containers[i].Name == was[i].Name {
			was[i].Resources = containers[i].Resources
		}
	}
}
