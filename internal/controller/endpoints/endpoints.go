// Package endpoints publishes the pods behind a Service as core/v1 Endpoints, for clients that do not know
// endpoint slices.
package endpoints

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/backends"
	"github.com/proa-dev/proa/internal/informer"
)

// leaderAnnotation marks Endpoints that are a lock of old clients, and no Service's.
const leaderAnnotation = "control-plane.alpha.kubernetes.io/leader"

type loop struct {
	client    client.Transport
	events    controller.Events
	services  *informer.Informer[corev1.Service]
	pods      *informer.Informer[corev1.Pod]
	endpoints *informer.Informer[corev1.Endpoints]
	triggers  backends.Triggers
	loop      *controller.Loop
}

// New makes the controller.
func New(d controller.Deps) controller.Runner {
	l := &loop{
		client: d.Client, events: d.Events,
		services:  informer.For(d.Informers, client.Services),
		pods:      informer.For(d.Informers, client.Pods),
		endpoints: informer.For(d.Informers, client.Endpoints),
	}
	l.loop = &controller.Loop{
		Name: "endpoints-controller", Sync: l.sync, Logger: d.Logger, Metrics: d.Metrics,
		Needs: []informer.Syncer{l.services, l.pods, l.endpoints},
	}
	l.services.Handle(controller.Enqueue[corev1.Service](l.loop))
	l.pods.Handle(backends.Follow(l.loop, l.services))
	l.endpoints.Handle(informer.Handler[corev1.Endpoints]{
		// Those whose Service went while nobody looked.
		Add: func(e *corev1.Endpoints, initial bool) {
			if _, lock := e.Annotations[leaderAnnotation]; initial && !lock {
				l.loop.Add(informer.KeyOf(e))
			}
		},
		// Those that somebody deleted are made again.
		Delete: func(e *corev1.Endpoints) {
			if _, ok := l.services.Get(e.Namespace, e.Name); ok {
				l.loop.Add(informer.KeyOf(e))
			}
		},
	})
	return l.loop
}

func (l *loop) sync(ctx context.Context, k controller.Key) (time.Duration, error) {
	s, ok := l.services.Get(k.Namespace, k.Name)
	if !ok {
		l.triggers.Forget(k)
		err := client.Endpoints.Delete(ctx, l.client, k.Namespace, k.Name, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			err = nil
		}
		return 0, err
	}
	if !backends.HasOwn(s) {
		return 0, nil
	}
	selected := backends.Of(l.pods, s)
	present, _ := l.endpoints.Get(k.Namespace, k.Name)
	wanted := decide(s, selected, present, l.triggers.Since(s, selected))
	if wanted == nil {
		return 0, nil
	}
	if present == nil {
		return 0, l.create(ctx, wanted)
	}
	_, err := client.Endpoints.Update(ctx, l.client, wanted)
	if err != nil && !apierrors.IsConflict(err) {
		l.events.Eventf(wanted, corev1.EventTypeWarning, "FailedToUpdateEndpoint",
			"Failed to update endpoint %v/%v: %v", k.Namespace, k.Name, err)
	}
	return 0, err
}

func (l *loop) create(ctx context.Context, e *corev1.Endpoints) error {
	_, err := client.Endpoints.Create(ctx, l.client, e)
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	case err != nil && !apierrors.IsAlreadyExists(err):
		l.events.Eventf(e, corev1.EventTypeWarning, "FailedToCreateEndpoint",
			"Failed to create endpoint for service %v/%v: %v", e.Namespace, e.Name, err)
	}
	return err
}
