package informer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/client"
)

// Key names an object within its resource.
type Key = types.NamespacedName

// KeyOf is the key of an object.
func KeyOf(o client.Object) Key {
	return Key{Namespace: o.GetNamespace(), Name: o.GetName()}
}

// Options say which objects an informer keeps, and how. The zero value keeps all.
type Options struct {
	Namespace     string // all if empty
	LabelSelector string
	FieldSelector string
	// Resync is how often handlers are told of every object again, as an Update from itself to itself.
	// Zero is never.
	Resync time.Duration
	// ListFirst asks for a list and then a watch, where a watch that begins with the list would do.
	ListFirst bool
	// Trim makes of each object one of the same type that has only what its users look at, which is kept in
	// place of it. It keeps name, namespace, UID and resourceVersion. Nil keeps objects whole.
	Trim    func(client.Object) client.Object
	Logger  *slog.Logger // slog.Default() if nil
	Metrics *Metrics     // nil for none
}

// Handler is told of changes. Each handler is called by one goroutine at a time, at its own pace, and sees
// the changes of an object in order. By the time it is called, the informer's copy is at least as new as
// what it is told. Functions may be nil. Objects are shared: never change them.
type Handler[T any] struct {
	// Add tells of an object that the handler has not seen; initial if it was there when the handler
	// or the informer started.
	Add func(o *T, initial bool)
	// Update tells that old became new. A handler that is far behind sees several updates of an object
	// as one. Both have the same UID: of an object that was made anew, the old is deleted and the new added.
	Update func(old, new *T)
	// Delete gets the last known state of the object.
	Delete func(o *T)
}

// Syncer is what can be waited for before its objects are relied upon.
type Syncer interface {
	// Synced tells whether the first list is in the copy and every handler present has been told of it.
	Synced() bool
	// WaitSynced waits for that, and is false if the context ended first.
	WaitSynced(ctx context.Context) bool
}

// Informer keeps a local copy of the objects of one resource. The order of objects in answers is
// undefined. All methods may be called by many goroutines.
type Informer[T any] struct {
	transport client.Transport
	kind      client.Kind[T]
	options   Options
	log       *slog.Logger
	store     *index[T]
	stats     *ReflectorStats
	loaded    chan struct{} // closed when the first list is in the store

	mu        sync.Mutex // held while the store is written and listeners learn of it, so both agree
	started   bool       // guarded by mu, as all below
	ended     bool
	listeners []*listener[T]
	handling  sync.WaitGroup // goroutines that call handlers
}

// New makes an informer, which starts with Run.
func New[T any](t client.Transport, k client.Kind[T], o Options) *Informer[T] {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Informer[T]{
		transport: t,
		kind:      k,
		options:   o,
		log:       o.Logger.With("resource", k.Resource.GroupResource().String()),
		store:     newIndex[T](),
		stats:     o.Metrics.reflector(k.Resource.GroupResource().String()),
		loaded:    make(chan struct{}),
	}
}

// Run keeps the copy up to date until the context ends; then no handler runs any more. It runs once.
func (i *Informer[T]) Run(ctx context.Context) error {
	i.mu.Lock()
	if i.started {
		i.mu.Unlock()
		return errors.New("informer: run twice")
	}
	i.started = true
	i.mu.Unlock()

	var parts sync.WaitGroup
	if i.options.Resync > 0 {
		parts.Go(func() { i.resync(ctx) })
	}
	newReflector(i).run(ctx)
	parts.Wait()
	i.stop()
	return nil
}

// Synced tells whether the first list is in the copy and every handler present has been told of it.
func (i *Informer[T]) Synced() bool {
	done, cancel := context.WithCancel(context.Background())
	cancel()
	return i.WaitSynced(done)
}

// WaitSynced waits until Synced, and is false if the context ended first.
func (i *Informer[T]) WaitSynced(ctx context.Context) bool {
	if !closed(ctx, i.loaded) {
		return false
	}
	i.mu.Lock()
	listeners := i.listeners
	i.mu.Unlock()
	for _, l := range listeners {
		if !closed(ctx, l.synced) {
			return false
		}
	}
	return true
}

// Handle adds a handler, which is told first of what is there. After remove no call begins.
func (i *Informer[T]) Handle(h Handler[T]) (remove func()) {
	l := newListener(h, i.log, &i.handling)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended {
		return func() {}
	}
	i.listeners = append(i.listeners[:len(i.listeners):len(i.listeners)], l)
	if i.hasLoaded() {
		l.push(initial(i.store.list()))
	}
	return func() { i.remove(l) }
}

// Get looks an object up.
func (i *Informer[T]) Get(namespace, name string) (*T, bool) {
	return i.store.get(Key{Namespace: namespace, Name: name})
}

// List is all objects.
func (i *Informer[T]) List() []*T { return i.store.list() }

// Len is the number of objects.
func (i *Informer[T]) Len() int { return i.store.len() }

// InNamespace is the objects of one namespace.
func (i *Informer[T]) InNamespace(namespace string) []*T { return i.store.inNamespace(namespace) }

// AddIndex makes objects findable by the values that f says they have. f is pure. An index that is there
// already stays, so that several users may add the same.
func (i *Informer[T]) AddIndex(name string, f func(*T) []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.store.addIndex(name, f)
}

// ByIndex is the objects that have a value in an index. An index that was never added panics.
func (i *Informer[T]) ByIndex(index, value string) []*T { return i.store.byIndex(index, value) }

func (i *Informer[T]) hasLoaded() bool {
	select {
	case <-i.loaded:
		return true
	default:
		return false
	}
}

func (i *Informer[T]) remove(l *listener[T]) {
	l.stop()
	i.mu.Lock()
	defer i.mu.Unlock()
	var rest []*listener[T]
	for _, other := range i.listeners {
		if other != l {
			rest = append(rest, other)
		}
	}
	i.listeners = rest
}

// stop ends all handlers and waits for the calls that are under way.
func (i *Informer[T]) stop() {
	i.mu.Lock()
	i.ended = true
	for _, l := range i.listeners {
		l.stop()
	}
	i.mu.Unlock()
	i.handling.Wait()
}

// closed waits for a channel to be closed. A channel that is closed counts even if the context has ended.
func closed(ctx context.Context, c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
	}
	select {
	case <-c:
		return true
	case <-ctx.Done():
		return false
	}
}
