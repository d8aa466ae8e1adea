package autoscaling

import (
	"encoding/json"
	"maps"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/proa-dev/proa/internal/registry"
)

// v1 has one metric, the share of CPU that the pods use. All else travels in annotations, as JSON of the
// types that v1 has for it; a reader of v1 who writes back what it has read loses nothing. What the server
// has put there it takes out again: in v2 the annotations are not seen.

// autoscalerV1 is the version with one metric.
var autoscalerV1 = registry.Spoke("v1", fromV1, toV1)

const (
	metricsAnnotation    = "autoscaling.alpha.kubernetes.io/metrics"
	statusesAnnotation   = "autoscaling.alpha.kubernetes.io/current-metrics"
	conditionsAnnotation = "autoscaling.alpha.kubernetes.io/conditions"
	behaviorAnnotation   = "autoscaling.alpha.kubernetes.io/behavior"
)

// dropAnnotations returns a copy without what the conversion keeps there.
func dropAnnotations(annotations map[string]string) map[string]string {
	kept := maps.Clone(annotations)
	for _, key := range []string{
		metricsAnnotation, statusesAnnotation, conditionsAnnotation, behaviorAnnotation,
		"autoscaling.alpha.kubernetes.io/scale-down-tolerance", "autoscaling.alpha.kubernetes.io/scale-up-tolerance",
	} {
		delete(kept, key)
	}
	return kept
}

// behaviorText is how the behavior is written: with the names of Go fields, which kube-apiserver once let
// out and now keeps for compatibility. encoding/json reads it into the API types, whatever the case.
type behaviorText struct{ ScaleUp, ScaleDown *rulesText }

type rulesText struct {
	StabilizationWindowSeconds *int32
	SelectPolicy               *autoscalingv2.ScalingPolicySelect
	Policies                   []policyText
	Tolerance                  *resource.Quantity
}

type policyText struct {
	Type          autoscalingv2.HPAScalingPolicyType
	Value         int32
	PeriodSeconds int32
}

func textOf(r *autoscalingv2.HPAScalingRules) *rulesText {
	if r == nil {
		return nil
	}
	text := &rulesText{StabilizationWindowSeconds: r.StabilizationWindowSeconds, SelectPolicy: r.SelectPolicy, Tolerance: r.Tolerance}
	for _, p := range r.Policies {
		text.Policies = append(text.Policies, policyText(p))
	}
	return text
}

// isCPUShare tells whether v1 has a field for the metric.
func isCPUShare(m *autoscalingv2.MetricSpec) bool {
	return m.Type == autoscalingv2.ResourceMetricSourceType && m.Resource != nil &&
		m.Resource.Name == corev1.ResourceCPU && m.Resource.Target.AverageUtilization != nil
}

func toV1(a *autoscalingv2.HorizontalPodAutoscaler) (*autoscalingv1.HorizontalPodAutoscaler, error) {
	v1 := &autoscalingv1.HorizontalPodAutoscaler{ObjectMeta: a.ObjectMeta}
	v1.Annotations = dropAnnotations(a.Annotations)
	v1.Spec = autoscalingv1.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv1.CrossVersionObjectReference(a.Spec.ScaleTargetRef),
		MinReplicas:    a.Spec.MinReplicas,
		MaxReplicas:    a.Spec.MaxReplicas,
	}
	v1.Status = autoscalingv1.HorizontalPodAutoscalerStatus{
		ObservedGeneration: a.Status.ObservedGeneration,
		LastScaleTime:      a.Status.LastScaleTime,
		CurrentReplicas:    a.Status.CurrentReplicas,
		DesiredReplicas:    a.Status.DesiredReplicas,
	}
	var others []autoscalingv1.MetricSpec
	for i := range a.Spec.Metrics {
		m := &a.Spec.Metrics[i]
		switch {
		case !isCPUShare(m):
			others = append(others, specToV1(m))
		case v1.Spec.TargetCPUUtilizationPercentage == nil:
			v1.Spec.TargetCPUUtilizationPercentage = m.Resource.Target.AverageUtilization
		}
	}
	// All statuses go into the annotation: the field has no place for the raw value.
	var statuses []autoscalingv1.MetricStatus
	for i := range a.Status.CurrentMetrics {
		s := &a.Status.CurrentMetrics[i]
		statuses = append(statuses, statusToV1(s))
		if r := s.Resource; s.Type == autoscalingv2.ResourceMetricSourceType && r != nil && r.Name == corev1.ResourceCPU && r.Current.AverageUtilization != nil {
			v1.Status.CurrentCPUUtilizationPercentage = r.Current.AverageUtilization
		}
	}
	var conditions []autoscalingv1.HorizontalPodAutoscalerCondition
	for _, c := range a.Status.Conditions {
		conditions = append(conditions, autoscalingv1.HorizontalPodAutoscalerCondition{
			Type: autoscalingv1.HorizontalPodAutoscalerConditionType(c.Type), Status: c.Status,
			LastTransitionTime: c.LastTransitionTime, Reason: c.Reason, Message: c.Message,
		})
	}
	var err error
	annotate := func(key string, present bool, value any) {
		if !present || err != nil {
			return
		}
		var data []byte
		data, err = json.Marshal(value)
		if v1.Annotations == nil {
			v1.Annotations = map[string]string{}
		}
		v1.Annotations[key] = string(data)
	}
	annotate(metricsAnnotation, len(others) > 0, others)
	annotate(statusesAnnotation, len(statuses) > 0, statuses)
	if b := a.Spec.Behavior; b != nil {
		annotate(behaviorAnnotation, true, behaviorText{textOf(b.ScaleUp), textOf(b.ScaleDown)})
	}
	annotate(conditionsAnnotation, len(conditions) > 0, conditions)
	return v1, err
}

// fromV1 passes over annotations that do not parse: they are the user's to break.
func fromV1(v1 *autoscalingv1.HorizontalPodAutoscaler) (*autoscalingv2.HorizontalPodAutoscaler, error) {
	a := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: v1.ObjectMeta}
	a.Annotations = dropAnnotations(v1.Annotations)
	a.Spec = autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference(v1.Spec.ScaleTargetRef),
		MinReplicas:    v1.Spec.MinReplicas,
		MaxReplicas:    v1.Spec.MaxReplicas,
	}
	a.Status = autoscalingv2.HorizontalPodAutoscalerStatus{
		ObservedGeneration: v1.Status.ObservedGeneration,
		LastScaleTime:      v1.Status.LastScaleTime,
		CurrentReplicas:    v1.Status.CurrentReplicas,
		DesiredReplicas:    v1.Status.DesiredReplicas,
	}
	if others, ok := parse[[]autoscalingv1.MetricSpec](v1.Annotations, metricsAnnotation); ok {
		for i := range others {
			a.Spec.Metrics = append(a.Spec.Metrics, specFromV1(&others[i]))
		}
	}
	if share := v1.Spec.TargetCPUUtilizationPercentage; share != nil {
		a.Spec.Metrics = append(a.Spec.Metrics, cpuUtilization(*share))
	}
	if b, ok := parse[autoscalingv2.HorizontalPodAutoscalerBehavior](v1.Annotations, behaviorAnnotation); ok && (b.ScaleUp != nil || b.ScaleDown != nil) {
		a.Spec.Behavior = &b
	}
	if statuses, ok := parse[[]autoscalingv1.MetricStatus](v1.Annotations, statusesAnnotation); ok {
		for i := range statuses {
			a.Status.CurrentMetrics = append(a.Status.CurrentMetrics, statusFromV1(&statuses[i]))
		}
	} else if share := v1.Status.CurrentCPUUtilizationPercentage; share != nil {
		a.Status.CurrentMetrics = []autoscalingv2.MetricStatus{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricStatus{
			Name: corev1.ResourceCPU, Current: autoscalingv2.MetricValueStatus{AverageUtilization: share},
		}}}
	}
	conditions, _ := parse[[]autoscalingv1.HorizontalPodAutoscalerCondition](v1.Annotations, conditionsAnnotation)
	for _, c := range conditions {
		a.Status.Conditions = append(a.Status.Conditions, autoscalingv2.HorizontalPodAutoscalerCondition{
			Type: autoscalingv2.HorizontalPodAutoscalerConditionType(c.Type), Status: c.Status,
			LastTransitionTime: c.LastTransitionTime, Reason: c.Reason, Message: c.Message,
		})
	}
	return a, nil
}

// parse reads an annotation; false means that it is missing or no JSON of its kind.
func parse[V any](annotations map[string]string, key string) (value V, ok bool) {
	text, ok := annotations[key]
	if !ok || json.Unmarshal([]byte(text), &value) != nil {
		var none V
		return none, false
	}
	return value, true
}
