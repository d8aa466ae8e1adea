package plugins

import (
	"math"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/scheduler/cluster"
	"github.com/proa-dev/proa/internal/scheduler/framework"
)

// podTopologySpread spreads pods over topology domains: it keeps them from domains that would have too many
// more than the emptiest, or prefers emptier ones.
type podTopologySpread struct{ owners Owners }

func (podTopologySpread) Name() string { return "PodTopologySpread" }

func (t podTopologySpread) Judge(p *cluster.Pod, c *cluster.Cluster) (framework.Judge, *framework.Rejection) {
	s := &spreadState{
		pod: p.Pod, affinity: nodeaffinity.GetRequiredNodeAffinity(p.Pod),
		hard: tally(constraintsOf(p.Pod, corev1.DoNotSchedule), p, c), soft: tally(t.preferred(p.Pod), p, c),
		softNeedsAll: len(p.Spec.TopologySpreadConstraints) > 0,
		unlabelled:   framework.RejectFinally("node(s) didn't match pod topology spread constraints (missing required label)"),
		skewed:       framework.Reject("node(s) didn't match pod topology spread constraints"),
	}
	var j framework.Judge
	if len(s.hard) > 0 {
		j.Observe, j.FilterAmong = s.observe, s.filter
	}
	if len(s.soft) > 0 {
		j.Observe, j.ScoreAmong = s.observe, s.score
	}
	return j, nil
}

// preferred are the constraints that only count for scores. Pods that have none of any kind, and belong to
// something, are spread over hosts and zones.
func (t podTopologySpread) preferred(pod *corev1.Pod) []constraint {
	if len(pod.Spec.TopologySpreadConstraints) > 0 {
		return constraintsOf(pod, corev1.ScheduleAnyway)
	}
	selector := t.owners.Selector(pod)
	if selector.Empty() {
		return nil
	}
	return []constraint{
		{key: corev1.LabelHostname, maxSkew: 3, selector: selector, minDomains: 1, honorAffinity: true},
		{key: corev1.LabelTopologyZone, maxSkew: 5, selector: selector, minDomains: 1, honorAffinity: true},
	}
}

// constraint is one of a pod's constraints, with its defaults.
type constraint struct {
	key                        string
	maxSkew                    int64
	minDomains                 int
	selector                   labels.Selector
	honorAffinity, honorTaints bool
}

func constraintsOf(pod *corev1.Pod, when corev1.UnsatisfiableConstraintAction) []constraint {
	var all []constraint
	for i := range pod.Spec.TopologySpreadConstraints {
		c := &pod.Spec.TopologySpreadConstraints[i]
		if c.WhenUnsatisfiable != when {
			continue
		}
		all = append(all, constraint{
			key: c.TopologyKey, maxSkew: int64(c.MaxSkew), minDomains: int(ptr.Deref(c.MinDomains, 1)),
			selector:      spreadSelector(c, pod.Labels),
			honorAffinity: ptr.Deref(c.NodeAffinityPolicy, corev1.NodeInclusionPolicyHonor) == corev1.NodeInclusionPolicyHonor,
			honorTaints:   ptr.Deref(c.NodeTaintsPolicy, corev1.NodeInclusionPolicyIgnore) == corev1.NodeInclusionPolicyHonor,
		})
	}
	return all
}

func spreadSelector(c *corev1.TopologySpreadConstraint, own map[string]string) labels.Selector {
	selector, err := metav1.LabelSelectorAsSelector(c.LabelSelector)
	if err != nil {
		return labels.Nothing()
	}
	same := labels.Set{}
	for _, key := range c.MatchLabelKeys {
		if v, ok := own[key]; ok {
			same[key] = v
		}
	}
	if requirements, selectable := selector.Requirements(); selectable && len(same) > 0 {
		return labels.SelectorFromSet(same).Add(requirements...)
	}
	return selector
}

// spreadState counts, for each constraint of a class of pods, the pods in each domain.
type spreadState struct {
	pod                *corev1.Pod
	affinity           nodeaffinity.RequiredNodeAffinity
	hard, soft         []*counted
	softNeedsAll       bool // nodes that lack a topology of a soft constraint are left out
	unlabelled, skewed *framework.Rejection
	round              uint64 // of scoring
}

// counted is a constraint and the pods that it counts.
type counted struct {
	constraint
	own     int64 // 1 if the constraint is about the pod itself, too
	domains map[string]*domain
	nodes   []counts // by index
	live    int      // domains that have eligible nodes
	byCount []int    // live domains by how many pods they have
}

// domain is all nodes with one value of the topology's label.
type domain struct {
	pods  int64 // on eligible nodes
	nodes int   // eligible ones
	round uint64
}

// counts is what a node contributes.
type counts struct {
	domain   *domain // nil until observed
	labelled bool    // the node has the topology
	pods     int64
	eligible bool
}

func tally(constraints []constraint, p *cluster.Pod, c *cluster.Cluster) []*counted {
	all := make([]*counted, len(constraints))
	for i, k := range constraints {
		all[i] = &counted{constraint: k, domains: map[string]*domain{}, nodes: make([]counts, len(c.Nodes()))}
		if k.selector.Matches(labels.Set(p.Labels)) {
			all[i].own = 1
		}
	}
	return all
}

func (s *spreadState) observe(n *cluster.Node) {
	s.observeAll(s.hard, n, hasAll(n, s.hard))
	s.observeAll(s.soft, n, !s.softNeedsAll || hasAll(n, s.soft))
}

func (s *spreadState) observeAll(all []*counted, n *cluster.Node, eligible bool) {
	for _, c := range all {
		c.set(n, c.count(n.Pods, s.pod.Namespace), eligible && s.admits(c, n))
	}
}

// admits tells if the policies of a constraint let a node count.
func (s *spreadState) admits(c *counted, n *cluster.Node) bool {
	if c.honorAffinity {
		if ok, _ := s.affinity.Match(n.Object); !ok {
			return false
		}
	}
	return !c.honorTaints || !keptOut(n.Object, s.pod.Spec.Tolerations)
}

func hasAll(n *cluster.Node, all []*counted) bool {
	for _, c := range all {
		if _, ok := n.Label(c.key); !ok {
			return false
		}
	}
	return true
}

// count is how many of the pods the constraint is about. An empty selector counts none.
func (c *counted) count(pods []*cluster.Pod, namespace string) (sum int64) {
	if c.selector.Empty() {
		return 0
	}
	for _, p := range pods {
		if p.DeletionTimestamp == nil && p.Namespace == namespace && c.selector.Matches(labels.Set(p.Labels)) {
			sum++
		}
	}
	return sum
}

// set replaces what a node contributes.
func (c *counted) set(n *cluster.Node, pods int64, eligible bool) {
	was := &c.nodes[n.Index]
	if was.eligible {
		c.change(was.domain, -was.pods, -1)
	}
	value, labelled := n.Label(c.key)
	d := c.domains[value]
	if d == nil {
		d = &domain{}
		c.domains[value] = d
	}
	*was = counts{domain: d, labelled: labelled, pods: pods, eligible: eligible}
	if eligible {
		c.change(d, pods, 1)
	}
}

func (c *counted) change(d *domain, pods int64, nodes int) {
	if d.nodes > 0 {
		c.live--
		c.byCount[d.pods]--
	}
	d.pods += pods
	d.nodes += nodes
	if d.nodes > 0 {
		c.live++
		for int64(len(c.byCount)) <= d.pods {
			c.byCount = append(c.byCount, 0)
		}
		c.byCount[d.pods]++
	}
}

// least is the number of pods in the emptiest domain; none if there are fewer domains than there should be.
func (c *counted) least() int64 {
	if c.live < c.minDomains {
		return 0
	}
	for pods, domains := range c.byCount {
		if domains > 0 {
			return int64(pods)
		}
	}
	return math.MaxInt32
}

func (s *spreadState) filter(n *cluster.Node) *framework.Rejection {
	for _, c := range s.hard {
		at := &c.nodes[n.Index]
		if !at.labelled {
			return s.unlabelled
		}
		if at.domain.pods+c.own-c.least() > c.maxSkew {
			return s.skewed
		}
	}
	return nil
}

func (s *spreadState) score(nodes []*cluster.Node, scores []int64) {
	const leftOut = -1
	weights := s.weights(nodes)
	least, most := int64(math.MaxInt64), int64(0)
	for i, n := range nodes {
		if s.leavesOut(n) {
			scores[i] = leftOut
			continue
		}
		var sum float64
		for j, c := range s.soft {
			if c.nodes[n.Index].labelled {
				sum += float64(c.pods(n))*weights[j] + float64(c.maxSkew-1)
			}
		}
		scores[i] = int64(math.Round(sum))
		least, most = min(least, scores[i]), max(most, scores[i])
	}
	for i, v := range scores {
		switch {
		case v == leftOut:
			scores[i] = 0
		case most == 0:
			scores[i] = framework.MaxScore
		default:
			scores[i] = framework.MaxScore * (most + least - v) / most
		}
	}
}

func (s *spreadState) leavesOut(n *cluster.Node) bool {
	if s.softNeedsAll {
		for _, c := range s.soft {
			if !c.nodes[n.Index].labelled {
				return true
			}
		}
	}
	return false
}

// pods is how many pods are in the node's domain. A host is a domain by itself.
func (c *counted) pods(n *cluster.Node) int64 {
	if c.key == corev1.LabelHostname {
		return c.nodes[n.Index].pods
	}
	return c.nodes[n.Index].domain.pods
}

// weights make up for a topology with few domains having more pods in each.
func (s *spreadState) weights(nodes []*cluster.Node) []float64 {
	s.round++
	weights := make([]float64, len(s.soft))
	for j, c := range s.soft {
		domains := 0
		for _, n := range nodes {
			if s.leavesOut(n) {
				continue
			}
			d := c.nodes[n.Index].domain
			if c.key == corev1.LabelHostname || d.round != s.round {
				domains++
			}
			d.round = s.round
		}
		weights[j] = math.Log(float64(domains + 2))
	}
	return weights
}

func (podTopologySpread) Wakes(p *corev1.Pod, e *framework.Event) bool {
	constraints := constraintsOf(p, corev1.DoNotSchedule)
	switch {
	case e.OldPod != nil || e.NewPod != nil:
		return spreadWokenByPod(p, constraints, e)
	case e.OldNode != nil && e.NewNode != nil:
		old, now := hasKeys(e.OldNode, constraints), hasKeys(e.NewNode, constraints)
		return old != now || now && (!labels.Equals(e.OldNode.Labels, e.NewNode.Labels) || taintsDiffer(e))
	case e.NewNode != nil:
		return hasKeys(e.NewNode, constraints)
	}
	return hasKeys(e.OldNode, constraints)
}

func spreadWokenByPod(p *corev1.Pod, constraints []constraint, e *framework.Event) bool {
	if moreTolerant(e) {
		for _, c := range constraints {
			if c.honorTaints {
				return true
			}
		}
	}
	counts := func(c *constraint, pod *corev1.Pod) bool {
		return pod != nil && pod.Namespace == p.Namespace && c.selector.Matches(labels.Set(pod.Labels))
	}
	for i := range constraints {
		if counts(&constraints[i], e.OldPod) != counts(&constraints[i], e.NewPod) {
			return true
		}
	}
	return false
}

func hasKeys(n *corev1.Node, constraints []constraint) bool {
	for _, c := range constraints {
		if _, ok := n.Labels[c.key]; !ok {
			return false
		}
	}
	return true
}

func taintsDiffer(e *framework.Event) bool {
	a, b := e.OldNode.Spec.Taints, e.NewNode.Spec.Taints
	if len(a) != len(b) {
		return true
	}
	for i := range a {
		if !a[i].MatchTaint(&b[i]) || a[i].Value != b[i].Value {
			return true
		}
	}
	return false
}
