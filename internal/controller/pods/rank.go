package pods

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Ranking says in which order pods go when there are too many.
type Ranking struct {
	Now time.Time
	// Neighbors is how many pods of the same workload are on a node; nil if that does not matter.
	Neighbors map[string]int
}

// Sort puts first the pods that can be missed most easily:
//
//  1. those without a node,
//  2. pending, then of unknown phase, then running,
//  3. not ready,
//  4. of lower deletion cost,
//  5. with more neighbors on their node,
//  6. ready for a shorter time,
//  7. that restarted more often,
//  8. younger.
//
// Times count by their logarithm only, and those that are alike are in the order of their UIDs, which is
// random: it shall not always be the pods of one rollout, zone or scale-up that go.
func (r Ranking) Sort(all []*corev1.Pod) {
	ranked := make([]ranked, len(all))
	for n, p := range all {
		ranked[n] = r.rank(p)
	}
	slices.SortStableFunc(ranked, r.compare)
	for n := range ranked {
		all[n] = ranked[n].pod
	}
}

// ranked is a pod and what is compared of it.
type ranked struct {
	pod               *corev1.Pod
	bound, ready      bool
	phase, neighbors  int
	cost              int32
	since, created    metav1.Time
	restarts, sidecar int32
}

func (r Ranking) rank(p *corev1.Pod) ranked {
	x := ranked{
		pod: p, bound: p.Spec.NodeName != "", ready: IsReady(p), phase: phaseOrder(p.Status.Phase),
		cost: DeletionCost(p), neighbors: r.Neighbors[p.Spec.NodeName], since: readySince(p), created: p.CreationTimestamp,
	}
	x.restarts, x.sidecar = restarts(p)
	return x
}

func (r Ranking) compare(a, b ranked) int {
	if c := cmp.Or(
		falseFirst(a.bound, b.bound),
		cmp.Compare(a.phase, b.phase),
		falseFirst(a.ready, b.ready),
		cmp.Compare(a.cost, b.cost),
		cmp.Compare(b.neighbors, a.neighbors),
	); c != 0 {
		return c
	}
	if a.ready && !a.since.Equal(&b.since) {
		return r.younger(a.since, b.since, a.pod, b.pod)
	}
	if c := cmp.Or(cmp.Compare(b.restarts, a.restarts), cmp.Compare(b.sidecar, a.sidecar)); c != 0 {
		return c
	}
	if !a.created.Equal(&b.created) {
		return r.younger(a.created, b.created, a.pod, b.pod)
	}
	return 0
}

// younger puts first what is unknown, then what is later by an order of magnitude.
func (r Ranking) younger(a, b metav1.Time, p, q *corev1.Pod) int {
	if a.IsZero() || b.IsZero() {
		return falseFirst(!a.IsZero(), !b.IsZero())
	}
	return cmp.Or(
		cmp.Compare(magnitude(r.Now.Sub(a.Time)), magnitude(r.Now.Sub(b.Time))),
		strings.Compare(string(p.UID), string(q.UID)),
	)
}

func magnitude(d time.Duration) int64 {
	if d <= 0 {
		return -1
	}
	return int64(math.Log2(float64(d)))
}

func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func phaseOrder(p corev1.PodPhase) int {
	switch p {
	case corev1.PodPending:
		return 0
	case corev1.PodUnknown:
		return 1
	case corev1.PodRunning:
		return 2
	}
	return 0
}

// DeletionCost is what the user says about a pod; 0 if nothing, or nothing that makes sense.
func DeletionCost(p *corev1.Pod) int32 {
	v := p.Annotations[corev1.PodDeletionCost]
	if v == "" || v[0] == '+' || len(v) > 1 && v[0] == '0' {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		return 0
	}
	return int32(n)
}

// restarts are the most restarts of a container and of a sidecar.
func restarts(p *corev1.Pod) (containers, sidecars int32) {
	for n := range p.Status.ContainerStatuses {
		containers = max(containers, p.Status.ContainerStatuses[n].RestartCount)
	}
	for _, s := range p.Status.InitContainerStatuses {
		if isSidecar(p, s.Name) {
			sidecars = max(sidecars, s.RestartCount)
		}
	}
	return containers, sidecars
}

func isSidecar(p *corev1.Pod, name string) bool {
	return slices.ContainsFunc(p.Spec.InitContainers, func(c corev1.Container) bool {
		return c.Name == name && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
	})
}
