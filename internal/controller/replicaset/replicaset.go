// Package replicaset keeps as many pods of a template running as a ReplicaSet, or a ReplicationController,
// wants.
package replicaset

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/expect"
	"github.com/proa-dev/proa/internal/controller/owned"
	"github.com/proa-dev/proa/internal/controller/pods"
	"github.com/proa-dev/proa/internal/informer"
)

type loop[T any] struct {
	kind    kind[T]
	client  client.Transport
	clock   clock.PassiveClock
	sets    *informer.Informer[T]
	pods    *informer.Informer[corev1.Pod]
	expect  expect.Expectations
	control pods.Control
	loop    *controller.Loop
}

func newLoop[T any](d controller.Deps, k kind[T]) *loop[T] {
	l := &loop[T]{
		kind: k, client: d.Client, clock: d.Clock,
		sets: informer.For(d.Informers, k.Kind), pods: informer.For(d.Informers, client.Pods),
	}
	l.control = pods.Control{Client: d.Client, Events: d.Events, Expect: &l.expect}
	owned.Index(l.sets)
	owned.Index(l.pods)
	l.loop = &controller.Loop{
		Name: k.controller, Sync: l.sync, Needs: []informer.Syncer{l.sets, l.pods}, Logger: d.Logger, Metrics: d.Metrics,
	}
	h := controller.Enqueue[T](l.loop)
	enqueue := h.Delete
	h.Delete = func(o *T) {
		l.expect.Forget(informer.KeyOf(any(o).(client.Object)))
		enqueue(o)
	}
	l.sets.Handle(h)
	follow := &owned.Follower[corev1.Pod, T]{
		Loop: l.loop, Owners: l.sets, Kind: k.Kind, Expect: &l.expect,
		Match:   func(set *T, p *corev1.Pod) bool { return k.view(set).selects(p.Labels) },
		DelayOf: func(set *T) time.Duration { return gather(k.view(set).replicas) },
	}
	l.pods.Handle(follow.Handler())
	return l
}

// A look at a set goes through all its pods. So that changes of many pods do not cost as many looks, those of a
// large set are gathered for a time in proportion to what a look takes.
const (
	large         = 100
	gatherEachPod = 20 * time.Microsecond
)

func gather(replicas int32) time.Duration {
	if replicas < large {
		return 0
	}
	return time.Duration(replicas) * gatherEachPod
}

func (l *loop[T]) sync(ctx context.Context, k controller.Key) (time.Duration, error) {
	set, ok := l.sets.Get(k.Namespace, k.Name)
	if !ok {
		l.expect.Forget(k)
		return 0, nil
	}
	v := l.kind.view(set)
	seenAll := l.expect.Satisfied(k)
	active, terminating, err := l.claim(ctx, set, v)
	if err != nil {
		return 0, err
	}
	now := l.clock.Now()
	var failure error
	if seenAll && v.GetDeletionTimestamp() == nil {
		p := decide(v, active, func() map[string]int { return l.neighbors(v) }, now)
		failure = l.act(ctx, set, v, p)
	}
	status := statusOf(v, active, terminating, failure, now)
	if !l.kind.terminating {
		status.TerminatingReplicas = nil
	}
	if !equality.Semantic.DeepEqual(status, v.status) {
		if _, err := l.kind.UpdateStatus(ctx, l.client, l.kind.withStatus(set, status)); err != nil && failure == nil {
			return 0, ignoreGone(err)
		}
	}
	if failure != nil || v.minReadySeconds == 0 || status.ReadyReplicas == status.AvailableReplicas {
		return 0, failure
	}
	return pods.UntilAvailable(active, v.minReadySeconds, now), nil
}

// claim finds the set's pods, and settles which those are.
func (l *loop[T]) claim(ctx context.Context, set *T, v *view) (active, terminating []*corev1.Pod, err error) {
	var candidates []*corev1.Pod
	for _, p := range owned.By(l.pods, v.GetUID()) {
		switch {
		case pods.IsActive(p):
			candidates = append(candidates, p)
		case pods.IsTerminating(p) && v.selects(p.Labels):
			terminating = append(terminating, p)
		}
	}
	for _, p := range owned.Orphans(l.pods, v.GetNamespace()) {
		if pods.IsActive(p) && v.selects(p.Labels) {
			candidates = append(candidates, p)
		}
	}
	claim := owned.Claim[corev1.Pod, T]{
		Client: l.client, Kind: client.Pods, Owner: set, Owners: l.kind.Kind,
		Match: func(p *corev1.Pod) bool { return v.selects(p.Labels) },
	}
	active, err = claim.Of(ctx, candidates)
	return active, terminating, err
}

// neighbors counts the active pods on each node that belong to a set of the same controller, such as the
// other revisions of a Deployment.
func (l *loop[T]) neighbors(v *view) map[string]int {
	on := map[string]int{}
	ref := metav1.GetControllerOfNoCopy(v)
	if ref == nil {
		return on
	}
	for _, set := range owned.By(l.sets, ref.UID) {
		for _, p := range owned.By(l.pods, l.kind.view(set).GetUID()) {
			if pods.IsActive(p) {
				on[p.Spec.NodeName]++
			}
		}
	}
	return on
}

func (l *loop[T]) act(ctx context.Context, set *T, v *view, p plan) error {
	if p.create == 0 {
		return l.control.Delete(ctx, v.Object, p.delete)
	}
	pod := pods.New(v.template, v, owned.RefTo(set, l.kind.Kind))
	return l.control.Create(ctx, v.Object, p.create, func(int) *corev1.Pod { return pod })
}

func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
