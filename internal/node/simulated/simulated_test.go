package simulated

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/node/container"
)

func TestAddresses(t *testing.T) {
	a := newAddresses(netip.MustParsePrefix("10.0.0.0/29"))
	take := func() string {
		ip, err := a.take()
		if err != nil {
			return err.Error()
		}
		return ip.String()
	}
	expect := func(want ...string) {
		t.Helper()
		for _, w := range want {
			if got := take(); got != w {
				t.Fatalf("got %s, not %s", got, w)
			}
		}
	}
	full := "no IP addresses available in range 10.0.0.0/29"
	a.hold(netip.MustParseAddr("10.0.0.3"))
	a.hold(netip.MustParseAddr("192.168.0.1"))
	expect("10.0.0.2", "10.0.0.4", "10.0.0.5")
	a.release(netip.MustParseAddr("10.0.0.2"))
	expect("10.0.0.6", "10.0.0.2", full)
	a.release(netip.MustParseAddr("10.0.0.4"))
	expect("10.0.0.4", full)

	for _, tiny := range []netip.Prefix{{}, netip.MustParsePrefix("10.0.0.0/31"), netip.MustParsePrefix("10.0.0.0/32")} {
		a = newAddresses(tiny)
		if got := take(); got != "no IP addresses available in range "+tiny.String() {
			t.Errorf("%v has address %s", tiny, got)
		}
	}
}

func TestBehaviour(t *testing.T) {
	always, never := corev1.RestartPolicyAlways, corev1.RestartPolicyNever
	for _, c := range []struct {
		policy      corev1.RestartPolicy
		name        string
		annotations map[string]string
		want        string
	}{
		{always, "main", nil, "forever 0 stop 0s 0"},
		{never, "main", nil, "1s 0 stop 0s 143"},
		{never, "main", map[string]string{AnnotationRunFor: "forever"}, "forever 0 stop 0s 143"},
		{always, "main", map[string]string{AnnotationRunFor: "1m", AnnotationExitCode: "3"}, "1m0s 3 stop 0s 143"},
		{always, "main", map[string]string{AnnotationRunFor: "1m", AnnotationRunFor + ".main": "2m"}, "2m0s 0 stop 0s 143"},
		{always, "main", map[string]string{AnnotationRunFor + ".init": "2m"}, "forever 0 stop 0s 0"},
		{always, "init", map[string]string{AnnotationRunFor: "forever", AnnotationExitCode: "1"}, "0s 0 stop 0s 143"},
		{always, "init", map[string]string{AnnotationRunFor + ".init": "2m"}, "2m0s 0 stop 0s 143"},
		{never, "log", map[string]string{AnnotationRunFor: "1s"}, "forever 0 stop 0s 0"},
		{always, "debug", nil, "forever 0 stop 0s 0"},
		{always, "hook", map[string]string{AnnotationStopAfter: "2s"}, "forever 0 stop 7s 0"},
		{always, "main", map[string]string{AnnotationRunFor: "-1s"}, `annotation sim.proa.dev/run-for of container main is "-1s", not a duration such as 20s`},
		{always, "main", map[string]string{AnnotationExitCode: "256"}, `annotation sim.proa.dev/exit-code of container main is "256", not a number from 0 to 255`},
	} {
		sidecar := corev1.ContainerRestartPolicyAlways
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: c.annotations}, Spec: corev1.PodSpec{
			RestartPolicy:  c.policy,
			InitContainers: []corev1.Container{{Name: "init"}, {Name: "log", RestartPolicy: &sidecar}},
			Containers: []corev1.Container{{Name: "main"}, {Name: "hook", Lifecycle: &corev1.Lifecycle{
				PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 5}},
			}}},
		}}
		b, err := behaviourOf(p, c.name, Options{RunFor: time.Second})
		runs := b.runFor.String()
		if b.runFor == forever {
			runs = Forever
		}
		got := fmt.Sprintf("%s %d stop %s %d", runs, b.exitCode, b.stopAfter, b.stopCode)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s %s %v: %s, not %s", c.policy, c.name, c.annotations, got, c.want)
		}
	}
}

// A container tells of each of its changes when it happens, and of nothing after it was removed.
func TestChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		told := make(chan time.Duration, 10)
		r := New(Options{StartAfter: time.Second}, netip.MustParsePrefix("10.0.0.0/24"), func(types.NamespacedName) {
			told <- time.Since(begin)
		})
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "1", Annotations: map[string]string{AnnotationRunFor: "5s", AnnotationStopAfter: "1h"}}}
		p.Spec.Containers = []corev1.Container{{Name: "main", Image: "registry:5000/a/b:v1"}}
		state := func() container.Status {
			seen, err := r.Pod(t.Context(), p)
			if err != nil || len(seen.Containers) != 1 {
				t.Fatal(seen, err)
			}
			return seen.Containers[0]
		}
		if err := r.Start(t.Context(), p, "main", 0); err == nil {
			t.Error("a container starts without a sandbox")
		}
		r.CreateSandbox(t.Context(), p)
		r.Start(t.Context(), p, "main", 0)
		if s := state(); s.State != container.Starting || !s.StartedAt.IsZero() {
			t.Errorf("%+v", s)
		}
		time.Sleep(2 * time.Second)
		if s := state(); s.State != container.Running || s.ImageID[:27] != "registry:5000/a/b@sha256:"+s.ImageID[25:27] {
			t.Errorf("%+v", s)
		}
		r.Stop(t.Context(), p, "main", time.Minute) // it ends by itself before that
		time.Sleep(10 * time.Second)
		if s := state(); s.State != container.Exited || s.Exit.Code != 0 || s.Exit.FinishedAt.Sub(begin) != 6*time.Second {
			t.Errorf("%+v", s)
		}
		r.Start(t.Context(), p, "main", 1)
		r.Stop(t.Context(), p, "main", 3*time.Second)
		time.Sleep(4 * time.Second)
		if s := state(); s.Exit == nil || s.Exit.Code != 137 || s.Last == nil || s.Last.Code != 0 || s.ID == s.Last.ID {
			t.Errorf("%+v", s)
		}
		r.Start(t.Context(), p, "main", 2)
		r.Remove(t.Context(), p.UID)
		time.Sleep(time.Minute)
		var times []time.Duration
		for len(told) > 0 {
			times = append(times, <-told)
		}
		if want := "[1s 6s 13s 15s]"; fmt.Sprint(times) != want {
			t.Errorf("told at %v, not %s", times, want)
		}
	})
}
