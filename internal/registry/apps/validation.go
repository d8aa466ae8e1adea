package apps

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry/core"
	"github.com/proa-dev/proa/internal/registry/field"
)

// count is a number of a status, by its field's name.
type count struct {
	name  string
	value int64
}

// nonNegative checks the counts below path.
func nonNegative(path *field.Path, counts ...count) field.ErrorList {
	var errs field.ErrorList
	for _, c := range counts {
		errs = append(errs, apivalidation.ValidateNonnegativeField(c.value, path.Child(c.name).Common())...)
	}
	return errs
}

// optional is the count of a field that may be absent.
func optional[N int32 | int64](name string, value *N) count {
	if value == nil {
		return count{name, 0}
	}
	return count{name, int64(*value)}
}

// notMore checks that no count is above the limit, which message names.
func notMore(limit int32, message string, path *field.Path, counts ...count) field.ErrorList {
	var errs field.ErrorList
	for _, c := range counts {
		if c.value > int64(limit) {
			errs = append(errs, field.Invalid(path.Child(c.name), int32(c.value), message))
		}
	}
	return errs
}

// notDecremented checks a collision count, which only ever grows: controllers hash it into names.
func notDecremented(new, old *int32, path *field.Path) field.ErrorList {
	if old == nil || new != nil && *new >= *old {
		return nil
	}
	var value int32
	if new != nil {
		value = *new
	}
	return field.ErrorList{field.Invalid(path, value, "cannot be decremented")}
}

// validateSelector checks a selector by itself; kind is for the message.
func validateSelector(s *metav1.LabelSelector, kind string, path *field.Path) field.ErrorList {
	if s == nil {
		return field.ErrorList{field.Required(path, "")}
	}
	errs := metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, path.Common())
	if len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
		errs = append(errs, field.Invalid(path, s, "empty selector is invalid for "+kind))
	}
	return errs
}

// validateReplicas checks the selector and the template of kinds whose pods are alike: ReplicaSets and
// Deployments. The messages name the kinds as kube-apiserver does, which says "deployment" and
// "ReplicaSet" for both.
func validateReplicas(s *metav1.LabelSelector, t *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	errs := validateSelector(s, "deployment", path.Child("selector"))
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return append(errs, field.Invalid(path.Child("selector"), s, "invalid label selector"))
	}
	return append(errs, core.ValidatePodTemplateForController(t, selector, path.Child("template"), "ReplicaSet", true)...)
}

// ValidateIntOrPercent checks that a value is a number of things or a share of them, not negative.
func ValidateIntOrPercent(v intstr.IntOrString, path *field.Path) field.ErrorList {
	if v.Type == intstr.Int {
		return apivalidation.ValidateNonnegativeField(int64(v.IntVal), path.Common())
	}
	var errs field.ErrorList
	for _, msg := range validation.IsValidPercent(v.StrVal) {
		errs = append(errs, field.Invalid(path, v, msg))
	}
	return errs
}

// ValidateAtMost100Percent checks that a share is not more than all.
func ValidateAtMost100Percent(v intstr.IntOrString, path *field.Path) field.ErrorList {
	if v.Type == intstr.String && len(validation.IsValidPercent(v.StrVal)) == 0 && amount(v) > 100 {
		return field.ErrorList{field.Invalid(path, v, "must not be greater than 100%")}
	}
	return nil
}

// amount is the number before the percent sign, or the plain number; 0 if it is neither.
func amount(v intstr.IntOrString) int {
	if percent, ok := strings.CutSuffix(v.StrVal, "%"); ok && len(validation.IsValidPercent(v.StrVal)) == 0 {
		v = intstr.FromString(percent)
	}
	return v.IntValue()
}

// setDefault sets *p to a pointer to v where it is nil.
func setDefault[V any](p **V, v V) {
	if *p == nil {
		*p = &v
	}
}

// selectorText is the text form of a selector in Scale objects.
func selectorText(s *metav1.LabelSelector) string {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return ""
	}
	return selector.String()
}
