// Package daemonset runs a pod of a DaemonSet's template on every node that it is for.
package daemonset

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/utils/clock"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/expect"
	"github.com/proa-dev/proa/internal/controller/owned"
	"github.com/proa-dev/proa/internal/controller/pods"
	"github.com/proa-dev/proa/internal/informer"
)

// A pod that fails on a node again and again is replaced after longer and longer times.
const (
	firstBackoff = time.Second
	lastBackoff  = 15 * time.Minute
)

type loop struct {
	client    client.Transport
	events    controller.Events
	clock     clock.PassiveClock
	sets      *informer.Informer[appsv1.DaemonSet]
	pods      *informer.Informer[corev1.Pod]
	nodes     *informer.Informer[corev1.Node]
	revisions *informer.Informer[appsv1.ControllerRevision]
	expect    expect.Expectations
	control   pods.Control
	failures  *flowcontrol.Backoff
	loop      *controller.Loop
}

// New makes the controller.
func New(d controller.Deps) controller.Runner {
	l := &loop{
		client: d.Client, events: d.Events, clock: d.Clock,
		sets:      informer.For(d.Informers, client.DaemonSets),
		pods:      informer.For(d.Informers, client.Pods),
		nodes:     informer.For(d.Informers, client.Nodes),
		revisions: informer.For(d.Informers, client.ControllerRevisions),
		failures:  flowcontrol.NewBackOff(firstBackoff, lastBackoff),
	}
	l.control = pods.Control{Client: d.Client, Events: d.Events, Expect: &l.expect}
	owned.Index(l.pods)
	owned.Index(l.revisions)
	l.loop = &controller.Loop{
		Name: "daemonset-controller", Workers: 2, Sync: l.sync, Logger: d.Logger, Metrics: d.Metrics,
		Needs: []informer.Syncer{l.sets, l.pods, l.nodes, l.revisions},
	}
	h := controller.Enqueue[appsv1.DaemonSet](l.loop)
	enqueue := h.Delete
	h.Delete = func(ds *appsv1.DaemonSet) {
		l.expect.Forget(informer.KeyOf(ds))
		enqueue(ds)
	}
	l.sets.Handle(h)
	ofPods := &owned.Follower[corev1.Pod, appsv1.DaemonSet]{
		Loop: l.loop, Owners: l.sets, Kind: client.DaemonSets, Expect: &l.expect,
		Match: func(ds *appsv1.DaemonSet, p *corev1.Pod) bool { return owned.Selects(ds.Spec.Selector, p.Labels) },
	}
	l.pods.Handle(ofPods.Handler())
	ofRevisions := &owned.Follower[appsv1.ControllerRevision, appsv1.DaemonSet]{
		Loop: l.loop, Owners: l.sets, Kind: client.DaemonSets,
		Match: func(ds *appsv1.DaemonSet, r *appsv1.ControllerRevision) bool {
			return owned.Selects(ds.Spec.Selector, r.Labels)
		},
	}
	l.revisions.Handle(ofRevisions.Handler())
	l.nodes.Handle(informer.Handler[corev1.Node]{
		Add:    func(n *corev1.Node, _ bool) { l.nodeChanged(nil, n) },
		Update: l.nodeChanged,
		Delete: func(n *corev1.Node) { l.nodeChanged(n, nil) },
	})
	return l.loop
}

// nodeChanged asks for the DaemonSets to be looked at for which a node has become another. A node that is
// not there is nil. Heartbeats, which are most changes, make no difference to any.
func (l *loop) nodeChanged(old, new *corev1.Node) {
	if old != nil && new != nil && maps.Equal(old.Labels, new.Labels) &&
		equality.Semantic.DeepEqual(old.Spec.Taints, new.Spec.Taints) {
		return
	}
	for _, ds := range l.sets.List() {
		f := newFilter(ds)
		var was, is [2]bool
		if old != nil {
			was[0], was[1] = f.fits(old)
		}
		if new != nil {
			is[0], is[1] = f.fits(new)
		}
		if was != is {
			l.loop.Add(informer.KeyOf(ds))
		}
	}
}

func (l *loop) sync(ctx context.Context, k controller.Key) (time.Duration, error) {
	ds, ok := l.sets.Get(k.Namespace, k.Name)
	if !ok {
		l.expect.Forget(k)
		return 0, nil
	}
	if equality.Semantic.DeepEqual(ds.Spec.Selector, &metav1.LabelSelector{}) {
		l.events.Event(ds, corev1.EventTypeWarning, "SelectingAll",
			"This daemon set is selecting all pods. A non-empty selector is required.")
		return 0, nil
	}
	if ds.DeletionTimestamp != nil {
		return 0, nil
	}
	seenAll := l.expect.Satisfied(k)
	mine, err := l.claim(ctx, ds)
	if err != nil {
		return 0, err
	}
	h, err := l.history(ctx, ds, mine)
	if err != nil {
		return 0, ignoreTerminating(err)
	}
	backoff := func(node string) time.Duration { return l.backoff(ds, node) }
	s := newState(ds, h.current.Labels[hashLabel], l.nodes.List(), mine, backoff, l.clock.Now())
	var p plan
	if seenAll {
		p = decide(s)
		err = l.act(ctx, s, p)
		if err == nil {
			err = l.cleanUp(ctx, ds, h, mine)
		}
	}
	status := statusOf(s)
	if seenAll {
		status.ObservedGeneration = ds.Generation
	}
	if status.NumberReady != status.NumberAvailable {
		p.wake(pods.UntilAvailable(mine, ds.Spec.MinReadySeconds, s.now))
	}
	return p.again, errors.Join(err, l.writeStatus(ctx, ds, status))
}

func (l *loop) claim(ctx context.Context, ds *appsv1.DaemonSet) ([]*corev1.Pod, error) {
	match := func(p *corev1.Pod) bool { return owned.Selects(ds.Spec.Selector, p.Labels) }
	candidates := owned.By(l.pods, ds.UID)
	for _, p := range owned.Orphans(l.pods, ds.Namespace) {
		if match(p) {
			candidates = append(candidates, p)
		}
	}
	claim := owned.Claim[corev1.Pod, appsv1.DaemonSet]{
		Client: l.client, Kind: client.Pods, Owner: ds, Owners: client.DaemonSets, Match: match,
	}
	return claim.Of(ctx, candidates)
}

func (l *loop) writeStatus(ctx context.Context, ds *appsv1.DaemonSet, status appsv1.DaemonSetStatus) error {
	if equality.Semantic.DeepEqual(status, ds.Status) {
		return nil
	}
	draft := *ds
	draft.Status = status
	_, err := client.DaemonSets.UpdateStatus(ctx, l.client, &draft)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// backoff is for how long yet a failed pod of a DaemonSet is left alone on a node.
func (l *loop) backoff(ds *appsv1.DaemonSet, node string) time.Duration {
	key := backoffKey(ds, node)
	if l.failures.IsInBackOffSinceUpdate(key, time.Now()) {
		return l.failures.Get(key)
	}
	return 0
}

// backoffKey begins anew with each generation: another template may not fail.
func backoffKey(ds *appsv1.DaemonSet, node string) string {
	return fmt.Sprintf("%s/%d/%s", ds.UID, ds.Status.ObservedGeneration, node)
}

func (l *loop) act(ctx context.Context, s *state, p plan) error {
	for _, node := range p.failed {
		l.failures.Next(backoffKey(s.ds, node), time.Now())
	}
	if len(p.failed) > 0 {
		l.failures.GC()
	}
	for _, e := range p.events {
		l.events.Event(s.ds, e.kind, e.reason, e.message)
	}
	remove := p.delete[:min(len(p.delete), pods.Burst)]
	return errors.Join(l.create(ctx, s, p.create), l.control.Delete(ctx, s.ds, remove))
}

func (l *loop) create(ctx context.Context, s *state, nodes []string) error {
	template := templateFor(s.ds, s.hash)
	base := pods.New(&template, s.ds, owned.RefTo(s.ds, client.DaemonSets))
	return l.control.Create(ctx, s.ds, min(len(nodes), pods.Burst), func(n int) *corev1.Pod {
		pod := *base
		pod.Spec.Affinity = pinned(base.Spec.Affinity, nodes[n])
		return &pod
	})
}

func ignoreTerminating(err error) error {
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	return err
}
