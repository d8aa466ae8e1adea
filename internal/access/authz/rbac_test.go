package authz

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/access/accesstest"
	"github.com/proa-dev/proa/internal/registry"
)

var (
	clusterRoles    = rbacv1.Resource("clusterroles")
	roles           = rbacv1.Resource("roles")
	clusterBindings = rbacv1.Resource("clusterrolebindings")
	bindings        = rbacv1.Resource("rolebindings")
)

// history is a store of roles and bindings that changes at random, with an oracle that scans all of it.
type history struct {
	r               *rand.Rand
	store           *accesstest.Objects
	clusterRoles    map[string]*rbacv1.ClusterRole
	roles           map[string]*rbacv1.Role
	clusterBindings map[string]*rbacv1.ClusterRoleBinding
	bindings        map[string]*rbacv1.RoleBinding
}

func (h *history) pick(words ...string) string { return words[h.r.IntN(len(words))] }

func (h *history) some(words ...string) []string {
	var list []string
	for range 1 + h.r.IntN(2) {
		list = append(list, h.pick(words...))
	}
	return list
}

func (h *history) rules() (rules []rbacv1.PolicyRule) {
	for range h.r.IntN(4) {
		verbs := h.some("get", "list", "create", "*")
		if h.r.IntN(4) == 0 {
			rules = append(rules, rbacv1.PolicyRule{Verbs: verbs, NonResourceURLs: h.some("/healthz", "/healthz/*", "*", "/api*")})
			continue
		}
		r := rbacv1.PolicyRule{
			Verbs: verbs, APIGroups: h.some("", "apps", "*"),
			Resources: h.some("pods", "pods/log", "pods/scale", "deployments", "deployments/scale", "*/scale", "*"),
		}
		if h.r.IntN(3) == 0 {
			r.ResourceNames = h.some("a", "b")
		}
		rules = append(rules, r)
	}
	return rules
}

func (h *history) subjects() (all []rbacv1.Subject) {
	for range 1 + h.r.IntN(4) {
		switch h.r.IntN(4) {
		case 0:
			all = append(all, rbacv1.Subject{Kind: "User", Name: h.pick("alice", "bob", "system:serviceaccount:ns1:sa")})
		case 1:
			all = append(all, rbacv1.Subject{Kind: "Group", Name: h.pick("g1", "g2", "system:authenticated")})
		case 2:
			all = append(all, rbacv1.Subject{Kind: "ServiceAccount", Namespace: h.pick("", "ns1", "ns2"), Name: "sa"})
		case 3:
			all = append(all, rbacv1.Subject{Kind: "Dog", Name: "alice"})
		}
	}
	return all
}

func (h *history) step() {
	name, ns := h.pick("x", "y", "z"), h.pick("ns1", "ns2")
	meta := metav1.ObjectMeta{Name: name, Namespace: ns}
	gone := h.r.IntN(3) == 0
	switch h.r.IntN(4) {
	case 0:
		change(h.store, clusterRoles, h.clusterRoles, gone, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: h.rules()})
	case 1:
		change(h.store, roles, h.roles, gone, &rbacv1.Role{ObjectMeta: meta, Rules: h.rules()})
	case 2:
		change(h.store, clusterBindings, h.clusterBindings, gone, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Subjects: h.subjects(), RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: h.pick("x", "y", "z")},
		})
	case 3:
		change(h.store, bindings, h.bindings, gone, &rbacv1.RoleBinding{
			ObjectMeta: meta, Subjects: h.subjects(), RoleRef: rbacv1.RoleRef{Kind: h.pick("Role", "ClusterRole"), Name: h.pick("x", "y", "z")},
		})
	}
}

func change[T registry.Object](store *accesstest.Objects, gr schema.GroupResource, m map[string]T, gone bool, o T) {
	key := o.GetNamespace() + "/" + o.GetName()
	if gone {
		delete(m, key)
		store.Drop(gr, o.GetNamespace(), o.GetName())
		return
	}
	m[key] = o
	store.Put(gr, o)
}

// allowed is the rule of RBAC, written down as plainly as can be.
func (h *history) allowed(a *access.Attributes) bool {
	for _, b := range h.clusterBindings {
		if isSubject(a.User, b.Subjects, "") && h.roleAllows(b.RoleRef, "", a) {
			return true
		}
	}
	for _, b := range h.bindings {
		if a.Namespace != "" && b.Namespace == a.Namespace && isSubject(a.User, b.Subjects, b.Namespace) && h.roleAllows(b.RoleRef, b.Namespace, a) {
			return true
		}
	}
	return false
}

func isSubject(u *access.User, subjects []rbacv1.Subject, ns string) bool {
	for _, s := range subjects {
		switch s.Kind {
		case "User":
			if s.Name == u.Name {
				return true
			}
		case "Group":
			if slices.Contains(u.Groups, s.Name) {
				return true
			}
		case "ServiceAccount":
			in := s.Namespace
			if in == "" {
				in = ns
			}
			if in != "" && u.Name == "system:serviceaccount:"+in+":"+s.Name {
				return true
			}
		}
	}
	return false
}

func (h *history) roleAllows(ref rbacv1.RoleRef, ns string, a *access.Attributes) bool {
	var rules []rbacv1.PolicyRule
	if ref.Kind == "Role" {
		if r := h.roles[ns+"/"+ref.Name]; r != nil {
			rules = r.Rules
		}
	} else if r := h.clusterRoles["/"+ref.Name]; r != nil {
		rules = r.Rules
	}
	for _, r := range rules {
		if ruleAllows(r, a) {
			return true
		}
	}
	return false
}

func ruleAllows(r rbacv1.PolicyRule, a *access.Attributes) bool {
	has := func(list []string, w string) bool { return slices.Contains(list, w) || slices.Contains(list, "*") }
	if !has(r.Verbs, a.Verb) {
		return false
	}
	if !a.IsResource {
		return slices.ContainsFunc(r.NonResourceURLs, func(p string) bool {
			return p == a.Path || strings.HasSuffix(p, "*") && strings.HasPrefix(a.Path, strings.TrimRight(p, "*"))
		})
	}
	full := a.Resource
	if a.Subresource != "" {
		full += "/" + a.Subresource
	}
	named := has(r.Resources, full) || a.Subresource != "" && slices.Contains(r.Resources, "*/"+a.Subresource)
	return named && has(r.APIGroups, a.Group) && (len(r.ResourceNames) == 0 || slices.Contains(r.ResourceNames, a.Name))
}

func (h *history) question() *access.Attributes {
	u := &access.User{Name: h.pick("alice", "bob", "system:serviceaccount:ns1:sa", "system:serviceaccount:ns2:sa")}
	for _, g := range []string{"g1", "g2", "system:authenticated"} {
		if h.r.IntN(2) == 0 {
			u.Groups = append(u.Groups, g)
		}
	}
	a := &access.Attributes{User: u, Verb: h.pick("get", "list", "create", "delete")}
	if h.r.IntN(5) == 0 {
		a.Path = h.pick("/healthz", "/healthz/etcd", "/apis", "/version")
		return a
	}
	a.IsResource, a.Group, a.Resource = true, h.pick("", "apps", "batch"), h.pick("pods", "deployments", "jobs")
	a.Subresource, a.Namespace, a.Name = h.pick("", "log", "scale"), h.pick("", "ns1", "ns2"), h.pick("", "a", "b", "c")
	return a
}

func TestIndexAgreesWithScan(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	h := &history{
		r: rand.New(rand.NewPCG(seed, 1)), store: &accesstest.Objects{},
		clusterRoles: map[string]*rbacv1.ClusterRole{}, roles: map[string]*rbacv1.Role{},
		clusterBindings: map[string]*rbacv1.ClusterRoleBinding{}, bindings: map[string]*rbacv1.RoleBinding{},
	}
	for range 30 {
		h.step()
	}
	rbac := NewRBAC(h.store) // half of the history is there before it begins to follow
	yes := 0
	for i := range 4000 {
		h.step()
		for range 5 {
			a := h.question()
			decision, reason, err := rbac.Authorize(t.Context(), a)
			want := h.allowed(a)
			if err != nil || (decision == access.Allow) != want || (decision == access.Allow) != strings.HasPrefix(reason, "RBAC: allowed by ") {
				t.Fatalf("step %d: %+v of %+v: decision %d (%q, %v), the scan says %v", i, a, a.User, decision, reason, err, want)
			}
			if want {
				yes++
			}
		}
	}
	if yes < 1000 || yes > 19000 {
		t.Errorf("%d of 20000 questions were allowed: the histories test nothing", yes)
	}
	for key := range h.clusterBindings {
		h.store.Drop(clusterBindings, "", strings.TrimPrefix(key, "/"))
	}
	for _, b := range h.bindings {
		h.store.Drop(bindings, b.Namespace, b.Name)
	}
	for _, r := range h.roles {
		h.store.Drop(roles, r.Namespace, r.Name)
	}
	for _, r := range h.clusterRoles {
		h.store.Drop(clusterRoles, "", r.Name)
	}
	if n := len(rbac.roles) + len(rbac.bindings) + len(rbac.namespaces) + len(rbac.cluster.users) + len(rbac.cluster.groups); n != 0 {
		t.Errorf("%d entries are left in the index of an empty store", n)
	}
}

func TestReasons(t *testing.T) {
	store := &accesstest.Objects{}
	rbac := NewRBAC(store)
	read := []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}}
	store.Put(clusterRoles, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "reader"}, Rules: read})
	ref := rbacv1.RoleRef{Kind: "ClusterRole", Name: "reader"}
	bind := func(ns, name string, ref rbacv1.RoleRef, s rbacv1.Subject) {
		if ns == "" {
			store.Put(clusterBindings, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: ref, Subjects: []rbacv1.Subject{s}})
			return
		}
		store.Put(bindings, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns}, RoleRef: ref, Subjects: []rbacv1.Subject{s}})
	}
	bind("", "all", ref, rbacv1.Subject{Kind: "Group", Name: "readers"})
	bind("dev", "local", ref, rbacv1.Subject{Kind: "ServiceAccount", Name: "bot"})
	bind("dev", "broken", rbacv1.RoleRef{Kind: "Role", Name: "none"}, rbacv1.Subject{Kind: "User", Name: "eve"})
	bind("", "broken", rbacv1.RoleRef{Kind: "ClusterRole", Name: "none"}, rbacv1.Subject{Kind: "User", Name: "eve"})
	for _, c := range []struct {
		user, group string
		decision    access.Decision
		reason      string
	}{
		{"ann", "readers", access.Allow, `RBAC: allowed by ClusterRoleBinding "all" of ClusterRole "reader" to Group "readers"`},
		{"system:serviceaccount:dev:bot", "", access.Allow, `RBAC: allowed by RoleBinding "local/dev" of ClusterRole "reader" to ServiceAccount "bot/dev"`},
		{"eve", "", access.NoOpinion, `RBAC: [clusterrole.rbac.authorization.k8s.io "none" not found, role.rbac.authorization.k8s.io "none" not found]`},
		{"joe", "", access.NoOpinion, ""},
	} {
		a := &access.Attributes{User: &access.User{Name: c.user, Groups: []string{c.group}}, Verb: "get", IsResource: true, Resource: "pods", Namespace: "dev"}
		if decision, reason, _ := rbac.Authorize(t.Context(), a); decision != c.decision || reason != c.reason {
			t.Errorf("%s: %d %s", c.user, decision, reason)
		}
	}
}
