package batch

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry/core"
	"github.com/proa-dev/proa/internal/registry/field"
)

// Bounds of Indexed Jobs keep the indexes in the status short enough to store.
const (
	maxIndexedParallelism = 100_000
	maxFailedIndexes      = 100_000
	// With more completions than these and a backoff limit per index, the next two hold.
	manyCompletions = 100_000
	manyParallel    = 10_000
	manyFailed      = 10_000

	maxManagedBy = 63
)

// nonNegative checks a number that may be absent.
func nonNegative[N int32 | int64](value *N, path *field.Path) field.ErrorList {
	if value == nil {
		return nil
	}
	return apivalidation.ValidateNonnegativeField(int64(*value), path.Common())
}

func isIndexed(s *batchv1.JobSpec) bool {
	return s.CompletionMode != nil && *s.CompletionMode == batchv1.IndexedCompletion
}

func validateJob(j *batchv1.Job) field.ErrorList {
	path, s := field.NewPath("spec"), &j.Spec
	errs := validateGeneratedSelector(j)
	errs = append(errs, validateJobSpec(s, path)...)
	if s.Selector == nil {
		errs = append(errs, field.Required(path.Child("selector"), ""))
	} else {
		errs = append(errs, metavalidation.ValidateLabelSelector(s.Selector, metavalidation.LabelSelectorValidationOptions{}, path.Child("selector").Common())...)
	}
	if selector, err := metav1.LabelSelectorAsSelector(s.Selector); err == nil && !selector.Matches(labels.Set(s.Template.Labels)) {
		errs = append(errs, field.Invalid(path.Child("template", "metadata", "labels"), s.Template.Labels, "`selector` does not match template `labels`"))
	}
	// The controller gives the pods of an Indexed Job host names that end in the index.
	if isIndexed(s) && ptr.Deref(s.Completions, 0) > 0 {
		if host := fmt.Sprintf("%s-%d", j.Name, *s.Completions-1); len(validation.IsDNS1123Label(host)) > 0 {
			errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), j.Name, "will not able to create pod with invalid DNS label: "+host))
		}
	}
	return errs
}

// validateGeneratedSelector checks what prepareJob generates, which the user may have set wrongly. Jobs
// older than the labels' prefix have only those without.
func validateGeneratedSelector(j *batchv1.Job) field.ErrorList {
	if *j.Spec.ManualSelector || j.Spec.Selector == nil {
		return nil
	}
	var errs field.ErrorList
	if j.UID == "" {
		errs = append(errs, field.Required(field.NewPath("metadata", "uid"), ""))
	}
	required := []string{legacyUIDLabel, legacyNameLabel}
	if hasPrefixedLabels(j) {
		required = append(required, batchv1.ControllerUidLabel, batchv1.JobNameLabel)
	}
	generated := labels.Set(generatedLabels(j))
	for _, key := range required {
		errs = append(errs, validateHasLabel(&j.Spec.Template, key, generated[key])...)
	}
	if selector, err := metav1.LabelSelectorAsSelector(j.Spec.Selector); err == nil && !selector.Matches(generated) {
		errs = append(errs, field.Invalid(field.NewPath("spec", "selector"), j.Spec.Selector, "`selector` not auto-generated"))
	}
	return errs
}

func hasPrefixedLabels(j *batchv1.Job) bool {
	_, uid := j.Spec.Template.Labels[batchv1.ControllerUidLabel]
	_, name := j.Spec.Template.Labels[batchv1.JobNameLabel]
	return uid && name
}

func validateHasLabel(t *corev1.PodTemplateSpec, key, want string) field.ErrorList {
	path := field.NewPath("spec", "template", "metadata", "labels").Key(key)
	value, ok := t.Labels[key]
	switch {
	case !ok:
		return field.ErrorList{field.Required(path, fmt.Sprintf("must be '%s'", want))}
	case value != want:
		return field.ErrorList{field.Invalid(path, t.Labels, fmt.Sprintf("must be '%s'", want))}
	}
	return nil
}

// validateJobTemplate checks the spec inside a CronJob: its selector will be generated.
func validateJobTemplate(s *batchv1.JobSpec, path *field.Path) field.ErrorList {
	errs := validateJobSpec(s, path)
	if s.Selector != nil {
		errs = append(errs, field.Invalid(path.Child("selector"), s.Selector, "`selector` will be auto-generated"))
	}
	if ptr.Deref(s.ManualSelector, false) {
		errs = append(errs, field.NotSupported(path.Child("manualSelector"), s.ManualSelector, []string{"nil", "false"}))
	}
	return errs
}

// validateJobSpec checks what Jobs and the templates of CronJobs have in common. In the latter nothing but
// the pod template is defaulted yet.
func validateJobSpec(s *batchv1.JobSpec, path *field.Path) field.ErrorList {
	errs := nonNegative(s.Parallelism, path.Child("parallelism"))
	errs = append(errs, nonNegative(s.Completions, path.Child("completions"))...)
	errs = append(errs, nonNegative(s.ActiveDeadlineSeconds, path.Child("activeDeadlineSeconds"))...)
	errs = append(errs, nonNegative(s.BackoffLimit, path.Child("backoffLimit"))...)
	errs = append(errs, nonNegative(s.TTLSecondsAfterFinished, path.Child("ttlSecondsAfterFinished"))...)
	errs = append(errs, nonNegative(s.BackoffLimitPerIndex, path.Child("backoffLimitPerIndex"))...)
	errs = append(errs, nonNegative(s.MaxFailedIndexes, path.Child("maxFailedIndexes"))...)
	if s.MaxFailedIndexes != nil && s.BackoffLimitPerIndex == nil {
		errs = append(errs, field.Required(path.Child("backoffLimitPerIndex"), "when maxFailedIndexes is specified"))
	}
	if s.ManagedBy != nil {
		errs = append(errs, validation.IsDomainPrefixedPath(path.Child("managedBy").Common(), *s.ManagedBy)...)
		if len(*s.ManagedBy) > maxManagedBy {
			errs = append(errs, field.TooLong(path.Child("managedBy"), "", maxManagedBy))
		}
	}
	errs = append(errs, validateCompletionMode(s, path)...)
	if s.PodFailurePolicy != nil {
		errs = append(errs, validatePodFailurePolicy(s, path.Child("podFailurePolicy", "rules"))...)
	}
	switch {
	case s.SuccessPolicy == nil:
	case !isIndexed(s):
		errs = append(errs, field.Invalid(path.Child("successPolicy"), *s.SuccessPolicy, "requires indexed completion mode"))
	case s.Completions != nil: // which is reported as missing otherwise
		errs = append(errs, validateSuccessPolicy(s, path.Child("successPolicy", "rules"))...)
	}
	errs = append(errs, validatePodReplacementPolicy(s, path.Child("podReplacementPolicy"))...)
	errs = append(errs, core.ValidatePodTemplate(&s.Template, path.Child("template"))...)
	return append(errs, validateJobRestartPolicy(s, path.Child("template", "spec", "restartPolicy"))...)
}

func validateCompletionMode(s *batchv1.JobSpec, path *field.Path) field.ErrorList {
	if isIndexed(s) {
		return validateIndexed(s, path)
	}
	var errs field.ErrorList
	if s.CompletionMode != nil && *s.CompletionMode != batchv1.NonIndexedCompletion {
		return append(errs, field.NotSupported(path.Child("completionMode"), s.CompletionMode, []batchv1.CompletionMode{
			batchv1.NonIndexedCompletion, batchv1.IndexedCompletion,
		}))
	}
	if s.BackoffLimitPerIndex != nil {
		errs = append(errs, field.Invalid(path.Child("backoffLimitPerIndex"), *s.BackoffLimitPerIndex, "requires indexed completion mode"))
	}
	if s.MaxFailedIndexes != nil {
		errs = append(errs, field.Invalid(path.Child("maxFailedIndexes"), *s.MaxFailedIndexes, "requires indexed completion mode"))
	}
	return errs
}

func validateIndexed(s *batchv1.JobSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	parallelism, failed := ptr.Deref(s.Parallelism, 0), ptr.Deref(s.MaxFailedIndexes, 0)
	if s.Completions == nil {
		errs = append(errs, field.Required(path.Child("completions"), "when completion mode is Indexed"))
	}
	if parallelism > maxIndexedParallelism {
		errs = append(errs, field.Invalid(path.Child("parallelism"), parallelism, fmt.Sprintf("must be less than or equal to %d when completion mode is Indexed", maxIndexedParallelism)))
	}
	if s.Completions != nil && failed > *s.Completions {
		errs = append(errs, field.Invalid(path.Child("maxFailedIndexes"), failed, "must be less than or equal to completions"))
	}
	if failed > maxFailedIndexes {
		errs = append(errs, field.Invalid(path.Child("maxFailedIndexes"), failed, fmt.Sprintf("must be less than or equal to %d", maxFailedIndexes)))
	}
	if ptr.Deref(s.Completions, 0) <= manyCompletions || s.BackoffLimitPerIndex == nil {
		return errs
	}
	const tooMany = "must be less than or equal to %d when completions are above %d and used with backoff limit per index"
	if s.MaxFailedIndexes == nil {
		errs = append(errs, field.Required(path.Child("maxFailedIndexes"), fmt.Sprintf("must be specified when completions is above %d", manyCompletions)))
	}
	if parallelism > manyParallel {
		errs = append(errs, field.Invalid(path.Child("parallelism"), parallelism, fmt.Sprintf(tooMany, manyParallel, manyCompletions)))
	}
	if failed > manyFailed {
		errs = append(errs, field.Invalid(path.Child("maxFailedIndexes"), failed, fmt.Sprintf(tooMany, manyFailed, manyCompletions)))
	}
	return errs
}

func validatePodReplacementPolicy(s *batchv1.JobSpec, path *field.Path) field.ErrorList {
	if s.PodReplacementPolicy == nil {
		return nil
	}
	supported := []batchv1.PodReplacementPolicy{batchv1.Failed}
	if s.PodFailurePolicy == nil {
		supported = append(supported, batchv1.TerminatingOrFailed)
	}
	for _, p := range supported {
		if *s.PodReplacementPolicy == p {
			return nil
		}
	}
	return field.ErrorList{field.NotSupported(path, *s.PodReplacementPolicy, supported)}
}

// validateJobRestartPolicy asks for a choice: the default, Always, would never end.
func validateJobRestartPolicy(s *batchv1.JobSpec, path *field.Path) field.ErrorList {
	switch policy := s.Template.Spec.RestartPolicy; policy {
	case corev1.RestartPolicyAlways, "":
		return field.ErrorList{field.Required(path, `valid values: "OnFailure", "Never"`)}
	case corev1.RestartPolicyNever:
		return nil
	case corev1.RestartPolicyOnFailure:
		if s.PodFailurePolicy != nil {
			return field.ErrorList{field.Invalid(path, policy, `only "Never" is supported when podFailurePolicy is specified`)}
		}
		return nil
	default:
		return field.ErrorList{field.NotSupported(path, policy, []corev1.RestartPolicy{corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever})}
	}
}
