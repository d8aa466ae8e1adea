package plugins

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/scheduler/cluster"
	"github.com/proa-dev/proa/internal/scheduler/framework"
	st "github.com/proa-dev/proa/internal/scheduler/schedulertest"
)

// score is what a plugin gives the nodes, in order, if all will do.
func score(p framework.Plugin, nodes []*corev1.Node, pods []*corev1.Pod, pod *corev1.Pod) []int64 {
	c := cluster.New()
	for _, n := range nodes {
		c.SetNode(n)
	}
	for _, p := range pods {
		c.SetPod(p)
	}
	j, _ := p.Judge(cluster.NewPod(pod), c)
	c.Nodes()
	var all []*cluster.Node
	for _, n := range nodes {
		all = append(all, c.Node(n.Name))
		if j.Observe != nil {
			j.Observe(c.Node(n.Name))
		}
	}
	scores := make([]int64, len(all))
	switch {
	case j.ScoreAmong != nil:
		j.ScoreAmong(all, scores)
	case j.Score != nil:
		for i, n := range all {
			scores[i] = j.Score(n)
		}
	}
	if j.Normalize != nil {
		j.Normalize(scores)
	}
	return scores
}

func prefers(key string) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: corev1.TaintEffectPreferNoSchedule})
	}
}

func image(name string, mb int64) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Status.Images = append(n.Status.Images, corev1.ContainerImage{Names: []string{name}, SizeBytes: mb << 20})
	}
}

func label(key, value string) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Labels[key] = value }
}

// The numbers are worked out by hand from the formulas of Kubernetes.
func TestScores(t *testing.T) {
	a, b, c := st.Node("a", "4", "10000"), st.Node("b", "4", "10000"), st.Node("c", "6", "10000")
	web := st.Labels("app", "web")
	zoned := []*corev1.Node{
		st.Node("a", "4", "8Gi", st.Zone("1")), st.Node("b", "4", "8Gi", st.Zone("1")), st.Node("c", "4", "8Gi", st.Zone("2")),
	}
	for _, c := range []struct {
		name   string
		plugin framework.Plugin
		nodes  []*corev1.Node
		pods   []*corev1.Pod
		pod    *corev1.Pod
		want   []int64
	}{
		{
			// ((4000-3000)*100/4000 + (10000-5000)*100/10000) / 2 and ((6000-3000)*100/6000 + 50) / 2
			name: "least allocated", plugin: nodeResourcesFit{}, nodes: []*corev1.Node{a, c},
			pod: st.Pod("p", "3", "5000"), want: []int64{37, 50},
		},
		{
			// 100m of 4 and 200Mi, more than there is, of 10000: (97 + 0) / 2
			name: "nothing asked is not nothing", plugin: nodeResourcesFit{}, nodes: []*corev1.Node{a},
			pod: st.Pod("p", "", ""), want: []int64{48},
		},
		{
			// |3/4-1/2|/2 = 0.125 and |3/6-1/2|/2 = 0, against 100 without the pod
			name: "balanced", plugin: balancedAllocation{}, nodes: []*corev1.Node{a, c},
			pod: st.Pod("p", "3", "5000"), want: []int64{50 + (50+87-100)/2, 75},
		},
		{name: "nothing to balance", plugin: balancedAllocation{}, nodes: []*corev1.Node{a}, pod: st.Pod("p", "", ""), want: []int64{0}},
		{
			name: "taints", plugin: taintToleration{},
			nodes: []*corev1.Node{a, st.Node("d", "1", "1", prefers("x")), st.Node("e", "1", "1", prefers("x"), prefers("y"))},
			pod:   st.Pod("p", "", ""), want: []int64{100, 50, 0},
		},
		{
			// 500M on one of two nodes is worth 250M: 100*(250-23)/(1000-23)
			name: "images", plugin: imageLocality{}, nodes: []*corev1.Node{st.Node("d", "1", "1", image("app:1", 500)), b},
			pod: st.Pod("p", "", ""), want: []int64{23, 0},
		},
		{
			name: "preferred affinity", plugin: nodeAffinity{}, nodes: []*corev1.Node{st.Node("d", "1", "1", label("x", "1")), st.Node("e", "1", "1", label("x", "1"), label("y", "1")), b},
			pod: st.Pod("p", "", "", func(p *corev1.Pod) {
				want := func(key string, weight int32) corev1.PreferredSchedulingTerm {
					return corev1.PreferredSchedulingTerm{Weight: weight, Preference: corev1.NodeSelectorTerm{
						MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpExists}},
					}}
				}
				p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
					PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{want("x", 2), want("y", 6)},
				}}
			}), want: []int64{25, 100, 0},
		},
		{
			// hosts weigh ln 5, zones ln 4: a 2*1.609+2 + 2*1.386+4 = 11.99, b 2 + 6.77 = 8.77, c 2+4 = 6
			name: "default spread", plugin: podTopologySpread{owners: st.Owners{}}, nodes: zoned,
			pods: []*corev1.Pod{st.Pod("1", "", "", web, st.On("a")), st.Pod("2", "", "", web, st.On("a"))},
			pod:  st.Pod("p", "", "", web), want: []int64{50, 75, 100},
		},
		{
			name: "spread leaves out nodes without the topology", plugin: podTopologySpread{owners: st.Owners{}}, nodes: []*corev1.Node{a, zoned[2]},
			pod: st.Pod("p", "", "", func(p *corev1.Pod) {
				p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
					MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.ScheduleAnyway,
					LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
				}}
			}), want: []int64{0, 100},
		},
		{
			name: "pod affinity", plugin: interPodAffinity{}, nodes: zoned,
			pods: []*corev1.Pod{st.Pod("1", "", "", web, st.On("a")), st.Pod("2", "", "", st.Labels("app", "db"), st.On("b"))},
			pod: st.Pod("p", "", "", func(p *corev1.Pod) {
				about := func(app, key string, weight int32) corev1.WeightedPodAffinityTerm {
					return corev1.WeightedPodAffinityTerm{Weight: weight, PodAffinityTerm: corev1.PodAffinityTerm{
						TopologyKey: key, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}},
					}}
				}
				p.Spec.Affinity = &corev1.Affinity{
					PodAffinity: &corev1.PodAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{
						about("web", corev1.LabelTopologyZone, 30),
					}},
					PodAntiAffinity: &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{
						about("db", corev1.LabelHostname, 20),
					}},
				}
			}), want: []int64{100, 33, 0},
		},
	} {
		if got := score(c.plugin, c.nodes, c.pods, c.pod); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
