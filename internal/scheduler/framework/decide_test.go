package framework_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/scheduler/cluster"
	"github.com/proa-dev/proa/internal/scheduler/framework"
	"github.com/proa-dev/proa/internal/scheduler/plugins"
	st "github.com/proa-dev/proa/internal/scheduler/schedulertest"
)

func newFramework(c *cluster.Cluster) *framework.Framework {
	return framework.New(framework.Options{Cluster: c, Plugins: plugins.Default(st.Owners{}), Seed: 1})
}

// A domain whose last node is out of the question is no domain that pods could be spread to.
func TestDomainsComeAndGo(t *testing.T) {
	c := cluster.New()
	c.SetNode(st.Node("a", "4", "4Gi", st.Zone("1")))
	b := st.Node("b", "4", "4Gi", st.Zone("2"))
	c.SetNode(b)
	web := st.Labels("app", "web")
	c.SetPod(st.Pod("other", "", "", web, st.On("a")))
	f := newFramework(c)
	pod := st.Pod("p", "", "", web, func(p *corev1.Pod) {
		p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule,
			LabelSelector:    &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
			NodeTaintsPolicy: ptr.To(corev1.NodeInclusionPolicyHonor),
		}}
	})
	for _, want := range []string{"b", "a", "b"} {
		if d := f.Decide(pod); d.Node != want {
			t.Errorf("went to %q, want %q: %s", d.Node, want, d.Message)
		}
		b = b.DeepCopy()
		if len(b.Spec.Taints) == 0 {
			b.Spec.Taints = []corev1.Taint{{Key: "x", Effect: corev1.TaintEffectNoSchedule}}
		} else {
			b.Spec.Taints = nil
		}
		c.SetNode(b)
	}
}

// In a large cluster the search ends early and goes on where it ended, so that all nodes have their turn.
func TestSearchesGoRound(t *testing.T) {
	c := cluster.New()
	const nodes = 1000
	for i := range nodes {
		c.SetNode(st.Node(fmt.Sprint("n", i), "4", "4Gi"))
	}
	f := newFramework(c)
	used := map[string]bool{}
	for i := range 10 {
		d := f.Decide(st.Pod(fmt.Sprint("p", i), "1", "1Gi"))
		if d.Evaluated != 420 || d.Feasible != 420 {
			t.Fatalf("looked at %d nodes of which %d will do, want 50%% less 1%% for each 125 nodes", d.Evaluated, d.Feasible)
		}
		c.Assume(d.Pod, d.Node)
		used[d.Node] = true
	}
	if len(used) != 10 {
		t.Errorf("10 pods are on %d nodes", len(used))
	}
}

// Pods of equal rank do not take the room that was made for another; those that rank higher may.
func TestNominationsHoldTheRoom(t *testing.T) {
	c := cluster.New()
	c.SetNode(st.Node("a", "1", "1Gi"))
	f := newFramework(c)
	waits := st.Pod("waits", "1", "", st.Priority(5))
	f.Nominate(cluster.NewPod(waits), "a")
	for _, k := range []struct {
		priority int32
		want     string
	}{{4, ""}, {5, ""}, {6, "a"}} {
		if d := f.Decide(st.Pod("p", "1", "", st.Priority(k.priority))); d.Node != k.want {
			t.Errorf("priority %d: went to %q, want %q", k.priority, d.Node, k.want)
		}
	}
	if d := f.Decide(waits); d.Node != "a" {
		t.Errorf("the pod that was nominated: %s", d.Message)
	}
	f.Unnominate(waits.UID)
	if d := f.Decide(st.Pod("p", "1", "")); d.Node != "a" {
		t.Errorf("without nomination: %s", d.Message)
	}
}

// While victims are on their way out, no more are looked for.
func TestOnePreemptionAtATime(t *testing.T) {
	c := cluster.New()
	c.SetNode(st.Node("a", "1", "1Gi"))
	c.SetNode(st.Node("b", "1", "1Gi"))
	c.SetPod(st.Pod("v", "1", "", st.On("a")))
	c.SetPod(st.Pod("w", "1", "", st.On("b"), st.Priority(1)))
	f := newFramework(c)
	pod := st.Pod("p", "1", "", st.Priority(9))
	how := f.Decide(pod).Preemption
	if how.Node != "a" {
		t.Fatalf("got %+v", how)
	}
	f.Nominate(cluster.NewPod(pod), how.Node)
	f.Await(pod.UID, how.Victims)
	if how = f.Decide(pod).Preemption; !how.Keep || how.Node != "" {
		t.Errorf("looks for more victims: %+v", how)
	}
	c.RemovePod("pod-v")
	if d := f.Decide(pod); d.Node != "a" {
		t.Errorf("does not take the room: %s", d.Message)
	}
}

func benchmarkDecide(b *testing.B, nodes int, noReuse bool) {
	c := cluster.New()
	for i := range nodes {
		c.SetNode(st.Node(fmt.Sprint("n", i), "64", "256Gi", st.Zone(fmt.Sprint("z", i%3))))
	}
	f := framework.New(framework.Options{Cluster: c, Plugins: plugins.Default(st.Owners{}), Seed: 1, NoReuse: noReuse})
	b.ReportAllocs()
	var placed []*cluster.Pod
	for b.Loop() {
		pod := st.Pod("web", "100m", "64Mi", st.Labels("app", "web"))
		pod.UID = ""
		d := f.Decide(pod)
		d.Pod.UID = types.UID(fmt.Sprint(len(placed)))
		c.Assume(d.Pod, d.Node)
		if placed = append(placed, d.Pod); len(placed) == 20*nodes {
			b.StopTimer()
			for _, p := range placed {
				c.RemovePod(p.UID)
			}
			placed = placed[:0]
			b.StartTimer()
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pods/s")
}

func BenchmarkDecide100(b *testing.B)       { benchmarkDecide(b, 100, false) }
func BenchmarkDecide100Plain(b *testing.B)  { benchmarkDecide(b, 100, true) }
func BenchmarkDecide5000(b *testing.B)      { benchmarkDecide(b, 5000, false) }
func BenchmarkDecide5000Plain(b *testing.B) { benchmarkDecide(b, 5000, true) }
