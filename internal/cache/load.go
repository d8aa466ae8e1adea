package cache

import (
	"context"
	"errors"
	"time"

	"github.com/proa-dev/proa/internal/store"
)

// load makes all tables live at the store's present revision, unless they are.
func (c *Cache) load(ctx context.Context) error {
	release, err := c.loading(ctx)
	if err != nil {
		return err
	}
	defer release()
	if c.isLoaded() {
		return nil
	}
	reached, err := c.install(ctx, c.all())
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loaded = true
	c.progress.advance(reached)
	select {
	case <-c.ready:
	default:
		close(c.ready)
	}
	return nil
}

func (c *Cache) isLoaded() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.loaded
}

// install loads tables from a snapshot not older than the cache, and makes them live. Who calls it holds
// the loader's token.
func (c *Cache) install(ctx context.Context, tables []*Table) (store.Revision, error) {
	snap, err := c.snapshot(ctx)
	if err != nil {
		return 0, err
	}
	defer snap.Close()
	drafts := make(map[*Table]*draft, len(tables))
	for _, t := range tables {
		d, err := t.read(snap)
		if err != nil {
			return 0, err
		}
		drafts[t] = d
	}
	if err := c.recall(ctx, snap.Revision(), drafts); err != nil {
		return 0, err
	}
	for t, d := range drafts {
		t.install(d, snap.Revision())
	}
	return snap.Revision(), nil
}

// snapshot takes a store's snapshot that is at least as new as the cache. An event may arrive a moment
// before its commit is acknowledged, and only then must a snapshot have it.
func (c *Cache) snapshot(ctx context.Context) (store.Snapshot, error) {
	reached := c.progress.reached.Load()
	for {
		snap, err := c.store.Snapshot(ctx)
		if err != nil || snap.Revision() >= reached {
			return snap, err
		}
		snap.Close()
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// draft is a table being loaded.
type draft struct {
	table *Table
	tree  *tree
	bytes int64
	// past is the store's events, as many as the window's bounds allow; those before first are given
	// up. All after the revision floor are there.
	past      []store.Event
	first     int
	pastBytes int64
	floor     store.Revision
}

// recallLimit is how long the store may take to go on with its past. A store that has nothing more to
// say below a revision must not keep the tables from starting.
const recallLimit = 2 * time.Second

// recall reads the store's events up to a revision into the drafts. If none has an item, as when a new
// resource is added, they are left without a past: there is nothing to resume but deletions.
func (c *Cache) recall(ctx context.Context, upTo store.Revision, drafts map[*Table]*draft) error {
	byPrefix, items := map[string]*draft{}, 0
	for t, d := range drafts {
		byPrefix[t.schema.Prefix] = d
		items += d.tree.Len()
	}
	oldest, err := c.store.Oldest(ctx)
	if err != nil || items == 0 || oldest >= upTo {
		return err
	}
	err = c.readPast(ctx, oldest, upTo, byPrefix)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		c.options.Logger.Warn("cache: starting without a past: the store did not go on with it", "from", oldest, "to", upTo)
		for _, d := range byPrefix {
			d.past, d.first, d.floor = nil, 0, upTo
		}
		return nil
	}
	return err
}

func (c *Cache) readPast(ctx context.Context, oldest, upTo store.Revision, byPrefix map[string]*draft) error {
	stream, err := c.store.Events(ctx, oldest)
	if err != nil {
		return err
	}
	defer stream.Close()
	for _, d := range byPrefix {
		d.floor = oldest
	}
	for last := oldest; last < upTo; last = max(last, stream.Reached()) {
		limited, cancel := context.WithTimeout(ctx, recallLimit)
		events, err := stream.Next(limited)
		cancel()
		if err != nil {
			return err
		}
		for _, e := range events {
			last = max(last, e.Revision)
			if d := lookup(byPrefix, e.Key); d != nil && e.Revision <= upTo {
				d.add(e, &c.options)
			}
		}
	}
	return nil
}

// add puts an event into the draft's past.
func (d *draft) add(e store.Event, o *Options) {
	d.past = append(d.past, e)
	d.pastBytes += pastCost(&e)
	for len(d.past)-d.first > o.WindowEvents || d.pastBytes > o.WindowBytes {
		given := &d.past[d.first]
		d.pastBytes -= pastCost(given)
		d.floor = given.Revision
		*given = store.Event{}
		d.first++
	}
	if d.first > 1024 && d.first > len(d.past)/2 {
		d.past = append([]store.Event(nil), d.past[d.first:]...)
		d.first = 0
	}
}

func pastCost(e *store.Event) int64 { return int64(changeOverhead + len(e.Prev)) }

// window makes the draft's past the table's. Where the state has an item it is the one in the past, too.
func (d *draft) window() window {
	w := window{floor: d.floor}
	latest := map[string]*Item{} // by key; nil when deleted
	now := d.table.cache.clock()
	for n := range d.past[d.first:] {
		e := &d.past[d.first+n]
		key := d.table.key(e.Key)
		prev, known := latest[key]
		if !known && e.Prev != nil {
			prev = d.table.describe(store.KV{Key: e.Key, Value: e.Prev, Revision: e.PrevRevision}, nil)
		}
		item := d.item(e, key)
		latest[key] = item
		if item != nil || prev != nil {
			w.push(&change{rev: e.Revision, at: now, item: item, prev: prev})
		}
	}
	return w
}

// item is an event's new state.
func (d *draft) item(e *store.Event, key string) *Item {
	if e.Value == nil {
		return nil
	}
	if i, ok := d.tree.Get(&Item{Key: key}); ok && i.Revision == e.Revision {
		return i
	}
	return d.table.incoming(e)
}

// install makes the draft the table, and the table live, with what was put by meanwhile. A table that was live before gets a new life:
// its watchers expire.
func (t *Table) install(d *draft, rev store.Revision) {
	past := d.window()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase == removed {
		return
	}
	t.expired += uint64(t.interest.count)
	t.empty(&ExpiredError{Requested: t.revision, Oldest: past.floor})
	t.tree, t.window, t.bytes = d.tree, past, d.bytes
	t.revision, t.phase = rev, live
	backlog := t.backlog
	t.backlog = nil
	t.absorb(backlog, t.incomingAll(backlog), rev)
}
