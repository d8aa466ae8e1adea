// Package deployment rolls a Deployment's template out: it makes a ReplicaSet of each template, and moves the
// pods from the old ones to the current one within the bounds that the user set.
package deployment

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/owned"
	"github.com/proa-dev/proa/internal/controller/pods"
	"github.com/proa-dev/proa/internal/informer"
)

type loop struct {
	client      client.Transport
	events      controller.Events
	clock       clock.PassiveClock
	deployments *informer.Informer[appsv1.Deployment]
	sets        *informer.Informer[appsv1.ReplicaSet]
	pods        *informer.Informer[corev1.Pod]
	loop        *controller.Loop
}

// New makes the controller.
func New(d controller.Deps) controller.Runner {
	l := &loop{
		client: d.Client, events: d.Events, clock: d.Clock,
		deployments: informer.For(d.Informers, client.Deployments),
		sets:        informer.For(d.Informers, client.ReplicaSets),
		pods:        informer.For(d.Informers, client.Pods),
	}
	owned.Index(l.sets)
	owned.Index(l.pods)
	l.loop = &controller.Loop{
		Name: "deployment-controller", Sync: l.sync, Logger: d.Logger, Metrics: d.Metrics,
		Needs: []informer.Syncer{l.deployments, l.sets, l.pods},
	}
	l.deployments.Handle(controller.Enqueue[appsv1.Deployment](l.loop))
	follow := &owned.Follower[appsv1.ReplicaSet, appsv1.Deployment]{
		Loop: l.loop, Owners: l.deployments, Kind: client.Deployments, Match: matches,
	}
	l.sets.Handle(follow.Handler())
	l.pods.Handle(informer.Handler[corev1.Pod]{Delete: l.podDeleted})
	return l.loop
}

func matches(d *appsv1.Deployment, rs *appsv1.ReplicaSet) bool {
	return owned.Selects(d.Spec.Selector, rs.Labels)
}

// podDeleted matters to Deployments that wait until all old pods are gone.
func (l *loop) podDeleted(p *corev1.Pod) {
	k, ok := controller.OwnerKey(p, client.ReplicaSets)
	if !ok {
		return
	}
	rs, ok := l.sets.Get(k.Namespace, k.Name)
	if !ok {
		return
	}
	if k, ok = controller.OwnerKey(rs, client.Deployments); !ok {
		return
	}
	d, ok := l.deployments.Get(k.Namespace, k.Name)
	if ok && d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		l.loop.Add(k)
	}
}

func (l *loop) sync(ctx context.Context, k controller.Key) (time.Duration, error) {
	d, ok := l.deployments.Get(k.Namespace, k.Name)
	if !ok {
		return 0, nil
	}
	candidates := append(owned.By(l.sets, d.UID), owned.Orphans(l.sets, d.Namespace)...)
	claim := owned.Claim[appsv1.ReplicaSet, appsv1.Deployment]{
		Client: l.client, Kind: client.ReplicaSets, Owner: d, Owners: client.Deployments,
		Match: func(rs *appsv1.ReplicaSet) bool { return matches(d, rs) },
	}
	sets, err := claim.Of(ctx, candidates)
	if err != nil {
		return 0, err
	}
	p := decide(d, sets, l.hasPods, l.clock.Now())
	return p.again, l.act(ctx, d, p)
}

func (l *loop) hasPods(rs *appsv1.ReplicaSet) bool {
	for _, p := range owned.By(l.pods, rs.UID) {
		if !pods.IsFinished(p) {
			return true
		}
	}
	return false
}

func (l *loop) act(ctx context.Context, d *appsv1.Deployment, p plan) error {
	for _, s := range p.write {
		if err := l.write(ctx, d, s); err != nil {
			return err
		}
	}
	for _, rs := range p.delete {
		err := client.ReplicaSets.Delete(ctx, l.client, rs.Namespace, rs.Name,
			metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &rs.UID}})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	if p.update != nil {
		if _, err := client.Deployments.Update(ctx, l.client, p.update); err != nil {
			return err
		}
	}
	if p.status != nil {
		if _, err := client.Deployments.UpdateStatus(ctx, l.client, p.status); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	for _, e := range p.events {
		l.events.Event(d, e.kind, e.reason, e.message)
	}
	return nil
}

func (l *loop) write(ctx context.Context, d *appsv1.Deployment, s *set) error {
	var before int32
	if s.was == nil {
		created, err := client.ReplicaSets.Create(ctx, l.client, s.ReplicaSet)
		if err != nil {
			return l.notCreated(ctx, d, s.ReplicaSet, err)
		}
		s.ReplicaSet = created
	} else {
		before = ptr.Deref(s.was.Spec.Replicas, 1)
		if _, err := client.ReplicaSets.Update(ctx, l.client, s.ReplicaSet); err != nil {
			return err
		}
	}
	after := s.replicas()
	if before == after {
		return nil
	}
	direction := "up"
	if after < before {
		direction = "down"
	}
	l.events.Eventf(d, corev1.EventTypeNormal, "ScalingReplicaSet", "Scaled %s replica set %s from %d to %d",
		direction, s.Name, before, after)
	return nil
}

// notCreated finds out why a set could not be created. If another has its name, its hash is used up, and the
// Deployment counts a collision; unless it is the very one, which the informer has yet to see.
func (l *loop) notCreated(ctx context.Context, d *appsv1.Deployment, rs *appsv1.ReplicaSet, err error) error {
	changed := *d
	switch {
	case apierrors.IsAlreadyExists(err):
		there, getErr := client.ReplicaSets.Get(ctx, l.client, rs.Namespace, rs.Name)
		if getErr != nil {
			return getErr
		}
		if metav1.IsControlledBy(there, d) && sameTemplate(&there.Spec.Template, &d.Spec.Template) {
			return err
		}
		changed.Status.CollisionCount = ptr.To(ptr.Deref(d.Status.CollisionCount, 0) + 1)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	default:
		message := fmt.Sprintf("Failed to create new replica set %q: %v", rs.Name, err)
		l.events.Event(d, corev1.EventTypeWarning, replicaSetCreateError, message)
		if !hasDeadline(d) {
			return err
		}
		r := newRollout(d, nil, nil, l.clock.Now())
		r.progress(corev1.ConditionFalse, replicaSetCreateError, message)
		changed = *r.d
	}
	if _, statusErr := client.Deployments.UpdateStatus(ctx, l.client, &changed); statusErr != nil {
		return fmt.Errorf("%w (and to note it: %w)", err, statusErr)
	}
	return err
}
