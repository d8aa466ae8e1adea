package scheduling

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry/registrytest"
)

func TestPriorityClass(t *testing.T) {
	valid := func() *schedulingv1.PriorityClass {
		return &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "high"}, Value: 1_000_000_000}
	}
	const reserved = "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: "
	type row = registrytest.Edit[schedulingv1.PriorityClass]
	named := func(name string, value int32, global bool) func(*schedulingv1.PriorityClass) {
		return func(c *schedulingv1.PriorityClass) { c.Name, c.Value, c.GlobalDefault = name, value, global }
	}
	registrytest.Create(t, PriorityClasses, valid,
		row{"too high", named("high", 1_000_000_001, false), []string{"value: Forbidden: maximum allowed value of a user defined priority is 1000000000"}},
		row{"system's", named("system-node-critical", 2_000_001_000, false), nil},
		row{"system's with another value", named("system-node-critical", 1, false), []string{reserved + "value of system-node-critical PriorityClass must be 2000001000"}},
		row{"system's for all", named("system-cluster-critical", 2_000_000_000, true), []string{reserved + "globalDefault of system-cluster-critical PriorityClass must be false"}},
		row{"system's unknown", named("system-x", 1, false), []string{reserved + "system-x is not a known system priority class"}},
		row{"preemption", func(c *schedulingv1.PriorityClass) { c.PreemptionPolicy = ptr.To(corev1.PreemptionPolicy("Always")) },
			[]string{`preemptionPolicy: Unsupported value: "Always": supported values: "PreemptLowerPriority", "Never"`}},
		row{"empty preemption", func(c *schedulingv1.PriorityClass) { c.PreemptionPolicy = ptr.To(corev1.PreemptionPolicy("")) },
			[]string{`preemptionPolicy: Required value`}},
	)
	registrytest.Update(t, PriorityClasses, valid,
		row{"value", func(c *schedulingv1.PriorityClass) { c.Value = 5 }, []string{"value: Forbidden: may not be changed in an update."}},
		row{"preemption", func(c *schedulingv1.PriorityClass) { c.PreemptionPolicy = ptr.To(corev1.PreemptNever) },
			[]string{`preemptionPolicy: Invalid value: "Never": field is immutable`}},
		row{"default", func(c *schedulingv1.PriorityClass) { c.GlobalDefault, c.Description = true, "x" }, nil},
	)
	c, typ := valid(), PriorityClasses.Erase()
	typ.Default(c)
	if typ.PrepareCreate(c); c.Generation != 1 {
		t.Errorf("generation %d, want 1", c.Generation)
	}
	registrytest.Columns(t, typ, c, map[string]any{"Value": int64(1_000_000_000), "Global-Default": false, "PreemptionPolicy": "PreemptLowerPriority"})
	for _, c := range SystemPriorityClasses() {
		registrytest.Errors(t, typ.ValidateCreate(&c))
	}
}
