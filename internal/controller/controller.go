// Package controller is the harness of every control loop. A loop is a folder here: a pure plan, tested by
// table, and a thin Sync that fetches what the plan needs, lets it decide, and acts.
//
// A loop is level-based. Handlers only name the key that has to be looked at; Sync works from the present
// state of the informers, may be called at any time, any number of times, and never twice at once for a
// key.
package controller

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/informer"
)

// Key names the object that a loop looks at.
type Key = informer.Key

// Loop calls Sync for the keys that were added. Its fields are set before the first use of its methods.
type Loop struct {
	Name string
	// Workers is how many keys are worked on at a time; 5 if zero.
	Workers int
	// Sync makes the world more like what the key's object wants. An error is logged and retried with
	// backoff; conflicts are retried and not worth a warning. If again is positive, Sync is called again
	// after that time. A panic counts as an error.
	Sync func(ctx context.Context, k Key) (again time.Duration, err error)
	// Needs are waited for before the first Sync: the informers that it reads.
	Needs []informer.Syncer
	// Queue shapes the queue. Its Name is the loop's if empty.
	Queue informer.QueueOptions
	// Metrics is what the queue reports to; nil for none.
	Metrics *informer.Metrics
	Logger  *slog.Logger // slog.Default() if nil

	once  sync.Once
	queue *informer.Queue[Key]
}

const defaultWorkers = 5

// Add asks for a key to be looked at.
func (l *Loop) Add(k Key) { l.keys().Add(k) }

// AddAfter asks for a key to be looked at when some time has passed.
func (l *Loop) AddAfter(k Key, d time.Duration) { l.keys().AddAfter(k, d) }

// Run works until the context ends, then waits for the calls under way.
func (l *Loop) Run(ctx context.Context) error {
	for _, s := range l.Needs {
		if !s.WaitSynced(ctx) {
			return nil
		}
	}
	workers := l.Workers
	if workers == 0 {
		workers = defaultWorkers
	}
	log := l.Logger
	if log == nil {
		log = slog.Default()
	}
	log = log.With("controller", l.Name)
	informer.Work(ctx, l.keys(), workers, func(ctx context.Context, k Key) (again time.Duration, err error) {
		again, err = informer.Contain(ctx, k, l.Sync)
		if err != nil && ctx.Err() == nil {
			l.report(log, k, err)
		}
		return again, err
	})
	return nil
}

func (l *Loop) keys() *informer.Queue[Key] {
	l.once.Do(func() {
		o := l.Queue
		if o.Name == "" {
			o.Name = l.Name
		}
		if o.Metrics == nil {
			o.Metrics = l.Metrics
		}
		l.queue = informer.NewQueue[Key](o)
	})
	return l.queue
}

func (l *Loop) report(log *slog.Logger, k Key, err error) {
	log = log.With("key", k.String(), "retries", l.keys().Retries(k))
	var p *informer.PanicError
	switch {
	case errors.As(err, &p):
		log.Error("Sync panicked", "panic", p.Value, "stack", string(p.Stack))
	case apierrors.IsConflict(err):
		log.Debug("Sync met a conflict", "err", err)
	default:
		log.Warn("Sync failed", "err", err)
	}
}

// Enqueue is a handler that adds the key of each object that changes.
func Enqueue[T any](l *Loop) informer.Handler[T] {
	return EnqueueBy(l, func(o *T) []Key { return []Key{informer.KeyOf(object(o))} })
}

// EnqueueOwner is a handler that adds the key of the controller of each object that changes, if that is of
// the given kind. When an object changes hands, both controllers are added.
func EnqueueOwner[T, O any](l *Loop, owner client.Kind[O]) informer.Handler[T] {
	return EnqueueBy(l, func(o *T) []Key {
		if k, ok := OwnerKey(object(o), owner); ok {
			return []Key{k}
		}
		return nil
	})
}

// EnqueueBy is a handler that adds the keys that f finds for each object that changes: before and after.
func EnqueueBy[T any](l *Loop, f func(o *T) []Key) informer.Handler[T] {
	add := func(o *T) {
		for _, k := range f(o) {
			l.Add(k)
		}
	}
	return informer.Handler[T]{
		Add:    func(o *T, _ bool) { add(o) },
		Update: func(old, new *T) { add(old); add(new) },
		Delete: add,
	}
}

// OwnerKey is the key of an object's controller, if that is of the given kind.
func OwnerKey[O any](o client.Object, owner client.Kind[O]) (Key, bool) {
	ref := metav1.GetControllerOfNoCopy(o)
	if ref == nil || ref.Kind != owner.Kind {
		return Key{}, false
	}
	if gv, err := schema.ParseGroupVersion(ref.APIVersion); err != nil || gv.Group != owner.Resource.Group {
		return Key{}, false
	}
	k := Key{Name: ref.Name}
	if owner.Namespaced {
		k.Namespace = o.GetNamespace()
	}
	return k, true
}

func object[T any](o *T) client.Object { return any(o).(client.Object) }
