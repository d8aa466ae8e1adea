package authorization

import (
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"

	"github.com/proa-dev/proa/internal/registry/field"
)

func validateSubjectAccessReview(r *authorizationv1.SubjectAccessReview) field.ErrorList {
	return append(validateSubject(&r.Spec), validateNoMetadata(r.ObjectMeta, "must be empty")...)
}

func validateSelfSubjectAccessReview(r *authorizationv1.SelfSubjectAccessReview) field.ErrorList {
	errs := validateOneQuestion(r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes)
	errs = append(errs, validateSelectors(r.Spec.ResourceAttributes)...)
	return append(errs, validateNoMetadata(r.ObjectMeta, "must be empty")...)
}

func validateLocalSubjectAccessReview(r *authorizationv1.LocalSubjectAccessReview) field.ErrorList {
	errs := validateSubject(&r.Spec)
	meta := r.ObjectMeta
	meta.Namespace = ""
	if bad := validateNoMetadata(meta, "must be empty except for namespace"); len(bad) > 0 {
		bad[0].BadValue = r.ObjectMeta
		errs = append(errs, bad...)
	}
	if a := r.Spec.ResourceAttributes; a != nil && a.Namespace != r.Namespace {
		errs = append(errs, field.Invalid(field.NewPath("spec.resourceAttributes.namespace"), a.Namespace, "must match metadata.namespace"))
	}
	if a := r.Spec.NonResourceAttributes; a != nil {
		errs = append(errs, field.Invalid(field.NewPath("spec.nonResourceAttributes"), a, "disallowed on this kind of request"))
	}
	return errs
}

func validateSubject(s *authorizationv1.SubjectAccessReviewSpec) field.ErrorList {
	errs := validateOneQuestion(s.ResourceAttributes, s.NonResourceAttributes)
	if s.User == "" && len(s.Groups) == 0 {
		errs = append(errs, field.Invalid(field.NewPath("spec", "user"), s.User, "at least one of user or group must be specified"))
	}
	return append(errs, validateSelectors(s.ResourceAttributes)...)
}

func validateOneQuestion(resource *authorizationv1.ResourceAttributes, url *authorizationv1.NonResourceAttributes) field.ErrorList {
	spec := field.NewPath("spec")
	switch {
	case resource != nil && url != nil:
		return field.ErrorList{field.Invalid(spec.Child("nonResourceAttributes"), url, "cannot be specified in combination with resourceAttributes")}
	case resource == nil && url == nil:
		return field.ErrorList{field.Invalid(spec.Child("resourceAttributes"), url, "exactly one of nonResourceAttributes or resourceAttributes must be specified")}
	}
	return nil
}

func validateNoMetadata(m metav1.ObjectMeta, why string) field.ErrorList {
	bare := m
	bare.ManagedFields = nil
	if equality.Semantic.DeepEqual(metav1.ObjectMeta{}, bare) {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata"), m, why)}
}

// validateSelectors checks selectors. An operator that is not known is let pass: an authorizer of a newer
// version may know it.
func validateSelectors(a *authorizationv1.ResourceAttributes) field.ErrorList {
	if a == nil {
		return nil
	}
	var errs field.ErrorList
	if s := a.FieldSelector; s != nil {
		path := field.NewPath("spec.resourceAttributes", "fieldSelector")
		errs = append(errs, validateOneForm(s.RawSelector, len(s.Requirements), path)...)
		options := metavalidation.FieldSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}
		for i, r := range s.Requirements {
			errs = append(errs, metavalidation.ValidateFieldSelectorRequirement(r, options, path.Child("requirements").Index(i).Common())...)
		}
	}
	if s := a.LabelSelector; s != nil {
		path := field.NewPath("spec.resourceAttributes", "labelSelector")
		errs = append(errs, validateOneForm(s.RawSelector, len(s.Requirements), path)...)
		options := metavalidation.LabelSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}
		for i, r := range s.Requirements {
			errs = append(errs, metavalidation.ValidateLabelSelectorRequirement(r, options, path.Child("requirements").Index(i).Common())...)
		}
	}
	return errs
}

func validateOneForm(raw string, requirements int, path *field.Path) field.ErrorList {
	switch {
	case raw != "" && requirements > 0:
		return field.ErrorList{field.Invalid(path.Child("rawSelector"), raw, "may not specified at the same time as requirements")}
	case raw == "" && requirements == 0:
		return field.ErrorList{field.Required(path.Child("requirements"), fmt.Sprintf("when %s is specified, requirements or rawSelector is required", path))}
	}
	return nil
}
