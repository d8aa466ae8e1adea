package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/registry"
)

// ComponentStatuses tell how the parts of the control plane do. They are not stored: the API layer makes them
// when somebody asks.
var ComponentStatuses = registry.Resource[corev1.ComponentStatus]{
	Kind: "ComponentStatus", Name: "componentstatuses", Short: []string{"cs"},
	Versions: []registry.Version[corev1.ComponentStatus]{
		registry.Hub[corev1.ComponentStatus]("v1").DeprecatedWith("v1 ComponentStatus is deprecated in v1.19+"),
	},
	Verbs:    []string{"get", "list"},
	Computed: true,
	Columns: []registry.Column[corev1.ComponentStatus]{
		{Name: "Status", Type: "string", Description: "Status of the component conditions", Value: componentHealth},
		{
			Name: "Message", Type: "string", Description: "Message of the component conditions",
			Value: func(s *corev1.ComponentStatus) any { return healthCondition(s).Message },
		},
		{
			Name: "Error", Type: "string", Description: "Error of the component conditions",
			Value: func(s *corev1.ComponentStatus) any { return healthCondition(s).Error },
		},
	},
}

func componentHealth(s *corev1.ComponentStatus) any {
	switch healthCondition(s).Status {
	case corev1.ConditionTrue:
		return "Healthy"
	case "":
		return "Unknown"
	default:
		return "Unhealthy"
	}
}

// healthCondition is the zero condition if there is none.
func healthCondition(s *corev1.ComponentStatus) corev1.ComponentCondition {
	for _, c := range s.Conditions {
		if c.Type == corev1.ComponentHealthy {
			return c
		}
	}
	return corev1.ComponentCondition{}
}
