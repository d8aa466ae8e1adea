package node

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/informer"
	"github.com/proa-dev/proa/internal/node/lifecycle"
)

// adoptAll takes up the pods that ran before the agent did, before any other pod is let in: their addresses
// and their share of the nodes are taken.
func (a *Agent) adoptAll(ctx context.Context) {
	for _, p := range a.pods.List() {
		m := a.byName[p.Spec.NodeName]
		if m == nil || lifecycle.Terminal(p) || !wasHere(p) {
			continue
		}
		if _, err := a.take(ctx, informer.KeyOf(p), p, m); err != nil {
			a.log.Warn("a pod cannot be adopted yet", "pod", informer.KeyOf(p).String(), "err", err)
		}
	}
}

// wasHere tells whether a node has let a pod in already.
func wasHere(p *corev1.Pod) bool { return !p.Status.StartTime.IsZero() }

// take begins a record of a pod, and decides whether the node lets it in.
func (a *Agent) take(ctx context.Context, k informer.Key, p *corev1.Pod, m *member) (*record, error) {
	if wasHere(p) {
		if _, err := m.runtime.Pod(ctx, p); err != nil {
			return nil, err
		}
	}
	r := &record{uid: p.UID, member: m, demand: lifecycle.DemandOf(p)}
	checked := !wasHere(p) && p.DeletionTimestamp == nil
	r.rejected = m.admit(p, a.nodeOf(m), r.demand, checked)
	if r.rejected != nil {
		r.demand = lifecycle.Demand{}
		a.podEvent(p, corev1.EventTypeWarning, r.rejected.Reason, r.rejected.Message)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.records[k] = r
	return r, nil
}

// nodeOf is a node as it is now, or as it was when it was registered.
func (a *Agent) nodeOf(m *member) *corev1.Node {
	if n, ok := a.nodes.Get("", m.name); ok {
		return n
	}
	return m.node
}

func (a *Agent) recordOf(k informer.Key) *record {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.records[k]
}

// release gives back what a pod held. The record stays until the informer shows that the pod has ended, lest
// an older state of it be taken for a pod to run.
func (a *Agent) release(ctx context.Context, r *record) error {
	if r.done {
		return nil
	}
	if err := r.member.runtime.Remove(ctx, r.uid); err != nil {
		return err
	}
	r.member.release(r.demand)
	r.done = true
	return nil
}

// forget ends the record of a pod that is gone.
func (a *Agent) forget(ctx context.Context, k informer.Key, r *record) error {
	if err := a.release(ctx, r); err != nil {
		return err
	}
	a.drop(k)
	return nil
}

func (a *Agent) drop(k informer.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.records, k)
}
