package informer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
)

// A reflector makes the store what the server has. It is one loop of attempts, each of which leaves it in
// one of two states:
//
//   - It has no state that can be resumed (revision is empty): at the start, and after the server said that
//     the revision is gone. The next attempt gets everything: by a watch that begins with all objects and
//     marks their end, or, if the server does not know those, by a list.
//   - It is at a revision: the store holds just what the server held then. The next attempt watches from
//     there. Whatever ends a watch, except a revision that is gone, leaves it in this state.
//
// What must hold: the store changes only by events in order from the revision it is at, or as a whole by
// replace; a first part of all objects is never in the store.
type reflector[T any] struct {
	*Informer[T]
	revision  string // that the store is at; empty if there is none to resume from
	listFirst bool
	backoff   backoff
}

const (
	// A watch asks to end by itself after this time and up to twice as long, so that a connection that
	// died silently is found and the load of several servers evens out.
	watchTimeout = 5 * time.Minute
	// settled is how long a watch must have lasted for a plain end of it to be taken as normal.
	settled = time.Second
)

func newReflector[T any](i *Informer[T]) *reflector[T] {
	return &reflector[T]{Informer: i, listFirst: i.options.ListFirst}
}

func (r *reflector[T]) run(ctx context.Context) {
	for ctx.Err() == nil {
		start := time.Now()
		err := r.attempt(ctx)
		lasted := time.Since(start)
		if ctx.Err() != nil {
			return
		}
		if lasted >= maxBackoff || err == nil && lasted >= settled {
			r.backoff = 0
		}
		if err == nil && lasted >= settled {
			continue
		}
		sleep(ctx, r.delay(err))
	}
}

// delay notes how an attempt ended, and says how long to wait for the next.
func (r *reflector[T]) delay(err error) time.Duration {
	delay := r.backoff.next()
	if err == nil {
		return delay
	}
	r.stats.Failures.Add(1)
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
		delay = max(delay, time.Duration(seconds)*time.Second)
	}
	level := slog.LevelWarn
	if revisionGone(err) {
		level = slog.LevelInfo
	}
	r.log.Log(context.Background(), level, "Watch broke off", "err", err, "resume", r.revision, "retry", delay)
	return delay
}

// attempt is nil if the server ended a watch in good order.
func (r *reflector[T]) attempt(ctx context.Context) error {
	if r.revision == "" && r.listFirst {
		if err := r.list(ctx); err != nil {
			return err
		}
	}
	err := r.watch(ctx)
	switch {
	case err == nil:
	case revisionGone(err):
		r.revision = ""
	case r.revision == "" && (apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)):
		r.log.Info("The server has no watches that begin with all objects, listing them", "err", err)
		r.listFirst = true
		return r.attempt(ctx)
	}
	return err
}

// list replaces the store by the present state. It leaves the resourceVersion open, which is never older
// than anything seen before.
func (r *reflector[T]) list(ctx context.Context) error {
	all := objects[T]{}
	o := r.selection()
	for {
		r.stats.Lists.Add(1)
		page, err := r.kind.List(ctx, r.transport, r.options.Namespace, o)
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		for _, item := range page.Items {
			o, err := r.trimmed(any(item).(client.Object))
			if err != nil {
				return fmt.Errorf("list: %w", err)
			}
			all.put(keyOf(o), o)
		}
		if page.Meta.Continue == "" {
			r.replace(all)
			r.revision = page.Meta.ResourceVersion
			return nil
		}
		o.Continue = page.Meta.Continue
	}
}

// watch follows the changes from the revision on, or from nothing if there is none.
func (r *reflector[T]) watch(ctx context.Context) error {
	o := r.selection()
	o.AllowWatchBookmarks = true
	o.TimeoutSeconds = ptr.To(int64((watchTimeout + rand.N(watchTimeout)).Seconds()))
	o.ResourceVersion = r.revision
	var all objects[T] // those that a watch begins with; nil when they are complete
	if r.revision == "" {
		all = objects[T]{}
		o.SendInitialEvents = ptr.To(true)
		o.ResourceVersionMatch = metav1.ResourceVersionMatchNotOlderThan
	}
	r.stats.Watches.Add(1)
	stream, err := r.kind.Watch(ctx, r.transport, r.options.Namespace, o)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer stream.Stop()
	for {
		events, err := stream.Next()
		if len(events) > 0 {
			r.stats.Events.Add(uint64(len(events)))
			if all, err = r.take(all, events); err != nil {
				return err
			}
			continue
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
	}
}

// take gathers the first events in all, up to the bookmark that ends them, and applies those that follow.
func (r *reflector[T]) take(all objects[T], events []client.Event) (objects[T], error) {
	for n, e := range events {
		if all == nil {
			return nil, r.follow(events[n:])
		}
		if e.Type == watch.Bookmark {
			if e.Object.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true" {
				r.replace(all)
				r.revision = e.Object.GetResourceVersion()
				all = nil
			}
			continue
		}
		o, err := r.object(e)
		if err != nil {
			return nil, err
		}
		if e.Type == watch.Deleted {
			all.drop(keyOf(o))
		} else {
			all.put(keyOf(o), o)
		}
	}
	return all, nil
}

// follow applies events to the store.
func (r *reflector[T]) follow(events []client.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	changes := make([]change[T], 0, len(events))
	defer func() { r.tell(changes) }()
	for _, e := range events {
		if e.Type != watch.Bookmark {
			o, err := r.object(e)
			if err != nil {
				return err
			}
			if e.Type == watch.Deleted {
				changes = r.delete(changes, o)
			} else {
				changes = compare(changes, r.store.put(keyOf(o), o), o)
			}
		}
		r.revision = e.Object.GetResourceVersion()
	}
	return nil
}

func (r *reflector[T]) object(e client.Event) (*T, error) {
	switch e.Type {
	case watch.Added, watch.Modified, watch.Deleted:
	default:
		return nil, fmt.Errorf("watch: unknown event type %q", e.Type)
	}
	o, err := r.trimmed(e.Object)
	if err != nil {
		return nil, fmt.Errorf("watch: %s: %w", e.Type, err)
	}
	return o, nil
}

// trimmed is what is kept of an object.
func (r *reflector[T]) trimmed(o client.Object) (*T, error) {
	if r.options.Trim != nil {
		o = r.options.Trim(o)
	}
	kept, ok := any(o).(*T)
	if !ok {
		return nil, fmt.Errorf("a %T is no object of the informer", o)
	}
	return kept, nil
}

func (r *reflector[T]) selection() metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: r.options.LabelSelector, FieldSelector: r.options.FieldSelector}
}

// revisionGone tells whether the server cannot resume where we were: it has forgotten the revision, or has
// not come as far and may never, because it was set back.
func revisionGone(err error) bool {
	return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) ||
		apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge)
}
