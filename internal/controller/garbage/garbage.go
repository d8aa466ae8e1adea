// Package garbage deletes what nobody owns any more, and carries out deletions that wait for dependents or
// cut them loose.
//
// It watches the metadata of every resource and keeps a graph of who owns whom (graph.go). The graph only says
// what to look at: it lags behind, and its informers do not agree on a point in time. An object is judged
// (plan.go) by what the server says about it and each of its owners at that moment, and deleted only if
// it is still the one that was judged. So:
//
//   - nothing is deleted because its owner was not heard of: the owner is asked for first;
//   - what has one owner that is there stays, and loses the references to those that are not;
//   - an owner that is deleted in the foreground goes after all dependents that block it, each of which goes
//     after its own; if they come to wait for each other in a circle, it is cut;
//   - an owner that orphans goes after no dependent refers to it.
//
// A look is level-based: it may happen any number of times.
package garbage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/lru"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/informer"
)

const (
	name    = "garbage-collector-controller"
	workers = 20
	// patience is how long the first lists may take before the collector begins without those that lack.
	patience = 30 * time.Second
	// Resources change a little later than the objects that define them.
	soon, later = time.Second, 10 * time.Second
	// absentOwners is how many owners are remembered that were looked for in vain.
	absentOwners = 500
)

type collector struct {
	client   client.Transport
	events   controller.Events
	log      *slog.Logger
	graph    *graph
	monitors *monitors
	looks    *controller.Loop // keys are UIDs
	refresh  *controller.Loop
	absent   *lru.Cache // of absentOwner

	mu      sync.Mutex
	puzzles map[types.UID]struct{} // objects with owners of a kind that is not known now; guarded by mu
}

// absentOwner is what no object is: UIDs do not come back.
type absentOwner struct {
	gvk             schema.GroupVersionKind
	namespace, name string
	uid             types.UID
}

// Start makes the controller.
func Start(d controller.Deps) controller.Runner {
	c := &collector{
		client: d.Client, events: d.Events, log: d.Logger.With("controller", name), graph: newGraph(),
		absent: lru.New(absentOwners), puzzles: map[types.UID]struct{}{},
	}
	c.monitors = &monitors{
		client: d.Client, log: d.Logger, handler: c.handler, all: map[resource]*monitor{},
		gone: func(m *monitor) { c.look(c.graph.forget(m)) },
	}
	c.looks = &controller.Loop{
		Name: name, Workers: workers, Logger: d.Logger, Metrics: d.Metrics, Sync: c.sync,
		Queue: informer.QueueOptions{Name: "garbage_collector_attempt_to_delete"},
	}
	c.refresh = &controller.Loop{Name: name + "-resources", Workers: 1, Logger: d.Logger, Metrics: d.Metrics, Sync: c.syncResources}
	return controller.RunnerFunc(func(ctx context.Context) error {
		defer c.monitors.wg.Wait()
		c.refresh.Add(controller.Key{Name: "first"})
		return controller.Together(c.looks, c.refresh).Run(ctx)
	})
}

func (c *collector) handler(m *monitor) informer.Handler[metav1.PartialObjectMetadata] {
	defines := slices.Contains([]string{"customresourcedefinitions", "apiservices"}, m.resource.Resource)
	if defines {
		defined := func() {
			c.refresh.AddAfter(controller.Key{Name: "soon"}, soon)
			c.refresh.AddAfter(controller.Key{Name: "later"}, later)
		}
		return c.handle(m, defined)
	}
	return c.handle(m, func() {})
}

func (c *collector) handle(m *monitor, also func()) informer.Handler[metav1.PartialObjectMetadata] {
	observe := func(o *metav1.PartialObjectMetadata) {
		c.look(c.graph.observe(&node{of: m, PartialObjectMetadata: o}))
		also()
	}
	return informer.Handler[metav1.PartialObjectMetadata]{
		Add:    func(o *metav1.PartialObjectMetadata, _ bool) { observe(o) },
		Update: func(_, o *metav1.PartialObjectMetadata) { observe(o) },
		Delete: func(o *metav1.PartialObjectMetadata) {
			c.look(c.graph.remove(o.UID))
			c.solved(o.UID)
			also()
		},
	}
}

func (c *collector) look(uids []types.UID) {
	for _, uid := range uids {
		c.looks.Add(controller.Key{Name: string(uid)})
	}
}

// syncResources makes the graph live once the first lists are in.
func (c *collector) syncResources(ctx context.Context, _ controller.Key) (time.Duration, error) {
	changed, err := c.monitors.refresh(ctx)
	if err != nil && len(c.monitors.all) == 0 {
		return 0, err
	}
	if !changed {
		return 0, err
	}
	if late := c.monitors.waitSynced(ctx, patience); late != nil {
		c.log.Warn("Some resources are not known yet", "err", late)
	}
	c.look(c.graph.begin())
	c.mu.Lock()
	puzzles := c.puzzles
	c.puzzles = map[types.UID]struct{}{}
	c.mu.Unlock()
	for uid := range puzzles {
		c.looks.Add(controller.Key{Name: string(uid)})
	}
	return 0, err
}

func (c *collector) sync(ctx context.Context, k controller.Key) (time.Duration, error) {
	s := c.graph.look(types.UID(k.Name))
	switch {
	case s.node == nil || !s.suspicious:
		return 0, nil
	case s.orphans():
		return 0, c.orphan(ctx, s)
	case s.waits():
		return 0, c.wait(ctx, s)
	}
	return 0, c.examine(ctx, s)
}

// orphan cuts the dependents loose and lets the object go.
func (c *collector) orphan(ctx context.Context, s sight) error {
	var errs []error
	for _, d := range s.dependents {
		err := c.rewrite(ctx, d, func(refs []metav1.OwnerReference) []metav1.OwnerReference { return without(refs, s.UID) })
		if err != nil {
			errs = append(errs, fmt.Errorf("orphan %s %s/%s: %w", d.of.resource.Kind, d.Namespace, d.Name, err))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return c.finish(ctx, s.node, metav1.FinalizerOrphanDependents)
}

// wait lets the object go if no dependent holds it up, and else looks after those that do.
func (c *collector) wait(ctx context.Context, s sight) error {
	if len(s.blockers) == 0 {
		return c.finish(ctx, s.node, metav1.FinalizerDeleteDependents)
	}
	for _, b := range s.blockers {
		if b.DeletionTimestamp == nil {
			c.looks.Add(controller.Key{Name: string(b.UID)})
		}
	}
	if s.deadlocked {
		return c.rewrite(ctx, s.node, unblocking)
	}
	return nil
}

func (c *collector) examine(ctx context.Context, s sight) error {
	for _, ref := range s.strays {
		c.reportStray(s.node, ref)
	}
	o, err := c.get(ctx, s.node)
	if o == nil || o.DeletionTimestamp != nil {
		return err
	}
	standings := make([]standing, len(o.OwnerReferences))
	for n, ref := range o.OwnerReferences {
		k, ok := c.monitors.kind(ref)
		if !ok {
			c.puzzle(s.UID)
			return nil
		}
		if k.Namespaced && o.Namespace == "" {
			return nil // that cannot be, and nobody can tell what was meant
		}
		if standings[n], err = c.standing(ctx, k, ref, o.Namespace); err != nil {
			return err
		}
	}
	v := judge(o, standings, len(s.dependents) > 0)
	switch {
	case len(v.drop) > 0:
		return c.rewrite(ctx, s.node, func(refs []metav1.OwnerReference) []metav1.OwnerReference { return without(refs, v.drop...) })
	case v.remove != "":
		return c.delete(ctx, s.node, o, v.remove)
	}
	return nil
}

// puzzle remembers an object until there are other resources than now.
func (c *collector) puzzle(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.puzzles[uid] = struct{}{}
}

func (c *collector) solved(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.puzzles, uid)
}

// standing asks the server about an owner.
func (c *collector) standing(ctx context.Context, k client.Kind[metav1.PartialObjectMetadata], ref metav1.OwnerReference, namespace string) (standing, error) {
	if !k.Namespaced {
		namespace = ""
	}
	known := absentOwner{k.GroupVersionKind(), namespace, ref.Name, ref.UID}
	if _, ok := c.absent.Get(known); ok {
		return dangling, nil
	}
	owner, err := k.Get(ctx, c.client, namespace, ref.Name)
	switch {
	case apierrors.IsNotFound(err), err == nil && owner.UID != ref.UID:
		c.absent.Add(known, nil)
		return dangling, nil
	case err != nil:
		return 0, err
	case waits(owner):
		return waiting, nil
	}
	return solid, nil
}

// get reads an object past the informer. It is nil if it is gone.
func (c *collector) get(ctx context.Context, n *node) (*metav1.PartialObjectMetadata, error) {
	o, err := n.of.kind.Get(ctx, c.client, n.Namespace, n.Name)
	switch {
	case apierrors.IsNotFound(err), err == nil && o.UID != n.UID:
		return nil, nil
	case err != nil:
		return nil, err
	}
	return o, nil
}

// delete deletes an object if it has the owners for which it was judged. Other changes of it do not save it.
func (c *collector) delete(ctx context.Context, n *node, o *metav1.PartialObjectMetadata, p metav1.DeletionPropagation) error {
	options := func(resourceVersion *string) metav1.DeleteOptions {
		return metav1.DeleteOptions{
			Preconditions:     &metav1.Preconditions{UID: &o.UID, ResourceVersion: resourceVersion},
			PropagationPolicy: &p,
		}
	}
	err := n.of.kind.Delete(ctx, c.client, o.Namespace, o.Name, options(&o.ResourceVersion))
	if apierrors.IsConflict(err) {
		now, getErr := c.get(ctx, n)
		if now == nil && getErr == nil {
			return nil
		}
		if getErr == nil && equality.Semantic.DeepEqual(now.OwnerReferences, o.OwnerReferences) {
			err = n.of.kind.Delete(ctx, c.client, o.Namespace, o.Name, options(nil))
		}
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// rewrite changes the owner references of an object.
func (c *collector) rewrite(ctx context.Context, n *node, f func([]metav1.OwnerReference) []metav1.OwnerReference) error {
	return c.patch(ctx, n, func(o *metav1.PartialObjectMetadata) (string, any, bool) {
		refs := f(o.OwnerReferences)
		return "ownerReferences", refs, !equality.Semantic.DeepEqual(refs, o.OwnerReferences)
	})
}

// finish takes a finalizer away.
func (c *collector) finish(ctx context.Context, n *node, finalizer string) error {
	return c.patch(ctx, n, func(o *metav1.PartialObjectMetadata) (string, any, bool) {
		rest := slices.DeleteFunc(slices.Clone(o.Finalizers), func(f string) bool { return f == finalizer })
		return "finalizers", rest, len(rest) < len(o.Finalizers)
	})
}

// patch changes one field of an object's metadata, as it is now. Custom resources know no strategic patches, so
// the field is given as a whole, for this state of the object only.
func (c *collector) patch(ctx context.Context, n *node, f func(*metav1.PartialObjectMetadata) (field string, value any, write bool)) error {
	o, err := c.get(ctx, n)
	if o == nil {
		return err
	}
	field, value, write := f(o)
	if !write {
		return nil
	}
	_, err = n.of.kind.MergePatch(ctx, c.client, o.Namespace, o.Name, map[string]any{"metadata": map[string]any{
		"uid": o.UID, "resourceVersion": o.ResourceVersion, field: value,
	}}, "")
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (c *collector) reportStray(n *node, ref metav1.OwnerReference) {
	about := corev1.ObjectReference{
		APIVersion: n.of.resource.GroupVersion().String(), Kind: n.of.resource.Kind,
		Namespace: n.Namespace, Name: n.Name, UID: n.UID,
	}
	c.events.EventFor(about, corev1.EventTypeWarning, "OwnerRefInvalidNamespace", strayMessage(n.Namespace, ref))
}

func strayMessage(namespace string, ref metav1.OwnerReference) string {
	return fmt.Sprintf("ownerRef [%s/%s, namespace: %s, name: %s, uid: %s] does not exist in namespace %q",
		ref.APIVersion, ref.Kind, namespace, ref.Name, ref.UID, namespace)
}
