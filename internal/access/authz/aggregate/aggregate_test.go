package aggregate

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func rule(verb, group, resource string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: []string{verb}, APIGroups: []string{group}, Resources: []string{resource}}
}

func TestRoles(t *testing.T) {
	gather := func(name, selects, labelled string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
		r := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{labelled: "true"}}, Rules: rules}
		if selects != "" {
			r.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{selects: "true"}}}}
		}
		return r
	}
	pods, jobs := rule("get", "", "pods"), rule("get", "batch", "jobs")
	// admin gathers edit, and edit the two below it; what rules edit has of its own are not its to keep.
	all := []*rbacv1.ClusterRole{
		gather("admin", "to-admin", ""), gather("edit", "to-edit", "to-admin", rule("*", "*", "*")),
		gather("b", "", "to-edit", jobs, pods), gather("a", "", "to-edit", pods),
	}
	changed := Roles(all)
	if len(changed) != 2 || changed[0].Name != "admin" || changed[1].Name != "edit" {
		t.Fatalf("changed: %v", changed)
	}
	for _, r := range changed {
		if len(r.Rules) != 2 || r.Rules[0].Resources[0] != "pods" || r.Rules[1].Resources[0] != "jobs" {
			t.Errorf("%s gathered %v", r.Name, r.Rules)
		}
	}
	if again := Roles([]*rbacv1.ClusterRole{changed[0], changed[1], all[2], all[3]}); len(again) != 0 {
		t.Errorf("not at rest: %v", again)
	}
	if len(all[0].Rules) != 0 {
		t.Error("the stored role was changed")
	}
}
