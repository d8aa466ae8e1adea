// Package aggregate computes the rules of roles that gather them from others. It stands alone because the
// server needs it for the roles that it begins with and a control loop for all later ones.
package aggregate

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Roles computes the rules of roles with an aggregationRule: those of all other roles that its
// selectors find, in the order of selectors and names, each rule once. It returns a copy of each role
// whose rules are not that already. Roles may gather from roles that gather: it goes on until nothing
// changes, so one call is enough.
func Roles(roles []*rbacv1.ClusterRole) []*rbacv1.ClusterRole {
	now := slices.Clone(roles)
	slices.SortFunc(now, func(a, b *rbacv1.ClusterRole) int { return strings.Compare(a.Name, b.Name) })
	changed := map[string]*rbacv1.ClusterRole{}
	// A chain has at most as many links as there are roles; only a cycle needs the bound.
	for range len(now) {
		again := false
		for i, r := range now {
			rules := gather(r, now)
			if r.AggregationRule == nil || equality.Semantic.DeepEqual(rules, r.Rules) {
				continue
			}
			r = r.DeepCopy()
			r.Rules = rules
			now[i], changed[r.Name], again = r, r, true
		}
		if !again {
			break
		}
	}
	var result []*rbacv1.ClusterRole
	for _, r := range now {
		if changed[r.Name] != nil {
			result = append(result, r)
		}
	}
	return result
}

func gather(r *rbacv1.ClusterRole, roles []*rbacv1.ClusterRole) []rbacv1.PolicyRule {
	if r.AggregationRule == nil {
		return nil
	}
	var rules []rbacv1.PolicyRule
	for i := range r.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&r.AggregationRule.ClusterRoleSelectors[i])
		if err != nil {
			// Validation keeps such selectors out; one that is stored nevertheless finds nothing.
			continue
		}
		for _, from := range roles {
			if from.Name != r.Name && selector.Matches(labels.Set(from.Labels)) {
				rules = addNew(rules, from.Rules)
			}
		}
	}
	return rules
}

func addNew(rules, more []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	for _, r := range more {
		if !slices.ContainsFunc(rules, func(o rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(o, r) }) {
			rules = append(rules, r)
		}
	}
	return rules
}
