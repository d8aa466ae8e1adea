package tainteviction

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/controller/controllertest"
	"github.com/proa-dev/proa/internal/controller/pods"
)

func taint(key string, e corev1.TaintEffect) corev1.Taint { return corev1.Taint{Key: key, Effect: e} }

func tolerate(key string, seconds ...int64) corev1.Toleration {
	t := corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists}
	if len(seconds) > 0 {
		t.TolerationSeconds = &seconds[0]
	}
	return t
}

func TestPatience(t *testing.T) {
	a, b := taint("a", corev1.TaintEffectNoExecute), taint("b", corev1.TaintEffectNoExecute)
	for name, c := range map[string]struct {
		taints      []corev1.Taint
		tolerations []corev1.Toleration
		want        time.Duration
		forever     bool
	}{
		"no taint":            {nil, nil, 0, true},
		"another effect":      {[]corev1.Taint{taint("a", corev1.TaintEffectNoSchedule)}, nil, 0, true},
		"not tolerated":       {[]corev1.Taint{a}, []corev1.Toleration{tolerate("b")}, 0, false},
		"one of two":          {[]corev1.Taint{a, b}, []corev1.Toleration{tolerate("b")}, 0, false},
		"tolerated":           {[]corev1.Taint{a, b}, []corev1.Toleration{tolerate("a"), tolerate("b")}, 0, true},
		"for a time":          {[]corev1.Taint{a, b}, []corev1.Toleration{tolerate("a"), tolerate("b", 30)}, 30 * time.Second, false},
		"the shorter":         {[]corev1.Taint{a, b}, []corev1.Toleration{tolerate("a", 20), tolerate("b", 30)}, 20 * time.Second, false},
		"for no time":         {[]corev1.Taint{a, b}, []corev1.Toleration{tolerate("a", -5), tolerate("b")}, 0, false},
		"the first that fits": {[]corev1.Taint{a}, []corev1.Toleration{tolerate("a", 40), tolerate("a")}, 40 * time.Second, false},
	} {
		if got, forever := patience(c.taints, c.tolerations); got != c.want || forever != c.forever {
			t.Errorf("%s: %s, %v", name, got, forever)
		}
	}
}

func node(taints ...corev1.Taint) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: corev1.NodeSpec{Taints: taints}}
}

func pod(name string, tolerations ...corev1.Toleration) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: corev1.PodSpec{NodeName: "n", Tolerations: tolerations, TerminationGracePeriodSeconds: ptr.To[int64](0)}}
}

func names(b *controllertest.Bench) (all []string) {
	for _, p := range clienttest.List(b.Server, client.Pods) {
		all = append(all, p.Name)
	}
	return all
}

func TestEviction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{node(), pod("at-once"), pod("later", tolerate("a", 300)), pod("never", tolerate("a"))}, Start)
		expect := func(when string, want ...string) {
			t.Helper()
			if got := names(b); !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		b.Pass(time.Hour)
		expect("no taint", "at-once", "later", "never")
		var marked *corev1.Pod
		b.Server.React(func(r *client.Request) (bool, *client.Response, error) {
			if r.Verb == "delete" {
				marked = clienttest.Get(b.Server, client.Pods, "ns", r.Name)
			}
			return false, nil, nil
		})
		b.Server.Put(node(taint("a", corev1.TaintEffectNoExecute)))
		b.Settle()
		expect("tainted", "later", "never")
		if c := pods.Condition(marked, corev1.DisruptionTarget); c == nil || c.Reason != "DeletionByTaintManager" || c.Message != "Taint manager: deleting due to NoExecute taint" {
			t.Errorf("marked %+v", c)
		}
		b.Pass(299 * time.Second)
		b.Server.Put(node(taint("a", corev1.TaintEffectNoExecute), taint("x", corev1.TaintEffectNoSchedule)))
		b.Settle()
		expect("nearly", "later", "never")
		b.Pass(time.Second)
		expect("when due", "never")
		want := []string{"at-once Normal TaintManagerEviction: Marking for deletion Pod ns/at-once", "later Normal TaintManagerEviction: Marking for deletion Pod ns/later"}
		if got := b.Events.Take(); !slices.Equal(got, want) {
			t.Errorf("events %q", got)
		}
	})
}

func TestCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{node(taint("a", corev1.TaintEffectNoExecute)), pod("p", tolerate("a", 60))}, Start)
		b.Pass(59 * time.Second)
		b.Server.Put(node())
		b.Pass(time.Hour)
		if got := names(b); len(got) != 1 {
			t.Error("deleted")
		}
		if got := b.Events.Take(); !slices.Equal(got, []string{"p Normal TaintManagerEviction: Cancelling deletion of Pod ns/p"}) {
			t.Errorf("events %q", got)
		}
		b.Server.Put(node(taint("a", corev1.TaintEffectNoExecute)))
		b.Pass(59 * time.Second)
		if got := names(b); len(got) != 1 {
			t.Error("the time before counted")
		}
		b.Pass(time.Second)
		if got := names(b); len(got) != 0 {
			t.Error("not deleted")
		}
	})
}
