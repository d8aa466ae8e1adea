package backends

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/informer"
)

func TestTriggers(t *testing.T) {
	at := func(seconds int64) metav1.Time { return metav1.NewTime(time.Unix(seconds, 0)) }
	pod := func(name string, ready int64) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, LastTransitionTime: at(ready)}}},
		}
	}
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web", CreationTimestamp: at(10)}}
	var triggers Triggers
	for n, step := range []struct {
		pods []*corev1.Pod
		want int64 // zero for none
	}{
		{[]*corev1.Pod{pod("a", 20)}, 10}, // new to us, so the Service itself
		{[]*corev1.Pod{pod("a", 20)}, 0},
		{[]*corev1.Pod{pod("a", 20), pod("b", 32), pod("c", 31)}, 31},
		{[]*corev1.Pod{pod("a", 40), pod("b", 32)}, 40},
		{[]*corev1.Pod{pod("a", 40)}, 0},
	} {
		got := triggers.Since(s, step.pods)
		if got.IsZero() != (step.want == 0) || step.want != 0 && got.Unix() != step.want {
			t.Errorf("step %d: %v, want %d", n, got, step.want)
		}
	}
	triggers.Forget(informer.KeyOf(s))
	if got := triggers.Since(s, nil); got.Unix() != 10 {
		t.Errorf("after it was forgotten: %v", got)
	}
}

func TestPort(t *testing.T) {
	named := func(name string, n int32, p corev1.Protocol) corev1.Container {
		return corev1.Container{Ports: []corev1.ContainerPort{{Name: name, ContainerPort: n, Protocol: p}}}
	}
	sidecar := named("metrics", 91, corev1.ProtocolTCP)
	sidecar.RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		Containers:     []corev1.Container{named("dns", 53, corev1.ProtocolUDP), named("dns", 54, corev1.ProtocolTCP)},
		InitContainers: []corev1.Container{named("init", 90, corev1.ProtocolTCP), sidecar},
	}}
	for name, c := range map[string]struct {
		target intstr.IntOrString
		want   int32
		ok     bool
	}{
		"number":          {intstr.FromInt32(8080), 8080, true},
		"of the protocol": {intstr.FromString("dns"), 54, true},
		"of a sidecar":    {intstr.FromString("metrics"), 91, true},
		"not of an init":  {intstr.FromString("init"), 0, false},
		"unknown":         {intstr.FromString("x"), 0, false},
	} {
		got, ok := Port(pod, &corev1.ServicePort{Protocol: corev1.ProtocolTCP, TargetPort: c.target})
		if got != c.want || ok != c.ok {
			t.Errorf("%s: %d %v", name, got, ok)
		}
	}
}
