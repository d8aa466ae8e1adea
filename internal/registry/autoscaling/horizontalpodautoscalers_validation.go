package autoscaling

import (
	"errors"
	"fmt"
	"slices"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry/field"
)

// Bounds of the behavior, in seconds.
const (
	maxPeriod        = 1800
	maxStabilization = 3600
)

func validateAutoscaler(a *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
	path, s := field.NewPath("spec"), &a.Spec
	var errs field.ErrorList
	switch {
	case s.MaxReplicas == 0:
		errs = append(errs, field.Required(path.Child("maxReplicas"), "must be set and greater than 0"))
	case s.MaxReplicas < 0:
		errs = append(errs, field.Invalid(path.Child("maxReplicas"), s.MaxReplicas, "must be greater than or equal to 1"))
	}
	if s.MaxReplicas < *s.MinReplicas {
		errs = append(errs, field.Invalid(path.Child("maxReplicas"), s.MaxReplicas, "must be greater than or equal to `minReplicas`"))
	}
	errs = append(errs, validateReference(&s.ScaleTargetRef, path.Child("scaleTargetRef"))...)
	scalesFromZero := false
	for i := range s.Metrics {
		t := s.Metrics[i].Type
		scalesFromZero = scalesFromZero || t == autoscalingv2.ObjectMetricSourceType || t == autoscalingv2.ExternalMetricSourceType
		errs = append(errs, validateMetric(&s.Metrics[i], path.Child("metrics").Index(i))...)
	}
	if *s.MinReplicas == 0 && !scalesFromZero {
		errs = append(errs, field.Forbidden(path.Child("metrics"), "must specify at least one Object or External metric to support scaling to zero replicas"))
	}
	if b := s.Behavior; b != nil {
		errs = append(errs, validateRules(b.ScaleUp, path.Child("behavior", "scaleUp"))...)
		errs = append(errs, validateRules(b.ScaleDown, path.Child("behavior", "scaleDown"))...)
	}
	return errs
}

func validateAutoscalerCreate(a *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
	errs := validateMinReplicas(a, 1)
	errs = append(errs, validateTargetVersion(a)...)
	return append(errs, validateObjectVersions(a)...)
}

// validateAutoscalerUpdate lets what an older autoscaler has wrong stay as it is: no replicas at least,
// which 1.36 does not enable by default, and references without a group.
func validateAutoscalerUpdate(new, old *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
	errs := validateMinReplicas(new, min(1, max(0, *old.Spec.MinReplicas)))
	ref, was := new.Spec.ScaleTargetRef, old.Spec.ScaleTargetRef
	if ref.APIVersion != was.APIVersion || ref.Kind != was.Kind {
		errs = append(errs, validateTargetVersion(new)...)
	}
	if len(validateObjectVersions(old)) == 0 {
		errs = append(errs, validateObjectVersions(new)...)
	}
	return errs
}

func validateMinReplicas(a *autoscalingv2.HorizontalPodAutoscaler, least int32) field.ErrorList {
	if *a.Spec.MinReplicas >= least {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("spec", "minReplicas"), *a.Spec.MinReplicas, fmt.Sprintf("must be greater than or equal to %d", least))}
}

// validateTargetVersion asks for a group: of what has none, only ReplicationControllers can be scaled.
func validateTargetVersion(a *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
	ref := a.Spec.ScaleTargetRef
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err == nil && gv.Group == "" && ref.Kind != "ReplicationController" {
		err = errors.New("apiVersion must specify API group")
	}
	if err == nil {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("spec", "scaleTargetRef", "apiVersion"), ref.APIVersion, err.Error())}
}

func validateObjectVersions(a *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
	var errs field.ErrorList
	for i, m := range a.Spec.Metrics {
		if m.Object == nil {
			continue
		}
		version := m.Object.DescribedObject.APIVersion
		if _, err := schema.ParseGroupVersion(version); err != nil {
			errs = append(errs, field.Invalid(field.NewPath("spec", "metrics").Index(i).Child("object", "describedObject", "apiVersion"), version, err.Error()))
		}
	}
	return errs
}

func validateReference(ref *autoscalingv2.CrossVersionObjectReference, path *field.Path) field.ErrorList {
	return append(validateSegment(ref.Kind, "", path.Child("kind")), validateSegment(ref.Name, "", path.Child("name"))...)
}

// validateSegment checks what becomes a part of a URL; missing is said where there is nothing.
func validateSegment(value, missing string, path *field.Path) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, missing)}
	}
	var errs field.ErrorList
	for _, msg := range content.IsPathSegmentName(value) {
		errs = append(errs, field.Invalid(path, value, msg))
	}
	return errs
}

func validateRules(r *autoscalingv2.HPAScalingRules, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	window := path.Child("stabilizationWindowSeconds")
	if seconds := ptr.Deref(r.StabilizationWindowSeconds, 0); seconds < 0 {
		errs = append(errs, field.Invalid(window, seconds, "must be greater than or equal to zero"))
	} else if seconds > maxStabilization {
		errs = append(errs, field.Invalid(window, seconds, fmt.Sprintf("must be less than or equal to %d", maxStabilization)))
	}
	selects := []autoscalingv2.ScalingPolicySelect{autoscalingv2.DisabledPolicySelect, autoscalingv2.MaxChangePolicySelect, autoscalingv2.MinChangePolicySelect}
	if !slices.Contains(selects, *r.SelectPolicy) {
		errs = append(errs, field.NotSupported(path.Child("selectPolicy"), *r.SelectPolicy, selects))
	}
	policies := path.Child("policies")
	if len(r.Policies) == 0 {
		errs = append(errs, field.Required(policies, "must specify at least one Policy"))
	}
	for i := range r.Policies {
		errs = append(errs, validatePolicy(&r.Policies[i], policies.Index(i))...)
	}
	if r.Tolerance != nil && r.Tolerance.Sign() < 0 {
		errs = append(errs, field.Invalid(path.Child("tolerance"), r.Tolerance.String(), apivalidation.IsNegativeErrorMsg))
	}
	return errs
}

func validatePolicy(p *autoscalingv2.HPAScalingPolicy, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	types := []autoscalingv2.HPAScalingPolicyType{autoscalingv2.PercentScalingPolicy, autoscalingv2.PodsScalingPolicy}
	if !slices.Contains(types, p.Type) {
		errs = append(errs, field.NotSupported(path.Child("type"), p.Type, types))
	}
	if p.Value <= 0 {
		errs = append(errs, field.Invalid(path.Child("value"), p.Value, "must be greater than zero"))
	}
	if p.PeriodSeconds <= 0 {
		errs = append(errs, field.Invalid(path.Child("periodSeconds"), p.PeriodSeconds, "must be greater than zero"))
	}
	if p.PeriodSeconds > maxPeriod {
		errs = append(errs, field.Invalid(path.Child("periodSeconds"), p.PeriodSeconds, fmt.Sprintf("must be less than or equal to %d", maxPeriod)))
	}
	return errs
}

func validateAutoscalerStatus(new, _ *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
	path := field.NewPath("status")
	errs := apivalidation.ValidateNonnegativeField(int64(new.Status.CurrentReplicas), path.Child("currentReplicas").Common())
	return append(errs, apivalidation.ValidateNonnegativeField(int64(new.Status.DesiredReplicas), path.Child("desiredReplicas").Common())...)
}
