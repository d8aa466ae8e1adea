// Package namespace empties namespaces that are being deleted, and then lets them go.
//
// Pods go first: as long as there are any, what they may need to end well stays. Then all else goes, resource by
// resource, and the namespace's conditions tell what is left and why.
package namespace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/informer"
)

const (
	// settle is how long other servers may take to hear that nothing may be created in the namespace any more.
	settle  = time.Second
	workers = 10
)

type deleter struct {
	client     client.Transport
	clock      clock.WithTicker
	namespaces *informer.Informer[corev1.Namespace]
}

// Start makes the controller.
func Start(d controller.Deps) controller.Runner {
	x := &deleter{client: d.Client, clock: d.Clock, namespaces: informer.For(d.Informers, client.Namespaces)}
	l := &controller.Loop{
		Name: "namespace-controller", Workers: workers, Logger: d.Logger, Metrics: d.Metrics, Sync: x.sync, Needs: []informer.Syncer{x.namespaces},
		// Whoever deletes a namespace waits for it, so retries are never far apart.
		Queue: informer.QueueOptions{Name: "namespace", MaxDelay: time.Minute, Rate: 10, Burst: 100},
	}
	look := func(n *corev1.Namespace) {
		if n.DeletionTimestamp != nil {
			l.AddAfter(informer.KeyOf(n), settle)
		}
	}
	x.namespaces.Handle(informer.Handler[corev1.Namespace]{
		Add:    func(n *corev1.Namespace, _ bool) { look(n) },
		Update: func(_, n *corev1.Namespace) { look(n) },
	})
	// The pods' grace is an upper bound. Most namespaces need not wait for it.
	all := informer.For(d.Informers, client.Pods)
	all.Handle(informer.Handler[corev1.Pod]{Delete: func(p *corev1.Pod) {
		if n, ok := x.namespaces.Get("", p.Namespace); ok && n.DeletionTimestamp != nil && len(all.InNamespace(p.Namespace)) == 0 {
			l.Add(informer.KeyOf(n))
		}
	}})
	return l
}

func (d *deleter) sync(ctx context.Context, k controller.Key) (time.Duration, error) {
	if _, ok := d.namespaces.Get("", k.Name); !ok {
		return 0, nil
	}
	n, err := client.Namespaces.Get(ctx, d.client, "", k.Name)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil || n.DeletionTimestamp == nil || len(n.Spec.Finalizers) == 0 {
		return 0, err
	}
	if n, err = d.terminating(ctx, n); err != nil {
		return 0, ignoreGone(err)
	}
	f, podsOnly := d.empty(ctx, n)
	updated, err := d.report(ctx, n, f.conditions(podsOnly))
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err := errors.Join(append([]error{f.discovery, f.parsing, err}, f.deletion...)...); err != nil {
		return 0, err
	}
	if f.wait > 0 {
		return f.wait/2 + time.Second, nil
	}
	return 0, ignoreGone(d.finalize(ctx, updated))
}

func (d *deleter) terminating(ctx context.Context, n *corev1.Namespace) (*corev1.Namespace, error) {
	if n.Status.Phase == corev1.NamespaceTerminating {
		return n, nil
	}
	n = n.DeepCopy()
	n.Status.Phase = corev1.NamespaceTerminating
	return client.Namespaces.UpdateStatus(ctx, d.client, n)
}

// empty deletes what is in a namespace. podsOnly tells that it went no further than the pods.
func (d *deleter) empty(ctx context.Context, n *corev1.Namespace) (f findings, podsOnly bool) {
	lists, err := d.client.Discover(ctx)
	f.discovery = err
	var all []resource
	all, f.parsing = contents(lists)
	for _, r := range all {
		if err := d.emptyOf(ctx, n, r, &f); err != nil {
			f.deletion = append(f.deletion, err)
		}
		if r.GroupResource() == pods && len(f.remaining) > 0 {
			return f, true
		}
	}
	return f, false
}

func (d *deleter) emptyOf(ctx context.Context, n *corev1.Namespace, r resource, f *findings) error {
	left, err := d.left(ctx, n.Name, r)
	if err != nil || len(left) == 0 {
		return err
	}
	var grace time.Duration
	if r.GroupResource() == pods {
		l, err := client.Pods.List(ctx, d.client, n.Name, metav1.ListOptions{})
		if err != nil {
			return podError(n.Name, err)
		}
		grace = podGrace(l.Items, n.DeletionTimestamp.Time, d.clock.Now())
	}
	if err := d.delete(ctx, n.Name, r, left); err != nil {
		return podErrorIf(r, n.Name, err)
	}
	if left, err = d.left(ctx, n.Name, r); err != nil {
		return podErrorIf(r, n.Name, err)
	}
	return podErrorIf(r, n.Name, f.remain(n.Name, r, left, grace))
}

// left is what is there of a resource; nothing if that has gone meanwhile.
func (d *deleter) left(ctx context.Context, namespace string, r resource) ([]*metav1.PartialObjectMetadata, error) {
	l, err := client.Metadata(r.GroupVersionResource, r.kind, true).List(ctx, d.client, namespace, metav1.ListOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return l.Items, nil
}

// delete leaves it to the objects' finalizers whether dependents matter: they are all going.
func (d *deleter) delete(ctx context.Context, namespace string, r resource, left []*metav1.PartialObjectMetadata) error {
	background := metav1.DeletePropagationBackground
	o := metav1.DeleteOptions{PropagationPolicy: &background}
	kind := client.Metadata(r.GroupVersionResource, r.kind, true)
	if r.collection {
		_, err := d.client.Do(ctx, &client.Request{
			Verb: "deletecollection", Resource: r.GroupVersionResource, Namespace: namespace, Delete: o,
			New: func() client.Object { return &metav1.PartialObjectMetadata{} },
		})
		if !apierrors.IsNotFound(err) && !apierrors.IsMethodNotSupported(err) {
			return err
		}
	}
	for _, x := range left {
		err := kind.Delete(ctx, d.client, namespace, x.Name, o)
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsMethodNotSupported(err) {
			return err
		}
	}
	return nil
}

func (d *deleter) report(ctx context.Context, n *corev1.Namespace, c []corev1.NamespaceCondition) (*corev1.Namespace, error) {
	n = n.DeepCopy()
	if !tell(&n.Status, c, d.clock.Now()) {
		return n, nil
	}
	return client.Namespaces.UpdateStatus(ctx, d.client, n)
}

// finalize lets the namespace go as far as this controller is concerned.
func (d *deleter) finalize(ctx context.Context, n *corev1.Namespace) error {
	n = n.DeepCopy()
	n.Spec.Finalizers = slices.DeleteFunc(n.Spec.Finalizers, func(f corev1.FinalizerName) bool {
		return f == corev1.FinalizerKubernetes
	})
	_, err := d.client.Do(ctx, &client.Request{
		Verb: "update", Resource: client.Namespaces.Resource, Name: n.Name, Subresource: "finalize", Object: n,
		New: func() client.Object { return &corev1.Namespace{} },
	})
	return err
}

func podErrorIf(r resource, namespace string, err error) error {
	if err == nil || r.GroupResource() != pods {
		return err
	}
	return podError(namespace, err)
}

func podError(namespace string, err error) error {
	return fmt.Errorf("failed to delete pods for namespace: %s, err: %w", namespace, err)
}

func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
