package embedded

import (
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/proa-dev/proa/internal/store"
)

// history cuts the commits in the index back, by age and by size, in the background. Every commit record carries its time
// and the history's size so far, so the place to cut is found by bisection and nothing is kept in memory. What was replaced
// by a commit that is cut is needed no more: the cut says so to the segments that it is in, and collect.go has its space
// back.
type history struct {
	e *Engine
	// oldest is the revision that Events can start after at the earliest.
	oldest atomic.Int64
	// cutAt is the history's total at which it is to be cut by size.
	cutAt atomic.Int64
	// resting is true while there is no history, and so no timer.
	resting atomic.Bool
	wake    chan struct{}
	// cutting is held while the history is cut.
	cutting sync.Mutex
}

// grown is told the history's total after every group.
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

// trim cuts what is too old or too much and says when to come again; 0 is when there is a history again.
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

// tooMuch is the revision up to which the history is older than the window or beyond its size.
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

// cutStep bounds how many commits are cut at a time.
const cutStep = 1 << 12

// cut forgets the commits up to the revision. The cut need not be synced: a crash may bring the end of what
// was cut back, whole.
func (h *history) cut(upTo store.Revision) error {
	h.cutting.Lock()
	defer h.cutting.Unlock()
	if h.e.full.Load() && upTo > h.oldest.Load() {
		return h.e.noSpace()
	}
	for oldest := h.oldest.Load(); oldest < upTo; oldest = h.oldest.Load() {
		if err := h.cutOne(oldest, min(upTo, oldest+cutStep)); err != nil {
			return err
		}
	}
	return nil
}

func (h *history) cutOne(oldest, upTo store.Revision) error {
	dead, err := h.replaced(oldest, upTo)
	if err != nil {
		return err
	}
	h.oldest.Store(upTo)
	h.e.tail.compact(upTo)
	err = h.e.do(func(w *writer, g *group) error {
		w.changes(g)
		w.oldest = upTo
		for id, n := range dead {
			w.segment(id).live -= n
		}
		mustBatch(g.batch.DeleteRange(logKey(0), logKey(upTo+1), nil))
		mustBatch(g.batch.Set(oldestKey, encodeNumber(oldestKey, upTo), nil))
		return nil
	})
	if err == nil {
		h.e.collector.look()
	}
	return err
}

// replaced sums up, by segment, what the commits after oldest up to the other revision have replaced.
func (h *history) replaced(oldest, upTo store.Revision) (dead map[uint64]int64, err error) {
	v, err := h.e.readers.acquire()
	if err != nil {
		return nil, err
	}
	defer h.e.readers.giveBack(v)
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: logKey(oldest + 1), UpperBound: logKey(upTo + 1)})
	if err != nil {
		return nil, readError(logKey(oldest+1), err)
	}
	defer it.Close()
	dead = make(map[uint64]int64)
	for ok := it.First(); ok; ok = it.Next() {
		record, err := it.ValueAndErr()
		if err != nil {
			return nil, readError(it.Key(), err)
		}
		_, _, err = eachChange(it.Key(), record, func(ch change, _ []byte) {
			if ch.prevRevision != 0 {
				dead[ch.prev.segment] += ch.prev.size
			}
		})
		if err != nil {
			return nil, err
		}
	}
	if err := it.Error(); err != nil {
		return nil, readError(logKey(upTo), err)
	}
	return dead, nil
}
