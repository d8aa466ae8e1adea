package review

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/access/authn"
)

// echo allows bob, denies eve, and says what it was asked.
type echo struct{}

func (echo) Authorize(_ context.Context, a *access.Attributes) (access.Decision, string, error) {
	reason := fmt.Sprintf("%s %v %s %s/%s/%s/%s %s:%s path=%s fields=%v labels=%v",
		a.User.Name, a.User.Groups, a.Verb, a.Group, a.Version, a.Resource, a.Subresource, a.Namespace, a.Name, a.Path, a.Fields, a.Labels)
	switch a.User.Name {
	case "bob":
		return access.Allow, reason, nil
	case "eve":
		return access.Deny, reason, nil
	}
	return access.NoOpinion, reason, errors.New("broken")
}

func (echo) Rules(_ context.Context, u *access.User, namespace string) ([]access.Rule, string) {
	return []access.Rule{{Verbs: []string{"get"}, Groups: []string{""}, Resources: []string{"pods"}, Names: []string{u.Name}},
		{Verbs: []string{"get"}, Paths: []string{"/" + namespace}}}, "some are missing"
}

func spec(user string, edit func(*authorizationv1.SubjectAccessReviewSpec)) authorizationv1.SubjectAccessReviewSpec {
	s := authorizationv1.SubjectAccessReviewSpec{User: user, Groups: []string{"g"}, ResourceAttributes: &authorizationv1.ResourceAttributes{
		Verb: "get", Group: "apps", Version: "v1", Resource: "deployments", Subresource: "scale", Namespace: "ns", Name: "d",
	}}
	if edit != nil {
		edit(&s)
	}
	return s
}

func TestSubject(t *testing.T) {
	type status = authorizationv1.SubjectAccessReviewStatus
	const asked = " [g] get apps/v1/deployments/scale ns:d path= fields="
	selectors := func(f *authorizationv1.FieldSelectorAttributes, l *authorizationv1.LabelSelectorAttributes) func(*authorizationv1.SubjectAccessReviewSpec) {
		return func(s *authorizationv1.SubjectAccessReviewSpec) {
			s.ResourceAttributes.FieldSelector, s.ResourceAttributes.LabelSelector = f, l
		}
	}
	for _, c := range []struct {
		name string
		spec authorizationv1.SubjectAccessReviewSpec
		want status
		err  string
	}{
		{"allowed", spec("bob", nil), status{Allowed: true, Reason: "bob" + asked + "[] labels="}, ""},
		{"denied", spec("eve", nil), status{Denied: true, Reason: "eve" + asked + "[] labels="}, ""},
		{"broken", spec("x", nil), status{Reason: "x" + asked + "[] labels=", EvaluationError: "broken"}, ""},
		{"path", authorizationv1.SubjectAccessReviewSpec{User: "bob", NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/x", Verb: "get"}},
			status{Allowed: true, Reason: "bob [] get /// : path=/x fields=[] labels="}, ""},
		{"raw selectors", spec("bob", selectors(&authorizationv1.FieldSelectorAttributes{RawSelector: "a=b"}, &authorizationv1.LabelSelectorAttributes{RawSelector: "c in (d)"})),
			status{Allowed: true, Reason: "bob" + asked + "[{= a b}] labels=c in (d)"}, ""},
		{"requirements", spec("bob", selectors(
			&authorizationv1.FieldSelectorAttributes{Requirements: []metav1.FieldSelectorRequirement{{Key: "a", Operator: "NotIn", Values: []string{"b"}}, {Key: "z", Operator: "Exists"}}},
			&authorizationv1.LabelSelectorAttributes{Requirements: []metav1.LabelSelectorRequirement{{Key: "c", Operator: "Exists"}}})),
			status{Allowed: true, Reason: "bob" + asked + "[{!= a b}] labels=c",
				EvaluationError: "spec.resourceAttributes.fieldSelector partially ignored due to parse error"}, ""},
		{"nothing asked", authorizationv1.SubjectAccessReviewSpec{User: "bob"}, status{},
			`SubjectAccessReview.authorization.k8s.io "" is invalid: spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified`},
		{"nobody", spec("", func(s *authorizationv1.SubjectAccessReviewSpec) { s.Groups = nil }), status{},
			`SubjectAccessReview.authorization.k8s.io "" is invalid: spec.user: Invalid value: "": at least one of user or group must be specified`},
		{"empty selector", spec("bob", selectors(&authorizationv1.FieldSelectorAttributes{}, nil)), status{},
			`SubjectAccessReview.authorization.k8s.io "" is invalid: spec.resourceAttributes.fieldSelector.requirements: Required value: when spec.resourceAttributes.fieldSelector is specified, requirements or rawSelector is required`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &authorizationv1.SubjectAccessReview{Spec: c.spec}
			err := Subject(t.Context(), r, echo{})
			if (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
				t.Errorf("got  %v\nwant %s", err, c.err)
			}
			if r.Status != c.want {
				t.Errorf("got  %+v\nwant %+v", r.Status, c.want)
			}
		})
	}
	named := &authorizationv1.SubjectAccessReview{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Spec: spec("bob", nil)}
	if err := Subject(t.Context(), named, echo{}); err == nil || !strings.Contains(err.Error(), "must be empty") {
		t.Error(err)
	}
}

func TestLocal(t *testing.T) {
	review := func(in, of string) *authorizationv1.LocalSubjectAccessReview {
		return &authorizationv1.LocalSubjectAccessReview{ObjectMeta: metav1.ObjectMeta{Namespace: in},
			Spec: spec("bob", func(s *authorizationv1.SubjectAccessReviewSpec) { s.ResourceAttributes.Namespace = of })}
	}
	good := review("ns", "ns")
	if err := Local(t.Context(), good, "ns", echo{}); err != nil || !good.Status.Allowed {
		t.Error(err, good.Status)
	}
	for _, c := range []struct{ in, of, request, want string }{
		{"ns", "other", "ns", `LocalSubjectAccessReview.authorization.k8s.io "" is invalid: spec.resourceAttributes.namespace: Invalid value: "other": must match metadata.namespace`},
		{"ns", "ns", "other", "spec.resourceAttributes.namespace must match namespace: other"},
	} {
		if err := Local(t.Context(), review(c.in, c.of), c.request, echo{}); err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

func TestSelf(t *testing.T) {
	u := &access.User{Name: "bob", UID: "u", Groups: []string{"g"}, Extra: map[string][]string{"k": {"v"}}}
	r := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: spec("", nil).ResourceAttributes}}
	if err := Self(t.Context(), r, u, echo{}); err != nil || !r.Status.Allowed {
		t.Error(err, r.Status)
	}
	rules := &authorizationv1.SelfSubjectRulesReview{}
	if err := Rules(t.Context(), rules, u, echo{}); err == nil || err.Error() != "no namespace on request" {
		t.Error(err)
	}
	rules.Spec.Namespace = "ns"
	if err := Rules(t.Context(), rules, u, echo{}); err != nil {
		t.Fatal(err)
	}
	want := authorizationv1.SubjectRulesReviewStatus{
		ResourceRules:    []authorizationv1.ResourceRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}, ResourceNames: []string{"bob"}}},
		NonResourceRules: []authorizationv1.NonResourceRule{{Verbs: []string{"get"}, NonResourceURLs: []string{"/ns"}}},
		Incomplete:       true, EvaluationError: "some are missing",
	}
	if !reflect.DeepEqual(rules.Status, want) {
		t.Errorf("%+v", rules.Status)
	}
	who := &authenticationv1.SelfSubjectReview{}
	Who(who, u)
	if i := who.Status.UserInfo; i.Username != "bob" || i.UID != "u" || i.Groups[0] != "g" || i.Extra["k"][0] != "v" {
		t.Errorf("%+v", i)
	}
}

func TestToken(t *testing.T) {
	file, err := authn.ReadTokenFile(strings.NewReader("good,ann,u1,dev\n"))
	if err != nil {
		t.Fatal(err)
	}
	review := func(token string) (*authenticationv1.TokenReview, error) {
		r := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
		return r, Token(t.Context(), r, file, []string{"api"})
	}
	if _, err := review(""); err == nil || err.Error() != "token is required for TokenReview in authentication" {
		t.Error(err)
	}
	r, _ := review("good")
	want := authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{"api"},
		User: authenticationv1.UserInfo{Username: "ann", UID: "u1", Groups: []string{"dev", "system:authenticated"}}}
	if !reflect.DeepEqual(r.Status, want) {
		t.Errorf("%+v", r.Status)
	}
	if r, _ := review("bad"); r.Status.Authenticated || r.Status.Error != "invalid bearer token" {
		t.Errorf("%+v", r.Status)
	}
}
