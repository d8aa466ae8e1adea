package embedded

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/proa-dev/proa/internal/store"
)

// writer turns requests into groups, and writes them to the log and to the index. Its fields, but for the gates, belong
// to who has the turn.
type writer struct {
	e  *Engine
	db *pebble.DB
	// turn and device have an element when they are free. The turn is had while a group is made and written. The device is
	// taken within it, and had while the group is synced. order is held while the group is shown, and is taken before the
	// device is given back.
	turn, device chan struct{}
	order        sync.Mutex

	// state after the last commit.
	state stateRecord
	// oldest is up to where the history is cut in the index.
	oldest store.Revision
	// segments has a record for each segment of the log that holds something, touched those that the group changed.
	segments map[uint64]*segmentRecord
	touched  map[uint64]bool
	// overlay holds what the group in the making has changed.
	overlay map[string]present
	// index reads what was there before the group; nil until it is needed.
	index *pebble.Iterator
	// found holds what is present at the keys of the request in the making, one for each op.
	found []present
	// frame is what the group writes to the log, which will be at frameAt; empty if nothing yet.
	frame   []byte
	frameAt place
	// key and record are used again for each record.
	key, record []byte
	log         commitRecord
}

// changeOverhead is what a change in the index is counted for beside its key.
const changeOverhead = 48

// present is what stands at a key; its revision is 0 if nothing does.
type present struct {
	liveRecord
	// value is nil unless it is known without reading it.
	value []byte
}

func newWriter(e *Engine, db *pebble.DB, segments map[uint64]*segmentRecord) *writer {
	w := &writer{
		e: e, db: db, segments: segments, touched: make(map[uint64]bool),
		overlay: make(map[string]present), turn: make(chan struct{}, 1), device: make(chan struct{}, 1),
	}
	w.turn <- struct{}{}
	w.device <- struct{}{}
	return w
}

// group gathers the next group and writes it, and takes the device for it. It is nil if there will be no more.
func (w *writer) group() *group {
	for {
		<-w.e.queue.filled
		<-w.turn
		if w.e.queue.drained() {
			w.turn <- struct{}{}
			w.e.queue.signal() // for the next one who waits, to end as well
			return nil
		}
		g := &group{expiry: never}
		if whole := w.add(g); len(g.requests) > 0 {
			w.gather(g, whole)
			g.err = w.write(g)
		}
		w.turn <- struct{}{}
		if len(g.requests) > 0 {
			return g
		}
	}
}

// gather adds to the group what comes until the device is free. Of what has come, another carrier may know, who waits for
// the turn.
func (w *writer) gather(g *group, whole bool) {
	for {
		filled := w.e.queue.filled
		if whole {
			filled = nil
		}
		select {
		case <-w.device:
			if !whole {
				w.add(g)
			}
			return
		case <-filled:
			whole = w.add(g)
		}
	}
}

// add checks the requests that wait, in order, and puts the effects of those that hold into the group.
func (w *writer) add(g *group) (whole bool) {
	first := len(g.requests)
	whole = w.e.queue.take(g)
	now := max(time.Now().UnixMilli(), w.state.time)
	for _, r := range g.requests[first:] {
		if r.task != nil {
			r.err = r.task(w, g)
		} else if r.err = w.check(r.ops); r.err == nil {
			r.err = w.put(g, r, now)
		}
	}
	return whole
}

// check finds what is present at the ops' keys and compares it with the preconditions.
func (w *writer) check(ops []store.Op) error {
	w.found = w.found[:0]
	for i := range ops {
		op := &ops[i]
		was, err := w.lookUp(op.Key)
		if err != nil {
			return err
		}
		holds := op.Holds(was.revision)
		if was.revision != 0 && (!holds || !op.Check) {
			if was.value, err = w.value(op.Key, was); err != nil {
				return err
			}
		}
		if !holds {
			actual := store.KV{Key: op.Key, Value: was.value, Revision: was.revision}
			return &store.ConflictError{Key: op.Key, Expect: op.Expect, Actual: actual}
		}
		w.found = append(w.found, was)
	}
	return nil
}

// lookUp finds the key as the group has left it so far. It reads with one iterator a group and not with
// Pebble's Get, which does without the Bloom filters of the largest level and so reads a block for each
// key that does not exist.
func (w *writer) lookUp(key string) (was present, err error) {
	if was, ok := w.overlay[key]; ok {
		return was, nil
	}
	w.key = append(append(w.key[:0], liveSpace), key...)
	if w.index == nil {
		w.index, err = w.db.NewIter(&pebble.IterOptions{
			LowerBound: []byte{liveSpace}, UpperBound: []byte{liveSpace + 1}, UseL6Filters: true,
		})
		if err != nil {
			return was, readError(w.key, err)
		}
	}
	if !w.index.SeekPrefixGE(w.key) {
		if err := w.index.Error(); err != nil {
			return was, readError(w.key, err)
		}
		return was, nil
	}
	record, err := w.index.ValueAndErr()
	if err != nil {
		return was, readError(w.key, err)
	}
	was.liveRecord, err = decodeLive(w.key, record)
	return was, err
}

// value is what stands at the key.
func (w *writer) value(key string, was present) ([]byte, error) {
	if was.value != nil {
		return was.value, nil
	}
	return w.e.log.files.read(key, was.revision, was.at)
}

// put writes a request's effects into the group, under the next revision.
func (w *writer) put(g *group, r *request, now int64) error {
	if err := w.begin(g); err != nil {
		return err
	}
	r.rev = w.state.revision + 1
	r.events = make([]store.Event, 0, len(r.ops))
	writes := 0
	for i := range r.ops {
		if !r.ops[i].Check {
			writes++
		}
	}
	w.frame = appendUnit(w.frame, unitCommit, now, writes)
	w.beginCommit(r.rev, now)
	for i := range r.ops {
		op, was := &r.ops[i], w.found[i]
		if op.Check {
			continue
		}
		e := entry{key: op.Key, deleted: op.Value == nil, revision: r.rev, value: op.Value}
		if op.TTL > 0 && !e.deleted {
			e.expiry = now + max(1, op.TTL.Milliseconds())
			g.expiry = min(g.expiry, e.expiry)
		}
		w.change(g.batch, e, w.append(e), was)
		r.events = append(r.events, store.Event{
			Revision: r.rev, Key: op.Key, Value: op.Value, Hint: op.Hint, Prev: was.value, PrevRevision: was.revision,
		})
	}
	w.endCommit(g.batch)
	return nil
}

// begin makes the group one that writes to the log.
func (w *writer) begin(g *group) (err error) {
	w.changes(g)
	if g.logged {
		return nil
	}
	w.frame, w.frameAt.segment, w.frameAt.offset, err = w.e.log.begin(w.frame)
	g.logged = err == nil
	return err
}

// changes makes the group one that changes the index.
func (w *writer) changes(g *group) {
	if g.batch == nil {
		g.batch = w.db.NewBatch()
	}
}

// append puts an entry into the frame.
func (w *writer) append(e entry) place {
	start := len(w.frame)
	w.frame = e.append(w.frame)
	return place{w.frameAt.segment, w.frameAt.offset + int64(start), int64(len(w.frame) - start)}
}

// beginCommit, change and endCommit write a commit, which is in the log, into the index.
func (w *writer) beginCommit(rev store.Revision, time int64) {
	w.state.revision, w.state.time = rev, time
	clear(w.log.changes)
	w.log = commitRecord{time: time, changes: w.log.changes[:0]}
}

func (w *writer) change(b *pebble.Batch, e entry, at place, was present) {
	ch := change{key: e.key, deleted: e.deleted, prevRevision: was.revision, prev: was.at}
	if was.expiry != 0 {
		mustBatch(b.Delete(expiryKey(was.expiry, e.key), nil))
	}
	if e.deleted {
		w.overlay[e.key] = present{}
		mustBatch(b.Delete(liveKey(e.key), nil))
	} else {
		ch.at = at
		if e.expiry != 0 {
			mustBatch(b.Set(expiryKey(e.expiry, e.key), nil, nil))
		}
		w.putLive(b, e, at)
		w.segment(at.segment).live += at.size
	}
	w.log.changes = append(w.log.changes, ch)
	w.state.total += was.at.size // which is kept for the history
}

// putLive says where the key's value is.
func (w *writer) putLive(b *pebble.Batch, e entry, at place) {
	live := liveRecord{revision: e.revision, expiry: e.expiry, at: at}
	w.overlay[e.key] = present{live, e.value}
	w.key = append(append(w.key[:0], liveSpace), e.key...)
	w.record = live.encode(w.key, w.record)
	mustBatch(b.Set(w.key, w.record, nil))
}

func (w *writer) endCommit(b *pebble.Batch) {
	w.key = appendLogKey(w.key[:0], w.state.revision)
	for i := range w.log.changes {
		w.state.total += int64(changeOverhead + len(w.log.changes[i].key))
	}
	w.log.total = w.state.total
	w.record = w.log.encode(w.key, w.record)
	mustBatch(b.Set(w.key, w.record, nil))
}

// segment is the record of a segment, to be changed.
func (w *writer) segment(id uint64) *segmentRecord {
	w.touched[id] = true
	s := w.segments[id]
	if s == nil {
		s = &segmentRecord{}
		w.segments[id] = s
	}
	return s
}

// mustBatch is for operations on a batch in memory, which fail only if it grows beyond 4 GiB.
func mustBatch(err error) {
	if err != nil {
		panic(fmt.Sprintf("a group of at most %d bytes and one request did not fit a batch: %v", groupBytes, err))
	}
}

// write completes the group, gives it to the log and to the index, and takes the view after it.
func (w *writer) write(g *group) (err error) {
	clear(w.overlay)
	if err = errors.Join(w.forget(), w.e.failure.get()); err != nil || g.batch == nil {
		return err
	}
	if g.logged {
		if err := w.e.log.write(w.frame); err != nil {
			return err
		}
		w.state.log = w.e.log.position()
		written := w.segment(w.state.log.segment)
		written.end, written.salt = w.state.log.offset, w.e.log.last.salt
	}
	w.note(g.batch)
	g.state = w.state
	if err := w.db.Apply(g.batch, pebble.NoSync); err != nil {
		return err
	}
	g.view = newView(w.db, w.e.log.files.hold(), g.state.revision)
	if cap(w.frame) > groupBytes {
		w.frame = nil
	}
	return nil
}

// note writes the state and the records of segments.
func (w *writer) note(b *pebble.Batch) {
	for id := range w.touched {
		k := segmentKey(id)
		if s := w.segments[id]; s != nil {
			mustBatch(b.Set(k, s.encode(k), nil))
		} else {
			mustBatch(b.Delete(k, nil))
		}
	}
	clear(w.touched)
	mustBatch(b.Set(stateKey, w.state.encode(stateKey), nil))
}

// forget closes the iterator; the next group needs one that sees this group.
func (w *writer) forget() error {
	if w.index == nil {
		return nil
	}
	err := w.index.Close()
	w.index = nil
	return err
}
