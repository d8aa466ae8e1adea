package daemonset

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func aSet() *appsv1.DaemonSet {
	app := map[string]string{"app": "log"}
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "log", UID: "log-uid", Generation: 1},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: app}, RevisionHistoryLimit: ptr.To[int32](1),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: app}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "v1"}}},
			},
			UpdateStrategy: strategy("1", "0"),
		},
	}
}

func strategy(unavailable, surge string) appsv1.DaemonSetUpdateStrategy {
	return appsv1.DaemonSetUpdateStrategy{
		Type:          appsv1.RollingUpdateDaemonSetStrategyType,
		RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: ptr.To(intstr.Parse(unavailable)), MaxSurge: ptr.To(intstr.Parse(surge))},
	}
}

func aNode(name string, taints ...corev1.Taint) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"disk": "ssd"}}, Spec: corev1.NodeSpec{Taints: taints},
	}
}

func TestFits(t *testing.T) {
	taint := func(key string, e corev1.TaintEffect) corev1.Taint {
		return corev1.Taint{Key: key, Value: "x", Effect: e}
	}
	for name, c := range map[string]struct {
		node        *corev1.Node
		change      func(*corev1.PodSpec)
		start, stay bool
	}{
		"plain":         {aNode("n"), nil, true, true},
		"unschedulable": {aNode("n", taint(corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule)), nil, true, true},
		"unreachable":   {aNode("n", taint(corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute)), nil, true, true},
		"no network":    {aNode("n", taint(corev1.TaintNodeNetworkUnavailable, corev1.TaintEffectNoSchedule)), nil, false, true},
		"needs none":    {aNode("n", taint(corev1.TaintNodeNetworkUnavailable, corev1.TaintEffectNoSchedule)), func(s *corev1.PodSpec) { s.HostNetwork = true }, true, true},
		"tainted":       {aNode("n", taint("a", corev1.TaintEffectNoSchedule)), nil, false, true},
		"not preferred": {aNode("n", taint("a", corev1.TaintEffectPreferNoSchedule)), nil, true, true},
		"no execute":    {aNode("n", taint("a", corev1.TaintEffectNoExecute)), nil, false, false},
		"tolerated": {aNode("n", taint("a", corev1.TaintEffectNoExecute)), func(s *corev1.PodSpec) {
			s.Tolerations = []corev1.Toleration{{Key: "a", Value: "x"}}
		}, true, true},
		"other value": {aNode("n", taint("a", corev1.TaintEffectNoExecute)), func(s *corev1.PodSpec) {
			s.Tolerations = []corev1.Toleration{{Key: "a", Value: "y"}}
		}, false, false},
		"all tolerated":  {aNode("n", taint("a", corev1.TaintEffectNoExecute)), func(s *corev1.PodSpec) { s.Tolerations = []corev1.Toleration{{Operator: "Exists"}} }, true, true},
		"selected":       {aNode("n"), func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{"disk": "ssd"} }, true, true},
		"not selected":   {aNode("n"), func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{"disk": "tape"} }, false, false},
		"another's name": {aNode("n"), func(s *corev1.PodSpec) { s.NodeName = "m" }, false, false},
	} {
		ds := aSet()
		if c.change != nil {
			c.change(&ds.Spec.Template.Spec)
		}
		if start, stay := newFilter(ds).fits(c.node); start != c.start || stay != c.stay {
			t.Errorf("%s: start %v, stay %v", name, start, stay)
		}
	}
}

// podsFor reads words like a:new, b:old-unready, c:failed: on which node, of which template, in which state.
func podsFor(script string) (all []*corev1.Pod) {
	for n, word := range strings.Fields(script) {
		node, is, _ := strings.Cut(word, ":")
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "ns", Name: word, CreationTimestamp: metav1.NewTime(noon.Add(time.Duration(n) * time.Minute)),
				Labels: map[string]string{"app": "log", hashLabel: "now"},
			},
			Spec:   corev1.PodSpec{NodeName: node},
			Status: corev1.PodStatus{Phase: corev1.PodRunning},
		}
		if strings.HasPrefix(is, "old") {
			p.Labels[hashLabel] = "before"
		}
		switch {
		case strings.Contains(is, "failed"):
			p.Status.Phase = corev1.PodFailed
		case strings.Contains(is, "succeeded"):
			p.Status.Phase = corev1.PodSucceeded
		case strings.Contains(is, "pending"):
			p.Spec.NodeName, p.Spec.Affinity = "", pinned(nil, node)
		case !strings.Contains(is, "unready"):
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		}
		if strings.Contains(is, "going") {
			p.DeletionTimestamp = &metav1.Time{}
		}
		all = append(all, p)
	}
	return all
}

func TestDecide(t *testing.T) {
	for name, c := range map[string]struct {
		pods, unavailable, surge string
		create, delete           string
	}{
		"first":                     {"", "1", "0", "a b c", ""},
		"one is missing":            {"a:new c:new", "1", "0", "b", ""},
		"it is going":               {"a:new b:new-going c:new", "1", "0", "", ""},
		"it is gone":                {"a:new b:new-failed-going c:new", "1", "0", "b", ""},
		"too many":                  {"a:new a:new-unready b:new c:new", "1", "0", "", "a:new-unready"},
		"pending goes first":        {"a:new-pending a:new-unready b:new c:new", "1", "0", "", "a:new-pending"},
		"failed":                    {"a:new-failed b:new c:new", "1", "0", "", "a:new-failed"},
		"failed too often":          {"a:new b:new c:new-failed", "1", "0", "", ""},
		"ended":                     {"a:new-succeeded b:new c:new", "1", "0", "", "a:new-succeeded"},
		"no such node":              {"a:new b:new c:new d:new e:new-pending", "1", "0", "", "e:new-pending"},
		"tainted":                   {"a:new b:new c:new t:new", "1", "0", "", ""},
		"not to stay":               {"a:new b:new c:new x:new x:new-failed", "1", "0", "", "x:new x:new-failed"},
		"update":                    {"a:old b:old c:old", "1", "0", "", "a:old"},
		"update in doubles":         {"a:old b:old c:old", "2", "0", "", "a:old b:old"},
		"percent, rounded up":       {"a:old b:old c:old", "34%", "0", "", "a:old b:old"},
		"update waits":              {"a:new-unready b:old c:old", "1", "0", "", ""},
		"update waits for deletion": {"a:old-going b:old c:old", "1", "0", "", ""},
		"broken ones always":        {"a:new-unready b:old-unready c:old", "1", "0", "", "b:old-unready"},
		"first things first":        {"a:old b:old", "1", "0", "c", ""},
		"surge":                     {"a:old b:old c:old", "0", "1", "a", ""},
		"surge waits":               {"a:old a:new-unready b:old c:old", "0", "1", "", ""},
		"surge goes on":             {"a:old a:new b:old c:old", "0", "1", "", "a:old"},
		"surge for the broken":      {"a:old-unready b:old c:old", "0", "1", "a b", ""},
		"neither":                   {"a:old b:old c:old", "0", "0", "", "a:old"},
	} {
		ds := aSet()
		ds.Spec.UpdateStrategy = strategy(c.unavailable, c.surge)
		nodes := []*corev1.Node{
			aNode("c"), aNode("a"), aNode("b"), aNode("t", corev1.Taint{Key: "k", Effect: corev1.TaintEffectNoSchedule}),
			aNode("x", corev1.Taint{Key: "k", Effect: corev1.TaintEffectNoExecute}),
		}
		backoff := func(node string) time.Duration {
			if node == "c" {
				return time.Minute
			}
			return 0
		}
		p := decide(newState(ds, "now", nodes, podsFor(c.pods), backoff, noon))
		var deleted []string
		for _, pod := range p.delete {
			deleted = append(deleted, pod.Name)
		}
		slices.Sort(deleted)
		if create, del := strings.Join(p.create, " "), strings.Join(deleted, " "); create != c.create || del != c.delete {
			t.Errorf("%s: create %q, delete %q; want %q, %q", name, create, del, c.create, c.delete)
		}
		if (p.again == time.Minute) != (name == "failed too often") {
			t.Errorf("%s: again in %s", name, p.again)
		}
	}
}

func TestStatus(t *testing.T) {
	nodes := []*corev1.Node{aNode("a"), aNode("b"), aNode("c"), aNode("t", corev1.Taint{Key: "k", Effect: corev1.TaintEffectNoSchedule})}
	s := statusOf(newState(aSet(), "now", nodes, podsFor("a:new a:old-unready b:old-unready t:new"), nil, noon))
	got := fmt.Sprint(s.DesiredNumberScheduled, s.CurrentNumberScheduled, s.NumberMisscheduled, s.NumberReady, s.NumberAvailable,
		s.NumberUnavailable, s.UpdatedNumberScheduled)
	if got != "3 2 1 1 1 2 1" {
		t.Errorf("status %s", got)
	}
}
