// Package review answers the reviews: questions about who somebody is and what they may do, which are
// posted as objects and come back with their status filled in.
package review

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/proa-dev/proa/internal/access"
)

// Subject answers a SubjectAccessReview: may that user do this?
func Subject(ctx context.Context, r *authorizationv1.SubjectAccessReview, z access.Authorizer) error {
	errs := validate(r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes)
	errs = append(errs, validateSubject(&r.Spec)...)
	errs = append(errs, validateMeta(&r.ObjectMeta, false)...)
	if len(errs) > 0 {
		return invalid("SubjectAccessReview", errs)
	}
	r.Status = answer(ctx, z, subject(&r.Spec), r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes)
	return nil
}

// Local answers a LocalSubjectAccessReview, a SubjectAccessReview on a resource of its own namespace, the
// one of the request.
func Local(ctx context.Context, r *authorizationv1.LocalSubjectAccessReview, namespace string, z access.Authorizer) error {
	spec := field.NewPath("spec")
	errs := validate(r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes)
	errs = append(errs, validateSubject(&r.Spec)...)
	errs = append(errs, validateMeta(&r.ObjectMeta, true)...)
	if a := r.Spec.ResourceAttributes; a != nil && a.Namespace != r.Namespace {
		errs = append(errs, field.Invalid(spec.Child("resourceAttributes", "namespace"), a.Namespace, "must match metadata.namespace"))
	}
	if a := r.Spec.NonResourceAttributes; a != nil {
		errs = append(errs, field.Invalid(spec.Child("nonResourceAttributes"), *a, "disallowed on this kind of request"))
	}
	if len(errs) > 0 {
		return invalid("LocalSubjectAccessReview", errs)
	}
	if namespace != r.Namespace {
		return apierrors.NewBadRequest(fmt.Sprintf("spec.resourceAttributes.namespace must match namespace: %v", namespace))
	}
	r.Status = answer(ctx, z, subject(&r.Spec), r.Spec.ResourceAttributes, nil)
	return nil
}

// Self answers a SelfSubjectAccessReview: may I do this?
func Self(ctx context.Context, r *authorizationv1.SelfSubjectAccessReview, u *access.User, z access.Authorizer) error {
	errs := validate(r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes)
	errs = append(errs, validateMeta(&r.ObjectMeta, false)...)
	if len(errs) > 0 {
		return invalid("SelfSubjectAccessReview", errs)
	}
	r.Status = answer(ctx, z, u, r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes)
	return nil
}

// Rules answers a SelfSubjectRulesReview: what may I do in that namespace?
func Rules(ctx context.Context, r *authorizationv1.SelfSubjectRulesReview, u *access.User, z access.RuleLister) error {
	if r.Spec.Namespace == "" {
		return apierrors.NewBadRequest("no namespace on request")
	}
	rules, incomplete := z.Rules(ctx, u, r.Spec.Namespace)
	r.Status = authorizationv1.SubjectRulesReviewStatus{
		ResourceRules:    []authorizationv1.ResourceRule{},
		NonResourceRules: []authorizationv1.NonResourceRule{},
		Incomplete:       incomplete != "", EvaluationError: incomplete,
	}
	for _, x := range rules {
		if len(x.Paths) > 0 {
			r.Status.NonResourceRules = append(r.Status.NonResourceRules, authorizationv1.NonResourceRule{Verbs: x.Verbs, NonResourceURLs: x.Paths})
			continue
		}
		r.Status.ResourceRules = append(r.Status.ResourceRules, authorizationv1.ResourceRule{
			Verbs: x.Verbs, APIGroups: x.Groups, Resources: x.Resources, ResourceNames: x.Names,
		})
	}
	return nil
}

func answer(ctx context.Context, z access.Authorizer, u *access.User, r *authorizationv1.ResourceAttributes, path *authorizationv1.NonResourceAttributes) authorizationv1.SubjectAccessReviewStatus {
	a := &access.Attributes{User: u}
	var problems []string
	if r != nil {
		a.IsResource, a.Verb = true, r.Verb
		a.Group, a.Version, a.Resource, a.Subresource = r.Group, r.Version, r.Resource, r.Subresource
		a.Namespace, a.Name = r.Namespace, r.Name
		problems = readSelectors(a, r)
	} else {
		a.Verb, a.Path = path.Verb, path.Path
	}
	decision, reason, err := z.Authorize(ctx, a)
	status := authorizationv1.SubjectAccessReviewStatus{
		Allowed: decision == access.Allow, Denied: decision == access.Deny, Reason: reason,
	}
	if err != nil {
		problems = slices.Insert(problems, 0, err.Error())
	}
	status.EvaluationError = strings.Join(problems, "; ")
	return status
}

func subject(s *authorizationv1.SubjectAccessReviewSpec) *access.User {
	u := &access.User{Name: s.User, UID: s.UID, Groups: s.Groups}
	for k, v := range s.Extra {
		if u.Extra == nil {
			u.Extra = map[string][]string{}
		}
		u.Extra[k] = v
	}
	return u
}

func invalid(kind string, errs field.ErrorList) error {
	return apierrors.NewInvalid(schema.GroupKind{Group: authorizationv1.GroupName, Kind: kind}, "", errs)
}

func validate(r *authorizationv1.ResourceAttributes, path *authorizationv1.NonResourceAttributes) (errs field.ErrorList) {
	spec := field.NewPath("spec")
	switch {
	case r != nil && path != nil:
		errs = append(errs, field.Invalid(spec.Child("nonResourceAttributes"), *path, "cannot be specified in combination with resourceAttributes"))
	case r == nil && path == nil:
		errs = append(errs, field.Invalid(spec.Child("resourceAttributes"), nil, "exactly one of nonResourceAttributes or resourceAttributes must be specified"))
	}
	if r == nil {
		return errs
	}
	at := spec.Child("resourceAttributes")
	if s := r.FieldSelector; s != nil {
		at := at.Child("fieldSelector")
		errs = append(errs, validateSelector(at, s.RawSelector, len(s.Requirements))...)
		for i, q := range s.Requirements {
			options := metav1validation.FieldSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}
			errs = append(errs, metav1validation.ValidateFieldSelectorRequirement(q, options, at.Child("requirements").Index(i))...)
		}
	}
	if s := r.LabelSelector; s != nil {
		at := at.Child("labelSelector")
		errs = append(errs, validateSelector(at, s.RawSelector, len(s.Requirements))...)
		for i, q := range s.Requirements {
			options := metav1validation.LabelSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}
			errs = append(errs, metav1validation.ValidateLabelSelectorRequirement(q, options, at.Child("requirements").Index(i))...)
		}
	}
	return errs
}

func validateSelector(at *field.Path, raw string, requirements int) (errs field.ErrorList) {
	if raw != "" && requirements > 0 {
		errs = append(errs, field.Invalid(at.Child("rawSelector"), raw, "may not specified at the same time as requirements"))
	}
	if raw == "" && requirements == 0 {
		errs = append(errs, field.Required(at.Child("requirements"), fmt.Sprintf("when %s is specified, requirements or rawSelector is required", at)))
	}
	return errs
}

func validateSubject(s *authorizationv1.SubjectAccessReviewSpec) field.ErrorList {
	if s.User == "" && len(s.Groups) == 0 {
		return field.ErrorList{field.Invalid(field.NewPath("spec", "user"), s.User, "at least one of user or group must be specified")}
	}
	return nil
}

func validateMeta(m *metav1.ObjectMeta, namespaced bool) field.ErrorList {
	rest, text := *m, "must be empty"
	rest.ManagedFields = nil
	if namespaced {
		rest.Namespace, text = "", "must be empty except for namespace"
	}
	if equality.Semantic.DeepEqual(rest, metav1.ObjectMeta{}) {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata"), *m, text)}
}
