package cache

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/proa-dev/proa/internal/store"
)

// Table is one resource's present and recent past.
type Table struct {
	schema Schema
	cache  *Cache

	inbox   []store.Event // the feeder's: this batch's events for the table
	damaged atomic.Uint64
	making  sync.Mutex // held while a change's gone is made; never with mu
	beyond  beyond

	mu       sync.RWMutex // guards what follows, and the watchers' places
	phase    phase
	backlog  []store.Event // what came while joining
	tree     *tree
	frozen   *tree // a copy of tree as it is now; nil until asked for
	past     []pastState
	window   window
	interest interest
	revision store.Revision // all commits up to it are in the tree
	bytes    int64          // sum of the items' values
	events   uint64
	expired  uint64
	buckets  []*bucket // scratch of apply
}

// phase is a table's life.
type phase int

const (
	joining phase = iota // not loaded yet; its events are put by
	live
	removed
)

// waitLimit is how long a read waits for a revision that the cache has not reached.
const waitLimit = 3 * time.Second

func newTable(c *Cache, s Schema) *Table {
	return &Table{
		schema:   s,
		cache:    c,
		tree:     newTree(),
		interest: newInterest(s.Indexed),
	}
}

// Resource is the schema's.
func (t *Table) Resource() string { return t.schema.Resource }

// Get returns the item, or store.ErrNotFound.
func (t *Table) Get(ctx context.Context, key string, at At) (*Item, error) {
	if at.Consistency == Exact {
		s, err := t.Snapshot(ctx, at)
		if err != nil {
			return nil, err
		}
		return found(s.Get(key))
	}
	if err := t.await(ctx, at); err != nil {
		return nil, err
	}
	pivot := &Item{Key: key}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if err := t.usable(); err != nil {
		return nil, err
	}
	return found(t.tree.Get(pivot))
}

func found(i *Item, ok bool) (*Item, error) {
	if !ok {
		return nil, store.ErrNotFound
	}
	return i, nil
}

// Snapshot freezes the table.
func (t *Table) Snapshot(ctx context.Context, at At) (*Snapshot, error) {
	if err := t.await(ctx, at); err != nil {
		return nil, err
	}
	if at.Consistency == Exact {
		return t.exact(ctx, at.Revision)
	}
	if s := t.frozenNow(); s != nil {
		return s, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.freeze()
}

// Watch begins a watch. The watcher ends with its context, or by Stop.
func (t *Table) Watch(ctx context.Context, o WatchOptions) (*Watcher, error) {
	w := &Watcher{table: t, selector: o.Selector, after: o.After, sharing: o.Sharing, wake: make(chan struct{}, 1)}
	if w.selector.Labels != nil && w.selector.Labels.Empty() {
		w.selector.Labels = nil
	}
	if !o.Initial {
		return t.begin(ctx, w, nil)
	}
	if o.At.Consistency == Exact {
		s, err := t.Snapshot(ctx, o.At)
		if err != nil {
			return nil, err
		}
		return t.begin(ctx, w, func() (*Snapshot, error) { return s, nil })
	}
	if err := t.await(ctx, o.At); err != nil {
		return nil, err
	}
	return t.begin(ctx, w, t.freeze)
}

// begin gives the watcher its place, after the initial state's revision if there is to be one: frozen
// under the same lock, so that no change comes between.
func (t *Table) begin(ctx context.Context, w *Watcher, initial func() (*Snapshot, error)) (*Watcher, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.usable(); err != nil {
		return nil, err
	}
	if initial != nil {
		s, err := initial()
		if err != nil {
			return nil, err
		}
		w.initial, w.after = s, s.Revision()
	}
	if w.after < t.window.floor {
		return nil, &ExpiredError{Requested: w.after, Oldest: t.window.floor}
	}
	w.pos = t.window.after(w.after)
	w.pending = w.pos < t.window.end
	t.interest.add(w)
	w.detach = context.AfterFunc(ctx, func() { w.end(ctx.Err()) })
	return w, nil
}

// end takes a watcher out of the table. The table's mu is held for writing.
func (t *Table) end(w *Watcher, reason error) {
	if w.ended != nil {
		return
	}
	w.ended = reason
	t.interest.remove(w)
	w.detach()
	w.Wake()
}

// await waits until the cache has reached what the read asks for.
func (t *Table) await(ctx context.Context, at At) error {
	want := at.Revision
	switch at.Consistency {
	case Any:
		return nil
	case Consistent:
		present, err := t.cache.store.Revision(ctx)
		if err != nil {
			return err
		}
		want = present
	}
	return t.cache.await(ctx, want)
}

// usable says why the table cannot be read. The table's mu is held.
func (t *Table) usable() error {
	switch t.phase {
	case joining:
		return ErrStarting
	case removed:
		return ErrNoTable
	default:
		return nil
	}
}

// now is the revision of the table's state. The table's mu is held. The feeder moves the cache's
// revision only after every table has the commits up to it, so the state is never older than that.
func (t *Table) now() store.Revision {
	return max(t.revision, t.cache.progress.reached.Load())
}

func (t *Table) stats() TableStats {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return TableStats{
		Resource:     t.schema.Resource,
		Items:        t.tree.Len(),
		Bytes:        t.bytes,
		Events:       t.events,
		Damaged:      t.damaged.Load(),
		WindowEvents: t.window.len(),
		WindowBytes:  t.window.bytes,
		Oldest:       t.window.floor,
		Watchers:     t.interest.count,
		Expired:      t.expired,
	}
}
