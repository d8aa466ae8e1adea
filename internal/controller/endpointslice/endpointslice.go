// Package endpointslice publishes the pods behind a Service as discovery.k8s.io/v1 EndpointSlices.
package endpointslice

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/backends"
	"github.com/proa-dev/proa/internal/informer"
)

const byService = "endpoint-slices-of-service"

type loop struct {
	client   client.Transport
	events   controller.Events
	services *informer.Informer[corev1.Service]
	pods     *informer.Informer[corev1.Pod]
	nodes    *informer.Informer[corev1.Node]
	slices   *informer.Informer[discoveryv1.EndpointSlice]
	triggers backends.Triggers
	written  written
	loop     *controller.Loop
}

// New makes the controller.
func New(d controller.Deps) controller.Runner {
	l := &loop{
		client: d.Client, events: d.Events,
		services: informer.For(d.Informers, client.Services),
		pods:     informer.For(d.Informers, client.Pods),
		nodes:    informer.For(d.Informers, client.Nodes),
		slices:   informer.For(d.Informers, client.EndpointSlices),
	}
	l.slices.AddIndex(byService, func(s *discoveryv1.EndpointSlice) []string {
		if k, ok := serviceOf(s); ok {
			return []string{k.String()}
		}
		return nil
	})
	l.loop = &controller.Loop{
		Name: "endpointslice-controller", Sync: l.sync, Logger: d.Logger, Metrics: d.Metrics,
		Needs: []informer.Syncer{l.services, l.pods, l.nodes, l.slices},
		// A pod may be known before its node: that is not worth many tries.
		Queue: informer.QueueOptions{BaseDelay: time.Second, MaxDelay: 1000 * time.Second},
	}
	l.services.Handle(controller.Enqueue[corev1.Service](l.loop))
	l.pods.Handle(backends.Follow(l.loop, l.services))
	l.slices.Handle(controller.EnqueueBy(l.loop, func(s *discoveryv1.EndpointSlice) []controller.Key {
		if k, ok := serviceOf(s); ok {
			return []controller.Key{k}
		}
		return nil
	}))
	return l.loop
}

// serviceOf is the Service that a slice is for, if it is one of ours.
func serviceOf(s *discoveryv1.EndpointSlice) (controller.Key, bool) {
	name := s.Labels[discoveryv1.LabelServiceName]
	return controller.Key{Namespace: s.Namespace, Name: name}, name != "" && s.Labels[discoveryv1.LabelManagedBy] == managedBy
}

func (l *loop) sync(ctx context.Context, k controller.Key) (time.Duration, error) {
	s, ok := l.services.Get(k.Namespace, k.Name)
	if !ok { // the garbage collector takes its slices
		l.triggers.Forget(k)
		l.written.forget(k)
		return 0, nil
	}
	if !backends.HasOwn(s) {
		return 0, nil
	}
	present := l.slices.ByIndex(byService, k.String())
	if !l.written.allSeen(k, present) {
		return patience, nil // or when they are seen
	}
	var live []*discoveryv1.EndpointSlice
	for _, slice := range present {
		if slice.DeletionTimestamp == nil {
			live = append(live, slice)
		}
	}
	selected := backends.Of(l.pods, s)
	p := decide(s, selected, live, l.node, l.triggers.Since(s, selected))
	err := l.act(ctx, k, p)
	if err != nil && !apierrors.IsConflict(err) {
		l.events.Eventf(s, corev1.EventTypeWarning, "FailedToUpdateEndpointSlices",
			"Error updating Endpoint Slices for Service %s/%s: %v", s.Namespace, s.Name, err)
	}
	return 0, err
}

func (l *loop) node(name string) *corev1.Node {
	n, _ := l.nodes.Get("", name)
	return n
}

func (l *loop) act(ctx context.Context, k controller.Key, p plan) error {
	for _, slice := range p.create {
		created, err := client.EndpointSlices.Create(ctx, l.client, slice)
		if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("failed to create EndpointSlice for Service %s: %w", k, err)
		}
		l.written.note(k, created.UID, created.ResourceVersion)
	}
	for _, slice := range p.update {
		updated, err := client.EndpointSlices.Update(ctx, l.client, slice)
		if err != nil {
			return fmt.Errorf("failed to update %s EndpointSlice for Service %s: %w", slice.Name, k, err)
		}
		l.written.note(k, updated.UID, updated.ResourceVersion)
	}
	for _, slice := range p.delete {
		err := client.EndpointSlices.Delete(ctx, l.client, slice.Namespace, slice.Name,
			metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &slice.UID}})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("failed to delete %s EndpointSlice for Service %s: %w", slice.Name, k, err)
		}
		l.written.note(k, slice.UID, "")
	}
	return errors.Join(p.problems...)
}
