package bootstrap

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/proa-dev/proa/internal/registry"
)

// golden is one role or binding in the compact form of testdata/policy.yaml, whose facts are Kubernetes'.
type golden struct {
	Kind       string              `json:"kind"`
	Name       string              `json:"name"`
	Labels     map[string]string   `json:"labels,omitempty"`
	Aggregates []map[string]string `json:"aggregates,omitempty"`
	Rules      []string            `json:"rules,omitempty"`
	Role       string              `json:"role,omitempty"`
	Subjects   []string            `json:"subjects,omitempty"`
}

func TestPolicyIsKubernetes(t *testing.T) {
	data, err := os.ReadFile("testdata/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var want []golden
	if err := yaml.UnmarshalStrict(data, &want); err != nil {
		t.Fatal(err)
	}
	var got []golden
	for _, o := range everything() {
		got = append(got, render(t, o))
	}
	order := func(a, b golden) int { return strings.Compare(a.Kind+" "+a.Name, b.Kind+" "+b.Name) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	for i := range want {
		slices.Sort(want[i].Subjects)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("policy differs (-kubernetes +ours):\n%s", d)
	}
}

func everything() []registry.Object {
	var all []registry.Object
	for _, o := range ClusterRoles() {
		all = append(all, o)
	}
	for _, o := range Roles() {
		all = append(all, o)
	}
	for _, o := range ClusterRoleBindings() {
		all = append(all, o)
	}
	for _, o := range RoleBindings() {
		all = append(all, o)
	}
	return all
}

func render(t *testing.T, o registry.Object) golden {
	g := golden{Name: strings.TrimPrefix(o.GetNamespace()+"/"+o.GetName(), "/")}
	if o.GetAnnotations()[rbacv1.AutoUpdateAnnotationKey] != "true" || o.GetLabels()["kubernetes.io/bootstrapping"] != "rbac-defaults" {
		t.Errorf("%s lacks the label or the annotation of bootstrap policy", g.Name)
	}
	for k, v := range o.GetLabels() {
		if k == "kubernetes.io/bootstrapping" {
			continue
		}
		if g.Labels == nil {
			g.Labels = map[string]string{}
		}
		g.Labels[k] = v
	}
	switch o := o.(type) {
	case *rbacv1.ClusterRole:
		g.Kind, g.Rules = "ClusterRole", renderRules(o.Rules)
		if o.AggregationRule != nil {
			for _, s := range o.AggregationRule.ClusterRoleSelectors {
				g.Aggregates = append(g.Aggregates, s.MatchLabels)
			}
		}
	case *rbacv1.Role:
		g.Kind, g.Rules = "Role", renderRules(o.Rules)
	case *rbacv1.ClusterRoleBinding:
		g.Kind, g.Role, g.Subjects = "ClusterRoleBinding", o.RoleRef.Kind+" "+o.RoleRef.Name, renderSubjects(o.Subjects)
	case *rbacv1.RoleBinding:
		g.Kind, g.Role, g.Subjects = "RoleBinding", o.RoleRef.Kind+" "+o.RoleRef.Name, renderSubjects(o.Subjects)
	}
	return g
}

func renderRules(rules []rbacv1.PolicyRule) (lines []string) {
	for _, r := range rules {
		groups := slices.Clone(r.APIGroups)
		for i, g := range groups {
			if g == "" {
				groups[i] = "core"
			}
		}
		line := strings.Join(r.Verbs, " ") + " : "
		if len(r.NonResourceURLs) > 0 {
			line += "paths " + strings.Join(r.NonResourceURLs, " ")
		} else {
			line += strings.Join(groups, " ") + " : " + strings.Join(r.Resources, " ")
		}
		if len(r.ResourceNames) > 0 {
			line += " : " + strings.Join(r.ResourceNames, " ")
		}
		lines = append(lines, line)
	}
	return lines
}

func renderSubjects(subjects []rbacv1.Subject) (lines []string) {
	for _, s := range subjects {
		name := s.Name
		if s.Namespace != "" {
			name = s.Namespace + "/" + name
		}
		lines = append(lines, s.Kind+" "+name)
	}
	slices.Sort(lines)
	return lines
}

func TestPlanCreatesAllThenNothing(t *testing.T) {
	stored := map[string]registry.Object{}
	find := func(gvr schema.GroupVersionResource, ns, name string) registry.Object {
		if o, ok := stored[gvr.Resource+"/"+ns+"/"+name]; ok {
			return o
		}
		return nil
	}
	steps := Plan(find)
	if want := len(everything()); len(steps) != want {
		t.Fatalf("%d steps, want %d", len(steps), want)
	}
	for _, s := range steps {
		if s.Action != Create {
			t.Errorf("%s: action %d", s.Object.GetName(), s.Action)
		}
		stored[s.Resource.Resource+"/"+s.Object.GetNamespace()+"/"+s.Object.GetName()] = s.Object
	}
	for _, name := range []string{"admin", "edit", "view"} {
		if len(stored["clusterroles//"+name].(*rbacv1.ClusterRole).Rules) == 0 {
			t.Errorf("%s is created without rules", name)
		}
	}
	if steps := Plan(find); len(steps) != 0 {
		t.Errorf("a second plan has %d steps, first: %+v", len(steps), steps[0])
	}
}

func TestReconcile(t *testing.T) {
	wanted := func() *rbacv1.ClusterRole {
		return clusterRole("r", allow(read, core, "pods"), allow("create", apps, "deployments"))
	}
	edit := func(f func(*rbacv1.ClusterRole)) *rbacv1.ClusterRole {
		r := wanted()
		f(r)
		return r
	}
	for _, c := range []struct {
		name     string
		existing *rbacv1.ClusterRole
		action   Action
		rules    []string
	}{
		{"the same", wanted(), Keep, nil},
		{"extra rules stay", edit(func(r *rbacv1.ClusterRole) { r.Rules = append(r.Rules, allow("get", core, "secrets")) }), Keep, nil},
		{"wider rules cover", edit(func(r *rbacv1.ClusterRole) { r.Rules = []rbacv1.PolicyRule{allow("*", "*", "*")} }), Keep, nil},
		{"missing verbs come back", edit(func(r *rbacv1.ClusterRole) { r.Rules[0] = allow("get", core, "pods") }), Update,
			[]string{"get : core : pods", "create : apps : deployments", "list : core : pods", "watch : core : pods"}},
		{"protected", edit(func(r *rbacv1.ClusterRole) {
			r.Rules = nil
			r.Annotations[rbacv1.AutoUpdateAnnotationKey] = "false"
		}), Keep, nil},
		{"a missing label comes back", edit(func(r *rbacv1.ClusterRole) { r.Labels = map[string]string{"mine": "1"} }), Update,
			[]string{"get list watch : core : pods", "create : apps : deployments"}},
		{"aggregation goes away", edit(func(r *rbacv1.ClusterRole) { aggregated(r, "x") }), Update,
			[]string{"get list watch : core : pods", "create : apps : deployments"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := c.existing.DeepCopy()
			action, o := Reconcile(c.existing, wanted())
			if action != c.action {
				t.Fatalf("action %d, want %d", action, c.action)
			}
			if d := cmp.Diff(before, c.existing); d != "" {
				t.Errorf("the stored object was changed:\n%s", d)
			}
			if action == Keep {
				return
			}
			if d := cmp.Diff(c.rules, renderRules(o.(*rbacv1.ClusterRole).Rules)); d != "" {
				t.Error(d)
			}
			if again, _ := Reconcile(o, wanted()); again != Keep {
				t.Errorf("the result needs action %d again", again)
			}
		})
	}
}

func TestReconcileBindings(t *testing.T) {
	wanted := bindCluster("b", user("a"), user("b"))
	lacking := bindCluster("b", user("b"), user("c"))
	action, o := Reconcile(lacking, wanted)
	if got := renderSubjects(o.(*rbacv1.ClusterRoleBinding).Subjects); action != Update || !slices.Equal(got, []string{"User a", "User b", "User c"}) {
		t.Errorf("action %d, subjects %v", action, got)
	}
	other := bindCluster("b", user("a"), user("b"))
	other.RoleRef.Name = "another"
	if action, o := Reconcile(other, wanted); action != Recreate || o.(*rbacv1.ClusterRoleBinding).RoleRef.Name != "b" {
		t.Errorf("a binding of another role: action %d", action)
	}
}

func TestNodeRules(t *testing.T) {
	for _, r := range ClusterRoles() {
		if r.Name == "system:node" && len(r.Rules) > 0 && cmp.Equal(r.Rules, NodeRules()) {
			return
		}
	}
	t.Error("the node authorizer's rules are not those of system:node")
}
