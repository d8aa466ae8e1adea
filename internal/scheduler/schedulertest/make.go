// Package schedulertest makes nodes and pods for the scheduler's tests, by hand and at random.
package schedulertest

import (
	"fmt"
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// Node makes a node with room for 110 pods that is its own host, changed by f.
func Node(name string, cpu, memory string, f ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("node-" + name), Labels: map[string]string{corev1.LabelHostname: name}},
		Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory),
			corev1.ResourcePods: resource.MustParse("110"),
		}},
	}
	for _, f := range f {
		f(n)
	}
	return n
}

// Zone puts a node into a zone.
func Zone(zone string) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Labels[corev1.LabelTopologyZone] = zone }
}

// Pod makes a pod of one container that wants CPU and memory if they are not empty, changed by f.
func Pod(name string, cpu, memory string, f ...func(*corev1.Pod)) *corev1.Pod {
	requests := corev1.ResourceList{}
	if cpu != "" {
		requests[corev1.ResourceCPU] = resource.MustParse(cpu)
	}
	if memory != "" {
		requests[corev1.ResourceMemory] = resource.MustParse(memory)
	}
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns", UID: types.UID("pod-" + name), Labels: map[string]string{}},
		Spec: corev1.PodSpec{
			SchedulerName: corev1.DefaultSchedulerName,
			Containers:    []corev1.Container{{Name: "c", Image: "app:1", Resources: corev1.ResourceRequirements{Requests: requests}}},
		},
	}
	for _, f := range f {
		f(p)
	}
	return p
}

// Labels gives a pod labels.
func Labels(pairs ...string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		for i := 0; i < len(pairs); i += 2 {
			p.Labels[pairs[i]] = pairs[i+1]
		}
	}
}

// Priority gives a pod a priority.
func Priority(v int32) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Priority = &v }
}

// On puts a pod on a node.
func On(node string) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Spec.NodeName = node } }

// Owners says that pods with the same label "app" belong together.
type Owners struct{}

// Selector implements plugins.Owners.
func (Owners) Selector(pod *corev1.Pod) labels.Selector {
	if app, ok := pod.Labels["app"]; ok {
		return labels.SelectorFromSet(labels.Set{"app": app})
	}
	return labels.Set{}.AsSelector()
}

var (
	apps   = []string{"a", "b", "c"}
	zones  = []string{"z1", "z2", "z3"}
	spaces = []string{"ns", "other"}
	effect = []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute, corev1.TaintEffectPreferNoSchedule}
)

func pick[T any](r *rand.Rand, all []T) T { return all[r.IntN(len(all))] }

func oneIn(r *rand.Rand, n int) bool { return r.IntN(n) == 0 }

// RandomNode makes a node of a name, with whatever a node may have.
func RandomNode(r *rand.Rand, name string) *corev1.Node {
	n := Node(name, fmt.Sprint(1+r.IntN(4)), fmt.Sprintf("%dGi", 1+r.IntN(4)))
	n.Status.Allocatable[corev1.ResourcePods] = *resource.NewQuantity(int64(2+r.IntN(6)), resource.DecimalSI)
	if !oneIn(r, 5) {
		n.Labels[corev1.LabelTopologyZone] = pick(r, zones)
	}
	if oneIn(r, 3) {
		n.Labels["disk"] = pick(r, []string{"ssd", "hdd"})
	}
	if oneIn(r, 4) {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: pick(r, apps), Value: pick(r, apps), Effect: pick(r, effect)})
	}
	if oneIn(r, 4) {
		n.Status.Allocatable["example.com/gpu"] = resource.MustParse("2")
	}
	if oneIn(r, 3) {
		n.Status.Images = []corev1.ContainerImage{{Names: []string{"app:" + pick(r, apps)}, SizeBytes: int64(r.IntN(900)) << 20}}
	}
	n.Spec.Unschedulable = oneIn(r, 12)
	return n
}

// RandomPod makes a pod of a name, with whatever a pod may want.
func RandomPod(r *rand.Rand, name string) *corev1.Pod {
	p := Pod(name, pick(r, []string{"", "100m", "500m", "1"}), pick(r, []string{"", "128Mi", "1Gi"}))
	p.Namespace = pick(r, spaces)
	if !oneIn(r, 4) {
		p.Labels["app"] = pick(r, apps)
	}
	if oneIn(r, 3) {
		p.Spec.Priority = ptr.To(int32(r.IntN(3)) * 10)
	}
	c := &p.Spec.Containers[0]
	c.Image = "app:" + pick(r, apps)
	if oneIn(r, 6) {
		c.Ports = []corev1.ContainerPort{{HostPort: int32(8000 + r.IntN(2)), HostIP: pick(r, []string{"", "10.0.0.1"})}}
	}
	if oneIn(r, 8) {
		c.Resources.Requests["example.com/gpu"] = resource.MustParse("1")
	}
	if oneIn(r, 4) {
		p.Spec.Tolerations = []corev1.Toleration{{Key: pick(r, apps), Operator: corev1.TolerationOpExists}}
	}
	if oneIn(r, 8) {
		p.Spec.NodeSelector = map[string]string{"disk": "ssd"}
	}
	randomAffinity(r, p)
	randomSpread(r, p)
	return p
}

func randomAffinity(r *rand.Rand, p *corev1.Pod) {
	a := &corev1.Affinity{}
	if oneIn(r, 6) {
		a.NodeAffinity = &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{
			Weight: 10, Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "disk", Operator: corev1.NodeSelectorOpExists}}},
		}}}
	}
	if oneIn(r, 8) {
		a.PodAffinity = &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{randomTerm(r)}}
	}
	if oneIn(r, 6) {
		a.PodAntiAffinity = &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{randomTerm(r)}}
	}
	if oneIn(r, 6) {
		t := corev1.WeightedPodAffinityTerm{Weight: int32(1 + r.IntN(100)), PodAffinityTerm: randomTerm(r)}
		if a.PodAntiAffinity == nil {
			a.PodAntiAffinity = &corev1.PodAntiAffinity{}
		}
		a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution = append(a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution, t)
	}
	if *a != (corev1.Affinity{}) {
		p.Spec.Affinity = a
	}
}

func randomTerm(r *rand.Rand) corev1.PodAffinityTerm {
	t := corev1.PodAffinityTerm{
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": pick(r, apps)}},
		TopologyKey:   pick(r, []string{corev1.LabelHostname, corev1.LabelTopologyZone}),
	}
	if oneIn(r, 3) {
		t.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "red"}}
	}
	return t
}

func randomSpread(r *rand.Rand, p *corev1.Pod) {
	for range 2 {
		if !oneIn(r, 3) {
			continue
		}
		c := corev1.TopologySpreadConstraint{
			MaxSkew: int32(1 + r.IntN(2)), TopologyKey: pick(r, []string{corev1.LabelHostname, corev1.LabelTopologyZone}),
			WhenUnsatisfiable: pick(r, []corev1.UnsatisfiableConstraintAction{corev1.DoNotSchedule, corev1.ScheduleAnyway}),
			LabelSelector:     &metav1.LabelSelector{MatchLabels: map[string]string{"app": pick(r, apps)}},
		}
		if oneIn(r, 2) {
			c.NodeTaintsPolicy = ptr.To(corev1.NodeInclusionPolicyHonor)
		}
		if oneIn(r, 3) {
			c.NodeAffinityPolicy = ptr.To(corev1.NodeInclusionPolicyIgnore)
		}
		if c.WhenUnsatisfiable == corev1.DoNotSchedule && oneIn(r, 4) {
			c.MinDomains = ptr.To(int32(2))
		}
		p.Spec.TopologySpreadConstraints = append(p.Spec.TopologySpreadConstraints, c)
	}
}
