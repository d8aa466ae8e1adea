package schedulertest

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
)

// World is nodes, the pods on them and the labels of namespaces, for the oracle, which looks at all of it every
// time and remembers nothing.
type World struct {
	Nodes      map[string]*corev1.Node
	Pods       map[string]*corev1.Pod // by name; spec.nodeName is where they are
	Namespaces map[string]map[string]string
}

// May tells if a pod may run on a node, by the words of the API's documentation.
func (w *World) May(p *corev1.Pod, node string) bool {
	n := w.Nodes[node]
	return w.welcome(p, n) && w.room(p, n) && w.near(p, n) && w.spread(p, n)
}

func (w *World) welcome(p *corev1.Pod, n *corev1.Node) bool {
	if n.Spec.Unschedulable && !tolerates(p, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}) {
		return false
	}
	return untainted(p, n) && selected(p, n)
}

func selected(p *corev1.Pod, n *corev1.Node) bool {
	ok, _ := nodeaffinity.GetRequiredNodeAffinity(p).Match(n)
	return ok
}

func untainted(p *corev1.Pod, n *corev1.Node) bool {
	return !slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool {
		return t.Effect != corev1.TaintEffectPreferNoSchedule && !tolerates(p, t)
	})
}

func tolerates(p *corev1.Pod, t corev1.Taint) bool {
	return slices.ContainsFunc(p.Spec.Tolerations, func(o corev1.Toleration) bool {
		return o.ToleratesTaint(klog.Background(), &t, false)
	})
}

// On are the pods on a node.
func (w *World) On(node string) (all []*corev1.Pod) {
	for _, p := range w.Pods {
		if p.Spec.NodeName == node {
			all = append(all, p)
		}
	}
	return all
}

func (w *World) room(p *corev1.Pod, n *corev1.Node) bool {
	here := append(w.On(n.Name), p)
	if int64(len(here)) > n.Status.Allocatable.Pods().Value() {
		return false
	}
	used := map[corev1.ResourceName]int64{}
	for _, o := range here {
		for name, q := range o.Spec.Containers[0].Resources.Requests {
			used[name] += q.MilliValue()
		}
	}
	for name := range p.Spec.Containers[0].Resources.Requests {
		have := n.Status.Allocatable[name]
		if used[name] > have.MilliValue() {
			return false
		}
	}
	for _, o := range here[:len(here)-1] {
		if clash(o, p) {
			return false
		}
	}
	return true
}

func clash(a, b *corev1.Pod) bool {
	for _, x := range a.Spec.Containers[0].Ports {
		for _, y := range b.Spec.Containers[0].Ports {
			if x.HostPort == y.HostPort && (x.HostIP == "" || y.HostIP == "" || x.HostIP == y.HostIP) {
				return true
			}
		}
	}
	return false
}

// matches tells if a term of a pod is about another pod.
func (w *World) matches(owner *corev1.Pod, t *corev1.PodAffinityTerm, other *corev1.Pod) bool {
	in := other.Namespace == owner.Namespace
	if t.NamespaceSelector != nil {
		s, _ := metav1.LabelSelectorAsSelector(t.NamespaceSelector)
		in = s.Matches(labels.Set(w.Namespaces[other.Namespace]))
	}
	s, _ := metav1.LabelSelectorAsSelector(t.LabelSelector)
	return in && s.Matches(labels.Set(other.Labels))
}

func (w *World) together(a, b *corev1.Node, key string) bool {
	x, ok := a.Labels[key]
	y, too := b.Labels[key]
	return ok && too && x == y
}

func (w *World) near(p *corev1.Pod, n *corev1.Node) bool {
	var anywhere, here bool
	affinity := affinityOf(p)
	for _, o := range w.Pods {
		on := w.Nodes[o.Spec.NodeName]
		if on == nil {
			continue
		}
		for _, t := range antiAffinityOf(p) {
			if w.matches(p, &t, o) && w.together(n, on, t.TopologyKey) {
				return false
			}
		}
		for _, t := range antiAffinityOf(o) {
			if w.matches(o, &t, p) && w.together(n, on, t.TopologyKey) {
				return false
			}
		}
		for _, t := range affinity { // there is one at most
			if _, ok := on.Labels[t.TopologyKey]; ok && w.matches(p, &t, o) {
				anywhere = true
				here = here || w.together(n, on, t.TopologyKey)
			}
		}
	}
	for _, t := range affinity {
		if _, ok := n.Labels[t.TopologyKey]; !ok {
			return false
		}
		if !here && (anywhere || !w.matches(p, &t, p)) {
			return false
		}
	}
	return true
}

func affinityOf(p *corev1.Pod) []corev1.PodAffinityTerm {
	if p.Spec.Affinity == nil || p.Spec.Affinity.PodAffinity == nil {
		return nil
	}
	return p.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
}

func antiAffinityOf(p *corev1.Pod) []corev1.PodAffinityTerm {
	if p.Spec.Affinity == nil || p.Spec.Affinity.PodAntiAffinity == nil {
		return nil
	}
	return p.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
}

func (w *World) spread(p *corev1.Pod, n *corev1.Node) bool {
	var hard []corev1.TopologySpreadConstraint
	for _, c := range p.Spec.TopologySpreadConstraints {
		if c.WhenUnsatisfiable == corev1.DoNotSchedule {
			hard = append(hard, c)
		}
	}
	for _, c := range hard {
		own, ok := n.Labels[c.TopologyKey]
		if !ok {
			return false
		}
		pods := w.domains(p, c, hard)
		s, _ := metav1.LabelSelectorAsSelector(c.LabelSelector)
		skew := pods[own]
		if s.Matches(labels.Set(p.Labels)) {
			skew++
		}
		least := 1 << 30
		for _, v := range pods {
			least = min(least, v)
		}
		if len(pods) == 0 || c.MinDomains != nil && len(pods) < int(*c.MinDomains) {
			least = 0
		}
		if skew-least > int(c.MaxSkew) {
			return false
		}
	}
	return true
}

// domains are the pods that a constraint counts, by eligible domain.
func (w *World) domains(p *corev1.Pod, c corev1.TopologySpreadConstraint, hard []corev1.TopologySpreadConstraint) map[string]int {
	pods := map[string]int{}
	s, _ := metav1.LabelSelectorAsSelector(c.LabelSelector)
	for _, n := range w.Nodes {
		all := !slices.ContainsFunc(hard, func(h corev1.TopologySpreadConstraint) bool {
			_, ok := n.Labels[h.TopologyKey]
			return !ok
		})
		if !all || (c.NodeAffinityPolicy == nil || *c.NodeAffinityPolicy == corev1.NodeInclusionPolicyHonor) && !selected(p, n) ||
			c.NodeTaintsPolicy != nil && *c.NodeTaintsPolicy == corev1.NodeInclusionPolicyHonor && !untainted(p, n) {
			continue
		}
		pods[n.Labels[c.TopologyKey]] += 0
		for _, o := range w.On(n.Name) {
			if o.Namespace == p.Namespace && o.DeletionTimestamp == nil && s.Matches(labels.Set(o.Labels)) {
				pods[n.Labels[c.TopologyKey]]++
			}
		}
	}
	return pods
}
