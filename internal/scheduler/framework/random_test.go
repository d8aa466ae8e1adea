package framework_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/scheduler/cluster"
	"github.com/proa-dev/proa/internal/scheduler/framework"
	"github.com/proa-dev/proa/internal/scheduler/plugins"
	st "github.com/proa-dev/proa/internal/scheduler/schedulertest"
)

// history is a cluster that changes at random, seen by three: a framework that reuses what it has found, one that
// does not, and an oracle.
type history struct {
	t             *testing.T
	r             *rand.Rand
	seed          uint64
	world         st.World
	cluster       *cluster.Cluster
	reuse, plain  *framework.Framework
	pods          int
	templates     []*corev1.Pod
	placed, stuck int
}

func newHistory(t *testing.T, seed uint64) *history {
	h := &history{
		t: t, seed: seed, r: rand.New(rand.NewPCG(seed, 1)), cluster: cluster.New(),
		world: st.World{Nodes: map[string]*corev1.Node{}, Pods: map[string]*corev1.Pod{}, Namespaces: map[string]map[string]string{}},
	}
	o := framework.Options{Cluster: h.cluster, Plugins: plugins.Default(st.Owners{}), Seed: seed}
	h.reuse = framework.New(o)
	o.NoReuse = true
	h.plain = framework.New(o)
	for range 4 + h.r.IntN(8) {
		h.templates = append(h.templates, st.RandomPod(h.r, "template"))
	}
	for range 1 + h.r.IntN(12) {
		h.node()
	}
	return h
}

func (h *history) node() {
	n := st.RandomNode(h.r, fmt.Sprint("n", h.r.IntN(12)))
	h.world.Nodes[n.Name] = n
	h.cluster.SetNode(n)
}

// changeNode changes what does not move a node: its taints, labels and room.
func (h *history) changeNode() {
	name := h.any(slices.Sorted(maps.Keys(h.world.Nodes)))
	n, other := h.world.Nodes[name].DeepCopy(), st.RandomNode(h.r, name)
	switch h.r.IntN(3) {
	case 0:
		n.Spec = other.Spec
	case 1:
		n.Labels["disk"] = h.any([]string{"ssd", "hdd"})
	case 2:
		n.Status.Allocatable = other.Status.Allocatable
	}
	h.world.Nodes[name] = n
	h.cluster.SetNode(n)
}

func (h *history) removeNode() {
	if len(h.world.Nodes) < 2 {
		return
	}
	name := h.any(slices.Sorted(maps.Keys(h.world.Nodes)))
	delete(h.world.Nodes, name)
	h.cluster.RemoveNode(name)
}

func (h *history) namespace() {
	labels := map[string]string{"team": h.any([]string{"red", "blue"})}
	name := h.any([]string{"ns", "other"})
	h.world.Namespaces[name] = labels
	if h.cluster.SetNamespace(name, labels) {
		h.reuse.ForgetAll()
	}
}

func (h *history) any(all []string) string { return all[h.r.IntN(len(all))] }

func (h *history) somePod() *corev1.Pod {
	if len(h.world.Pods) == 0 {
		return nil
	}
	return h.world.Pods[h.any(slices.Sorted(maps.Keys(h.world.Pods)))]
}

func (h *history) removePod() {
	if p := h.somePod(); p != nil {
		delete(h.world.Pods, p.Name)
		h.cluster.RemovePod(p.UID)
	}
}

func (h *history) changePod() {
	p := h.somePod()
	if p == nil {
		return
	}
	p = p.DeepCopy()
	switch h.r.IntN(3) {
	case 0:
		p.Labels["app"] = h.any([]string{"a", "b", "c"})
	case 1:
		p.DeletionTimestamp = &metav1.Time{}
	}
	h.world.Pods[p.Name] = p
	h.cluster.SetPod(p)
}

func (h *history) schedule() {
	h.pods++
	p := h.templates[h.r.IntN(len(h.templates))].DeepCopy()
	p.Name = fmt.Sprint("p", h.pods)
	p.UID = types.UID("uid-" + p.Name)
	fast, slow := h.reuse.Decide(p), h.plain.Decide(p)
	h.compare(p, fast, slow)
	h.judge(p, fast)
	if fast.Node == "" {
		h.stuck++
		return
	}
	h.placed++
	bound := p.DeepCopy()
	bound.Spec.NodeName = fast.Node
	h.world.Pods[p.Name] = bound
	if h.cluster.Assume(fast.Pod, fast.Node); h.r.IntN(2) == 0 {
		h.cluster.SetPod(bound)
	}
}

// compare holds the two frameworks against each other.
func (h *history) compare(p *corev1.Pod, fast, slow framework.Decision) {
	h.t.Helper()
	if fast.Node != slow.Node || fast.Message != slow.Message || fast.By != slow.By || fast.Evaluated != slow.Evaluated {
		h.t.Fatalf("seed %d, %s: with reuse %q %q (%d), without %q %q (%d)",
			h.seed, p.Name, fast.Node, fast.Message, fast.Evaluated, slow.Node, slow.Message, slow.Evaluated)
	}
	if !reflect.DeepEqual(fast.Preemption, slow.Preemption) {
		h.t.Fatalf("seed %d, %s: preemption with reuse %+v, without %+v", h.seed, p.Name, fast.Preemption, slow.Preemption)
	}
}

// judge holds a decision against the oracle.
func (h *history) judge(p *corev1.Pod, d framework.Decision) {
	h.t.Helper()
	if d.Node != "" && !h.world.May(p, d.Node) {
		h.t.Fatalf("seed %d: %s went to %s, where it may not run", h.seed, p.Name, d.Node)
	}
	if d.Node != "" {
		return
	}
	for name := range h.world.Nodes {
		if h.world.May(p, name) {
			h.t.Fatalf("seed %d: %s may run on %s, but: %s", h.seed, p.Name, name, d.Message)
		}
	}
	h.judgePreemption(p, d.Preemption)
}

// judgePreemption sees that the pod may run once the victims are gone, that they rank lower, and that none is gone
// in vain.
func (h *history) judgePreemption(p *corev1.Pod, how *framework.Preemption) {
	h.t.Helper()
	if how.Node == "" {
		return
	}
	pods := maps.Clone(h.world.Pods)
	without := h.world
	without.Pods = pods
	for _, v := range how.Victims {
		if v.Priority() >= priority(p) || h.world.Pods[v.Name].Spec.NodeName != how.Node {
			h.t.Fatalf("seed %d: %s is no victim for %s", h.seed, v.Name, p.Name)
		}
		delete(pods, v.Name)
	}
	if !without.May(p, how.Node) {
		h.t.Fatalf("seed %d: %s may not run on %s even without its victims", h.seed, p.Name, how.Node)
	}
	for _, v := range how.Victims[:len(how.Victims)-1] {
		pods[v.Name] = h.world.Pods[v.Name]
		spare := without.May(p, how.Node)
		delete(pods, v.Name)
		if spare && len(p.Spec.TopologySpreadConstraints) == 0 {
			h.t.Fatalf("seed %d: %s need not leave %s for %s", h.seed, v.Name, how.Node, p.Name)
		}
	}
}

func priority(p *corev1.Pod) int32 {
	if p.Spec.Priority == nil {
		return 0
	}
	return *p.Spec.Priority
}

// No node is ever given more than it has, no filter is violated, no pod is turned away that may run, and what
// is reused changes nothing.
func TestRandomHistories(t *testing.T) {
	placed, stuck := 0, 0
	for range 80 {
		h := newHistory(t, rand.Uint64())
		for range 200 {
			switch n := h.r.IntN(20); {
			case n == 0 && h.r.IntN(2) == 0:
				h.node()
			case n == 1 && h.r.IntN(3) == 0:
				h.removeNode()
			case n == 2:
				h.namespace()
			case n == 3 || n == 4:
				h.changeNode()
			case n <= 6:
				h.removePod()
			case n <= 8:
				h.changePod()
			default:
				h.schedule()
			}
		}
		placed += h.placed
		stuck += h.stuck
	}
	t.Logf("%d pods found a node, %d did not", placed, stuck)
	if placed < 500 || stuck < 500 {
		t.Error("the histories are too much of one kind")
	}
}
