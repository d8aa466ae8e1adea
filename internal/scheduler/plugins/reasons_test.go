package plugins_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/scheduler/cluster"
	"github.com/proa-dev/proa/internal/scheduler/framework"
	"github.com/proa-dev/proa/internal/scheduler/plugins"
	st "github.com/proa-dev/proa/internal/scheduler/schedulertest"
)

func decide(nodes []*corev1.Node, pods []*corev1.Pod, pod *corev1.Pod) framework.Decision {
	c := cluster.New()
	for _, n := range nodes {
		c.SetNode(n)
	}
	for _, p := range pods {
		c.SetPod(p)
	}
	return framework.New(framework.Options{Cluster: c, Plugins: plugins.Default(st.Owners{}), Seed: 1}).Decide(pod)
}

func taint(key string, effect corev1.TaintEffect) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: effect}) }
}

func cordoned(n *corev1.Node) { n.Spec.Unschedulable = true }

func hostPort(p *corev1.Pod) { p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 80}} }

func selector(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{key: value} }
}

func named(terms ...[]string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		var requirements []corev1.NodeSelectorRequirement
		for _, names := range terms {
			requirements = append(requirements, corev1.NodeSelectorRequirement{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: names})
		}
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: requirements}},
		}}}
	}
}

func term(app string) []corev1.PodAffinityTerm {
	return []corev1.PodAffinityTerm{{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}}}
}

func near(app string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: term(app)}}
	}
}

func far(app string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: term(app)}}
	}
}

func spread(key, app string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: key, WhenUnsatisfiable: corev1.DoNotSchedule,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}},
		}}
	}
}

func never(p *corev1.Pod) { p.Spec.PreemptionPolicy = ptr.To(corev1.PreemptNever) }

func gpus(v string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests["example.com/gpu"] = resource.MustParse(v)
	}
}

func full(n *corev1.Node) { n.Status.Allocatable[corev1.ResourcePods] = resource.MustParse("0") }

// Users read these words, and tools do.
func TestReasons(t *testing.T) {
	one := []*corev1.Node{st.Node("a", "1", "1Gi")}
	const unhelpful = " preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
	const noVictims = " preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
	for name, c := range map[string]struct {
		nodes []*corev1.Node
		pods  []*corev1.Pod
		pod   *corev1.Pod
		want  string
	}{
		"no nodes": {pod: st.Pod("p", "", ""), want: "no nodes available to schedule pods"},
		"several": {
			nodes: []*corev1.Node{
				st.Node("a", "1", "1Gi"), st.Node("b", "8", "8Gi", taint("k", corev1.TaintEffectNoSchedule)),
				st.Node("c", "8", "8Gi", taint("k", corev1.TaintEffectNoExecute)),
			},
			pod: st.Pod("p", "2", "2Gi"),
			want: "0/3 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 2 node(s) had untolerated taint(s)." +
				" preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
		},
		"no room, nobody to remove": {
			nodes: one, pods: []*corev1.Pod{st.Pod("o", "600m", "", st.On("a"))}, pod: st.Pod("p", "500m", ""),
			want: "0/1 nodes are available: 1 Insufficient cpu." + noVictims,
		},
		"never preempts": {
			nodes: one, pods: []*corev1.Pod{st.Pod("o", "600m", "", st.On("a"))}, pod: st.Pod("p", "500m", "", st.Priority(5), never),
			want: "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.",
		},
		"too many": {
			nodes: []*corev1.Node{st.Node("a", "1", "1Gi", full)}, pod: st.Pod("p", "", ""),
			want: "0/1 nodes are available: 1 Too many pods." + noVictims,
		},
		"extended": {
			nodes: one, pod: st.Pod("p", "", "", gpus("1")),
			want: "0/1 nodes are available: 1 Insufficient example.com/gpu." + unhelpful,
		},
		"cordoned": {
			nodes: []*corev1.Node{st.Node("a", "1", "1Gi", cordoned, taint(corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule))},
			pod:   st.Pod("p", "", ""),
			want:  "0/1 nodes are available: 1 node(s) were unschedulable." + unhelpful,
		},
		"selector": {
			nodes: one, pod: st.Pod("p", "", "", selector("disk", "ssd")),
			want: "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector." + unhelpful,
		},
		"names nobody has": {
			nodes: one, pod: st.Pod("p", "", "", named([]string{"x"})),
			want: "0/1 nodes are available: 1 node(s) didn't satisfy plugin(s) [NodeAffinity]." + unhelpful,
		},
		"names one that is full": {
			nodes: []*corev1.Node{st.Node("a", "1", "1Gi"), st.Node("b", "8", "1Gi")}, pod: st.Pod("p", "2", "", named([]string{"a"})),
			want: "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't satisfy plugin(s) [NodeAffinity]." +
				" preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
		},
		"names that exclude each other": {
			nodes: one, pod: st.Pod("p", "", "", named([]string{"a"}, []string{"b"})),
			want: "0/1 nodes are available: pod affinity terms conflict." + unhelpful,
		},
		"ports": {
			nodes: one, pods: []*corev1.Pod{st.Pod("o", "", "", st.On("a"), hostPort)}, pod: st.Pod("p", "", "", hostPort),
			want: "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports." + noVictims,
		},
		"nobody near": {
			nodes: one, pod: st.Pod("p", "", "", near("x")),
			want: "0/1 nodes are available: 1 node(s) didn't match pod affinity rules." + unhelpful,
		},
		"too near": {
			nodes: one, pods: []*corev1.Pod{st.Pod("o", "", "", st.On("a"), st.Labels("app", "x"))}, pod: st.Pod("p", "", "", far("x")),
			want: "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules." + noVictims,
		},
		"unwelcome": {
			nodes: one, pods: []*corev1.Pod{st.Pod("o", "", "", st.On("a"), far("x"))}, pod: st.Pod("p", "", "", st.Labels("app", "x")),
			want: "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules." + noVictims,
		},
		"skewed": {
			nodes: []*corev1.Node{st.Node("a", "1", "1Gi"), st.Node("b", "1", "1Gi", cordoned)},
			pods:  []*corev1.Pod{st.Pod("o", "", "", st.On("a"), st.Labels("app", "x"))},
			pod:   st.Pod("p", "", "", st.Labels("app", "x"), spread(corev1.LabelHostname, "x")),
			want: "0/2 nodes are available: 1 node(s) didn't match pod topology spread constraints, 1 node(s) were unschedulable." +
				" preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling.",
		},
		"no such topology": {
			nodes: one, pod: st.Pod("p", "", "", spread("rack", "x")),
			want: "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label)." + unhelpful,
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := decide(c.nodes, c.pods, c.pod)
			if d.Node != "" || d.Message != c.want {
				t.Errorf("got  %q %s\nwant %s", d.Node, d.Message, c.want)
			}
		})
	}
}

func TestPreemptionTakesTheLeast(t *testing.T) {
	nodes := []*corev1.Node{st.Node("a", "1", "1Gi"), st.Node("b", "1", "1Gi"), st.Node("c", "1", "1Gi")}
	pods := []*corev1.Pod{
		st.Pod("a1", "500m", "", st.On("a"), st.Priority(3)), st.Pod("a2", "500m", "", st.On("a"), st.Priority(1)),
		st.Pod("b1", "1", "", st.On("b"), st.Priority(2)),
		st.Pod("c1", "1", "", st.On("c"), st.Priority(20)),
	}
	for _, c := range []struct {
		cpu      string
		priority int32
		node     string
		victims  []string
	}{
		{"500m", 10, "a", []string{"a2"}},
		{"1", 10, "b", []string{"b1"}},
		{"500m", 2, "a", []string{"a2"}},
		{"1", 2, "", nil},
	} {
		how := decide(nodes, pods, st.Pod("p", c.cpu, "", st.Priority(c.priority))).Preemption
		var victims []string
		for _, v := range how.Victims {
			victims = append(victims, v.Name)
		}
		if how.Node != c.node || len(victims) != len(c.victims) || len(victims) > 0 && victims[0] != c.victims[0] {
			t.Errorf("%s at %d: %s %v, want %s %v", c.cpu, c.priority, how.Node, victims, c.node, c.victims)
		}
	}
}

// Budgets are spared if it can be: here the more important pod goes.
func TestPreemptionSparesBudgets(t *testing.T) {
	c := cluster.New()
	c.SetNode(st.Node("a", "1", "1Gi"))
	c.SetNode(st.Node("b", "1", "1Gi"))
	c.SetPod(st.Pod("a1", "1", "", st.On("a"), st.Priority(1), st.Labels("app", "guarded")))
	c.SetPod(st.Pod("b1", "1", "", st.On("b"), st.Priority(2)))
	budget := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns"},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "guarded"}}},
	}
	f := framework.New(framework.Options{
		Cluster: c, Plugins: plugins.Default(st.Owners{}), Seed: 1,
		Budgets: func() []*policyv1.PodDisruptionBudget { return []*policyv1.PodDisruptionBudget{budget} },
	})
	for allowed, want := range []string{"b", "a"} {
		budget.Status.DisruptionsAllowed = int32(allowed)
		if how := f.Decide(st.Pod("p", "1", "", st.Priority(9))).Preemption; how.Node != want {
			t.Errorf("with %d allowed: %s", allowed, how.Node)
		}
	}
}
