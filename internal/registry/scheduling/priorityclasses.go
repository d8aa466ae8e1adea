// Package scheduling defines what the scheduler orders pods by.
package scheduling

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// PriorityClasses give names to priorities of pods.
var PriorityClasses = registry.Resource[schedulingv1.PriorityClass]{
	Group: "scheduling.k8s.io", Kind: "PriorityClass", Name: "priorityclasses", Short: []string{"pc"},
	Versions:       []registry.Version[schedulingv1.PriorityClass]{registry.Hub[schedulingv1.PriorityClass]("v1")},
	Default:        defaultPriorityClass,
	PrepareCreate:  func(c *schedulingv1.PriorityClass) { c.Generation = 1 },
	ValidateCreate: validatePriorityClass,
	ValidateUpdate: validatePriorityClassUpdate,
	Columns: []registry.Column[schedulingv1.PriorityClass]{
		{
			Name: "Value", Type: "integer", Description: schedulingv1.PriorityClass{}.SwaggerDoc()["value"],
			Value: func(c *schedulingv1.PriorityClass) any { return int64(c.Value) },
		},
		{
			Name: "Global-Default", Type: "boolean", Description: schedulingv1.PriorityClass{}.SwaggerDoc()["globalDefault"],
			Value: func(c *schedulingv1.PriorityClass) any { return c.GlobalDefault },
		},
		registry.Age[schedulingv1.PriorityClass](),
		{
			Name: "PreemptionPolicy", Description: schedulingv1.PriorityClass{}.SwaggerDoc()["preemptionPolicy"],
			Value: func(c *schedulingv1.PriorityClass) any { return string(*c.PreemptionPolicy) },
		},
	},
}

// Values above the users' are the system's.
const (
	systemPrefix    = "system-"
	highestOfUsers  = 1_000_000_000
	clusterCritical = 2 * highestOfUsers
	nodeCritical    = clusterCritical + 1000
)

// SystemPriorityClasses are those that every cluster has.
func SystemPriorityClasses() []schedulingv1.PriorityClass {
	preempt := corev1.PreemptLowerPriority
	return []schedulingv1.PriorityClass{
		{
			ObjectMeta: metav1.ObjectMeta{Name: "system-node-critical"}, Value: nodeCritical, PreemptionPolicy: &preempt,
			Description: "Used for system critical pods that must not be moved from their current node.",
		},
		{
			ObjectMeta: metav1.ObjectMeta{Name: "system-cluster-critical"}, Value: clusterCritical, PreemptionPolicy: &preempt,
			Description: "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
		},
	}
}

func defaultPriorityClass(c *schedulingv1.PriorityClass) {
	if c.PreemptionPolicy == nil {
		preempt := corev1.PreemptLowerPriority
		c.PreemptionPolicy = &preempt
	}
}

func validatePriorityClass(c *schedulingv1.PriorityClass) field.ErrorList {
	var errs field.ErrorList
	if strings.HasPrefix(c.Name, systemPrefix) {
		if err := checkSystemClass(c); err != nil {
			errs = append(errs, field.Forbidden(field.NewPath("metadata", "name"), "priority class names with 'system-' prefix are reserved for system use only. error: "+err.Error()))
		}
	} else if c.Value > highestOfUsers {
		errs = append(errs, field.Forbidden(field.NewPath("value"), fmt.Sprintf("maximum allowed value of a user defined priority is %d", highestOfUsers)))
	}
	path := field.NewPath("preemptionPolicy")
	switch *c.PreemptionPolicy {
	case corev1.PreemptLowerPriority, corev1.PreemptNever:
	case "":
		errs = append(errs, field.Required(path, ""))
	default:
		errs = append(errs, field.NotSupported(path, c.PreemptionPolicy, []corev1.PreemptionPolicy{corev1.PreemptLowerPriority, corev1.PreemptNever}))
	}
	return errs
}

// checkSystemClass tells how a class that has a system name differs from the system's.
func checkSystemClass(c *schedulingv1.PriorityClass) error {
	for _, known := range SystemPriorityClasses() {
		switch {
		case c.Name != known.Name:
		case c.Value != known.Value:
			return fmt.Errorf("value of %s PriorityClass must be %d", known.Name, known.Value)
		case c.GlobalDefault:
			return fmt.Errorf("globalDefault of %s PriorityClass must be false", known.Name)
		default:
			return nil
		}
	}
	return fmt.Errorf("%s is not a known system priority class", c.Name)
}

func validatePriorityClassUpdate(new, old *schedulingv1.PriorityClass) field.ErrorList {
	var errs field.ErrorList
	if new.Value != old.Value {
		errs = append(errs, field.Forbidden(field.NewPath("value"), "may not be changed in an update."))
	}
	return append(errs, apivalidation.ValidateImmutableField(new.PreemptionPolicy, old.PreemptionPolicy, field.NewPath("preemptionPolicy").Common())...)
}
