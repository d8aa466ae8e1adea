package plugins

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/scheduler/framework"
	st "github.com/proa-dev/proa/internal/scheduler/schedulertest"
)

func hostPort(n int32) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: n}} }
}

func apart(app string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			TopologyKey: "x", LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}},
		}}}}
	}
}

func together(app string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		apart(app)(p)
		terms := p.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
		p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: terms}}
	}
}

func skew(app string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: "x", WhenUnsatisfiable: corev1.DoNotSchedule,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}},
		}}
	}
}

func cordoned(n *corev1.Node) { n.Spec.Unschedulable = true }

func tainted(n *corev1.Node) {
	n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: "k", Effect: corev1.TaintEffectNoSchedule})
}

func tolerant(p *corev1.Pod) {
	p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
}

// A pod sleeps through what cannot help it, and only through that.
func TestWakes(t *testing.T) {
	node, x := st.Node("a", "1", "1Gi"), st.Node("a", "1", "1Gi", label("x", "1"))
	two := st.Node("a", "2", "1Gi")
	more := st.Node("a", "1", "1Gi", func(n *corev1.Node) { n.Status.Allocatable[corev1.ResourcePods] = resource.MustParse("111") })
	web, db := st.Labels("app", "web"), st.Labels("app", "db")
	plain := st.Pod("p", "", "")
	ssd := st.Pod("p", "", "", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"x": "1"} })
	own := func(old, now *corev1.Pod) framework.Event {
		return framework.Event{OldPod: old, NewPod: now, Own: true}
	}
	came := func(n *corev1.Node) framework.Event { return framework.Event{NewNode: n} }
	became := func(old, n *corev1.Node) framework.Event { return framework.Event{OldNode: old, NewNode: n} }
	gone := func(p *corev1.Pod) framework.Event { return framework.Event{OldPod: p} }
	run := func(p *corev1.Pod) framework.Event { return framework.Event{NewPod: p} }
	changed := func(old, p *corev1.Pod) framework.Event { return framework.Event{OldPod: old, NewPod: p} }
	for _, c := range []struct {
		name   string
		plugin framework.Plugin
		pod    *corev1.Pod
		event  framework.Event
		want   bool
	}{
		{"uncordoned", nodeUnschedulable{}, plain, became(st.Node("a", "1", "1", cordoned), node), true},
		{"came cordoned", nodeUnschedulable{}, plain, came(st.Node("a", "1", "1", cordoned)), false},
		{"still not cordoned", nodeUnschedulable{}, plain, became(node, x), false},
		{"became tolerant", nodeUnschedulable{}, plain, own(plain, st.Pod("p", "", "", tolerant)), true},
		{"taint left", taintToleration{}, plain, became(st.Node("a", "1", "1", tainted), node), true},
		{"never tainted", taintToleration{}, plain, became(node, x), false},
		{"came tainted", taintToleration{}, plain, came(st.Node("a", "1", "1", tainted)), false},
		{"became tolerant of taints", taintToleration{}, plain, own(plain, st.Pod("p", "", "", tolerant)), true},
		{"other change of its own", taintToleration{}, plain, own(plain, st.Pod("p", "", "", web)), false},
		{"label came", nodeAffinity{}, ssd, became(node, x), true},
		{"label stays", nodeAffinity{}, ssd, became(x, x), false},
		{"node without label", nodeAffinity{}, ssd, came(node), false},
		{"port freed", nodePorts{}, st.Pod("p", "", "", hostPort(80)), gone(st.Pod("o", "", "", hostPort(80))), true},
		{"other port freed", nodePorts{}, st.Pod("p", "", "", hostPort(80)), gone(st.Pod("o", "", "", hostPort(81))), false},
		{"ports of a new node", nodePorts{}, st.Pod("p", "", "", hostPort(80)), came(node), true},
		{"ports of an old node", nodePorts{}, st.Pod("p", "", "", hostPort(80)), became(node, x), false},
		{"room freed", nodeResourcesFit{}, st.Pod("p", "1", ""), gone(plain), true},
		{"room taken", nodeResourcesFit{}, st.Pod("p", "1", ""), run(plain), false},
		{"pod shrunk", nodeResourcesFit{}, st.Pod("p", "1", ""), changed(st.Pod("o", "2", ""), st.Pod("o", "1", "")), true},
		{"pod shrunk in what is not asked", nodeResourcesFit{}, st.Pod("p", "", "1Mi"), changed(st.Pod("o", "2", ""), st.Pod("o", "1", "")), false},
		{"shrunk itself", nodeResourcesFit{}, st.Pod("p", "1", ""), own(st.Pod("p", "2", ""), st.Pod("p", "1", "")), true},
		{"large node", nodeResourcesFit{}, st.Pod("p", "2", ""), came(two), true},
		{"small node", nodeResourcesFit{}, st.Pod("p", "2", ""), came(node), false},
		{"node grew", nodeResourcesFit{}, st.Pod("p", "1", ""), became(node, two), true},
		{"node may have more pods", nodeResourcesFit{}, st.Pod("p", "1", ""), became(node, more), true},
		{"node shrank", nodeResourcesFit{}, st.Pod("p", "1", ""), became(two, node), false},
		{"loved one came", interPodAffinity{}, st.Pod("p", "", "", together("web")), run(st.Pod("o", "", "", web)), true},
		{"stranger came", interPodAffinity{}, st.Pod("p", "", "", together("web")), run(st.Pod("o", "", "", db)), false},
		{"hated one left", interPodAffinity{}, st.Pod("p", "", "", apart("web")), gone(st.Pod("o", "", "", web)), true},
		{"hating one left", interPodAffinity{}, st.Pod("p", "", "", web), gone(st.Pod("o", "", "", apart("web"))), true},
		{"stranger left", interPodAffinity{}, st.Pod("p", "", "", apart("web")), gone(st.Pod("o", "", "", db)), false},
		{"hated one changed", interPodAffinity{}, st.Pod("p", "", "", apart("web")), changed(st.Pod("o", "", "", web), st.Pod("o", "", "", db)), true},
		{"node with the topology", interPodAffinity{}, st.Pod("p", "", "", together("web")), came(x), true},
		{"node without the topology", interPodAffinity{}, st.Pod("p", "", "", together("web")), came(node), false},
		{"node that keeps them apart", interPodAffinity{}, st.Pod("p", "", "", apart("web")), came(node), true},
		{"one of many left", podTopologySpread{}, st.Pod("p", "", "", skew("web")), gone(st.Pod("o", "", "", web)), true},
		{"one of few came", podTopologySpread{}, st.Pod("p", "", "", skew("web")), run(st.Pod("o", "", "", web)), true},
		{"one of others left", podTopologySpread{}, st.Pod("p", "", "", skew("web")), gone(st.Pod("o", "", "", db)), false},
		{"domain left", podTopologySpread{}, st.Pod("p", "", "", skew("web")), framework.Event{OldNode: x}, true},
		{"no domain left", podTopologySpread{}, st.Pod("p", "", "", skew("web")), framework.Event{OldNode: node}, false},
		{"domain changed", podTopologySpread{}, st.Pod("p", "", "", skew("web")), became(x, st.Node("a", "1", "1", label("x", "2"))), true},
	} {
		if got := c.plugin.Wakes(c.pod, &c.event); got != c.want {
			t.Errorf("%s, %s: %v", c.plugin.Name(), c.name, got)
		}
	}
}
