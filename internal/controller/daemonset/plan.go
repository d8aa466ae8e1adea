package daemonset

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/proa-dev/proa/internal/controller/pods"
)

// state is a DaemonSet, its nodes and its pods, as of now.
type state struct {
	ds     *appsv1.DaemonSet
	hash   string // of the present template
	nodes  []*corev1.Node
	byNode map[string][]*corev1.Pod
	// backoff is for how long yet a failed pod is left alone on a node; zero if it shall go.
	backoff func(node string) time.Duration
	now     time.Time
}

// plan is on which nodes pods are created, and which pods are deleted.
type plan struct {
	create []string
	delete []*corev1.Pod
	failed []string // the nodes of failed pods among them
	events []event
	again  time.Duration // zero if there is nothing to wait for
}

type event struct{ kind, reason, message string }

// newState sorts pods by their nodes. Those that have ended and are being deleted are as good as gone.
func newState(ds *appsv1.DaemonSet, hash string, nodes []*corev1.Node, all []*corev1.Pod, backoff func(string) time.Duration, now time.Time) *state {
	s := &state{ds: ds, hash: hash, nodes: nodes, byNode: map[string][]*corev1.Pod{}, backoff: backoff, now: now}
	for _, p := range all {
		if node := nodeOf(p); node != "" && !(pods.IsFinished(p) && p.DeletionTimestamp != nil) {
			s.byNode[node] = append(s.byNode[node], p)
		}
	}
	for _, on := range s.byNode {
		slices.SortFunc(on, boundFirst)
	}
	slices.SortFunc(s.nodes, func(a, b *corev1.Node) int { return strings.Compare(a.Name, b.Name) })
	return s
}

// boundFirst is the order in which pods have the better right to a node.
func boundFirst(a, b *corev1.Pod) int {
	unbound := func(p *corev1.Pod) int {
		if p.Spec.NodeName == "" {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(unbound(a), unbound(b)),
		a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
}

// decide sees first that every node has what it should, and only when that is so goes on with an update.
func decide(s *state) plan {
	var p plan
	f := newFilter(s.ds)
	known := map[string]bool{}
	for _, n := range s.nodes {
		known[n.Name] = true
		p.settle(s, n, f)
	}
	for _, node := range slices.Sorted(maps.Keys(s.byNode)) {
		for _, pod := range s.byNode[node] {
			if !known[node] && pod.Spec.NodeName == "" {
				p.delete = append(p.delete, pod) // it waits for a node that is gone
			}
		}
	}
	if len(p.create)+len(p.delete) == 0 && s.ds.Spec.UpdateStrategy.Type != appsv1.OnDeleteDaemonSetStrategyType {
		p.update(s, f)
	}
	return p
}

// settle is about one node.
func (p *plan) settle(s *state, n *corev1.Node, f filter) {
	start, stay := f.fits(n)
	on, exists := s.byNode[n.Name]
	switch {
	case start && !exists:
		p.create = append(p.create, n.Name)
	case stay:
		running := p.reap(s, n.Name, on)
		surge, _ := bounds(s.ds, 1)
		switch {
		case surge > 0 && len(running) == 0 && start:
			p.create = append(p.create, n.Name)
		case surge > 0:
			p.thinSurge(s, running)
		case len(running) > 1:
			p.delete = append(p.delete, running[1:]...)
		}
	default:
		for _, pod := range on {
			if pod.DeletionTimestamp == nil {
				p.delete = append(p.delete, pod)
			}
		}
	}
}

// reap deletes the pods of a node that have ended, those that failed not too often, and returns the others.
func (p *plan) reap(s *state, node string, on []*corev1.Pod) (running []*corev1.Pod) {
	for _, pod := range on {
		switch {
		case pod.DeletionTimestamp != nil:
		case pod.Status.Phase == corev1.PodFailed:
			if wait := s.backoff(node); wait > 0 {
				p.wake(wait)
				continue
			}
			p.failed = append(p.failed, node)
			p.delete = append(p.delete, pod)
			p.events = append(p.events, event{corev1.EventTypeWarning, "FailedDaemonPod",
				fmt.Sprintf("Found failed daemon pod %s/%s on node %s, will try to kill it", pod.Namespace, pod.Name, node)})
		case pod.Status.Phase == corev1.PodSucceeded:
			p.delete = append(p.delete, pod)
			p.events = append(p.events, event{corev1.EventTypeNormal, "SucceededDaemonPod",
				fmt.Sprintf("Found succeeded daemon pod %s/%s on node %s, will try to delete it", pod.Namespace, pod.Name, node)})
		default:
			running = append(running, pod)
		}
	}
	return running
}

func (p *plan) wake(d time.Duration) {
	if d > 0 && (p.again == 0 || d < p.again) {
		p.again = d
	}
}

// thinSurge keeps of a node's pods the oldest old and the oldest new one, and the old one only as long as it
// is needed.
func (p *plan) thinSurge(s *state, running []*corev1.Pod) {
	if len(running) <= 1 {
		return
	}
	var newPod, oldPod *corev1.Pod
	for _, pod := range running {
		switch updated := pod.Labels[appsv1.ControllerRevisionHashLabelKey] == s.hash; {
		case updated && newPod == nil:
			newPod = pod
		case !updated && oldPod == nil:
			oldPod = pod
		default:
			p.delete = append(p.delete, pod)
		}
	}
	if newPod != nil && oldPod != nil && (!pods.IsReady(oldPod) || s.isAvailable(newPod)) {
		p.delete = append(p.delete, oldPod)
	}
}

func (s *state) isAvailable(p *corev1.Pod) bool {
	return pods.IsAvailable(p, s.ds.Spec.MinReadySeconds, s.now)
}

// bounds are maxSurge and maxUnavailable, both rounded up.
func bounds(ds *appsv1.DaemonSet, nodes int) (surge, unavailable int) {
	r := ds.Spec.UpdateStrategy.RollingUpdate
	if ds.Spec.UpdateStrategy.Type != appsv1.RollingUpdateDaemonSetStrategyType || r == nil {
		return 0, 0
	}
	return scaled(r.MaxSurge, nodes), scaled(r.MaxUnavailable, nodes)
}

func scaled(v *intstr.IntOrString, of int) int {
	n, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(v, intstr.FromInt32(0)), of, true)
	if err != nil {
		return 0
	}
	return n
}

// pair is the pods of a node: new is of the present template, old is not. If there are several of a kind, they
// are muddled, until that is settled.
type pair struct {
	node     string
	new, old *corev1.Pod
	muddled  bool
}

func (s *state) pairs(wanted []string) []pair {
	names := slices.Collect(maps.Keys(s.byNode))
	names = slices.AppendSeq(names, slices.Values(wanted))
	slices.Sort(names)
	var all []pair
	for _, node := range slices.Compact(names) {
		x := pair{node: node}
		for _, pod := range s.byNode[node] {
			if pod.DeletionTimestamp != nil {
				continue
			}
			side := &x.old
			if isUpdated(s.ds, pod, s.hash) {
				side = &x.new
			}
			x.muddled = x.muddled || *side != nil
			*side = pod
		}
		all = append(all, x)
	}
	return all
}

// update replaces pods of old templates.
func (p *plan) update(s *state, f filter) {
	runs := map[string]bool{}
	var wanted []string
	for _, n := range s.nodes {
		if start, _ := f.fits(n); start {
			runs[n.Name] = true
			wanted = append(wanted, n.Name)
		}
	}
	surge, unavailable := bounds(s.ds, len(wanted))
	if surge == 0 {
		p.replace(s, s.pairs(wanted), max(unavailable, 1))
	} else {
		p.surge(s, s.pairs(wanted), surge, runs)
	}
}

// replace deletes old pods, whose nodes then get new ones: all that do not work anyway, and of the others so
// many that no more nodes than maxUnavailable are without.
func (p *plan) replace(s *state, pairs []pair, maxUnavailable int) {
	unavailable := 0
	var candidates []*corev1.Pod
	for _, x := range pairs {
		switch {
		case x.muddled, (x.old == nil) == (x.new == nil):
			unavailable++
		case x.new != nil && !s.isAvailable(x.new):
			unavailable++
		case x.old != nil && !s.isAvailable(x.old):
			unavailable++
			p.delete = append(p.delete, x.old)
		case x.old != nil:
			candidates = append(candidates, x.old)
		}
	}
	n := min(max(maxUnavailable-unavailable, 0), len(candidates))
	p.delete = append(p.delete, candidates[:n]...)
}

// surge creates new pods beside old ones, on no more nodes than maxSurge beside those that work, and deletes the
// old one of a node when the new one works.
func (p *plan) surge(s *state, pairs []pair, maxSurge int, runs map[string]bool) {
	surging, available, wanted := 0, 0, len(runs)
	var candidates []string
	var strays []*corev1.Pod // that work where none should run
	for _, x := range pairs {
		if x.muddled {
			surging++
			continue
		}
		if x.old != nil && s.isAvailable(x.old) || x.old == nil && x.new != nil && s.isAvailable(x.new) {
			available++
		}
		switch {
		case x.old == nil:
		case x.new != nil && s.isAvailable(x.new):
			p.delete = append(p.delete, x.old)
		case x.new != nil:
			surging++
		case !s.isAvailable(x.old) && runs[x.node]:
			p.create = append(p.create, x.node)
		case !s.isAvailable(x.old):
			p.delete = append(p.delete, x.old)
		case runs[x.node]:
			candidates = append(candidates, x.node)
		default:
			strays = append(strays, x.old)
		}
	}
	spare := min(max(available-wanted, 0), len(strays))
	p.delete = append(p.delete, strays[:spare]...)
	n := min(max(maxSurge-surging, 0), len(candidates))
	p.create = append(p.create, candidates[:n]...)
}

// statusOf counts. The oldest pod on a node is the one that counts there.
func statusOf(s *state) appsv1.DaemonSetStatus {
	status := s.ds.Status
	status.DesiredNumberScheduled, status.CurrentNumberScheduled, status.NumberMisscheduled = 0, 0, 0
	status.NumberReady, status.NumberAvailable, status.UpdatedNumberScheduled = 0, 0, 0
	f := newFilter(s.ds)
	for _, n := range s.nodes {
		start, _ := f.fits(n)
		on := s.byNode[n.Name]
		switch {
		case !start && len(on) > 0:
			status.NumberMisscheduled++
		case start:
			status.DesiredNumberScheduled++
		}
		if !start || len(on) == 0 {
			continue
		}
		status.CurrentNumberScheduled++
		if pods.IsReady(on[0]) {
			status.NumberReady++
		}
		if s.isAvailable(on[0]) {
			status.NumberAvailable++
		}
		if isUpdated(s.ds, on[0], s.hash) {
			status.UpdatedNumberScheduled++
		}
	}
	status.NumberUnavailable = status.DesiredNumberScheduled - status.NumberAvailable
	return status
}
