// Package autoscaling defines how workloads are scaled to their load.
package autoscaling

import (
	"fmt"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/proa-dev/proa/internal/registry"
)

// HorizontalPodAutoscalers set the number of a workload's pods by what is measured of them.
var HorizontalPodAutoscalers = registry.Resource[autoscalingv2.HorizontalPodAutoscaler]{
	Group: "autoscaling", Kind: "HorizontalPodAutoscaler", Name: "horizontalpodautoscalers", Short: []string{"hpa"}, Categories: []string{"all"},
	Namespaced:     true,
	Versions:       []registry.Version[autoscalingv2.HorizontalPodAutoscaler]{registry.Hub[autoscalingv2.HorizontalPodAutoscaler]("v2"), autoscalerV1},
	Default:        defaultAutoscaler,
	Validate:       validateAutoscaler,
	ValidateCreate: validateAutoscalerCreate,
	ValidateUpdate: validateAutoscalerUpdate,
	Status:         func(a *autoscalingv2.HorizontalPodAutoscaler) any { return &a.Status },
	ValidateStatus: validateAutoscalerStatus,
	Columns: []registry.Column[autoscalingv2.HorizontalPodAutoscaler]{
		{
			Name: "Reference", Description: autoscalingv2.HorizontalPodAutoscalerSpec{}.SwaggerDoc()["scaleTargetRef"],
			Value: func(a *autoscalingv2.HorizontalPodAutoscaler) any {
				return a.Spec.ScaleTargetRef.Kind + "/" + a.Spec.ScaleTargetRef.Name
			},
		},
		{
			Name: "Targets", Description: autoscalingv2.HorizontalPodAutoscalerSpec{}.SwaggerDoc()["metrics"],
			Value: func(a *autoscalingv2.HorizontalPodAutoscaler) any {
				return targetsText(a.Spec.Metrics, a.Status.CurrentMetrics)
			},
		},
		{
			Name: "MinPods", Description: autoscalingv2.HorizontalPodAutoscalerSpec{}.SwaggerDoc()["minReplicas"],
			Value: func(a *autoscalingv2.HorizontalPodAutoscaler) any { return fmt.Sprint(*a.Spec.MinReplicas) },
		},
		{
			Name: "MaxPods", Description: autoscalingv2.HorizontalPodAutoscalerSpec{}.SwaggerDoc()["maxReplicas"],
			Value: func(a *autoscalingv2.HorizontalPodAutoscaler) any { return int64(a.Spec.MaxReplicas) },
		},
		{
			Name: "Replicas", Description: autoscalingv2.HorizontalPodAutoscalerStatus{}.SwaggerDoc()["currentReplicas"],
			Value: func(a *autoscalingv2.HorizontalPodAutoscaler) any { return int64(a.Status.CurrentReplicas) },
		},
		registry.Age[autoscalingv2.HorizontalPodAutoscaler](),
	},
}

// setDefault sets *p to a pointer to v where it is nil.
func setDefault[V any](p **V, v V) {
	if *p == nil {
		*p = &v
	}
}

func defaultAutoscaler(a *autoscalingv2.HorizontalPodAutoscaler) {
	setDefault(&a.Spec.MinReplicas, 1)
	if len(a.Spec.Metrics) == 0 {
		a.Spec.Metrics = []autoscalingv2.MetricSpec{cpuUtilization(80)}
	}
	b := a.Spec.Behavior
	if b == nil {
		return
	}
	const period = 15 // seconds
	defaultRules(&b.ScaleUp,
		autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PodsScalingPolicy, Value: 4, PeriodSeconds: period},
		autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: period})
	setDefault(&b.ScaleUp.StabilizationWindowSeconds, 0)
	// How long to wait before scaling down is the controller's setting, unless the user says.
	defaultRules(&b.ScaleDown, autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: period})
}

func defaultRules(r **autoscalingv2.HPAScalingRules, policies ...autoscalingv2.HPAScalingPolicy) {
	setDefault(r, autoscalingv2.HPAScalingRules{})
	setDefault(&(*r).SelectPolicy, autoscalingv2.MaxChangePolicySelect)
	if (*r).Policies == nil {
		(*r).Policies = policies
	}
}

// cpuUtilization is the metric that v1 has a field for, and the default.
func cpuUtilization(percent int32) autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
		Name:   corev1.ResourceCPU,
		Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &percent},
	}}
}

// targetsText shows two metrics as "current/target" and counts the others.
func targetsText(specs []autoscalingv2.MetricSpec, statuses []autoscalingv2.MetricStatus) string {
	const shown = 2
	if len(specs) == 0 {
		return "<none>"
	}
	var texts []string
	for i := range specs[:min(shown, len(specs))] {
		var status autoscalingv2.MetricStatus
		if i < len(statuses) {
			status = statuses[i]
		}
		texts = append(texts, targetText(&specs[i], &status))
	}
	text := strings.Join(texts, ", ")
	if more := len(specs) - shown; more > 0 {
		return fmt.Sprintf("%s + %d more...", text, more)
	}
	return text
}

// targetText shows one metric; the status may be that of another kind of metric, or of none yet.
func targetText(spec *autoscalingv2.MetricSpec, status *autoscalingv2.MetricStatus) string {
	switch spec.Type {
	case autoscalingv2.ExternalMetricSourceType:
		var current *autoscalingv2.MetricValueStatus
		if status.External != nil {
			current = &status.External.Current
		}
		return valueText(&spec.External.Target, current)
	case autoscalingv2.ObjectMetricSourceType:
		var current *autoscalingv2.MetricValueStatus
		if status.Object != nil {
			current = &status.Object.Current
		}
		return valueText(&spec.Object.Target, current)
	case autoscalingv2.PodsMetricSourceType:
		current := "<unknown>"
		if status.Pods != nil {
			current = status.Pods.Current.AverageValue.String()
		}
		return current + "/" + spec.Pods.Target.AverageValue.String()
	case autoscalingv2.ResourceMetricSourceType:
		var current *autoscalingv2.MetricValueStatus
		if status.Resource != nil {
			current = &status.Resource.Current
		}
		return string(spec.Resource.Name) + ": " + resourceText(&spec.Resource.Target, current)
	case autoscalingv2.ContainerResourceMetricSourceType:
		var current *autoscalingv2.MetricValueStatus
		if status.ContainerResource != nil {
			current = &status.ContainerResource.Current
		}
		return string(spec.ContainerResource.Name) + ": " + resourceText(&spec.ContainerResource.Target, current)
	}
	return "<unknown type>"
}

// valueText shows a quantity, of each pod or in all.
func valueText(target *autoscalingv2.MetricTarget, current *autoscalingv2.MetricValueStatus) string {
	if current == nil {
		current = &autoscalingv2.MetricValueStatus{}
	}
	if target.AverageValue != nil {
		return quantityText(current.AverageValue) + "/" + target.AverageValue.String() + " (avg)"
	}
	return quantityText(current.Value) + "/" + target.Value.String()
}

// resourceText shows a quantity or a share of what the pods request.
func resourceText(target *autoscalingv2.MetricTarget, current *autoscalingv2.MetricValueStatus) string {
	if current == nil {
		current = &autoscalingv2.MetricValueStatus{}
	}
	if target.AverageValue != nil {
		return quantityText(current.AverageValue) + "/" + target.AverageValue.String()
	}
	return percentText(current.AverageUtilization, "<unknown>") + "/" + percentText(target.AverageUtilization, "<auto>")
}

func quantityText(q *resource.Quantity) string {
	if q == nil {
		return "<unknown>"
	}
	return q.String()
}

func percentText(percent *int32, absent string) string {
	if percent == nil {
		return absent
	}
	return fmt.Sprintf("%d%%", *percent)
}
