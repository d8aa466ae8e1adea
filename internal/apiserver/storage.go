package apiserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/cache"
	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/encoding"
	"github.com/proa-dev/proa/internal/store"
)

// Storage is the resources over the store and the cache. Access control reads from it, so it comes first
// and the Server stands on it.
type Storage struct {
	store  store.Store
	cache  *cache.Cache
	log    *slog.Logger
	routes atomic.Pointer[routes]
}

var _ access.Objects = (*Storage)(nil)

// NewStorage loads the types' objects into the cache.
func NewStorage(ctx context.Context, st store.Store, ca *cache.Cache, types []*registry.Type, log *slog.Logger) (*Storage, error) {
	s := &Storage{store: st, cache: ca, log: log}
	resources := make([]*resource, len(types))
	sharer := &encoding.Sharer{}
	for i, t := range types {
		r := newResource(t, sharer)
		if t.Has("get") && !t.Computed {
			table, err := ca.Add(ctx, r.schema())
			if err != nil {
				return nil, fmt.Errorf("load %s: %w", t.GroupResource(), err)
			}
			r.table = table
		}
		resources[i] = r
	}
	routes, err := makeRoutes(resources)
	if err != nil {
		return nil, err
	}
	s.routes.Store(routes)
	return s, nil
}

// Get implements access.Objects.
func (s *Storage) Get(ctx context.Context, gr schema.GroupResource, namespace, name string) (registry.Object, error) {
	r := s.routes.Load().byResource(gr)
	if r == nil || r.table == nil {
		return nil, apierrors.NewNotFound(gr, name)
	}
	key := name
	if r.Namespaced {
		key = namespace + "/" + name
	}
	item, err := r.table.Get(ctx, key, cache.At{Consistency: cache.Consistent})
	if errors.Is(err, store.ErrNotFound) {
		return nil, apierrors.NewNotFound(gr, name)
	}
	if err != nil {
		return nil, dress(err)
	}
	return r.object(item)
}

// List implements access.Objects.
func (s *Storage) List(ctx context.Context, gr schema.GroupResource, namespace string, where fields.Selector) ([]registry.Object, error) {
	r := s.routes.Load().byResource(gr)
	if r == nil || r.table == nil {
		return nil, nil
	}
	sel := &selection{Selector: cache.Selector{Namespace: namespace}}
	var err error
	if where != nil {
		c := &call{res: r, typ: r.Type, version: r.Hub, verb: "list", namespace: namespace}
		c.list.FieldSelector = where.String()
		if sel, err = c.parseSelection(); err != nil {
			return nil, err
		}
	}
	snap, err := r.table.Snapshot(ctx, cache.At{Consistency: cache.Consistent})
	if err != nil {
		return nil, dress(err)
	}
	var found []registry.Object
	snap.Range(sel.prefix(r.Namespaced), "", func(i *cache.Item) bool {
		if !sel.selects(i) {
			return true
		}
		var o registry.Object
		if o, err = r.object(i); err != nil {
			return false
		}
		found = append(found, o)
		return true
	})
	return found, err
}

// Follow implements access.Objects.
func (s *Storage) Follow(gr schema.GroupResource, change func(namespace, name string, o registry.Object)) {
	r := s.routes.Load().byResource(gr)
	if r == nil || r.table == nil {
		return
	}
	f := &follower{res: r, change: change, log: s.log}
	if f.begin() {
		go f.run()
	}
}

// follower tells a function of every change of a resource, for as long as the server runs.
type follower struct {
	res     *resource
	change  func(namespace, name string, o registry.Object)
	log     *slog.Logger
	watcher *cache.Watcher
	// known are the keys that change was told of, so that after a cut it also learns what went away.
	known map[string]bool
}

// begin tells of all that is there. It is false when the server has stopped.
func (f *follower) begin() bool {
	ctx := context.Background()
	w, err := f.res.table.Watch(ctx, cache.WatchOptions{Initial: true})
	if err != nil {
		return false
	}
	f.watcher = w
	before := f.known
	f.known = map[string]bool{}
	for {
		b, err := w.Next(ctx)
		if err != nil {
			return false
		}
		f.apply(b)
		if b.InitialDone {
			break
		}
	}
	for key := range before {
		if !f.known[key] {
			f.tell(key, nil)
		}
	}
	return true
}

func (f *follower) run() {
	for {
		b, err := f.watcher.Next(context.Background())
		var expired *cache.ExpiredError
		if errors.As(err, &expired) && f.begin() {
			continue
		}
		if err != nil {
			return
		}
		f.apply(b)
	}
}

func (f *follower) apply(b cache.Batch) {
	for _, e := range b.Events {
		if e.Type == cache.Deleted {
			delete(f.known, e.Item.Key)
			f.tell(e.Item.Key, nil)
			continue
		}
		o, err := f.res.object(e.Item)
		if err != nil {
			f.log.Error("decode a stored object", "resource", f.res.GroupResource(), "key", e.Item.Key, "err", err)
			continue
		}
		f.known[e.Item.Key] = true
		f.tell(e.Item.Key, o)
	}
}

func (f *follower) tell(key string, o registry.Object) {
	namespace, name := splitKey(f.res.Type, key)
	f.change(namespace, name, o)
}
