package authorization

import (
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/registry"
)

func TestReviews(t *testing.T) {
	resource := &authorizationv1.ResourceAttributes{Namespace: "n"}
	path := &authorizationv1.NonResourceAttributes{Path: "/x"}
	selectors := &authorizationv1.ResourceAttributes{
		FieldSelector: &authorizationv1.FieldSelectorAttributes{},
		LabelSelector: &authorizationv1.LabelSelectorAttributes{RawSelector: "a", Requirements: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "New"}}},
	}
	for _, tt := range []struct {
		name   string
		r      *registry.Type
		review registry.Object
		want   []string
	}{
		{"valid", SubjectAccessReviews.Erase(), &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: "u", NonResourceAttributes: path}}, nil},
		{"empty", SubjectAccessReviews.Erase(), &authorizationv1.SubjectAccessReview{}, []string{
			"spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
			`spec.user: Invalid value: "": at least one of user or group must be specified`,
		}},
		{"both", SelfSubjectAccessReviews.Erase(), &authorizationv1.SelfSubjectAccessReview{
			ObjectMeta: metav1.ObjectMeta{Name: "a"},
			Spec:       authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: resource, NonResourceAttributes: path},
		}, []string{
			`spec.nonResourceAttributes: Invalid value: {"path":"/x"}: cannot be specified in combination with resourceAttributes`,
			`metadata: Invalid value: {"name":"a"}: must be empty`,
		}},
		{"selectors", SelfSubjectAccessReviews.Erase(), &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: selectors}}, []string{
			"spec.resourceAttributes.fieldSelector.requirements: Required value: when spec.resourceAttributes.fieldSelector is specified, requirements or rawSelector is required",
			`spec.resourceAttributes.labelSelector.rawSelector: Invalid value: "a": may not specified at the same time as requirements`,
		}},
		{"local", LocalSubjectAccessReviews.Erase(), &authorizationv1.LocalSubjectAccessReview{
			ObjectMeta: metav1.ObjectMeta{Namespace: "n"}, Spec: authorizationv1.SubjectAccessReviewSpec{User: "u", ResourceAttributes: resource},
		}, nil},
		{"local of another", LocalSubjectAccessReviews.Erase(), &authorizationv1.LocalSubjectAccessReview{
			ObjectMeta: metav1.ObjectMeta{Namespace: "m", Name: "a"}, Spec: authorizationv1.SubjectAccessReviewSpec{User: "u", ResourceAttributes: resource},
		}, []string{
			`metadata: Invalid value: {"name":"a","namespace":"m"}: must be empty except for namespace`,
			`spec.resourceAttributes.namespace: Invalid value: "n": must match metadata.namespace`,
		}},
		{"local path", LocalSubjectAccessReviews.Erase(), &authorizationv1.LocalSubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: "u", NonResourceAttributes: path}},
			[]string{`spec.nonResourceAttributes: Invalid value: {"path":"/x"}: disallowed on this kind of request`}},
	} {
		var got []string
		for _, err := range tt.r.Validate(tt.review) {
			got = append(got, err.Error())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, strings.Join(got, "\n     "), strings.Join(tt.want, "\n     "))
		}
		if !slices.Equal(tt.r.Verbs, []string{"create"}) {
			t.Errorf("%s: verbs %q", tt.r.Name, tt.r.Verbs)
		}
	}
}
