package policy

import (
	"testing"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry/registrytest"
)

func TestPodDisruptionBudget(t *testing.T) {
	valid := func() *policyv1.PodDisruptionBudget {
		return &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"}, Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: ptr.To(intstr.FromString("50%")), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		}}
	}
	badValue := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "In", Values: []string{"_"}}}}
	const badLabel = `spec.selector.matchExpressions[0].values[0]: Invalid value: "_": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`
	type row = registrytest.Edit[policyv1.PodDisruptionBudget]
	registrytest.Create(t, PodDisruptionBudgets, valid,
		row{"both", func(b *policyv1.PodDisruptionBudget) {
			b.Spec.Selector, b.Spec.MaxUnavailable = nil, ptr.To(intstr.FromInt32(1))
		}, []string{`spec: Invalid value: {"minAvailable":"50%","maxUnavailable":1}: minAvailable and maxUnavailable cannot be both set`}},
		row{"more than all", func(b *policyv1.PodDisruptionBudget) { b.Spec.MinAvailable.StrVal = "101%" },
			[]string{`spec.minAvailable: Invalid value: "101%": must not be greater than 100%`}},
		row{"negative", func(b *policyv1.PodDisruptionBudget) { b.Spec.MinAvailable = ptr.To(intstr.FromInt32(-1)) },
			[]string{`spec.minAvailable: Invalid value: -1: must be greater than or equal to 0`}},
		row{"unhealthy", func(b *policyv1.PodDisruptionBudget) {
			b.Spec.UnhealthyPodEvictionPolicy = ptr.To(policyv1.UnhealthyPodEvictionPolicyType("Never"))
		}, []string{`spec.unhealthyPodEvictionPolicy: Unsupported value: "Never": supported values: "AlwaysAllow", "IfHealthyBudget"`}},
		row{"selector", func(b *policyv1.PodDisruptionBudget) { b.Spec.Selector = badValue }, []string{badLabel}},
	)
	registrytest.Update(t, PodDisruptionBudgets, valid,
		row{"selector breaks", func(b *policyv1.PodDisruptionBudget) { b.Spec.Selector = badValue }, []string{badLabel}})
	broken := func() *policyv1.PodDisruptionBudget {
		b := valid()
		b.Spec.Selector = badValue
		return b
	}
	registrytest.Update(t, PodDisruptionBudgets, broken,
		row{"selector was broken", func(b *policyv1.PodDisruptionBudget) { b.Spec.MinAvailable = nil }, nil})
	registrytest.Status(t, PodDisruptionBudgets, valid,
		row{"negative", func(b *policyv1.PodDisruptionBudget) { b.Status.ExpectedPods = -1 },
			[]string{`status.expectedPods: Invalid value: -1: must be greater than or equal to 0`}},
		row{"condition", func(b *policyv1.PodDisruptionBudget) {
			b.Status.Conditions = []metav1.Condition{{Type: "DisruptionAllowed", Status: "True", Reason: "Enough"}}
		}, []string{"status.conditions[0].lastTransitionTime: Required value"}})
	b, typ := valid(), PodDisruptionBudgets.Erase()
	b.Status.DisruptionsAllowed = 2
	registrytest.Columns(t, typ, b, map[string]any{"Min Available": "50%", "Max Unavailable": "N/A", "Allowed Disruptions": int64(2)})
	if !typ.RevisionRequired {
		t.Error("a budget may be overwritten blindly")
	}
}
