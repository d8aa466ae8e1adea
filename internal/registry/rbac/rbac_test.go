package rbac

import (
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/registry/field"
)

func check(t *testing.T, errs field.ErrorList, want ...string) {
	t.Helper()
	var got []string
	for _, e := range errs {
		got = append(got, e.Error())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func TestRules(t *testing.T) {
	paths := rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/x"}}
	mixed := rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/x"}, Resources: []string{"pods"}}
	role, cluster := Roles.Erase(), ClusterRoles.Erase()
	check(t, role.Validate(&rbacv1.Role{Rules: []rbacv1.PolicyRule{{}, paths}}),
		"rules[0].verbs: Required value: verbs must contain at least one value",
		"rules[0].apiGroups: Required value: resource rules must supply at least one api group",
		"rules[0].resources: Required value: resource rules must supply at least one resource",
		`rules[1].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs`)
	check(t, cluster.ValidateCreate(&rbacv1.ClusterRole{Rules: []rbacv1.PolicyRule{paths, mixed}}),
		`rules[1].nonResourceURLs: Invalid value: ["/x"]: rules cannot apply to both regular resources and non-resource URLs`)
}

func TestAggregation(t *testing.T) {
	r := ClusterRoles.Erase()
	check(t, r.ValidateCreate(&rbacv1.ClusterRole{AggregationRule: &rbacv1.AggregationRule{}}),
		"aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil")
	bad := &rbacv1.ClusterRole{AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "In", Values: []string{"-"}}},
	}}}}
	if len(r.ValidateCreate(bad)) == 0 {
		t.Error("an invalid selector passes")
	}
	if a, b := len(r.ValidateUpdate(bad, bad)), len(r.ValidateCreate(bad)); a >= b {
		t.Errorf("an old selector has %d errors, a new one %d", a, b)
	}
}

func TestBindings(t *testing.T) {
	binding := &rbacv1.RoleBinding{RoleRef: rbacv1.RoleRef{Kind: "Foo"}, Subjects: []rbacv1.Subject{
		{Kind: "User"}, {Kind: "Group", Name: "g"}, {Kind: "ServiceAccount", Name: "A", APIGroup: "x"}, {Kind: "Bar", Name: "b"},
	}}
	r, cluster := RoleBindings.Erase(), ClusterRoleBindings.Erase()
	r.Default(binding)
	once := binding.DeepCopy()
	if r.Default(binding); !equality.Semantic.DeepEqual(binding, once) {
		t.Error("defaulting twice makes a difference")
	}
	if binding.RoleRef.APIGroup != rbacv1.GroupName || binding.Subjects[1].APIGroup != rbacv1.GroupName || binding.Subjects[3].APIGroup != "" {
		t.Errorf("%+v", binding)
	}
	check(t, r.Validate(binding),
		`roleRef.kind: Unsupported value: "Foo": supported values: "Role", "ClusterRole"`,
		`roleRef.name: Required value`,
		`subjects[0].name: Required value`,
		`subjects[2].name: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
		`subjects[2].apiGroup: Unsupported value: "x": supported values: ""`,
		`subjects[3].kind: Unsupported value: "Bar": supported values: "ServiceAccount", "User", "Group"`)
	global := &rbacv1.ClusterRoleBinding{RoleRef: rbacv1.RoleRef{APIGroup: "x", Kind: "Role", Name: "a/b"}, Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "a"}}}
	check(t, cluster.Validate(global),
		`roleRef.apiGroup: Unsupported value: "x": supported values: "rbac.authorization.k8s.io"`,
		`roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"`,
		`roleRef.name: Invalid value: "a/b": may not contain '/'`,
		`subjects[0].namespace: Required value`)
	changed := global.DeepCopy()
	changed.RoleRef.Name = "c"
	check(t, cluster.ValidateUpdate(changed, global), `roleRef: Invalid value: {"APIGroup":"x","Kind":"Role","Name":"c"}: cannot change roleRef`)
	check(t, cluster.ValidateUpdate(global, global))
}

func TestBindingColumns(t *testing.T) {
	b := &rbacv1.RoleBinding{RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "r"}, Subjects: []rbacv1.Subject{
		{Kind: "User", Name: "u"}, {Kind: "User", Name: "v"}, {Kind: "Group", Name: "g"}, {Kind: "ServiceAccount", Namespace: "n", Name: "s"},
	}}
	var got []any
	for _, c := range RoleBindings.Erase().Columns {
		if c.Name != "Age" {
			got = append(got, c.Value(b))
		}
	}
	if !slices.Equal(got, []any{"Role/r", "u, v", "g", "n/s"}) {
		t.Errorf("%q", got)
	}
	if names := Roles.ValidateName("system:a-b_c", false); names != nil {
		t.Errorf("%q", names)
	}
	if names := Roles.ValidateName("a/b", false); len(names) == 0 {
		t.Error("a name with a slash passes")
	}
}
