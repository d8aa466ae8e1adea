package replicaset

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/controller/owned"
	"github.com/proa-dev/proa/internal/controller/pods"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func aView(replicas int32) *view {
	return &view{
		Object: &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", Generation: 3}}, replicas: replicas,
		template: &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web", "v": "1"}}},
		selects:  func(l map[string]string) bool { return owned.Contains(l, map[string]string{"app": "web"}) },
	}
}

// podFor reads "node phase ready-for", like "n1 Running 5m" or "- Pending".
func podFor(name, script string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Labels: map[string]string{"app": "web", "v": "1"}}}
	f := strings.Fields(script)
	if f[0] != "-" {
		p.Spec.NodeName = f[0]
	}
	p.Status.Phase = corev1.PodPhase(f[1])
	if len(f) > 2 {
		d, err := time.ParseDuration(f[2])
		if err != nil {
			panic(err)
		}
		p.Status.Conditions = []corev1.PodCondition{{
			Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(noon.Add(-d)),
		}}
	}
	return p
}

func TestDecide(t *testing.T) {
	some := []*corev1.Pod{
		podFor("a", "n1 Running 1h"), podFor("b", "n1 Running"), podFor("c", "- Pending"), podFor("d", "n2 Running 1h"), podFor("e", "n2 Running 1m"),
	}
	many := make([]*corev1.Pod, 700)
	for n := range many {
		many[n] = podFor(fmt.Sprint(n), "n Running 1h")
	}
	for name, c := range map[string]struct {
		want   int32
		active []*corev1.Pod
		create int
		delete string
	}{
		"enough":              {5, some, 0, ""},
		"one more":            {6, some, 1, ""},
		"from nothing":        {3, nil, 3, ""},
		"no more than a lot":  {10000, some, 500, ""},
		"one less":            {4, some, 0, "c"},
		"then the not ready":  {3, some, 0, "c b"},
		"then the youngest":   {2, some, 0, "c b e"},
		"then the crowded":    {1, some, 0, "c b a e"},
		"all":                 {0, some, 0, "a b c d e"},
		"no more than a lot ": {0, many, 0, "500 of them"},
	} {
		neighbors := func() map[string]int { return map[string]int{"n1": 2, "n2": 2} }
		if name == "then the crowded" {
			neighbors = func() map[string]int { return map[string]int{"n1": 9, "n2": 1} }
		}
		p := decide(aView(c.want), c.active, neighbors, noon)
		var names []string
		for _, pod := range p.delete {
			names = append(names, pod.Name)
		}
		got := strings.Join(names, " ")
		if len(names) == pods.Burst {
			got = "500 of them"
		}
		if p.create != c.create || got != c.delete {
			t.Errorf("%s: create %d, delete %q; want %d, %q", name, p.create, got, c.create, c.delete)
		}
	}
	if some[0].Name != "a" || some[4].Name != "e" {
		t.Error("the caller's pods were sorted")
	}
}

func TestStatus(t *testing.T) {
	other := podFor("other", "n Running 5s")
	other.Labels = map[string]string{"app": "web"}
	active := []*corev1.Pod{podFor("a", "n Running 10s"), podFor("b", "n Running 9s"), podFor("c", "n Running"), other}
	v := aView(6)
	v.minReadySeconds = 10
	show := func(s appsv1.ReplicaSetStatus) string {
		out := fmt.Sprintf("%d/%d/%d/%d terminating %d generation %d", s.Replicas, s.FullyLabeledReplicas, s.ReadyReplicas,
			s.AvailableReplicas, *s.TerminatingReplicas, s.ObservedGeneration)
		for _, c := range s.Conditions {
			out += fmt.Sprintf(" %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
		}
		return out
	}
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	v.status = statusOf(v, active, active[:2], errors.New("quota"), noon)
	check("fails", show(v.status), "4/3/3/1 terminating 2 generation 3 ReplicaFailure=True FailedCreate: quota")
	v.status = statusOf(v, active, nil, errors.New("another quota"), noon)
	check("fails again", show(v.status), "4/3/3/1 terminating 0 generation 3 ReplicaFailure=True FailedCreate: quota")
	check("works", show(statusOf(v, active, nil, nil, noon.Add(time.Second))), "4/3/3/2 terminating 0 generation 3")
	if len(v.status.Conditions) != 1 {
		t.Error("the old status was changed")
	}
	v.status, v.replicas = appsv1.ReplicaSetStatus{}, 1
	check("cannot delete", show(statusOf(v, active, nil, errors.New("no"), noon)), "4/3/3/1 terminating 0 generation 3 ReplicaFailure=True FailedDelete: no")
}
