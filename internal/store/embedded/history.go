package embedded

import (
	"errors"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/proa-dev/proa/internal/store"
)

// history cuts the log back, by age and by size, in the background. Every commit record carries its time
// and the log's length so far, so the place to cut is found by bisection and nothing is kept in memory.
// The cut is one range deletion: its cost does not depend on how much goes.
type history struct {
	e *Engine
	// oldest is the revision that Events can start after at the earliest.
	oldest atomic.Int64
	// forgotten is what oldest is in the database. It follows oldest once the cut is in the log: a commit that goes
	// before the cut must leave whole what a crash may bring back.
	forgotten atomic.Int64
	// cutAt is the log's total at which it is to be cut by size.
	cutAt atomic.Int64
	// resting is true while there is no log, and so no timer.
	resting atomic.Bool
	wake    chan struct{}
	// cutting is held while the log is cut.
	cutting sync.Mutex
}

// grown is told the log's total after every group.
func (h *history) grown(total int64) {
	if h.resting.Load() || total >= h.cutAt.Load() {
		h.look()
	}
}

// look wakes run.
func (h *history) look() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// run ends with stop.
func (h *history) run(stop <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-h.wake:
		case <-timer.C:
		}
		next, err := h.trim(time.Now())
		if h.e.failure.get() != nil {
			return
		}
		if err != nil {
			h.e.opts.Logger.Error("cutting back the watch history", "err", err)
			next = time.Minute
		}
		timer.Stop()
		if next > 0 {
			timer.Reset(next)
		}
	}
}

// trim cuts what is too old or too much and says when to come again; 0 is when there is a log again.
func (h *history) trim(now time.Time) (next time.Duration, err error) {
	// From here on every commit wakes us; those before are in the view.
	h.resting.Store(true)
	if h.e.full.Load() {
		return 0, nil // whoever finds room wakes us
	}
	v, err := h.e.readers.acquire()
	if err != nil {
		return 0, nil // closing
	}
	defer h.e.readers.giveBack(v)
	upTo, err := h.tooMuch(v, now)
	if err != nil {
		return 0, err
	}
	if err := h.cut(upTo); err != nil {
		return 0, err
	}
	oldest := h.oldest.Load()
	if oldest >= v.revision {
		return 0, nil
	}
	first, err := logEntry(v, oldest+1)
	if err != nil {
		return 0, err
	}
	h.resting.Store(false)
	limit := h.e.opts.WatchHistoryBytes
	h.cutAt.Store(first.total + limit + limit/8)
	return time.UnixMilli(first.time).Add(h.e.opts.WatchHistory).Sub(now) + max(h.e.opts.WatchHistory/16, time.Second), nil
}

// tooMuch is the revision up to which the log is older than the window or beyond its size.
func (h *history) tooMuch(v *view, now time.Time) (store.Revision, error) {
	oldest := h.oldest.Load()
	if oldest >= v.revision {
		return oldest, nil
	}
	last, err := logEntry(v, v.revision)
	if err != nil {
		return 0, err
	}
	deadline := now.Add(-h.e.opts.WatchHistory).UnixMilli()
	n := sort.Search(int(v.revision-oldest), func(i int) bool {
		entry, entryErr := logEntry(v, oldest+1+store.Revision(i))
		if entryErr != nil {
			err = entryErr
		}
		return entry.time > deadline && last.total-entry.total < h.e.opts.WatchHistoryBytes
	})
	return oldest + store.Revision(n), err
}

func logEntry(v *view, rev store.Revision) (entry commitRecord, err error) {
	k := logKey(rev)
	found, err := v.get(k, func(record []byte) (err error) {
		entry, err = decodeCommit(k, record)
		return err
	})
	if err == nil && !found {
		err = damaged(k, "missing")
	}
	return entry, err
}

// cut forgets the log up to the revision. The cut need not be synced: a crash may bring the end of what
// was cut back, whole.
func (h *history) cut(upTo store.Revision) error {
	h.cutting.Lock()
	defer h.cutting.Unlock()
	if upTo <= h.oldest.Load() {
		return nil
	}
	if err := h.e.failure.get(); err != nil {
		return err
	}
	if h.e.full.Load() {
		return h.e.noSpace()
	}
	h.oldest.Store(upTo)
	h.e.tail.compact(upTo)
	b := h.e.db.NewBatch()
	mustBatch(b.DeleteRange(logKey(0), logKey(upTo+1), nil))
	mustBatch(b.DeleteRange(forwardKey(0, ""), forwardBound(upTo), nil))
	mustBatch(b.Set(oldestKey, encodeNumber(oldestKey, upTo), nil))
	applied := make(chan error, 1)
	go func() { applied <- h.e.db.Apply(b, pebble.NoSync) }() // which does not return if the disk fails
	select {
	case err := <-applied:
		if err == nil {
			h.forgotten.Store(upTo)
		}
		return errors.Join(err, b.Close())
	case <-h.e.failure.happened:
		return h.e.failure.get()
	}
}
