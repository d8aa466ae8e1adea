package daemonset

import (
	"maps"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// labelGeneration is what old versions told pods of an old template by; clients may still read it.
const labelGeneration = "pod-template-generation"

// templateFor is the template of a DaemonSet's pods. hash names the revision they are of.
func templateFor(ds *appsv1.DaemonSet, hash string) corev1.PodTemplateSpec {
	t := ds.Spec.Template
	t.Labels = maps.Clone(t.Labels)
	if t.Labels == nil {
		t.Labels = map[string]string{}
	}
	if generation, ok := generationOf(ds); ok {
		t.Labels[labelGeneration] = generation
	}
	if hash != "" {
		t.Labels[appsv1.ControllerRevisionHashLabelKey] = hash
	}
	t.Spec.Tolerations = tolerationsFor(&t.Spec)
	return t
}

func generationOf(ds *appsv1.DaemonSet) (string, bool) {
	v := ds.Annotations[appsv1.DeprecatedTemplateGeneration]
	n, err := strconv.ParseInt(v, 10, 64)
	return strconv.FormatInt(n, 10), err == nil
}

// isUpdated tells whether a pod is of the present template.
func isUpdated(ds *appsv1.DaemonSet, p *corev1.Pod, hash string) bool {
	if hash != "" && p.Labels[appsv1.ControllerRevisionHashLabelKey] == hash {
		return true
	}
	generation, ok := generationOf(ds)
	return ok && p.Labels[labelGeneration] == generation
}

// tolerationsFor lets daemons run on nodes in trouble: they are often what gets them out of it.
func tolerationsFor(spec *corev1.PodSpec) []corev1.Toleration {
	all := slices.Clone(spec.Tolerations)
	add := func(taint string, effect corev1.TaintEffect) {
		t := corev1.Toleration{Key: taint, Operator: corev1.TolerationOpExists, Effect: effect}
		if n := slices.IndexFunc(all, func(o corev1.Toleration) bool { return t.MatchToleration(&o) }); n >= 0 {
			all[n] = t
			return
		}
		all = append(all, t)
	}
	add(corev1.TaintNodeNotReady, corev1.TaintEffectNoExecute)
	add(corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute)
	add(corev1.TaintNodeDiskPressure, corev1.TaintEffectNoSchedule)
	add(corev1.TaintNodeMemoryPressure, corev1.TaintEffectNoSchedule)
	add(corev1.TaintNodePIDPressure, corev1.TaintEffectNoSchedule)
	add(corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule)
	if spec.HostNetwork {
		add(corev1.TaintNodeNetworkUnavailable, corev1.TaintEffectNoSchedule)
	}
	return all
}

// pinned is an affinity that lets a pod run on one node only. The scheduler does the rest.
func pinned(a *corev1.Affinity, node string) *corev1.Affinity {
	only := []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{{
		Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node},
	}}}}
	out := &corev1.Affinity{}
	if a != nil {
		*out = *a
	}
	on := &corev1.NodeAffinity{}
	if out.NodeAffinity != nil {
		*on = *out.NodeAffinity
	}
	on.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: only}
	out.NodeAffinity = on
	return out
}

// nodeOf is the node that a pod is on or meant for; empty if that is unknown.
func nodeOf(p *corev1.Pod) string {
	a := p.Spec.Affinity
	if p.Spec.NodeName != "" || a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return p.Spec.NodeName
	}
	for _, term := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, f := range term.MatchFields {
			if f.Key == metav1.ObjectNameField && f.Operator == corev1.NodeSelectorOpIn && len(f.Values) == 1 {
				return f.Values[0]
			}
		}
	}
	return ""
}

// filter tells which nodes a DaemonSet is for.
type filter struct {
	node        string // the only one, if not empty
	affinity    nodeaffinity.RequiredNodeAffinity
	tolerations []corev1.Toleration
}

func newFilter(ds *appsv1.DaemonSet) filter {
	spec := &ds.Spec.Template.Spec
	return filter{
		node:        spec.NodeName,
		affinity:    nodeaffinity.GetRequiredNodeAffinity(&corev1.Pod{Spec: *spec}),
		tolerations: tolerationsFor(spec),
	}
}

// fits tells whether a pod should start on a node, and whether one that is there may stay.
func (f filter) fits(n *corev1.Node) (start, stay bool) {
	if f.node != "" && f.node != n.Name {
		return false, false
	}
	if ok, err := f.affinity.Match(n); err != nil || !ok {
		return false, false
	}
	start, stay = true, true
	for i := range n.Spec.Taints {
		switch t := &n.Spec.Taints[i]; {
		case t.Effect == corev1.TaintEffectPreferNoSchedule, f.tolerates(t):
		case t.Effect == corev1.TaintEffectNoExecute:
			return false, false
		default:
			start = false
		}
	}
	return start, stay
}

func (f filter) tolerates(t *corev1.Taint) bool {
	return slices.ContainsFunc(f.tolerations, func(x corev1.Toleration) bool {
		return (x.Effect == "" || x.Effect == t.Effect) && (x.Key == "" || x.Key == t.Key) &&
			(x.Operator == corev1.TolerationOpExists || (x.Operator == "" || x.Operator == corev1.TolerationOpEqual) && x.Value == t.Value)
	})
}
