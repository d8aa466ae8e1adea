package ownership

import (
	"testing"
	"time"

	"github.com/proa-dev/proa/internal/registry"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var (
	configMapKind  = corev1.SchemeGroupVersion.WithKind("ConfigMap")
	podKind        = corev1.SchemeGroupVersion.WithKind("Pod")
	deploymentKind = appsv1.SchemeGroupVersion.WithKind("Deployment")
)

func smallConfigMap() *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "n", Labels: map[string]string{"app": "x"}},
		Data:       map[string]string{"a": "1", "b": "2", "c": "3"},
	}
}

func webPod() *corev1.Pod {
	quantities := corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("64Mi")}
	yes := true
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "web-", Namespace: "n", Labels: map[string]string{"app": "web", "pod-template-hash": "abc"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", UID: "1", Controller: &yes}},
		},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{
				Name: "web", Image: "nginx", ImagePullPolicy: "Always",
				Ports:     []corev1.ContainerPort{{ContainerPort: 80, Protocol: "TCP"}},
				Env:       []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}},
				Resources: corev1.ResourceRequirements{Requests: quantities, Limits: quantities},
				LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
					Path: "/healthz", Port: intstr.FromInt32(80), Scheme: "HTTP"}}, PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3},
				VolumeMounts:           []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
				TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: "File",
			}},
			Volumes:       []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
			Tolerations:   []corev1.Toleration{{Key: "node.kubernetes.io/not-ready", Operator: "Exists", Effect: "NoExecute"}},
			RestartPolicy: "Always", DNSPolicy: "ClusterFirst", SchedulerName: "default-scheduler", ServiceAccountName: "default",
			EnableServiceLinks: &yes, SecurityContext: &corev1.PodSecurityContext{},
		},
	}
}

func webDeployment() *appsv1.Deployment {
	pod, replicas := webPod(), int32(3)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "n", Labels: map[string]string{"app": "web"}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}, Spec: pod.Spec},
		},
	}
}

func withKind[T registry.Object](o T, typ *registry.Type) T {
	setKind(o, typ.Hub.GroupVersionKind())
	return o
}

func benchmarkCreate(b *testing.B, typ *registry.Type, o registry.Object) {
	withKind(o, typ)
	now := time.Now()
	b.Run("ours", func(b *testing.B) {
		m := New(typ)
		b.ReportAllocs()
		for b.Loop() {
			o.SetManagedFields(nil)
			if err := m.Update(nil, o, Write{Version: typ.Hub, Manager: "kubectl", Now: now}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		f := oracle(b, typ, "")
		b.ReportAllocs()
		for b.Loop() {
			o.SetManagedFields(nil)
			live := withKind(typ.New(), typ)
			if _, err := f.Update(live, o, "kubectl"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCreateConfigMap(b *testing.B) {
	benchmarkCreate(b, typeFor[corev1.ConfigMap](configMapKind), smallConfigMap())
}

func BenchmarkCreatePod(b *testing.B) { benchmarkCreate(b, typeFor[corev1.Pod](podKind), webPod()) }

func BenchmarkCreateDeployment(b *testing.B) {
	benchmarkCreate(b, typeFor[appsv1.Deployment](deploymentKind), webDeployment())
}

// BenchmarkPodStatus is the most frequent write of a cluster: a kubelet reports.
func BenchmarkPodStatus(b *testing.B) {
	typ := typeFor[corev1.Pod](podKind)
	m, now := New(typ), time.Now()
	live := withKind(webPod(), typ)
	if err := m.Update(nil, live, Write{Version: typ.Hub, Manager: "kube-controller-manager", Now: now}); err != nil {
		b.Fatal(err)
	}
	live.UID = "uid"
	ready := copyOf(live)
	ready.Status = corev1.PodStatus{
		Phase: "Running", PodIP: "10.0.0.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}},
		Conditions:        []corev1.PodCondition{{Type: "Ready", Status: "True"}, {Type: "Initialized", Status: "True"}},
		ContainerStatuses: []corev1.ContainerStatus{{Name: "web", Ready: true, Image: "nginx"}},
	}
	write := Write{Version: typ.Hub, Manager: "kubelet", Subresource: "status", Now: now}
	if err := m.Update(live, ready, write); err != nil {
		b.Fatal(err)
	}
	entries := ready.ManagedFields
	next := copyOf(ready)
	next.Status.Conditions[0].Status = "False"
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			next.ManagedFields = entries
			if err := m.Update(ready, next, write); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		f := oracle(b, typ, "status")
		b.ReportAllocs()
		for b.Loop() {
			next.ManagedFields = entries
			if _, err := f.Update(ready, next, "kubelet"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
