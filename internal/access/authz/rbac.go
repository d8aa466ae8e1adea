package authz

import (
	"context"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/registry"
)

// RBAC authorizes by roles and bindings.
//
// What a request asks is "which grants does this user have here?", so that is how the index is kept: for
// the cluster and for each namespace, from a user's or group's name to its grants. A grant points to its
// role's slot, and the slot to the role's compiled rules. So a change of a role replaces one pointer and a
// change of a binding touches its subjects only; nothing is ever compiled anew as a whole, and a request
// costs a few look-ups for each group of its user, however many bindings there are.
//
// Invariant: every grant in the index belongs to exactly one binding in bindings, and each of a binding's
// subjects has one grant. Slots of roles that are gone stay while grants point to them.
type RBAC struct {
	mu         sync.RWMutex
	cluster    grants                 // of ClusterRoleBindings; guarded by mu
	namespaces map[string]*grants     // of RoleBindings, by namespace; guarded by mu
	bindings   map[objectKey][]placed // the grants of each binding; guarded by mu
	roles      map[roleKey]*slot      // guarded by mu
}

var (
	_ access.Authorizer = (*RBAC)(nil)
	_ access.RuleLister = (*RBAC)(nil)
)

// objectKey is a binding; the namespace of a ClusterRoleBinding is empty.
type objectKey struct{ namespace, name string }

// roleKey is a role; the namespace of a ClusterRole is empty.
type roleKey struct{ namespace, name string }

// slot is where a role is or may once be.
type slot struct {
	key   roleKey
	role  *compiled // nil if there is no such role
	count int       // grants that point here
}

// grant gives a role to a subject.
type grant struct {
	*slot
	reason string
}

// grants are those of the cluster or of one namespace, by subject.
type grants struct {
	users, groups map[string][]*grant
}

// placed says where in the index a grant is.
type placed struct {
	*grant
	subject string
	isGroup bool
}

// NewRBAC returns an authorizer that follows the stored roles and bindings.
func NewRBAC(objects access.Objects) *RBAC {
	r := &RBAC{
		cluster:    newGrants(),
		namespaces: map[string]*grants{},
		bindings:   map[objectKey][]placed{},
		roles:      map[roleKey]*slot{},
	}
	// Roles come first, that no grant needs to be without its role even for a moment.
	objects.Follow(rbacv1.Resource("clusterroles"), r.clusterRoleChanged)
	objects.Follow(rbacv1.Resource("roles"), r.roleChanged)
	objects.Follow(rbacv1.Resource("clusterrolebindings"), r.clusterBindingChanged)
	objects.Follow(rbacv1.Resource("rolebindings"), r.bindingChanged)
	return r
}

// Authorize allows what a rule of a role that is bound to the user, or to one of its groups, allows.
func (r *RBAC) Authorize(_ context.Context, a *access.Attributes) (access.Decision, string, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var missing []error
	var reason string
	r.visit(a.User, a.Namespace, func(g *grant) bool {
		if g.role == nil {
			missing = append(missing, g.key.notFound())
			return true
		}
		if g.role.allows(a) {
			reason = g.reason
			return false
		}
		return true
	})
	if reason != "" {
		return access.Allow, reason, nil
	}
	if len(missing) > 0 {
		reason = "RBAC: " + utilerrors.NewAggregate(missing).Error()
	}
	return access.NoOpinion, reason, nil
}

// RulesFor returns the rules of all roles that the user has in the namespace, and errors for the roles
// that are bound but do not exist.
func (r *RBAC) RulesFor(u *access.User, namespace string) (rules []rbacv1.PolicyRule, missing []error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	seen := map[*slot]bool{}
	r.visit(u, namespace, func(g *grant) bool {
		switch {
		case seen[g.slot]:
		case g.role == nil:
			missing = append(missing, g.key.notFound())
		default:
			rules = append(rules, g.role.rules...)
		}
		seen[g.slot] = true
		return true
	})
	return rules, missing
}

// RoleRules returns the rules of a role that a binding in the namespace refers to.
func (r *RBAC) RoleRules(ref rbacv1.RoleRef, namespace string) ([]rbacv1.PolicyRule, error) {
	key := refKey(ref, namespace)
	r.mu.RLock()
	defer r.mu.RUnlock()
	s := r.roles[key]
	if s == nil || s.role == nil {
		return nil, key.notFound()
	}
	return s.role.rules, nil
}

// Rules implements access.RuleLister.
func (r *RBAC) Rules(_ context.Context, u *access.User, namespace string) (list []access.Rule, incomplete string) {
	rules, missing := r.RulesFor(u, namespace)
	for _, p := range rules {
		if len(p.Resources) > 0 {
			list = append(list, access.Rule{Verbs: p.Verbs, Groups: p.APIGroups, Resources: p.Resources, Names: p.ResourceNames})
		}
		if len(p.NonResourceURLs) > 0 {
			list = append(list, access.Rule{Verbs: p.Verbs, Paths: p.NonResourceURLs})
		}
	}
	if len(missing) > 0 {
		incomplete = utilerrors.NewAggregate(missing).Error()
	}
	return list, incomplete
}

// visit calls f with the user's grants, those of the cluster first, until it returns false. The caller
// holds mu.
func (r *RBAC) visit(u *access.User, namespace string, f func(*grant) bool) {
	if !r.cluster.visit(u, f) || namespace == "" {
		return
	}
	if g := r.namespaces[namespace]; g != nil {
		g.visit(u, f)
	}
}

func (g *grants) visit(u *access.User, f func(*grant) bool) bool {
	for _, x := range g.users[u.Name] {
		if !f(x) {
			return false
		}
	}
	for _, name := range u.Groups {
		for _, x := range g.groups[name] {
			if !f(x) {
				return false
			}
		}
	}
	return true
}

func newGrants() grants {
	return grants{users: map[string][]*grant{}, groups: map[string][]*grant{}}
}

func (k roleKey) notFound() error {
	if k.namespace == "" {
		return apierrors.NewNotFound(rbacv1.Resource("clusterrole"), k.name)
	}
	return apierrors.NewNotFound(rbacv1.Resource("role"), k.name)
}

func refKey(ref rbacv1.RoleRef, namespace string) roleKey {
	if ref.Kind == "Role" {
		return roleKey{namespace, ref.Name}
	}
	return roleKey{"", ref.Name}
}

func (r *RBAC) clusterRoleChanged(_, name string, o registry.Object) {
	var c *compiled
	if o != nil {
		c = compile(o.(*rbacv1.ClusterRole).Rules)
	}
	r.setRole(roleKey{"", name}, c)
}

func (r *RBAC) roleChanged(namespace, name string, o registry.Object) {
	var c *compiled
	if o != nil {
		c = compile(o.(*rbacv1.Role).Rules)
	}
	r.setRole(roleKey{namespace, name}, c)
}

func (r *RBAC) setRole(key roleKey, c *compiled) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.slot(key)
	s.role = c
	r.release(s)
}

// slot returns the role's place, made if need be.
func (r *RBAC) slot(key roleKey) *slot {
	s := r.roles[key]
	if s == nil {
		s = &slot{key: key}
		r.roles[key] = s
	}
	return s
}

// release forgets a slot that has neither role nor grants.
func (r *RBAC) release(s *slot) {
	if s.role == nil && s.count == 0 {
		delete(r.roles, s.key)
	}
}
