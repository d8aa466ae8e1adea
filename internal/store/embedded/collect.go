package embedded

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/proa-dev/proa/internal/store"
)

// collector has the space of dead values back, in the background. A segment that nothing leads to is removed. When more is
// dead than alive, the segment with the least alive is emptied: its present values are written once more, at the log's
// end, by the pipeline and among other commits, and then it is removed like the others.
//
// Invariants:
//
//  1. A segment's live is the size of those of its entries that k leads to, or l as to what stood there before a commit.
//     Whatever makes or cuts such a lead changes it, in the same batch.
//  2. l may also lead, as to what a commit wrote, to a value that was moved since. So a segment is needed until the last
//     commit at the time of the last move out of it is no more in the history.
//  3. A segment's file goes when the index that does not need it is on the device: before that a crash could bring back one
//     that does. Who reads a view has the files that it leads to, removed or not.
type collector struct {
	e    *Engine
	wake chan struct{}
	// done are segments that need not be emptied again: nothing of them can be had back before the history lets go, or
	// they could not be read. It is of who has the pipeline's turn.
	done map[uint64]bool
}

const (
	// collectSlack is how many segments' worth of dead values is left alone.
	collectSlack = 2
	// moveBytes bounds the values that are moved with one commit, so that others do not wait for long.
	moveBytes = 64 << 10
)

// look wakes run.
func (c *collector) look() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run ends with stop.
func (c *collector) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-c.wake:
		}
		for more := true; more; {
			var err error
			more, err = c.collect()
			select {
			case <-stop:
				return
			default:
			}
			if c.e.failure.get() != nil {
				return
			}
			if err != nil && !errors.Is(err, store.ErrClosed) {
				c.e.opts.Logger.Error("collecting what is dead in the store's log", "err", err)
			}
		}
	}
}

// collect does one step and says whether there may be another one.
func (c *collector) collect() (more bool, err error) {
	if c.e.full.Load() {
		return false, nil // whoever finds room wakes us
	}
	var unneeded []uint64
	var worst uint64
	var end int64
	err = c.e.do(func(w *writer, _ *group) error {
		unneeded, worst = c.choose(w)
		if len(unneeded) == 0 && worst != 0 {
			c.done[worst], end = true, w.segments[worst].end // or it will be
		}
		return nil
	})
	switch {
	case err != nil:
		return false, err
	case len(unneeded) > 0:
		return true, c.remove(unneeded)
	case worst != 0:
		return true, c.empty(worst, end)
	}
	return false, nil
}

// choose finds the segments that can be removed, and the one that is to be emptied, or 0. What is dead in a segment that is
// done counts for nothing: it is not had back by emptying others.
func (c *collector) choose(w *writer) (unneeded []uint64, worst uint64) {
	var live, dead int64
	for id, s := range w.segments {
		switch {
		case id >= w.state.log.segment:
			live += s.live
		case s.live == 0:
			// As the index has it: before a crash it could forget the cut that the history has begun.
			if s.movedAt <= w.oldest {
				unneeded = append(unneeded, id)
			}
		case c.done[id]:
			live += s.live
		default:
			live += s.live
			dead += s.end - s.live
			if worst == 0 || s.live*w.segments[worst].end < w.segments[worst].live*s.end {
				worst = id
			}
		}
	}
	if dead <= live+collectSlack*w.e.log.limit || worst != 0 && !c.e.disk.hasRoomToCollect(w.segments[worst].live) {
		worst = 0
	}
	return unneeded, worst
}

// remove makes an end of segments.
func (c *collector) remove(ids []uint64) error {
	err := c.e.do(func(w *writer, g *group) error {
		w.changes(g)
		for _, id := range ids {
			delete(w.segments, id)
			w.touched[id] = true
			delete(c.done, id)
		}
		w.e.log.remove(ids)
		return nil
	})
	if err != nil {
		return err
	}
	if err := c.e.await(c.e.db.Flush); err != nil {
		return err
	}
	return c.e.log.removeFiles(ids)
}

// empty moves the present values out of a segment that was written up to the end.
func (c *collector) empty(id uint64, end int64) error {
	v, err := c.e.readers.acquire()
	if err != nil {
		return err
	}
	defer c.e.readers.giveBack(v)
	seg := v.files.byID[id]
	if seg == nil {
		return fmt.Errorf("%w: %s is missing", store.ErrCorrupt, segmentName(id))
	}
	m := mover{e: c.e, view: v}
	to, err := seg.frames(0, end, func(units []byte, offset, _ int64) error {
		return eachUnit(units, id, offset, m.add)
	})
	if err == nil && to != end {
		err = fmt.Errorf("%w: no frame in %s at %d", store.ErrCorrupt, segmentName(id), to)
	}
	if err != nil {
		return err
	}
	return m.move()
}

// mover moves values from a segment to the end of the log.
type mover struct {
	e     *Engine
	view  *view
	found []found
	bytes int64
}

// found is an entry and where it was.
type found struct {
	entry entry
	at    place
}

// add takes those entries of a unit that are present values.
func (m *mover) add(u *unit) error {
	for i, e := range u.entries {
		if e.deleted {
			continue
		}
		live, err := m.view.live(e.key)
		if err != nil {
			return err
		}
		if live.at != u.places[i] {
			continue
		}
		e.value = append([]byte{}, e.value...)
		m.found = append(m.found, found{e, u.places[i]})
		if m.bytes += u.places[i].size; m.bytes >= moveBytes {
			if err := m.move(); err != nil {
				return err
			}
		}
	}
	return nil
}

// move writes what was found once more, but for what has changed meanwhile.
func (m *mover) move() error {
	values := m.found
	m.found, m.bytes = nil, 0
	if len(values) == 0 {
		return nil
	}
	return m.e.do(func(w *writer, g *group) error {
		still := values[:0:0]
		for _, v := range values {
			now, err := w.lookUp(v.entry.key)
			if err != nil {
				return err
			}
			if now.revision != 0 && now.at == v.at {
				still = append(still, v)
			}
		}
		if len(still) == 0 {
			return nil
		}
		if err := w.begin(g); err != nil {
			return err
		}
		w.frame = appendUnit(w.frame, unitMoves, 0, len(still))
		for _, v := range still {
			w.move(g.batch, v.entry, w.append(v.entry), v.at)
		}
		return nil
	})
}

// move writes into the index that a value is at another place.
func (w *writer) move(b *pebble.Batch, e entry, to, from place) {
	w.putLive(b, e, to)
	w.segment(to.segment).live += to.size
	old := w.segment(from.segment)
	old.live -= from.size
	old.movedAt = w.state.revision
}
