package framework

import (
	"cmp"
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/proa-dev/proa/internal/scheduler/cluster"
)

// Preemption is what came of looking for pods of lower priority to remove.
type Preemption struct {
	// Node is where there will be room once the victims are gone; empty if there is none.
	Node    string
	Victims []*cluster.Pod
	// Keep says that the pod's present nomination stays, since its victims are still on their way out.
	Keep bool
	// Message says why there is no node.
	Message string
}

func (p *Preemption) suffix() string {
	if p.Message == "" {
		return ""
	}
	return " preemption: " + p.Message
}

func (p *Preemption) status() Status {
	if p.Node == "" {
		return Unschedulable
	}
	return Success
}

// The search for candidates ends when enough are found: a tenth of the nodes, and no fewer than this.
const (
	enoughCandidates        = 100
	enoughCandidatesPercent = 10
)

const notHelpful = "Preemption is not helpful for scheduling"

// candidate is a node where victims would make room.
type candidate struct {
	node       *cluster.Node
	victims    []*cluster.Pod // the most important first
	violations int            // of disruption budgets
}

// preempt looks for a node on which removing pods would make room for p, after a search has rejected all.
func (f *Framework) preempt(c *class, p *cluster.Pod) *Preemption {
	if policy := p.Spec.PreemptionPolicy; policy != nil && *policy == corev1.PreemptNever {
		return &Preemption{Keep: true, Message: "not eligible due to preemptionPolicy=Never."}
	}
	if f.waitsForVictims(p) {
		return &Preemption{Keep: true, Message: "not eligible due to a terminating pod on the nominated node."}
	}
	found, why := f.candidates(c, p)
	if len(found) == 0 {
		return &Preemption{Message: why.message(len(f.cluster.Nodes()))}
	}
	best := slices.MinFunc(found, compareCandidates)
	return &Preemption{Node: best.node.Name, Victims: best.victims}
}

// waitsForVictims tells if pods that were removed for p are still on the node that it is nominated to.
func (f *Framework) waitsForVictims(p *cluster.Pod) bool {
	n := f.cluster.Node(f.Nominated(p.UID))
	if n == nil {
		return false
	}
	for i := range f.rejected {
		if f.rejected[i].node == n && f.rejected[i].why.Final {
			return false
		}
	}
	if slices.ContainsFunc(f.Nominations.victims[p.UID], f.cluster.Has) {
		return true
	}
	return slices.ContainsFunc(n.Pods, func(other *cluster.Pod) bool {
		return other.Priority() < p.Priority() && isVictim(other.Pod)
	})
}

func isVictim(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp == nil {
		return false
	}
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.DisruptionTarget {
			return c.Status == corev1.ConditionTrue && c.Reason == corev1.PodReasonPreemptionByScheduler
		}
	}
	return false
}

func (f *Framework) candidates(c *class, p *cluster.Pod) (found []candidate, why histogram) {
	why = histogram{}
	all := len(f.cluster.Nodes())
	open := slices.DeleteFunc(slices.Clone(f.rejected), func(r rejected) bool { return r.why.Final })
	if rest := all - len(open); rest > 0 {
		why[notHelpful] += rest
	}
	if len(open) == 0 {
		return nil, why
	}
	if !f.cluster.HasBelow(p.Priority()) {
		why.add(noVictims(), len(open))
		return nil, why
	}
	var budgets []*policyv1.PodDisruptionBudget
	if f.budgets != nil {
		budgets = f.budgets()
	}
	enough := min(max(len(open)*enoughCandidatesPercent/100, enoughCandidates), len(open))
	offset := f.random.IntN(len(open))
	spared := false // a candidate violates no budget
	for i := range open {
		n := open[(offset+i)%len(open)].node
		cand, r := f.victims(c, p, n, budgets)
		c.show(n)
		if r != nil {
			why.add(r, 1)
			continue
		}
		found = append(found, cand)
		if spared = spared || cand.violations == 0; spared && len(found) >= enough {
			break
		}
	}
	return found, why
}

func noVictims() *Rejection { return RejectFinally("No preemption victims found for incoming pod") }

// victims finds the fewest and least important pods that have to leave a node for p.
func (f *Framework) victims(c *class, p *cluster.Pod, real *cluster.Node, budgets []*policyv1.PodDisruptionBudget) (candidate, *Rejection) {
	n := real.Clone()
	var lower []*cluster.Pod
	for _, other := range real.Pods {
		if other.Priority() < p.Priority() {
			lower = append(lower, other)
			n.Remove(other)
		}
	}
	if len(lower) == 0 {
		return candidate{}, noVictims()
	}
	if r := f.tryCrowded(c, p, n); r != nil {
		return candidate{}, r
	}
	slices.SortStableFunc(lower, compareImportance)
	violating, others := splitByBudgets(lower, budgets)
	cand := candidate{node: real}
	reprieve := func(other *cluster.Pod) (spared bool) {
		n.Add(other)
		if f.tryCrowded(c, p, n) == nil {
			return true
		}
		n.Remove(other)
		cand.victims = append(cand.victims, other)
		return false
	}
	for _, other := range violating {
		if !reprieve(other) {
			cand.violations++
		}
	}
	for _, other := range others {
		reprieve(other)
	}
	if len(cand.victims) == 0 {
		return candidate{}, noVictims()
	}
	slices.SortStableFunc(cand.victims, compareImportance)
	return cand, nil
}

// tryCrowded tries a node with and without the pods that are nominated to it.
func (f *Framework) tryCrowded(c *class, p *cluster.Pod, n *cluster.Node) *Rejection {
	if crowded := f.crowd(p, n); crowded != nil {
		if _, r := c.try(crowded); r != nil {
			return r
		}
	}
	_, r := c.try(n)
	return r
}

// compareImportance puts pods of higher priority first, then those that run for longer.
func compareImportance(a, b *cluster.Pod) int {
	return cmp.Or(cmp.Compare(b.Priority(), a.Priority()), started(a).Compare(started(b)))
}

// started is when a pod started; pods that have not come last.
func started(p *cluster.Pod) time.Time {
	if p.Status.StartTime == nil {
		return time.Unix(math.MaxInt32, 0)
	}
	return p.Status.StartTime.Time
}

// compareCandidates puts the better first: fewer budgets violated, then a less important first victim, a
// smaller sum of priorities, fewer victims, and the first of the most important ones started later.
func compareCandidates(a, b candidate) int {
	return cmp.Or(
		cmp.Compare(a.violations, b.violations),
		cmp.Compare(a.victims[0].Priority(), b.victims[0].Priority()),
		cmp.Compare(sumOfPriorities(a.victims), sumOfPriorities(b.victims)),
		cmp.Compare(len(a.victims), len(b.victims)),
		started(b.victims[0]).Compare(started(a.victims[0])),
	)
}

// sumOfPriorities counts each pod as more than nothing, so that fewer pods of a negative priority are less.
func sumOfPriorities(pods []*cluster.Pod) (sum int64) {
	for _, p := range pods {
		sum += int64(p.Priority()) + math.MaxInt32 + 1
	}
	return sum
}

// splitByBudgets tells pods apart by whether removing them, in this order, would violate a budget.
func splitByBudgets(pods []*cluster.Pod, budgets []*policyv1.PodDisruptionBudget) (violating, others []*cluster.Pod) {
	left := make([]int32, len(budgets))
	selectors := make([]labels.Selector, len(budgets))
	for i, b := range budgets {
		left[i] = b.Status.DisruptionsAllowed
		if s, err := metav1.LabelSelectorAsSelector(b.Spec.Selector); err == nil && !s.Empty() {
			selectors[i] = s
		}
	}
	for _, p := range pods {
		violates := false
		for i, b := range budgets {
			if selectors[i] == nil || b.Namespace != p.Namespace || len(p.Labels) == 0 || !selectors[i].Matches(labels.Set(p.Labels)) {
				continue
			}
			if _, known := b.Status.DisruptedPods[p.Name]; known {
				continue
			}
			if left[i]--; left[i] < 0 {
				violates = true
			}
		}
		if violates {
			violating = append(violating, p)
		} else {
			others = append(others, p)
		}
	}
	return violating, others
}
