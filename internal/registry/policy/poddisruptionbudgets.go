// Package policy defines what limits the disturbance of workloads.
package policy

import (
	"slices"

	policyv1 "k8s.io/api/policy/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/apps"
	"github.com/proa-dev/proa/internal/registry/field"
)

// PodDisruptionBudgets say how many pods of a set may be evicted at a time.
var PodDisruptionBudgets = registry.Resource[policyv1.PodDisruptionBudget]{
	Group: "policy", Kind: "PodDisruptionBudget", Name: "poddisruptionbudgets", Short: []string{"pdb"},
	Namespaced:       true,
	Versions:         []registry.Version[policyv1.PodDisruptionBudget]{registry.Hub[policyv1.PodDisruptionBudget]("v1")},
	ValidateName:     path.ValidatePathSegmentName,
	Validate:         validateBudget,
	ValidateCreate:   validateBudgetCreate,
	ValidateUpdate:   validateBudgetUpdate,
	Status:           func(b *policyv1.PodDisruptionBudget) any { return &b.Status },
	ValidateStatus:   validateBudgetStatus,
	Spec:             func(b *policyv1.PodDisruptionBudget) any { return &b.Spec },
	RevisionRequired: true,
	Columns: []registry.Column[policyv1.PodDisruptionBudget]{
		{
			Name: "Min Available", Description: "The minimum number of pods that must be available.",
			Value: func(b *policyv1.PodDisruptionBudget) any { return numberOrShare(b.Spec.MinAvailable) },
		},
		{
			Name: "Max Unavailable", Description: "The maximum number of pods that may be unavailable.",
			Value: func(b *policyv1.PodDisruptionBudget) any { return numberOrShare(b.Spec.MaxUnavailable) },
		},
		{
			Name: "Allowed Disruptions", Type: "integer", Description: "Calculated number of pods that may be disrupted at this time.",
			Value: func(b *policyv1.PodDisruptionBudget) any { return int64(b.Status.DisruptionsAllowed) },
		},
		registry.Age[policyv1.PodDisruptionBudget](),
	},
}

func numberOrShare(v *intstr.IntOrString) string {
	if v == nil {
		return "N/A"
	}
	return v.String()
}

func validateBudget(b *policyv1.PodDisruptionBudget) field.ErrorList {
	spec, s := field.NewPath("spec"), &b.Spec
	var errs field.ErrorList
	if s.MinAvailable != nil && s.MaxUnavailable != nil {
		errs = append(errs, field.Invalid(spec, s, "minAvailable and maxUnavailable cannot be both set"))
	}
	errs = append(errs, validateAmount(s.MinAvailable, spec.Child("minAvailable"))...)
	errs = append(errs, validateAmount(s.MaxUnavailable, spec.Child("maxUnavailable"))...)
	known := []policyv1.UnhealthyPodEvictionPolicyType{policyv1.AlwaysAllow, policyv1.IfHealthyBudget}
	if p := s.UnhealthyPodEvictionPolicy; p != nil && !slices.Contains(known, *p) {
		errs = append(errs, field.NotSupported(spec.Child("unhealthyPodEvictionPolicy"), *p, known))
	}
	return errs
}

func validateAmount(v *intstr.IntOrString, path *field.Path) field.ErrorList {
	if v == nil {
		return nil
	}
	return append(apps.ValidateIntOrPercent(*v, path), apps.ValidateAtMost100Percent(*v, path)...)
}

// validateBudgetSelector is strict with the values of labels or lets wrong ones be.
func validateBudgetSelector(b *policyv1.PodDisruptionBudget, strict bool) field.ErrorList {
	options := metavalidation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: !strict}
	return metavalidation.ValidateLabelSelector(b.Spec.Selector, options, field.NewPath("spec", "selector").Common())
}

func validateBudgetCreate(b *policyv1.PodDisruptionBudget) field.ErrorList {
	return validateBudgetSelector(b, true)
}

// validateBudgetUpdate lets a budget that is older than the check keep its selector.
func validateBudgetUpdate(new, old *policyv1.PodDisruptionBudget) field.ErrorList {
	return validateBudgetSelector(new, len(validateBudgetSelector(old, true)) == 0)
}

func validateBudgetStatus(new, _ *policyv1.PodDisruptionBudget) field.ErrorList {
	status, s := field.NewPath("status"), &new.Status
	errs := metavalidation.ValidateConditions(s.Conditions, status.Child("conditions").Common())
	errs = append(errs, apivalidation.ValidateNonnegativeField(int64(s.DisruptionsAllowed), status.Child("disruptionsAllowed").Common())...)
	errs = append(errs, apivalidation.ValidateNonnegativeField(int64(s.CurrentHealthy), status.Child("currentHealthy").Common())...)
	errs = append(errs, apivalidation.ValidateNonnegativeField(int64(s.DesiredHealthy), status.Child("desiredHealthy").Common())...)
	return append(errs, apivalidation.ValidateNonnegativeField(int64(s.ExpectedPods), status.Child("expectedPods").Common())...)
}
