// Package authz decides whether a user may do what a request asks. Authorizers stand in one list: the first
// that allows or denies has decided, and what nobody allows is denied.
package authz

import (
	"context"
	"slices"
	"strings"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/proa-dev/proa/internal/access"
)

// Union asks authorizers in order.
type Union []access.Authorizer

var (
	_ access.Authorizer = Union{}
	_ access.RuleLister = Union{}
)

// Authorize returns the first decision. Reasons and errors of those without an opinion are passed on if
// nobody decides.
func (u Union) Authorize(ctx context.Context, a *access.Attributes) (access.Decision, string, error) {
	var reasons []string
	var errs []error
	for _, z := range u {
		decision, reason, err := z.Authorize(ctx, a)
		if decision != access.NoOpinion {
			return decision, reason, err
		}
		if err != nil {
			errs = append(errs, err)
		}
		if reason != "" {
			reasons = append(reasons, reason)
		}
	}
	return access.NoOpinion, strings.Join(reasons, "\n"), utilerrors.NewAggregate(errs)
}

// Rules lists what the authorizers that can list allow.
func (u Union) Rules(ctx context.Context, user *access.User, namespace string) ([]access.Rule, string) {
	var rules []access.Rule
	var incomplete []string
	for _, z := range u {
		l, ok := z.(access.RuleLister)
		if !ok {
			continue
		}
		more, text := l.Rules(ctx, user, namespace)
		rules = append(rules, more...)
		if text != "" {
			incomplete = append(incomplete, text)
		}
	}
	return rules, strings.Join(incomplete, "; ")
}

// Masters allows members of system:masters everything, whatever else is stored: it is how administrators
// get back in.
type Masters struct{}

var _ access.Authorizer = Masters{}

// Authorize implements access.Authorizer.
func (Masters) Authorize(_ context.Context, a *access.Attributes) (access.Decision, string, error) {
	if slices.Contains(a.User.Groups, access.MastersGroup) {
		return access.Allow, "", nil
	}
	return access.NoOpinion, "", nil
}

// AlwaysAllow allows everything to everyone.
type AlwaysAllow struct{}

var (
	_ access.Authorizer = AlwaysAllow{}
	_ access.RuleLister = AlwaysAllow{}
)

// Authorize implements access.Authorizer.
func (AlwaysAllow) Authorize(context.Context, *access.Attributes) (access.Decision, string, error) {
	return access.Allow, "", nil
}

// Rules implements access.RuleLister.
func (AlwaysAllow) Rules(context.Context, *access.User, string) ([]access.Rule, string) {
	all := []string{"*"}
	return []access.Rule{{Verbs: all, Groups: all, Resources: all}, {Verbs: all, Paths: all}}, ""
}

// AlwaysDeny denies everything to everyone but system:masters.
type AlwaysDeny struct{}

var _ access.Authorizer = AlwaysDeny{}

// Authorize implements access.Authorizer.
func (AlwaysDeny) Authorize(context.Context, *access.Attributes) (access.Decision, string, error) {
	return access.NoOpinion, "Everything is forbidden.", nil
}
