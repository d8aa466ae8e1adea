package authz

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/proa-dev/proa/internal/access"
)

// compiled are a role's rules, found by resource.
type compiled struct {
	rules []rbacv1.PolicyRule
	// resources has the rules that name a resource ("pods/log"), a subresource of all ("*/scale") or
	// all ("*").
	resources map[string][]*rbacv1.PolicyRule
	paths     []*rbacv1.PolicyRule
	// subresources tells whether any key of resources begins with "*/".
	subresources bool
}

func compile(rules []rbacv1.PolicyRule) *compiled {
	c := &compiled{rules: rules, resources: map[string][]*rbacv1.PolicyRule{}}
	for i := range rules {
		rule := &rules[i]
		for _, name := range rule.Resources {
			c.resources[name] = append(c.resources[name], rule)
			c.subresources = c.subresources || strings.HasPrefix(name, "*/")
		}
		if len(rule.NonResourceURLs) > 0 {
			c.paths = append(c.paths, rule)
		}
	}
	return c
}

func (c *compiled) allows(a *access.Attributes) bool {
	if !a.IsResource {
		return slices.ContainsFunc(c.paths, func(r *rbacv1.PolicyRule) bool {
			return hasOrAll(r.Verbs, a.Verb) && matchesPath(r, a.Path)
		})
	}
	name := a.Resource
	if a.Subresource != "" {
		name += "/" + a.Subresource
	}
	return anyMatches(c.resources[name], a) || anyMatches(c.resources["*"], a) ||
		c.subresources && a.Subresource != "" && anyMatches(c.resources["*/"+a.Subresource], a)
}

func anyMatches(rules []*rbacv1.PolicyRule, a *access.Attributes) bool {
	for _, r := range rules {
		if hasOrAll(r.Verbs, a.Verb) && hasOrAll(r.APIGroups, a.Group) &&
			(len(r.ResourceNames) == 0 || slices.Contains(r.ResourceNames, a.Name)) {
			return true
		}
	}
	return false
}

func hasOrAll(list []string, word string) bool {
	for _, w := range list {
		if w == word || w == "*" {
			return true
		}
	}
	return false
}

// matchesPath tells whether the rule names the path, in full or by a beginning with a star after it.
func matchesPath(r *rbacv1.PolicyRule, path string) bool {
	for _, p := range r.NonResourceURLs {
		if p == "*" || p == path {
			return true
		}
		if strings.HasSuffix(p, "*") && strings.HasPrefix(path, strings.TrimRight(p, "*")) {
			return true
		}
	}
	return false
}
