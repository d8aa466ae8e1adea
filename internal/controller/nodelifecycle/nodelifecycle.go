// Package nodelifecycle finds out which nodes are silent, and keeps pods away from those that are not ready: new
// ones at once, those that are there at a pace (zones.go), by taints that the taint eviction controller acts on.
//
// A node is heard of when its Lease is renewed or its status says so. Hearing costs no look: a look notes when the
// node will have been silent for too long, and the next comes then.
package nodelifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/node/topology"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/pods"
	"github.com/proa-dev/proa/internal/informer"
)

type lifecycle struct {
	controller.Deps
	loop   *controller.Loop
	nodes  *informer.Informer[corev1.Node]
	leases *informer.Informer[coordinationv1.Lease]
	pods   *informer.Informer[corev1.Pod]
	gate   turnstile

	mu    sync.Mutex
	known map[string]*memory // by node; guarded by mu
}

// memory is what was heard of a node, by our own clock: that of the node may be wrong.
type memory struct {
	uid   types.UID
	heard time.Time
	down  bool // its pods were marked as not ready
}

// Start makes the controller. Its keys are nodes.
func Start(d controller.Deps) controller.Runner {
	c := &lifecycle{
		Deps: d, nodes: informer.For(d.Informers, client.Nodes), pods: informer.For(d.Informers, client.Pods),
		leases: informer.ForSelected(d.Informers, client.Leases, "", "metadata.namespace="+corev1.NamespaceNodeLease),
		known:  map[string]*memory{},
	}
	pods.IndexByNode(c.pods)
	c.loop = &controller.Loop{
		Name: "node-lifecycle-controller", Workers: 8, Sync: c.sync, Logger: d.Logger, Metrics: d.Metrics,
		Needs: []informer.Syncer{c.nodes, c.leases, c.pods}, Queue: informer.QueueOptions{Name: "node_lifecycle_controller"},
	}
	c.nodes.Handle(informer.Handler[corev1.Node]{Add: c.added, Update: c.updated, Delete: c.deleted})
	c.leases.Handle(informer.Handler[coordinationv1.Lease]{
		Add: func(l *coordinationv1.Lease, _ bool) { c.hear(l.Name) },
		Update: func(old, l *coordinationv1.Lease) {
			if !equality.Semantic.DeepEqual(old.Spec.RenewTime, l.Spec.RenewTime) {
				c.hear(l.Name)
			}
		},
	})
	return c.loop
}

func (c *lifecycle) added(n *corev1.Node, _ bool) {
	heard := c.Clock.Now()
	if ready(n) == nil {
		heard = n.CreationTimestamp.Time
	}
	c.mu.Lock()
	if m := c.known[n.Name]; m != nil && m.heard.After(heard) {
		heard = m.heard // its lease came first
	}
	c.known[n.Name] = &memory{uid: n.UID, heard: heard}
	c.mu.Unlock()
	c.tell(n, "RegisteredNode", fmt.Sprintf("Node %s event: Registered Node %s in Controller", n.Name, n.Name))
	c.Tally.NodeEvicted(topology.GetZoneKey(n), 0)
	c.loop.Add(informer.KeyOf(n))
	c.lookAtOthers()
}

func (c *lifecycle) updated(old, n *corev1.Node) {
	before, after := ready(old), ready(n)
	if after != nil && (before == nil || !before.LastHeartbeatTime.Equal(&after.LastHeartbeatTime)) {
		c.hear(n.Name)
	}
	if isReady(old) != isReady(n) {
		c.lookAtOthers()
	}
	// Heartbeats change a node often, and nothing that matters here.
	if !sameConditions(old, n) || old.Spec.Unschedulable != n.Spec.Unschedulable ||
		!equality.Semantic.DeepEqual(old.Spec.Taints, n.Spec.Taints) || labels(n) != nil {
		c.loop.Add(informer.KeyOf(n))
	}
}

func (c *lifecycle) deleted(n *corev1.Node) {
	c.mu.Lock()
	delete(c.known, n.Name)
	c.mu.Unlock()
	c.tell(n, "RemovingNode", fmt.Sprintf("Node %s event: Removing Node %s from Controller", n.Name, n.Name))
	c.lookAtOthers()
}

// lookAtOthers looks at the nodes that are not ready: what becomes of them depends on the others.
func (c *lifecycle) lookAtOthers() {
	for _, n := range c.nodes.List() {
		if !isReady(n) {
			c.loop.Add(informer.KeyOf(n))
		}
	}
}

func (c *lifecycle) hear(node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.known[node]
	if m == nil {
		m = &memory{}
		c.known[node] = m
	}
	m.heard = c.Clock.Now()
}

func (c *lifecycle) heard(n *corev1.Node) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.known[n.Name]; m != nil {
		return m.heard
	}
	return c.Clock.Now()
}

func (c *lifecycle) sync(ctx context.Context, k controller.Key) (time.Duration, error) {
	n, ok := c.nodes.Get("", k.Name)
	if !ok {
		return 0, nil
	}
	now := c.Clock.Now()
	again := silence(n, c.heard(n), now)
	if again <= 0 {
		again = 0 // when it speaks again, its conditions will change
		if lost := silent(n, now); lost != nil {
			written, err := client.Nodes.UpdateStatus(ctx, c.Client, lost)
			if err != nil {
				return 0, ignoreGone(err)
			}
			n = written
		}
	}
	if err := c.markPods(ctx, n, now); err != nil {
		return 0, err
	}
	throwOut, wait := c.throwOut(n, now)
	if wait > 0 && (again == 0 || wait < again) {
		again = wait
	}
	if err := c.write(ctx, n, taints(n, throwOut, now)); err != nil {
		return again, err
	}
	if throwOut && !isOutcast(n) {
		c.Tally.NodeEvicted(topology.GetZoneKey(n), 1)
	}
	return again, nil
}

// throwOut tells whether pods have to go from a node, or after how long to ask again.
func (c *lifecycle) throwOut(n *corev1.Node, now time.Time) (yes bool, wait time.Duration) {
	if outcast(n) == "" {
		return false, 0
	}
	t := tempoOf(n, c.nodes.List())
	switch {
	case t.reset:
		return false, 0
	case isOutcast(n):
		return true, 0
	case t.stop:
		return false, 0
	}
	wait = c.gate.pass(zoneOf(n), t.between, now)
	return wait == 0, wait
}

// write changes what differs of a node's taints and labels.
func (c *lifecycle) write(ctx context.Context, n *corev1.Node, want []corev1.Taint) error {
	patch := map[string]any{}
	if !equality.Semantic.DeepEqual(want, n.Spec.Taints) {
		patch["spec"] = map[string]any{"taints": want}
	}
	metadata := map[string]any{"uid": n.UID, "resourceVersion": n.ResourceVersion}
	if wrong := labels(n); wrong != nil {
		metadata["labels"] = wrong
	} else if len(patch) == 0 {
		return nil
	}
	patch["metadata"] = metadata
	_, err := client.Nodes.MergePatch(ctx, c.Client, "", n.Name, patch, "")
	return ignoreGone(err)
}

// markPods says, once for each time that a node ceases to be ready, that its pods are not ready either.
func (c *lifecycle) markPods(ctx context.Context, n *corev1.Node, now time.Time) error {
	c.mu.Lock()
	m := c.known[n.Name]
	marked := m == nil || m.down || ready(n) == nil
	if m != nil && isReady(n) {
		m.down = false
	}
	c.mu.Unlock()
	if marked || isReady(n) {
		return nil
	}
	c.tell(n, "NodeNotReady", fmt.Sprintf("Node %s status is now: NodeNotReady", n.Name))
	var errs []error
	for _, p := range pods.OnNode(c.pods, n.Name) {
		errs = append(errs, c.markPod(ctx, p, now))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m.down = true
	return nil
}

func (c *lifecycle) markPod(ctx context.Context, p *corev1.Pod, now time.Time) error {
	if !pods.IsReady(p) {
		return nil
	}
	p = p.DeepCopy()
	condition := pods.Condition(p, corev1.PodReady)
	condition.Status, condition.LastTransitionTime = corev1.ConditionFalse, metav1.NewTime(now)
	if _, err := client.Pods.UpdateStatus(ctx, c.Client, p); err != nil {
		return ignoreGone(err)
	}
	c.Events.Event(p, corev1.EventTypeWarning, "NodeNotReady", "Node is not ready")
	return nil
}

func (c *lifecycle) tell(n *corev1.Node, reason, message string) {
	c.Events.EventFor(corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: n.Name, UID: n.UID}, corev1.EventTypeNormal, reason, message)
}

func sameConditions(a, b *corev1.Node) bool {
	if len(a.Status.Conditions) != len(b.Status.Conditions) {
		return false
	}
	for n, c := range a.Status.Conditions {
		if d := b.Status.Conditions[n]; c.Type != d.Type || c.Status != d.Status {
			return false
		}
	}
	return true
}

func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
