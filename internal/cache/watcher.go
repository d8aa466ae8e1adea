package cache

import (
	"context"
	"slices"

	"github.com/proa-dev/proa/internal/store"
)

// How a watcher keeps its place without being touched.
//
// A table numbers its changes without gaps and keeps the latest of them in its window. A watcher has no
// buffer, only two fields, both guarded by the table's mu:
//
//	pending  there may be a change in the window that it wants and has not returned
//	pos      if pending, the number of the first such change
//
// While it is not pending it has seen everything up to now, whatever passes by: no change that it does
// not want writes to it, and it can never fall out of the window. The feeder, which holds mu for writing
// while it applies changes, looks up the watchers that may want a change, asks the selector of those not
// pending, and sets pos and pending of those that do want it. The others cost it one look.
//
// A pull holds mu for reading. It walks the window from pos with the selector, stops after some changes or
// bytes, but at a commit's end, and writes pos, or pending = false at the window's end: who is far behind, or
// stops reading, holds one batch and not the window. Only the watcher's
// own goroutine pulls and only the feeder writes otherwise, and the two locks exclude each other; so the
// invariants are:
//
//   - Every change that was applied, that the selector wants and that has not been returned has a number
//     of at least pos, and pending is set.
//   - pending with pos < window.base means that a wanted change may be lost: the watcher expires, when it
//     next pulls. Nobody walks the watchers to expire them.
//   - Not pending: everything up to the revision that the cache had reached before mu was taken has been
//     returned or is not wanted.
//
// To wake a watcher is to put a token into its channel, or to call its Ready, after mu is released, only when
// pending turns true: a thousand changes that come before it pulls cost one wake-up. There is no goroutine, no
// timer and no queue for a watcher.

// Watcher is one watch. Next, Take and Reached belong to one goroutine at a time; Stop and Wake may be called from any.
type Watcher struct {
	table    *Table
	selector Selector
	after    store.Revision // changes up to it are not wanted
	sharing  *Sharing       // nil if only Next takes
	wake     chan struct{}  // of one token
	detach   func() bool    // forgets the context it ends with

	initial *Snapshot // of the initial events that are left; nil when there are none
	cursor  string    // the last key of those returned

	pending bool    // guarded by table.mu as told above
	pos     uint64  // guarded by table.mu as told above
	bucket  *bucket // guarded by table.mu
	place   int     // in bucket; guarded by table.mu
	ended   error   // guarded by table.mu; nil while the watch goes on

	returned store.Revision // the greatest Reached so far
	seen     []sighting     // what a pull found, reused
}

// sighting is a change as the watcher's selector sees it.
type sighting struct {
	kind   EventType
	change *change
}

const (
	batchSize      = 512     // about how many events are in a batch at most
	batchBytes     = 1 << 20 // about how many bytes their items have at most, for Next
	keptSeen       = 16      // how many sightings a watcher has room for while it does nothing
	pullStretch    = 1024    // how many changes a pull looks at before it lets the feeder in
	initialStretch = 1 << 16 // how many items are looked at before the watch is asked if it goes on
)

// Next waits for events and returns those that are ready. A batch ends where a commit ends. When the
// context ends and nothing is ready it returns the context's error, and the watch goes on: a deadline is
// a way to come back for a bookmark. Once it has returned an *ExpiredError, ErrStopped, ErrNoTable, or the error of
// the context that the watch began with, it goes on returning it.
func (w *Watcher) Next(ctx context.Context) (Batch, error) {
	for over := false; ; {
		batch, again, err := w.Take(nil, batchBytes)
		if err != nil || len(batch.Events) > 0 || batch.InitialDone {
			return batch, err
		}
		switch {
		case again:
			continue
		case over:
			return Batch{}, ctx.Err()
		}
		over = w.await(ctx) // what is ready by then still comes first
	}
}

// await waits for a token, or the end of the context.
func (w *Watcher) await(ctx context.Context) (over bool) {
	if s := w.sharing; s != nil {
		s.Turn.Unlock()
		defer s.Turn.Lock()
	}
	select {
	case <-w.wake:
		return false
	case <-ctx.Done():
		return true
	}
}

// Reached is a revision up to which Next has returned everything: what a bookmark may carry. It grows
// with the whole cache's, be the table idle or not, and is 0 until the initial events are complete.
func (w *Watcher) Reached() store.Revision {
	if w.initial != nil {
		return 0
	}
	w.table.mu.RLock()
	defer w.table.mu.RUnlock()
	return w.reach()
}

// Stop ends the watch.
func (w *Watcher) Stop() {
	w.end(ErrStopped)
}

// end ends the watch for a reason, unless it has ended.
func (w *Watcher) end(reason error) {
	t := w.table
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end(w, reason)
}

// Take returns what is ready, which may be nothing, until its items have most bytes; again says that there may be more
// to look at. The events are appended to room. Errors are those of Next.
func (w *Watcher) Take(room []Event, most int) (batch Batch, again bool, err error) {
	if w.initial != nil {
		return w.takeInitial(room, most)
	}
	reached, again, err := w.pull(most)
	if err != nil || len(w.seen) == 0 {
		return Batch{}, again, err
	}
	batch = Batch{Events: slices.Grow(room, len(w.seen)), Reached: reached}
	for _, s := range w.seen {
		batch.Events = append(batch.Events, w.table.event(s))
	}
	if clear(w.seen); cap(w.seen) > keptSeen {
		w.seen = nil
	}
	return batch, again, nil
}

// takeInitial takes the next events of the initial state.
func (w *Watcher) takeInitial(room []Event, most int) (batch Batch, again bool, err error) {
	if err := w.status(); err != nil {
		return Batch{}, false, err
	}
	batch.Events = room
	done, looked, bytes := true, 0, 0
	w.initial.Range(w.selector.prefix(), w.cursor, func(i *Item) bool {
		if len(batch.Events) == batchSize || bytes >= most || looked == initialStretch {
			done = false
			return false
		}
		looked++
		w.cursor = i.Key
		if w.selector.Selects(i) {
			batch.Events = append(batch.Events, Event{Type: Added, Item: i})
			bytes += len(i.Value)
		}
		return true
	})
	if done {
		batch.InitialDone, batch.Reached = true, w.initial.Revision()
		w.initial = nil
	}
	return batch, true, nil
}

// pull fills seen with the next changes the watcher wants, of about most bytes.
func (w *Watcher) pull(most int) (reached store.Revision, again bool, err error) {
	t := w.table
	w.seen = w.seen[:0]
	t.mu.RLock()
	if w.ended == nil && w.pending && w.pos < t.window.base {
		t.mu.RUnlock()
		return 0, false, w.expire()
	}
	defer t.mu.RUnlock()
	if w.ended != nil || !w.pending {
		return 0, false, w.ended
	}
	w.walk(&t.window, most)
	w.pending = w.pos < t.window.end
	return w.reach(), w.pending, nil
}

// walk moves pos on, up to the end of a commit.
func (w *Watcher) walk(past *window, most int) {
	var last store.Revision
	bytes := 0
	for looked := 0; w.pos < past.end; looked++ {
		c := past.at(w.pos)
		if c.rev != last && (len(w.seen) >= batchSize || bytes >= most || looked >= pullStretch) {
			return
		}
		last = c.rev
		w.pos++
		if kind, ok := w.selector.see(c, w.after); ok {
			w.seen = append(w.seen, sighting{kind, c})
			bytes += c.size()
		}
	}
}

// reach is Reached for who holds the table's mu.
func (w *Watcher) reach() store.Revision {
	t := w.table
	w.returned = max(w.returned, w.after)
	switch {
	case w.ended != nil:
	case !w.pending:
		w.returned = max(w.returned, t.now())
	case w.pos >= t.window.base:
		w.returned = max(w.returned, t.window.at(w.pos).rev-1)
	}
	return w.returned
}

// offer tells the watcher of a change that it may want; it says whether the watcher is to be woken. The
// table's mu is held for writing.
func (w *Watcher) offer(c *change, number uint64) (wake bool) {
	if w.pending {
		return false
	}
	if _, ok := w.selector.see(c, w.after); !ok {
		return false
	}
	w.pending, w.pos = true, number
	return true
}

// signal tells that there is something to take.
func (w *Watcher) signal() {
	if w.sharing == nil {
		w.Wake()
		return
	}
	w.sharing.Ready(w)
}

// Wake has Next look whether there is something.
func (w *Watcher) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// status is why the watch has ended; nil while it goes on.
func (w *Watcher) status() error {
	w.table.mu.RLock()
	defer w.table.mu.RUnlock()
	return w.ended
}

// expire ends a watch that has lost changes.
func (w *Watcher) expire() error {
	t := w.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.ended == nil {
		t.expired++
	}
	t.end(w, &ExpiredError{Requested: w.after, Oldest: t.window.floor})
	return w.ended
}
