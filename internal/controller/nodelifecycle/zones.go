package nodelifecycle

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// How fast pods are thrown out of nodes that are not ready, zone by zone: the more nodes seem to fail at once, the
// likelier it is that not they have failed, but what lies between them and here.
const (
	pace          = 10 * time.Second  // between two nodes of a zone
	slowPace      = 100 * time.Second // in a large zone where many nodes fail
	largeZone     = 50                // nodes; smaller zones where many fail wait until that is over
	unhealthyRate = 0.55              // of the nodes of a zone, with at least 3 of them
)

// excluded nodes say nothing about their zone.
const excluded = "node.kubernetes.io/exclude-disruption"

type zone struct{ ready, other int }

// tempo is how a zone deals with nodes that are not ready.
type tempo struct {
	between time.Duration
	stop    bool
	// reset also takes the taints from nodes that have them: if no node can be heard, none has failed.
	reset bool
}

// tempoOf is about the zone of a node among all nodes.
func tempoOf(node *corev1.Node, all []*corev1.Node) tempo {
	zones := map[string]zone{}
	alive := false
	for _, n := range all {
		if _, ok := n.Labels[excluded]; ok {
			continue
		}
		z := zones[zoneOf(n)]
		if isReady(n) {
			z.ready++
			alive = true
		} else {
			z.other++
		}
		zones[zoneOf(n)] = z
	}
	if !alive && len(zones) > 0 {
		return tempo{stop: true, reset: true}
	}
	z := zones[zoneOf(node)]
	size := z.ready + z.other
	many := z.ready > 0 && z.other > 2 && float64(z.other)/float64(size) >= unhealthyRate
	switch {
	case many && size > largeZone:
		return tempo{between: slowPace}
	case many:
		return tempo{stop: true}
	}
	return tempo{between: pace}
}

func zoneOf(n *corev1.Node) string {
	return n.Labels[corev1.LabelTopologyRegion] + "\x00" + n.Labels[corev1.LabelTopologyZone]
}

// turnstile lets nodes of a zone through one by one.
type turnstile struct {
	mu   sync.Mutex
	last map[string]time.Time // guarded by mu
}

// pass tells whether a node may go now, or after how long to ask again.
func (t *turnstile) pass(zone string, between time.Duration, now time.Time) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.last[zone]; ok && now.Sub(last) < between {
		return between - now.Sub(last)
	}
	if t.last == nil {
		t.last = map[string]time.Time{}
	}
	t.last[zone] = now
	return 0
}
