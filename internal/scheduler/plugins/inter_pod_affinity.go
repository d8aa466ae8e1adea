package plugins

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/proa-dev/proa/internal/scheduler/cluster"
	"github.com/proa-dev/proa/internal/scheduler/framework"
)

// interPodAffinity keeps pods near others, or far from them, as their terms and those of the others say.
type interPodAffinity struct{}

// hardWeight is what a required term of a pod that runs adds to the score of nodes near it.
const hardWeight = 1

func (interPodAffinity) Name() string { return "InterPodAffinity" }

func (interPodAffinity) Judge(p *cluster.Pod, c *cluster.Cluster) (framework.Judge, *framework.Rejection) {
	s := &affinityState{
		pod: p, namespace: c.NamespaceLabels(p.Namespace),
		affinity: resolve(p.Affinity, c), antiAffinity: resolve(p.AntiAffinity, c),
		byNode: make([][]contribution, len(c.Nodes())),
		scores: map[string]map[string]int64{},
	}
	for _, t := range p.Preferred {
		s.preferred = append(s.preferred, cluster.WeightedTerm{Term: resolve([]cluster.Term{t.Term}, c)[0], Weight: t.Weight})
	}
	for i := range s.counts {
		s.counts[i] = map[place]int64{}
	}
	s.matchesItself = len(s.affinity) > 0 && matchesAll(s.affinity, p.Pod)
	s.noAffinity = framework.RejectFinally("node(s) didn't match pod affinity rules")
	s.antiAffine = framework.Reject("node(s) didn't match pod anti-affinity rules")
	s.unwelcome = framework.Reject("node(s) didn't satisfy existing pods anti-affinity rules")
	return framework.Judge{Observe: s.observe, FilterAmong: s.filter, ScoreAmong: s.score}, nil
}

// resolve puts the namespaces that terms select by label among those they name, so that a pod's namespace
// need not be looked up.
func resolve(terms []cluster.Term, c *cluster.Cluster) []cluster.Term {
	all := slices.Clone(terms)
	for i := range all {
		t := &all[i]
		if t.InNamespace.Empty() {
			continue // matches all
		}
		t.Namespaces = t.Namespaces.Clone()
		for name, l := range c.Namespaces() {
			if t.InNamespace.Matches(labels.Set(l)) {
				t.Namespaces.Insert(name)
			}
		}
		t.InNamespace = labels.Nothing()
	}
	return all
}

// place is a topology domain.
type place struct{ key, value string }

// The counts that are kept by domain.
const (
	near    = iota // pods that all of our affinity terms match, once for each term
	far            // pods that our anti-affinity terms match
	hostile        // terms of others' anti-affinity that match us
	slots
	wished // weights, which are not counted here but in scores
)

// contribution is what the pods of a node add to a count.
type contribution struct {
	slot   int
	place  place
	amount int64
}

type affinityState struct {
	pod                    *cluster.Pod
	namespace              labels.Set
	affinity, antiAffinity []cluster.Term
	preferred              []cluster.WeightedTerm
	matchesItself          bool
	noAffinity             *framework.Rejection
	antiAffine, unwelcome  *framework.Rejection

	byNode [][]contribution // what is counted now, by index of the node
	counts [slots]map[place]int64
	scores map[string]map[string]int64 // by topology key and value
}

func (s *affinityState) observe(n *cluster.Node) {
	for _, c := range s.byNode[n.Index] {
		s.add(c, -1)
	}
	s.byNode[n.Index] = s.contributions(n, s.byNode[n.Index][:0])
	for _, c := range s.byNode[n.Index] {
		s.add(c, 1)
	}
}

func (s *affinityState) add(c contribution, sign int64) {
	if c.slot == wished {
		values := s.scores[c.place.key]
		if values == nil {
			values = map[string]int64{}
			s.scores[c.place.key] = values
		}
		values[c.place.value] += sign * c.amount
		return
	}
	m := s.counts[c.slot]
	if m[c.place] += sign * c.amount; m[c.place] == 0 {
		delete(m, c.place)
	}
}

func (s *affinityState) contributions(n *cluster.Node, all []contribution) []contribution {
	add := func(slot int, topology string, amount int64) {
		if v, ok := n.Label(topology); ok {
			all = append(all, contribution{slot: slot, place: place{topology, v}, amount: amount})
		}
	}
	for _, other := range n.Opinionated {
		s.opinionsOf(other, add)
	}
	if len(s.affinity) == 0 && len(s.antiAffinity) == 0 && len(s.preferred) == 0 {
		return all
	}
	for _, other := range n.Pods {
		s.opinionsOn(other, add)
	}
	return all
}

// opinionsOf counts the terms of a pod that runs.
func (s *affinityState) opinionsOf(other *cluster.Pod, add func(slot int, topology string, amount int64)) {
	for i := range other.AntiAffinity {
		if t := &other.AntiAffinity[i]; t.Matches(s.pod.Pod, s.namespace) {
			add(hostile, t.Topology, 1)
		}
	}
	for i := range other.Affinity {
		if t := &other.Affinity[i]; t.Matches(s.pod.Pod, s.namespace) {
			add(wished, t.Topology, hardWeight)
		}
	}
	for i := range other.Preferred {
		if t := &other.Preferred[i]; t.Matches(s.pod.Pod, s.namespace) {
			add(wished, t.Topology, t.Weight)
		}
	}
}

// opinionsOn counts our terms about a pod that runs.
func (s *affinityState) opinionsOn(other *cluster.Pod, add func(slot int, topology string, amount int64)) {
	if len(s.affinity) > 0 && matchesAll(s.affinity, other.Pod) {
		for i := range s.affinity {
			add(near, s.affinity[i].Topology, 1)
		}
	}
	for i := range s.antiAffinity {
		if t := &s.antiAffinity[i]; t.Matches(other.Pod, nil) {
			add(far, t.Topology, 1)
		}
	}
	for i := range s.preferred {
		if t := &s.preferred[i]; t.Matches(other.Pod, nil) {
			add(wished, t.Topology, t.Weight)
		}
	}
}

func matchesAll(terms []cluster.Term, pod *corev1.Pod) bool {
	for i := range terms {
		if !terms[i].Matches(pod, nil) {
			return false
		}
	}
	return true
}

func (s *affinityState) filter(n *cluster.Node) *framework.Rejection {
	if !s.isNear(n) {
		return s.noAffinity
	}
	if len(s.counts[far]) > 0 {
		for i := range s.antiAffinity {
			key := s.antiAffinity[i].Topology
			if v, ok := n.Label(key); ok && s.counts[far][place{key, v}] > 0 {
				return s.antiAffine
			}
		}
	}
	if len(s.counts[hostile]) > 0 {
		for key, v := range n.Object.Labels {
			if s.counts[hostile][place{key, v}] > 0 {
				return s.unwelcome
			}
		}
	}
	return nil
}

// isNear tells if a node is near pods that all affinity terms match. The first of a series of pods that want to be
// near each other may go to any node that has the topologies.
func (s *affinityState) isNear(n *cluster.Node) bool {
	found := true
	for i := range s.affinity {
		key := s.affinity[i].Topology
		v, ok := n.Label(key)
		if !ok {
			return false
		}
		found = found && s.counts[near][place{key, v}] > 0
	}
	return found || len(s.counts[near]) == 0 && s.matchesItself
}

func (s *affinityState) score(nodes []*cluster.Node, scores []int64) {
	clear(scores)
	if len(s.scores) == 0 {
		return
	}
	for i, n := range nodes {
		for key, values := range s.scores {
			if v, ok := n.Label(key); ok {
				scores[i] += values[v]
			}
		}
	}
	least, most := slices.Min(scores), slices.Max(scores)
	for i := range scores {
		if most == least {
			scores[i] = 0
			continue
		}
		scores[i] = int64(framework.MaxScore * (float64(scores[i]-least) / float64(most-least)))
	}
}

func (interPodAffinity) Wakes(p *corev1.Pod, e *framework.Event) bool {
	shape := cluster.ShapeOf(p)
	switch {
	case e.Own:
		return !labels.Equals(e.OldPod.Labels, e.NewPod.Labels)
	case e.OldPod != nil || e.NewPod != nil:
		return wokenByPod(p, shape, e)
	case e.NewNode == nil:
		return false
	case e.OldNode == nil:
		return len(shape.AntiAffinity) > 0 || slices.ContainsFunc(shape.Affinity, func(t cluster.Term) bool {
			_, ok := e.NewNode.Labels[t.Topology]
			return ok
		}) || len(shape.Affinity) == 0
	}
	return !labels.Equals(e.OldNode.Labels, e.NewNode.Labels)
}

// wokenByPod tells if a pod that came, changed or left may have been in the way, or been missed. Namespaces that
// terms select by label count as matched: a pod that is woken in vain goes back to sleep.
func wokenByPod(p *corev1.Pod, shape *cluster.Shape, e *framework.Event) bool {
	about := func(terms []cluster.Term, pod *corev1.Pod) bool {
		return pod != nil && slices.ContainsFunc(terms, func(t cluster.Term) bool {
			inNamespace := t.Namespaces.Has(pod.Namespace) || t.InNamespace != labels.Nothing()
			return inNamespace && t.Selector.Matches(labels.Set(pod.Labels))
		})
	}
	if about(shape.Affinity, e.NewPod) {
		return true
	}
	if e.NewPod != nil && (e.OldPod == nil || labels.Equals(e.OldPod.Labels, e.NewPod.Labels)) {
		return false
	}
	return about(shape.AntiAffinity, e.OldPod) || about(cluster.ShapeOf(e.OldPod).AntiAffinity, p)
}
