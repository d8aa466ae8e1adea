package cache

import (
	"sort"
	"sync/atomic"
	"time"

	"github.com/proa-dev/proa/internal/store"
)

// change is one event of a table.
type change struct {
	rev  store.Revision
	at   time.Duration        // since the cache's start, by the monotonic clock
	item *Item                // the new state; nil when deleted
	prev *Item                // the state before; nil when created
	gone atomic.Pointer[Item] // prev with the revision of the change; nil until somebody needs it
}

func (c *change) key() string {
	if c.item != nil {
		return c.item.Key
	}
	return c.prev.Key
}

// size is that of the value that the change is told with.
func (c *change) size() int {
	if c.item != nil {
		return len(c.item.Value)
	}
	return len(c.prev.Value)
}

// changeOverhead is about what a change costs beside the values it alone keeps alive.
const changeOverhead = 200

// cost is what goes when the change leaves the window: its new state lives on.
func (c *change) cost() int64 {
	if c.prev == nil {
		return changeOverhead
	}
	return int64(changeOverhead + len(c.prev.Value))
}

// window is a table's recent past: changes numbered without gaps from base to end. All changes after
// the revision floor are in it.
type window struct {
	ring  []*change // the change number n is at n modulo the length, a power of two
	base  uint64    // number of the oldest change
	end   uint64    // number of the next change
	floor store.Revision
	bytes int64
}

const smallestRing = 16

func (w *window) len() int { return int(w.end - w.base) }

func (w *window) at(n uint64) *change { return w.ring[n&uint64(len(w.ring)-1)] }

func (w *window) push(c *change) (number uint64) {
	if w.len() == len(w.ring) {
		w.resize(max(smallestRing, 2*len(w.ring)))
	}
	number = w.end
	w.end++
	w.ring[number&uint64(len(w.ring)-1)] = c
	w.bytes += c.cost()
	return number
}

// drop gives up the oldest change.
func (w *window) drop() *change {
	slot := &w.ring[w.base&uint64(len(w.ring)-1)]
	c := *slot
	*slot = nil
	w.base++
	w.floor = c.rev
	w.bytes -= c.cost()
	if len(w.ring) > smallestRing && w.len() < len(w.ring)/4 {
		w.resize(len(w.ring) / 2)
	}
	return c
}

// over says whether the oldest change must go.
func (w *window) over(o *Options, now time.Duration) bool {
	if w.len() == 0 {
		return false
	}
	return w.len() > o.WindowEvents || w.bytes > o.WindowBytes || now-w.at(w.base).at > o.WindowAge
}

// after is the number of the first change after a revision.
func (w *window) after(rev store.Revision) uint64 {
	if w.len() == 0 || w.at(w.end-1).rev <= rev {
		return w.end
	}
	return w.base + uint64(sort.Search(w.len(), func(i int) bool { return w.at(w.base+uint64(i)).rev > rev }))
}

func (w *window) resize(size int) {
	old := *w
	w.ring = make([]*change, size)
	for n := w.base; n < w.end; n++ {
		w.ring[n&uint64(size-1)] = old.at(n)
	}
}
