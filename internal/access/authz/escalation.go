package authz

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/component-helpers/auth/rbac/validation"

	"github.com/proa-dev/proa/internal/access"
)

// Escalation keeps users from granting what they do not have: who writes a role must hold its rules or the
// verb escalate, who binds a role must hold its rules or the verb bind.
type Escalation struct {
	RBAC *RBAC
	// Authorizer answers for escalate and bind.
	Authorizer access.Authorizer
}

// CheckRole returns Forbidden if the user may not write the role. role is a *ClusterRole or a *Role, and
// old the stored one or nil.
func (e Escalation) CheckRole(ctx context.Context, u *access.User, role, old any) error {
	switch r := role.(type) {
	case *rbacv1.ClusterRole:
		if e.may(ctx, u, "escalate", "clusterroles", "", r.Name) {
			return nil
		}
		if err := e.covers(u, "", r.Rules); err != nil {
			return apierrors.NewForbidden(rbacv1.Resource("clusterroles"), r.Name, err)
		}
		before, _ := old.(*rbacv1.ClusterRole)
		return e.checkAggregation(u, r, before)
	case *rbacv1.Role:
		if e.may(ctx, u, "escalate", "roles", r.Namespace, r.Name) {
			return nil
		}
		if err := e.covers(u, r.Namespace, r.Rules); err != nil {
			return apierrors.NewForbidden(rbacv1.Resource("roles"), r.Name, err)
		}
	}
	return nil
}

// checkAggregation demands all permissions of who touches a role that gathers rules: one cannot know what
// it will gather.
func (e Escalation) checkAggregation(u *access.User, r, old *rbacv1.ClusterRole) error {
	if !gathers(r) && (old == nil || !gathers(old)) {
		return nil
	}
	all := []string{"*"}
	everything := []rbacv1.PolicyRule{
		{Verbs: all, APIGroups: all, Resources: all},
		{Verbs: all, NonResourceURLs: all},
	}
	if e.covers(u, "", everything) != nil {
		return apierrors.NewForbidden(rbacv1.Resource("clusterroles"), r.Name,
			errors.New("must have cluster-admin privileges to use the aggregationRule"))
	}
	return nil
}

func gathers(r *rbacv1.ClusterRole) bool {
	return r.AggregationRule != nil && len(r.AggregationRule.ClusterRoleSelectors) > 0
}

// CheckBinding returns Forbidden if the user may not bind the role. The namespace is empty for a
// ClusterRoleBinding.
func (e Escalation) CheckBinding(ctx context.Context, u *access.User, namespace, name string, ref rbacv1.RoleRef) error {
	roles, bindings := "clusterroles", "clusterrolebindings"
	if ref.Kind == "Role" {
		roles = "roles"
	}
	if namespace != "" {
		bindings = "rolebindings"
	}
	if e.may(ctx, u, "bind", roles, namespace, ref.Name) {
		return nil
	}
	rules, err := e.RBAC.RoleRules(ref, namespace)
	if err != nil {
		return err
	}
	if err := e.covers(u, namespace, rules); err != nil {
		return apierrors.NewForbidden(rbacv1.Resource(bindings), name, err)
	}
	return nil
}

func (e Escalation) may(ctx context.Context, u *access.User, verb, resource, namespace, name string) bool {
	if slices.Contains(u.Groups, access.MastersGroup) {
		return true
	}
	// An error of an authorizer that had no opinion must not let the write pass, nor hide another's yes.
	decision, _, _ := e.Authorizer.Authorize(ctx, &access.Attributes{
		User: u, Verb: verb, IsResource: true,
		Group: rbacv1.GroupName, Version: "*", Resource: resource, Namespace: namespace, Name: name,
	})
	return decision == access.Allow
}

// covers returns an error that lists what the user lacks of the rules.
func (e Escalation) covers(u *access.User, namespace string, rules []rbacv1.PolicyRule) error {
	held, unresolved := e.RBAC.RulesFor(u, namespace)
	covered, missing := validation.Covers(held, rules)
	if covered {
		return nil
	}
	text := fmt.Sprintf("user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%s",
		u.Name, u.Groups, strings.Join(describe(missing), "\n"))
	if len(unresolved) > 0 {
		text += fmt.Sprintf("; resolution errors: %v", unresolved)
	}
	return errors.New(text)
}

// describe renders rules of one verb each, with the verbs of like rules put together, sorted.
func describe(rules []rbacv1.PolicyRule) []string {
	verbs := map[string][]string{}
	for _, r := range rules {
		var parts []string
		for _, p := range []struct {
			name   string
			values []string
		}{{"APIGroups", r.APIGroups}, {"Resources", r.Resources}, {"NonResourceURLs", r.NonResourceURLs}, {"ResourceNames", r.ResourceNames}} {
			if len(p.values) > 0 {
				parts = append(parts, fmt.Sprintf("%s:%q", p.name, p.values))
			}
		}
		key := strings.Join(parts, ", ")
		if len(r.NonResourceURLs) > 0 {
			// Paths are told verb by verb.
			verbs[key+fmt.Sprintf(", Verbs:%q", r.Verbs)] = nil
			continue
		}
		verbs[key] = append(verbs[key], r.Verbs...)
	}
	lines := slices.Sorted(maps.Keys(verbs))
	for i, key := range lines {
		if verbs[key] != nil {
			key += fmt.Sprintf(", Verbs:%q", verbs[key])
		}
		lines[i] = "{" + key + "}"
	}
	slices.Sort(lines)
	return lines
}
