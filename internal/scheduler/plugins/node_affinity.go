package plugins

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/proa-dev/proa/internal/scheduler/cluster"
	"github.com/proa-dev/proa/internal/scheduler/framework"
)

// nodeAffinity keeps pods to the nodes that they select, and prefers those that they prefer.
type nodeAffinity struct{}

func (nodeAffinity) Name() string { return "NodeAffinity" }

func (nodeAffinity) Judge(p *cluster.Pod, _ *cluster.Cluster) (framework.Judge, *framework.Rejection) {
	var j framework.Judge
	var affinity corev1.NodeAffinity
	if a := p.Spec.Affinity; a != nil && a.NodeAffinity != nil {
		affinity = *a.NodeAffinity
	}
	if required := affinity.RequiredDuringSchedulingIgnoredDuringExecution; required != nil || p.Spec.NodeSelector != nil {
		match := nodeaffinity.GetRequiredNodeAffinity(p.Pod)
		mismatch := framework.RejectFinally("node(s) didn't match Pod's node affinity/selector")
		j.Filter = func(n *cluster.Node) *framework.Rejection {
			if ok, _ := match.Match(n.Object); !ok {
				return mismatch
			}
			return nil
		}
		if names, limited := namedNodes(required); limited {
			if len(names) == 0 {
				return j, framework.RejectFinally("pod affinity terms conflict")
			}
			j.Nodes = sets.List(names)
		}
	}
	if terms := affinity.PreferredDuringSchedulingIgnoredDuringExecution; len(terms) > 0 {
		if preferred, err := nodeaffinity.NewPreferredSchedulingTerms(terms); err == nil {
			j.Score = func(n *cluster.Node) int64 { return preferred.Score(n.Object) }
			j.Normalize = func(scores []int64) { scale(scores, false) }
		}
	}
	return j, nil
}

// namedNodes are the nodes that the terms name, if every term names some.
func namedNodes(required *corev1.NodeSelector) (names sets.Set[string], limited bool) {
	if required == nil || len(required.NodeSelectorTerms) == 0 {
		return nil, false
	}
	names = sets.New[string]()
	for _, term := range required.NodeSelectorTerms {
		var both sets.Set[string] // of all requirements of the term
		for _, r := range term.MatchFields {
			if r.Key != metav1.ObjectNameField || r.Operator != corev1.NodeSelectorOpIn {
				continue
			}
			if both == nil {
				both = sets.New(r.Values...)
			} else {
				both = both.Intersection(sets.New(r.Values...))
			}
		}
		if both == nil {
			return nil, false
		}
		names = names.Union(both)
	}
	return names, true
}

func (nodeAffinity) Wakes(p *corev1.Pod, e *framework.Event) bool {
	if e.NewNode == nil {
		return false
	}
	match := nodeaffinity.GetRequiredNodeAffinity(p)
	if ok, err := match.Match(e.NewNode); !ok {
		return err != nil
	}
	if e.OldNode == nil {
		return true
	}
	was, _ := match.Match(e.OldNode)
	return !was
}
