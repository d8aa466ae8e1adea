package clientgo_test

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsapply "k8s.io/client-go/applyconfigurations/apps/v1"
	coreapply "k8s.io/client-go/applyconfigurations/core/v1"
	metaapply "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/util/retry"
)

// TestServerSideApply lets two appliers share a Deployment, quarrel about a field, and take one back.
func TestServerSideApply(t *testing.T) {
	k := clientset(t, quiet(t).Config(t)).AppsV1().Deployments("default")
	ctx := t.Context()
	deployment := func(image string) *appsapply.DeploymentApplyConfiguration {
		return appsapply.Deployment("web", "default").WithSpec(appsapply.DeploymentSpec().
			WithSelector(metaapply.LabelSelector().WithMatchLabels(map[string]string{"app": "web"})).
			WithTemplate(coreapply.PodTemplateSpec().WithLabels(map[string]string{"app": "web"}).WithSpec(coreapply.PodSpec().
				WithContainers(coreapply.Container().WithName("web").WithImage(image).
					WithEnv(coreapply.EnvVar().WithName("A").WithValue("1"))))))
	}
	owner := metav1.ApplyOptions{FieldManager: "owner"}
	first := must(k.Apply(ctx, deployment("nginx:1"), owner))(t)
	if again := must(k.Apply(ctx, deployment("nginx:1"), owner))(t); again.ResourceVersion != first.ResourceVersion {
		t.Errorf("applied again, nothing changed, and there is version %s after %s", again.ResourceVersion, first.ResourceVersion)
	}

	sidecar := appsapply.Deployment("web", "default").WithSpec(appsapply.DeploymentSpec().WithReplicas(3).
		WithTemplate(coreapply.PodTemplateSpec().WithSpec(coreapply.PodSpec().
			WithContainers(coreapply.Container().WithName("log").WithImage("fluent")))))
	both := must(k.Apply(ctx, sidecar, metav1.ApplyOptions{FieldManager: "injector"}))(t)
	if c := both.Spec.Template.Spec.Containers; len(c) != 2 || c[0].Name != "web" || c[1].Name != "log" || *both.Spec.Replicas != 3 {
		t.Errorf("%d replicas of %v", *both.Spec.Replicas, c)
	}

	_, err := k.Apply(ctx, deployment("nginx:1").WithSpec(deployment("nginx:2").Spec.WithReplicas(5)), owner)
	if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `conflict with "injector": .spec.replicas`) {
		t.Errorf("a quarrel about replicas: %v", err)
	}
	owner.Force = true
	forced := must(k.Apply(ctx, deployment("nginx:2").WithSpec(deployment("nginx:2").Spec.WithReplicas(5)), owner))(t)
	if *forced.Spec.Replicas != 5 || forced.Spec.Template.Spec.Containers[0].Image != "nginx:2" || len(forced.Spec.Template.Spec.Containers) != 2 {
		t.Errorf("forced: %v", forced.Spec)
	}

	// What an applier no longer names goes, if nobody else owns it.
	extracted := must(appsapply.ExtractDeployment(forced, "owner"))(t)
	extracted.Spec.Template.Spec.Containers[0].Env = nil
	less := must(k.Apply(ctx, extracted, owner))(t)
	if len(less.Spec.Template.Spec.Containers[0].Env) != 0 || *less.Spec.Replicas != 5 {
		t.Errorf("less was applied, and there is %v", less.Spec)
	}
	status := appsapply.Deployment("web", "default").WithStatus(appsapply.DeploymentStatus().WithObservedGeneration(less.Generation).WithReplicas(2))
	if got := must(k.ApplyStatus(ctx, status, metav1.ApplyOptions{FieldManager: "controller"}))(t); got.Status.Replicas != 2 || got.Generation != less.Generation {
		t.Errorf("status: %v, generation %d", got.Status, got.Generation)
	}
}

// TestRetryOnConflict counts with many writers at once; none of them may be lost.
func TestRetryOnConflict(t *testing.T) {
	maps := clientset(t, quiet(t).Config(t)).CoreV1().ConfigMaps("default")
	counter := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "counter"}, Data: map[string]string{"n": "0"}}
	must(maps.Create(t.Context(), counter, metav1.CreateOptions{}))(t)
	const writers, times = 8, 10
	errs := make([]error, writers)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			for range times {
				errs[i] = errors.Join(errs[i], retry.OnError(retry.DefaultBackoff, func(error) bool { return false }, func() error {
					for {
						m, err := maps.Get(t.Context(), "counter", metav1.GetOptions{})
						if err != nil {
							return err
						}
						n, err := strconv.Atoi(m.Data["n"])
						if err != nil {
							return err
						}
						m.Data["n"] = strconv.Itoa(n + 1)
						if _, err = maps.Update(t.Context(), m, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
							return err
						}
					}
				}))
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if n := must(maps.Get(t.Context(), "counter", metav1.GetOptions{}))(t).Data["n"]; n != strconv.Itoa(writers*times) {
		t.Errorf("counted to %s", n)
	}
}

// TestScale changes replicas through the scale client and the typed clients' own.
func TestScale(t *testing.T) {
	config := quiet(t).Config(t)
	k := clientset(t, config)
	made := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: appsv1.StatefulSetSpec{ServiceName: "web", Selector: selected, Template: template}}
	must(k.AppsV1().StatefulSets("default").Create(t.Context(), made, metav1.CreateOptions{}))(t)

	d := must(discovery.NewDiscoveryClientForConfig(config))(t)
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(d))
	scales := must(scale.NewForConfig(config, mapper, dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(d)))(t).Scales("default")
	sets := schema.GroupResource{Group: "apps", Resource: "statefulsets"}
	now := must(scales.Get(t.Context(), sets, "web", metav1.GetOptions{}))(t)
	if now.Spec.Replicas != 1 || now.Status.Selector != "app=web" {
		t.Errorf("at first: %+v", now)
	}
	now.Spec.Replicas = 4
	next := must(scales.Update(t.Context(), sets, now, metav1.UpdateOptions{}))(t)
	if _, err := scales.Update(t.Context(), sets, now, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("scale of an old version: %v", err)
	}
	must(scales.Patch(t.Context(), sets.WithVersion("v1"), "web", "application/merge-patch+json", []byte(`{"spec":{"replicas":6}}`), metav1.PatchOptions{}))(t)
	set := must(k.AppsV1().StatefulSets("default").Get(t.Context(), "web", metav1.GetOptions{}))(t)
	if *set.Spec.Replicas != 6 || set.Generation != 3 {
		t.Errorf("%d replicas, generation %d, after %v", *set.Spec.Replicas, set.Generation, next)
	}
	_, err := k.AppsV1().StatefulSets("default").UpdateScale(t.Context(), "web", &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"}, Spec: autoscalingv1.ScaleSpec{Replicas: -1}}, metav1.UpdateOptions{})
	if !apierrors.IsInvalid(err) {
		t.Errorf("less than nothing: %v", err)
	}
}

// TestEviction asks a budget first.
func TestEviction(t *testing.T) {
	k := clientset(t, quiet(t).Config(t))
	pods, budgets := k.CoreV1().Pods("default"), k.PolicyV1().PodDisruptionBudgets("default")
	budget := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: policyv1.PodDisruptionBudgetSpec{Selector: selected, MinAvailable: pointer(intstr.FromInt32(1))}}
	budget = must(budgets.Create(t.Context(), budget, metav1.CreateOptions{}))(t)
	for _, name := range []string{"a", "b"} {
		pod := must(pods.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: selected.MatchLabels}, Spec: podSpec}, metav1.CreateOptions{}))(t)
		if err := pods.Bind(t.Context(), &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: name}, Target: corev1.ObjectReference{Kind: "Node", Name: "somewhere"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		pod = must(pods.Get(t.Context(), name, metav1.GetOptions{}))(t)
		if pod.Spec.NodeName != "somewhere" {
			t.Errorf("bound to %q", pod.Spec.NodeName)
		}
		pod.Status.Phase = corev1.PodRunning
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
		must(pods.UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}))(t)
	}
	budget.Status = policyv1.PodDisruptionBudgetStatus{ObservedGeneration: budget.Generation, DisruptionsAllowed: 1, CurrentHealthy: 2, DesiredHealthy: 1, ExpectedPods: 2}
	must(budgets.UpdateStatus(t.Context(), budget, metav1.UpdateOptions{}))(t)

	evict := func(name string) error {
		return pods.EvictV1(t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: name}, DeleteOptions: &metav1.DeleteOptions{}})
	}
	if err := evict("a"); err != nil {
		t.Fatal(err)
	}
	a := must(pods.Get(t.Context(), "a", metav1.GetOptions{}))(t)
	if a.DeletionTimestamp == nil || len(a.Status.Conditions) < 2 || a.Status.Conditions[len(a.Status.Conditions)-1].Type != corev1.DisruptionTarget {
		t.Errorf("evicted: %v, %v", a.DeletionTimestamp, a.Status.Conditions)
	}
	err := evict("b")
	if !apierrors.IsTooManyRequests(err) || !apierrors.HasStatusCause(err, policyv1.DisruptionBudgetCause) {
		t.Errorf("the second: %v", err)
	}
	spent := must(budgets.Get(t.Context(), "web", metav1.GetOptions{}))(t)
	if _, there := spent.Status.DisruptedPods["a"]; !there || spent.Status.DisruptionsAllowed != 0 {
		t.Errorf("the budget after: %+v", spent.Status)
	}
	if err := evict("c"); !apierrors.IsNotFound(err) {
		t.Errorf("of what is not there: %v", err)
	}
}
