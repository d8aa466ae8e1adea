package cache

import (
	"slices"
	"sync"
	"sync/atomic"
)

// memos is what a cache's items remember beside their values, within one budget of bytes.
//
// Only items that were asked for something have a memo; the others all point to one mark, from which
// they find their cache. Memos stand in a ring with a clock's hand: whenever the budget is exceeded the
// hand goes round and drops every memo that nobody used since it last came by. Cool drops those that
// nobody has used between two calls, whatever the budget. An item that can no
// longer be found in the cache is retired: it loses its memo and gets no other.
//
// Locks: a form's or object's mu before memo.mu, before memos.mu.
type memos struct {
	limit int64
	cold  *memo // the mark of items with nothing to remember

	mu    sync.Mutex
	ring  []*memo // guarded by mu
	hand  int     // guarded by mu
	bytes int64   // guarded by mu
}

// memo is what one item remembers.
type memo struct {
	owner *memos // nil until the item is in a cache
	item  *Item  // nil for the cold mark
	used  atomic.Bool

	mu    sync.Mutex
	forms []*form // guarded by mu

	object weakly

	place  int   // in the ring, -1 outside; guarded by owner.mu
	bytes  int64 // guarded by owner.mu
	closed bool  // dropped or retired: charged no more; guarded by owner.mu
	cooled bool  // was there when cool was last called; guarded by owner.mu
}

// form is one derived encoding.
type form struct {
	name  string
	mu    sync.Mutex // held while the bytes are made
	bytes []byte     // guarded by mu; nil until made
}

// memoOverhead is about what a memo costs beside the bytes it remembers.
const memoOverhead = 320

func newMemos(limit int64) *memos {
	ms := &memos{limit: limit}
	ms.cold = &memo{owner: ms, place: -1}
	return ms
}

// adopt lets an item that nobody else has seen yet remember things in this cache.
func (ms *memos) adopt(i *Item) {
	m := i.memo.Load()
	if m == nil {
		i.memo.Store(ms.cold)
		return
	}
	m.owner = ms
	m.charge(0)
}

// retire makes an item forget, for good.
func (ms *memos) retire(i *Item) {
	m := i.memo.Swap(nil)
	if m == nil || m.item == nil {
		return
	}
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.drop(m)
}

func (ms *memos) stats() (entries int, bytes int64) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return len(ms.ring), ms.bytes
}

// sweep turns the hand until the budget is kept. It spares the newest as long as there are others: it is
// not marked as used before its second use, or else one sweep would find everything used.
func (ms *memos) sweep(newest *memo) {
	for ms.bytes > ms.limit && len(ms.ring) > 0 {
		if ms.hand >= len(ms.ring) {
			ms.hand = 0
		}
		m := ms.ring[ms.hand]
		if m.used.Swap(false) || m == newest && len(ms.ring) > 1 {
			ms.hand++
			continue
		}
		ms.drop(m)
		m.item.memo.CompareAndSwap(m, ms.cold)
	}
}

// cool drops what was there at its last call and has not been used since. Where there is nothing but an
// object that somebody holds, dropping would gain nothing and make a second one. It returns how many bytes it
// dropped, and whether there are encodings left.
func (ms *memos) cool() (freed int64, more bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	before := ms.bytes
	for n := len(ms.ring) - 1; n >= 0; n-- { // from the end: drop fills a hole with the last
		m := ms.ring[n]
		if m.used.Swap(false) || !m.cooled || m.bytes == memoOverhead && m.object.alive() {
			m.cooled = true
			more = more || m.bytes > memoOverhead
			continue
		}
		ms.drop(m)
		m.item.memo.CompareAndSwap(m, ms.cold)
	}
	if len(ms.ring) < cap(ms.ring)/4 {
		ms.ring = slices.Clone(ms.ring)
	}
	return before - ms.bytes, more
}

// drop takes a memo out of the ring; the last one takes its place.
func (ms *memos) drop(m *memo) {
	m.closed = true
	if m.place < 0 {
		return
	}
	last := len(ms.ring) - 1
	ms.ring[m.place] = ms.ring[last]
	ms.ring[m.place].place = m.place
	ms.ring[last] = nil
	ms.ring = ms.ring[:last]
	ms.bytes -= m.bytes
	m.place = -1
}

// touch tells the clock that the memo is in use.
func (m *memo) touch() {
	if !m.used.Load() {
		m.used.Store(true)
	}
}

// form returns the place for an encoding.
func (m *memo) form(name string) *form {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.forms {
		if f.name == name {
			return f
		}
	}
	f := &form{name: name}
	m.forms = append(m.forms, f)
	return f
}

// charge counts n more bytes, and the memo itself the first time.
func (m *memo) charge(n int64) {
	ms := m.owner
	if ms == nil {
		return
	}
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if m.closed {
		return
	}
	if m.place < 0 {
		m.place = len(ms.ring)
		ms.ring = append(ms.ring, m)
		n += memoOverhead
	}
	m.bytes += n
	ms.bytes += n
	ms.sweep(m)
}
