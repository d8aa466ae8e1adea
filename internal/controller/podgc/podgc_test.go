package podgc

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/controllertest"
	"github.com/proa-dev/proa/internal/controller/pods"
)

func node(name string, ready corev1.ConditionStatus, taints ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}
	for _, key := range taints {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key})
	}
	return n
}

func pod(name, node string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: corev1.PodSpec{NodeName: node}}
	p.Status.Phase = corev1.PodRunning
	for _, f := range change {
		f(p)
	}
	return p
}

func deleting(p *corev1.Pod) {
	p.DeletionTimestamp, p.DeletionGracePeriodSeconds = ptr.To(metav1.Now()), ptr.To[int64](30)
}

func names(b *controllertest.Bench) string {
	var all []string
	for _, p := range clienttest.List(b.Server, client.Pods) {
		all = append(all, p.Name)
	}
	return strings.Join(all, " ")
}

func TestOrphans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{node("n", corev1.ConditionTrue), node("back", corev1.ConditionTrue),
			pod("a", "n"), pod("b", "back"), pod("c", ""), pod("d", "never-was")}, Start)
		var marked []*corev1.Pod
		b.Server.React(func(r *client.Request) (bool, *client.Response, error) {
			if r.Verb == "delete" {
				marked = append(marked, clienttest.Get(b.Server, client.Pods, "ns", r.Name))
			}
			return false, nil, nil
		})
		b.Server.Remove(node("n", ""))
		b.Server.Remove(node("back", ""))
		b.Pass(39 * time.Second)
		if got := names(b); got != "a b c d" {
			t.Errorf("in quarantine: %s", got)
		}
		b.Server.Put(node("back", corev1.ConditionTrue))
		b.Pass(time.Second)
		if got := names(b); got != "b c" {
			t.Errorf("after it: %s", got)
		}
		for _, p := range marked {
			c := pods.Condition(p, corev1.DisruptionTarget)
			if p.Status.Phase != corev1.PodFailed || c == nil || c.Reason != "DeletionByPodGC" || c.Message != "PodGC: node no longer exists" {
				t.Errorf("%s was %s, %+v", p.Name, p.Status.Phase, c)
			}
		}
		if len(marked) != 2 {
			t.Errorf("%d deleted", len(marked))
		}
	})
}

func TestTerminating(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := corev1.TaintNodeOutOfService
		b := controllertest.New(t, []client.Object{
			node("down", corev1.ConditionUnknown, out), node("up", corev1.ConditionTrue, out), node("slow", corev1.ConditionFalse),
			pod("a", "down", deleting), pod("b", "down"), pod("c", "up", deleting), pod("d", "slow", deleting), pod("e", "", deleting), pod("f", ""),
		}, Start)
		b.Settle()
		if got := names(b); got != "b c d f" {
			t.Errorf("left %s", got)
		}
		b.Server.Put(node("slow", corev1.ConditionFalse, out))
		b.Settle()
		if got := names(b); got != "b c f" {
			t.Errorf("left %s after another node was given up", got)
		}
		b.Server.Actions()
		b.Pass(24 * time.Hour)
		if a := b.Server.Actions(); len(a) > 0 {
			t.Errorf("in an idle day: %v", a)
		}
	})
}

func TestTooManyFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var all []client.Object
		for n := range 6 {
			all = append(all, pod(fmt.Sprint("p", n), "n", func(p *corev1.Pod) {
				p.CreationTimestamp = metav1.NewTime(begin.Add(-time.Duration(n) * time.Hour))
				p.Status.Phase = []corev1.PodPhase{corev1.PodSucceeded, corev1.PodFailed}[n%2]
				if n == 1 {
					p.Status.Reason = "Evicted"
				}
			}))
		}
		all = append(all, node("n", corev1.ConditionTrue), pod("running", "n"))
		b := controllertest.New(t, all, func(d controller.Deps) controller.Runner { return newCollector(d, 3).loop })
		b.Pass(20 * time.Second)
		if got := names(b); got != "p0 p2 p3 running" {
			t.Errorf("left %s", got)
		}
	})
}
