package authz

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/access/accesstest"
)

func rule(verbs []string, group, resource string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: verbs, APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: names}
}

func clusterRole(name string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
}

func bindUser(user, role string) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: role},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: user}},
	}
}

func escalation() Escalation {
	store := &accesstest.Objects{}
	all := []string{"*"}
	store.Put(clusterRoles,
		clusterRole("reader", rule([]string{"get", "list"}, "", "pods")),
		clusterRole("escalator", rule([]string{"escalate"}, rbacv1.GroupName, "clusterroles", "big")),
		clusterRole("binder", rule([]string{"bind"}, rbacv1.GroupName, "clusterroles", "big")),
		clusterRole("big", rule(all, "*", "*"), rbacv1.PolicyRule{Verbs: all, NonResourceURLs: all}),
	)
	for user, role := range map[string]string{"ann": "reader", "esc": "escalator", "bin": "binder", "boss": "big"} {
		store.Put(clusterBindings, bindUser(user, role))
	}
	rbac := NewRBAC(store)
	return Escalation{RBAC: rbac, Authorizer: rbac}
}

func TestRoleEscalation(t *testing.T) {
	e := escalation()
	gathering := clusterRole("gather")
	gathering.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{}}}
	for _, c := range []struct {
		name, user string
		groups     []string
		role, old  any
		want       string
	}{
		{"held", "ann", nil, clusterRole("r", rule([]string{"get"}, "", "pods", "one")), nil, ""},
		{"not held", "ann", []string{"a", "b"},
			clusterRole("r", rule([]string{"get", "delete", "watch"}, "", "pods"), rule([]string{"get"}, "apps", "deployments"),
				rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/x"}}), nil,
			"clusterroles.rbac.authorization.k8s.io \"r\" is forbidden: user \"ann\" (groups=[\"a\" \"b\"]) is attempting to grant RBAC permissions not currently held:\n" +
				"{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\" \"watch\"]}\n" +
				"{APIGroups:[\"apps\"], Resources:[\"deployments\"], Verbs:[\"get\"]}\n" +
				"{NonResourceURLs:[\"/x\"], Verbs:[\"get\"]}"},
		{"a role in a namespace", "ann", nil,
			&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "r"}, Rules: []rbacv1.PolicyRule{rule([]string{"get"}, "", "secrets", "s")}}, nil,
			"roles.rbac.authorization.k8s.io \"r\" is forbidden: user \"ann\" (groups=[]) is attempting to grant RBAC permissions not currently held:\n" +
				"{APIGroups:[\"\"], Resources:[\"secrets\"], ResourceNames:[\"s\"], Verbs:[\"get\"]}"},
		{"escalate", "esc", nil, clusterRole("big", rule([]string{"*"}, "*", "*")), nil, ""},
		{"escalate another", "esc", nil, clusterRole("other", rule([]string{"*"}, "*", "*")), nil,
			"clusterroles.rbac.authorization.k8s.io \"other\" is forbidden: user \"esc\" (groups=[]) is attempting to grant RBAC permissions not currently held:\n" +
				"{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}"},
		{"masters", "root", []string{access.MastersGroup}, clusterRole("x", rule([]string{"*"}, "*", "*")), nil, ""},
		{"gathering", "ann", nil, gathering, nil,
			`clusterroles.rbac.authorization.k8s.io "gather" is forbidden: must have cluster-admin privileges to use the aggregationRule`},
		{"no longer gathering", "ann", nil, clusterRole("gather"), gathering,
			`clusterroles.rbac.authorization.k8s.io "gather" is forbidden: must have cluster-admin privileges to use the aggregationRule`},
		{"gathering with all", "boss", nil, gathering, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkText(t, e.CheckRole(t.Context(), &access.User{Name: c.user, Groups: c.groups}, c.role, c.old), c.want)
		})
	}
}

func TestBindingEscalation(t *testing.T) {
	e := escalation()
	big := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "big"}
	reader := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "reader"}
	none := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "none"}
	for _, c := range []struct {
		name, user, namespace string
		ref                   rbacv1.RoleRef
		want                  string
	}{
		{"held", "ann", "", reader, ""},
		{"bind", "bin", "ns", big, ""},
		{"not held", "bin", "", reader, "clusterrolebindings.rbac.authorization.k8s.io \"b\" is forbidden: user \"bin\" (groups=[]) is attempting to grant RBAC permissions not currently held:\n" +
			"{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"get\" \"list\"]}"},
		{"no such role", "ann", "ns", none, `role.rbac.authorization.k8s.io "none" not found`},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkText(t, e.CheckBinding(t.Context(), &access.User{Name: c.user}, c.namespace, "b", c.ref), c.want)
		})
	}
}

func checkText(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
