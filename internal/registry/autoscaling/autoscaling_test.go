package autoscaling

import (
	"math/rand/v2"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry/registrytest"
)

func quantity(s string) *resource.Quantity { return ptr.To(resource.MustParse(s)) }

func autoscaler() *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"}, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}, MaxReplicas: 5,
	}}
}

func object(version string) autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{Type: "Object", Object: &autoscalingv2.ObjectMetricSource{
		DescribedObject: autoscalingv2.CrossVersionObjectReference{APIVersion: version, Kind: "Ingress", Name: "web"},
		Metric:          autoscalingv2.MetricIdentifier{Name: "hits"},
		Target:          autoscalingv2.MetricTarget{Type: "Value", Value: quantity("10")},
	}}
}

func external(target autoscalingv2.MetricTarget) autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{Type: "External", External: &autoscalingv2.ExternalMetricSource{Metric: autoscalingv2.MetricIdentifier{Name: "queue"}, Target: target}}
}

func TestAutoscaler(t *testing.T) {
	type row = registrytest.Edit[autoscalingv2.HorizontalPodAutoscaler]
	metric := func(m autoscalingv2.MetricSpec) func(*autoscalingv2.HorizontalPodAutoscaler) {
		return func(a *autoscalingv2.HorizontalPodAutoscaler) { a.Spec.Metrics = []autoscalingv2.MetricSpec{m} }
	}
	ref := func(version, kind, name string) func(*autoscalingv2.HorizontalPodAutoscaler) {
		return func(a *autoscalingv2.HorizontalPodAutoscaler) {
			a.Spec.ScaleTargetRef = autoscalingv2.CrossVersionObjectReference{APIVersion: version, Kind: kind, Name: name}
		}
	}
	least := func(n int32) func(*autoscalingv2.HorizontalPodAutoscaler) {
		return func(a *autoscalingv2.HorizontalPodAutoscaler) { a.Spec.MinReplicas = &n }
	}
	two := object("v1")
	two.Pods = &autoscalingv2.PodsMetricSource{}
	const known = `supported values: "ContainerResource", "External", "Object", "Pods", "Resource"`
	const fromZero = "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas"
	registrytest.Create(t, HorizontalPodAutoscalers, autoscaler,
		row{"no maximum", func(a *autoscalingv2.HorizontalPodAutoscaler) { a.Spec.MaxReplicas = 0 }, []string{
			"spec.maxReplicas: Required value: must be set and greater than 0", "spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`",
		}},
		row{"maximum below minimum", least(6), []string{"spec.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`"}},
		row{"from zero", least(0), []string{fromZero, "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"}},
		row{"no target", ref("apps/v1", "", "a/b"), []string{"spec.scaleTargetRef.kind: Required value", `spec.scaleTargetRef.name: Invalid value: "a/b": may not contain '/'`}},
		row{"no group", ref("v1", "Pod", "web"), []string{`spec.scaleTargetRef.apiVersion: Invalid value: "v1": apiVersion must specify API group`}},
		row{"no group but known", ref("v1", "ReplicationController", "web"), nil},
		row{"no version", ref("a/b/c", "Deployment", "web"), []string{`spec.scaleTargetRef.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c`}},
		row{"metric of no type", metric(autoscalingv2.MetricSpec{}), []string{
			"spec.metrics[0].type: Required value: must specify a metric source type",
			`spec.metrics[0].type: Unsupported value: "": ` + known, `spec.metrics[0].type: Unsupported value: "": ` + known,
		}},
		row{"metric of its type missing", metric(autoscalingv2.MetricSpec{Type: "Pods"}), []string{"spec.metrics[0].pods: Required value: must populate information for the given metric source"}},
		row{"two sources", metric(two), []string{"spec.metrics[0].pods: Forbidden: must populate the given metric source only"}},
		row{"object", metric(object("v1")), nil},
		row{"object of no version", metric(object("a/b/c")), []string{`spec.metrics[0].object.describedObject.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c`}},
		row{"external without target", metric(external(autoscalingv2.MetricTarget{})), []string{
			"spec.metrics[0].external.target.type: Required value: must specify a metric target type",
			`spec.metrics[0].external.target.type: Invalid value: "": must be either Utilization, Value, or AverageValue`,
			"spec.metrics[0].external.target.averageValue: Required value: must set either a target value for metric or a per-pod target",
		}},
		row{"external with two", metric(external(autoscalingv2.MetricTarget{Type: "Value", Value: quantity("0"), AverageValue: quantity("1")})), []string{
			`spec.metrics[0].external.target.value: Invalid value: "0": must be positive`,
			"spec.metrics[0].external.target.value: Forbidden: may not set both a target value for metric and a per-pod target",
		}},
		row{"no share", metric(cpuUtilization(0)), []string{"spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0"}},
		row{"container", metric(autoscalingv2.MetricSpec{Type: "ContainerResource", ContainerResource: &autoscalingv2.ContainerResourceMetricSource{
			Name: "speed", Target: autoscalingv2.MetricTarget{Type: "Utilization"},
		}}), []string{
			`spec.metrics[0].containerResource.name: Invalid value: "speed": must be a standard resource type or fully qualified`,
			`spec.metrics[0].containerResource.name: Invalid value: "speed": must be a standard resource for containers`,
			"spec.metrics[0].containerResource.container: Required value: must specify a container",
			"spec.metrics[0].containerResource.target.averageUtilization: Required value: must set either a target raw value or a target utilization",
		}},
		row{"behavior", func(a *autoscalingv2.HorizontalPodAutoscaler) {
			a.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{
				ScaleUp: &autoscalingv2.HPAScalingRules{
					StabilizationWindowSeconds: ptr.To[int32](3601), SelectPolicy: ptr.To(autoscalingv2.ScalingPolicySelect("Mean")),
					Policies: []autoscalingv2.HPAScalingPolicy{{Type: "Nodes", PeriodSeconds: 1801}}, Tolerance: quantity("-1"),
				},
				ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: ptr.To[int32](-1), Policies: []autoscalingv2.HPAScalingPolicy{}},
			}
		}, []string{
			"spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600",
			`spec.behavior.scaleUp.selectPolicy: Unsupported value: "Mean": supported values: "Disabled", "Max", "Min"`,
			`spec.behavior.scaleUp.policies[0].type: Unsupported value: "Nodes": supported values: "Percent", "Pods"`,
			"spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero",
			"spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800",
			`spec.behavior.scaleUp.tolerance: Invalid value: "-1": must be greater than or equal to 0`,
			"spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: -1: must be greater than or equal to zero",
			"spec.behavior.scaleDown.policies: Required value: must specify at least one Policy",
		}},
	)
	old := func() *autoscalingv2.HorizontalPodAutoscaler {
		a := autoscaler()
		ref("v1", "Thing", "web")(a)
		metric(object("a/b/c"))(a)
		least(0)(a)
		return a
	}
	registrytest.Update(t, HorizontalPodAutoscalers, old,
		row{"older than the rules", func(a *autoscalingv2.HorizontalPodAutoscaler) { a.Spec.MaxReplicas = 9 }, nil},
		row{"below zero", least(-1), []string{"spec.minReplicas: Invalid value: -1: must be greater than or equal to 0"}},
		row{"new target", ref("v1", "Other", "web"), []string{`spec.scaleTargetRef.apiVersion: Invalid value: "v1": apiVersion must specify API group`}},
	)
	registrytest.Update(t, HorizontalPodAutoscalers, autoscaler,
		row{"to zero", least(0), []string{fromZero, "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"}})
	registrytest.Status(t, HorizontalPodAutoscalers, autoscaler,
		row{"negative", func(a *autoscalingv2.HorizontalPodAutoscaler) { a.Status.DesiredReplicas = -1 }, []string{"status.desiredReplicas: Invalid value: -1: must be greater than or equal to 0"}})
}

func TestAutoscalerDefaultsAndColumns(t *testing.T) {
	a, typ := autoscaler(), HorizontalPodAutoscalers.Erase()
	a.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{}
	typ.Default(a)
	up, down := a.Spec.Behavior.ScaleUp, a.Spec.Behavior.ScaleDown
	if *a.Spec.MinReplicas != 1 || *a.Spec.Metrics[0].Resource.Target.AverageUtilization != 80 || *up.SelectPolicy != "Max" || *up.StabilizationWindowSeconds != 0 ||
		len(up.Policies) != 2 || down.StabilizationWindowSeconds != nil || len(down.Policies) != 1 || down.Policies[0].Value != 100 {
		t.Errorf("defaults: %+v, up %+v, down %+v", a.Spec, up, down)
	}
	row := map[string]any{"Reference": "Deployment/web", "Targets": "cpu: <unknown>/80%", "MinPods": "1", "MaxPods": int64(5), "Replicas": int64(0)}
	registrytest.Columns(t, typ, a, row)
	a.Spec.Metrics = append(a.Spec.Metrics, object("v1"), external(autoscalingv2.MetricTarget{Type: "AverageValue", AverageValue: quantity("3")}))
	a.Status.CurrentMetrics = []autoscalingv2.MetricStatus{
		{Type: "Resource", Resource: &autoscalingv2.ResourceMetricStatus{Name: "cpu", Current: autoscalingv2.MetricValueStatus{AverageUtilization: ptr.To[int32](7)}}},
		{Type: "Object", Object: &autoscalingv2.ObjectMetricStatus{Current: autoscalingv2.MetricValueStatus{Value: quantity("4")}}},
	}
	row["Targets"] = "cpu: 7%/80%, 4/10 + 1 more..."
	registrytest.Columns(t, typ, a, row)
	a.Spec.Metrics, a.Status.CurrentMetrics = a.Spec.Metrics[2:], nil
	row["Targets"] = "<unknown>/3 (avg)"
	registrytest.Columns(t, typ, a, row)
}

// full has one of everything that travels in v1's annotations.
func full() *autoscalingv2.HorizontalPodAutoscaler {
	a := autoscaler()
	a.Annotations = map[string]string{"own": "yes"}
	share := func(percent int32) autoscalingv2.MetricTarget {
		return autoscalingv2.MetricTarget{Type: "Utilization", AverageUtilization: &percent}
	}
	a.Spec.MinReplicas = ptr.To[int32](2)
	a.Spec.Metrics = []autoscalingv2.MetricSpec{
		object("v1"),
		external(autoscalingv2.MetricTarget{Type: "AverageValue", AverageValue: quantity("3")}),
		{Type: "Pods", Pods: &autoscalingv2.PodsMetricSource{
			Metric: autoscalingv2.MetricIdentifier{Name: "load", Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}},
			Target: autoscalingv2.MetricTarget{Type: "AverageValue", AverageValue: quantity("1500m")},
		}},
		{Type: "Resource", Resource: &autoscalingv2.ResourceMetricSource{Name: "memory", Target: autoscalingv2.MetricTarget{Type: "AverageValue", AverageValue: quantity("1Gi")}}},
		{Type: "ContainerResource", ContainerResource: &autoscalingv2.ContainerResourceMetricSource{Name: "cpu", Container: "main", Target: share(50)}},
		cpuUtilization(60),
	}
	a.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: &autoscalingv2.HPAScalingRules{Tolerance: quantity("50m")}}
	defaultAutoscaler(a)
	value := func(q string) autoscalingv2.MetricValueStatus {
		return autoscalingv2.MetricValueStatus{Value: quantity(q)}
	}
	average := func(q string) autoscalingv2.MetricValueStatus {
		return autoscalingv2.MetricValueStatus{AverageValue: quantity(q), AverageUtilization: ptr.To[int32](9)}
	}
	each := value("0")
	each.AverageValue = quantity("2")
	a.Status = autoscalingv2.HorizontalPodAutoscalerStatus{
		ObservedGeneration: ptr.To[int64](3), LastScaleTime: &metav1.Time{Time: metav1.Unix(100, 0).UTC()}, CurrentReplicas: 2, DesiredReplicas: 3,
		CurrentMetrics: []autoscalingv2.MetricStatus{
			{Type: "Object", Object: &autoscalingv2.ObjectMetricStatus{Metric: autoscalingv2.MetricIdentifier{Name: "hits"}, Current: value("4")}},
			{Type: "External", External: &autoscalingv2.ExternalMetricStatus{Metric: autoscalingv2.MetricIdentifier{Name: "queue"}, Current: each}},
			{Type: "Resource", Resource: &autoscalingv2.ResourceMetricStatus{Name: "cpu", Current: average("100m")}},
			{Type: "ContainerResource", ContainerResource: &autoscalingv2.ContainerResourceMetricStatus{Name: "cpu", Container: "main", Current: average("50m")}},
		},
		Conditions: []autoscalingv2.HorizontalPodAutoscalerCondition{{Type: "ScalingActive", Status: "True", Reason: "Measured", LastTransitionTime: metav1.Unix(100, 0)}},
	}
	return a
}

func TestAutoscalerV1(t *testing.T) {
	v1, err := toV1(full())
	if err != nil {
		t.Fatal(err)
	}
	if *v1.Spec.TargetCPUUtilizationPercentage != 60 || *v1.Status.CurrentCPUUtilizationPercentage != 9 || *v1.Spec.MinReplicas != 2 {
		t.Errorf("v1: %+v %+v", v1.Spec, v1.Status)
	}
	const behavior = `{"ScaleUp":{"StabilizationWindowSeconds":0,"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":4,"PeriodSeconds":15},{"Type":"Percent","Value":100,"PeriodSeconds":15}],"Tolerance":null},` +
		`"ScaleDown":{"StabilizationWindowSeconds":null,"SelectPolicy":"Max","Policies":[{"Type":"Percent","Value":100,"PeriodSeconds":15}],"Tolerance":"50m"}}`
	if got := v1.Annotations[behaviorAnnotation]; got != behavior {
		t.Errorf("behavior\n got %s\nwant %s", got, behavior)
	}
	back, err := fromV1(v1)
	if err != nil {
		t.Fatal(err)
	}
	if want := full(); !equality.Semantic.DeepEqual(want, back) {
		t.Errorf("through v1\n got %+v\nwant %+v", back, want)
	}

	plain, err := fromV1(&autoscalingv1.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{metricsAnnotation: "{", behaviorAnnotation: "{}", "own": "yes"}},
		Spec:       autoscalingv1.HorizontalPodAutoscalerSpec{MaxReplicas: 3},
		Status:     autoscalingv1.HorizontalPodAutoscalerStatus{CurrentCPUUtilizationPercentage: ptr.To[int32](5)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(plain.Annotations) != 1 || plain.Spec.Behavior != nil || *plain.Status.CurrentMetrics[0].Resource.Current.AverageUtilization != 5 {
		t.Errorf("v2 of a broken v1: %+v", plain)
	}
	defaultAutoscaler(plain)
	if len(plain.Spec.Metrics) != 1 || *plain.Spec.Metrics[0].Resource.Target.AverageUtilization != 80 {
		t.Errorf("without any metric: %+v", plain.Spec.Metrics)
	}
}

// TestAutoscalerV1Random drops random parts and takes the rest through v1 and back.
func TestAutoscalerV1Random(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		want := full()
		keepMetrics, keepStatuses := want.Spec.Metrics[:0], want.Status.CurrentMetrics[:0]
		for _, m := range want.Spec.Metrics {
			if random.IntN(2) == 0 {
				keepMetrics = append(keepMetrics, m)
			}
		}
		for _, m := range want.Status.CurrentMetrics {
			if random.IntN(2) == 0 {
				keepStatuses = append(keepStatuses, m)
			}
		}
		want.Spec.Metrics, want.Status.CurrentMetrics = keepMetrics, keepStatuses
		if random.IntN(2) == 0 {
			want.Spec.Behavior, want.Annotations = nil, nil
		}
		v1, err := toV1(want.DeepCopy())
		if err != nil {
			t.Fatal(err)
		}
		if back, _ := fromV1(v1); !equality.Semantic.DeepEqual(want, back) {
			t.Fatalf("through v1\n got %+v\nwant %+v", back, want)
		}
	}
}
