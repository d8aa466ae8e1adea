package cache

import (
	"time"

	"github.com/proa-dev/proa/internal/store"
)

// apply takes over the table's events of whole commits up to a revision. Only the feeder calls it.
func (t *Table) apply(events []store.Event, upTo store.Revision) {
	if !t.takes(events) {
		return
	}
	for _, w := range t.commit(events, t.incomingAll(events), upTo) {
		w.signal()
	}
}

// takes says whether the table is live; if it is joining it puts the events by.
func (t *Table) takes(events []store.Event) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase == joining {
		t.backlog = append(t.backlog, events...)
	}
	return t.phase == live
}

// incomingAll is the events' new states.
func (t *Table) incomingAll(events []store.Event) []*Item {
	items := make([]*Item, len(events))
	for n := range events {
		items[n] = t.incoming(&events[n])
	}
	return items
}

// incoming is the event's new state; nil if there is none or it is damaged.
func (t *Table) incoming(e *store.Event) *Item {
	if e.Value == nil {
		return nil
	}
	return t.describe(store.KV{Key: e.Key, Value: e.Value, Revision: e.Revision}, e.Hint)
}

// commit makes the events the table's state, and returns the watchers to wake.
func (t *Table) commit(events []store.Event, items []*Item, upTo store.Revision) (woken []*Watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase != live {
		return nil
	}
	return t.absorb(events, items, upTo)
}

// absorb is commit for who holds the table's mu for writing.
func (t *Table) absorb(events []store.Event, items []*Item, upTo store.Revision) (woken []*Watcher) {
	now := t.cache.clock()
	for n := range events {
		if events[n].Revision <= t.revision {
			continue // loaded with a snapshot, or seen before the stream broke
		}
		upTo = max(upTo, events[n].Revision)
		if c := t.change(&events[n], items[n], now); c != nil {
			woken = t.publish(c, woken)
		}
	}
	t.revision = max(t.revision, upTo)
	t.frozen = nil
	t.trim(now)
	return woken
}

// change puts one event into the tree; nil if that changes nothing.
func (t *Table) change(e *store.Event, item *Item, now time.Duration) *change {
	prev := t.put(e.Key, item)
	if item == nil && prev == nil {
		return nil
	}
	c := &change{rev: e.Revision, at: now, item: item, prev: prev}
	if prev != nil {
		t.bytes -= int64(len(prev.Value))
	}
	if item != nil {
		t.bytes += int64(len(item.Value))
	}
	t.events++
	return c
}

// put sets or, with nil, deletes an item, and returns what stood there.
func (t *Table) put(storeKey string, item *Item) (prev *Item) {
	if item != nil {
		prev, _ = t.tree.Set(item)
		return prev
	}
	prev, _ = t.tree.Delete(&Item{Key: t.key(storeKey)})
	return prev
}

// publish puts a change into the window and finds the watchers to wake.
func (t *Table) publish(c *change, woken []*Watcher) []*Watcher {
	number := t.window.push(c)
	t.buckets = t.interest.find(t.buckets[:0], c)
	for _, b := range t.buckets {
		for _, w := range b.watchers {
			if w.offer(c, number) {
				woken = append(woken, w)
			}
		}
	}
	return woken
}

// trim keeps the window's bounds. What leaves it need not be remembered any more.
func (t *Table) trim(now time.Duration) {
	before := t.window.base
	for t.window.over(&t.cache.options, now) {
		t.retire(t.window.drop())
	}
	if t.window.base != before {
		t.forgetPast()
	}
}

func (t *Table) retire(c *change) {
	if c.prev != nil {
		t.cache.memos.retire(c.prev)
	}
	if gone := c.gone.Load(); gone != nil {
		t.cache.memos.retire(gone)
	}
}

// event is what a watcher is given of a change.
func (t *Table) event(s sighting) Event {
	c := s.change
	if s.kind == Deleted {
		return Event{Type: Deleted, Item: t.gone(c), Prev: c.prev}
	}
	return Event{Type: s.kind, Item: c.item, Prev: c.prev}
}

// gone is the state before a change with the change's revision: what those see for whom the object is
// no more. It is made for the first of them and shared by all. Most changes never need it.
func (t *Table) gone(c *change) *Item {
	if i := c.gone.Load(); i != nil {
		return i
	}
	t.making.Lock()
	defer t.making.Unlock()
	if i := c.gone.Load(); i != nil {
		return i
	}
	i := t.describe(store.KV{Key: t.schema.Prefix + c.prev.Key, Value: c.prev.Value, Revision: c.rev}, nil)
	if i == nil {
		i = c.prev.at(c.rev)
	}
	c.gone.Store(i)
	return i
}

// describe is the schema's Describe for the store's key, with what the cache itself knows. Damage is
// reported and gives nil.
func (t *Table) describe(kv store.KV, hint any) *Item {
	i, err := t.schema.Describe(kv, hint)
	if err != nil {
		t.damaged.Add(1)
		t.cache.options.Logger.Error("cache: leaving out a damaged value",
			"resource", t.schema.Resource, "key", kv.Key, "revision", kv.Revision, "error", err)
		return nil
	}
	i.Key = t.key(kv.Key)
	i.Revision = kv.Revision
	i.pack()
	t.cache.memos.adopt(i)
	return i
}

// key is the item's key for the store's.
func (t *Table) key(storeKey string) string { return storeKey[len(t.schema.Prefix):] }
