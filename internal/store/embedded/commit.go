package embedded

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/proa-dev/proa/internal/store"
)

// The commit pipeline.
//
// Many callers of Commit, one writer, one acknowledger:
//
//	Commit ──► queue ──► writer: gather a group, check preconditions,    ──► acknowledger: await the sync,
//	                     assign revisions, write one batch (not synced)      install the view, publish to
//	                        ▲                                                the tail, answer the callers
//	                        └───────────── the log is free ──────────────────────┘
//
// The writer takes what waits as the beginning of a group. It checks each request in order against the
// state after the one before it: first what this group already changes (overlay), then Pebble, which
// shows earlier groups as soon as they are written. Requests whose preconditions hold become one Pebble
// batch. As long as the group before is being synced, the batch goes on growing with what comes (up to
// groupBytes); it is written, to the log and the memtable, when that sync is done. So a sync carries all
// that came during the one before it, and whoever comes waits for what is left of one sync and for its
// own. What a group costs besides (checking, encoding) happens while the device is busy.
//
// Invariants:
//
//  1. Only the writer assigns revisions and writes live, commit, forward, expiry and state records.
//     Revisions are dense: revision n+1 is in the same batch as n or in the next one.
//  2. Groups become durable in the order in which they were written (one log, synced by prefix), and
//     the acknowledger handles them in that order.
//  3. What a reader or a caller is told follows from durable commits only: readers use views, which
//     appear when their group is durable; a failed precondition is reported after the group that it was
//     checked against is durable, even if it has nothing to write itself.
//  4. A commit is in the latest view and in the tail before its caller is answered.
//  5. After a failed write or sync nothing is acknowledged any more, for nobody knows what the device
//     holds: the engine serves reads of the last durable view until it is opened again. The operation
//     that failed never returns (see disk.go), so the pipeline may stand still from then on, and those
//     who wait for it are told by failure.
//
// With Batch and Memory the acknowledger waits for no sync, and "durable" above means written.

const (
	// groupBytes bounds a group, so that its batch stays a small part of a memtable.
	groupBytes = 1 << 20
	// requestOverhead is what a request is counted for beside its values.
	requestOverhead = 256
)

// request is one call of Commit on its way through the pipeline.
type request struct {
	ops []store.Op
	// rev and err are the answer, there when done is closed.
	rev  store.Revision
	err  error
	done chan struct{}
	// events are what the commit did; the writer fills them in.
	events []store.Event
	bytes  int64
}

func newRequest(ops []store.Op) *request {
	r := &request{ops: ops, done: make(chan struct{}), bytes: requestOverhead}
	for i := range ops {
		r.bytes += int64(len(ops[i].Key) + len(ops[i].Value))
	}
	return r
}

// answer ends the request; its caller may have left. failure is that of its group.
func (r *request) answer(failure error) {
	if failure != nil {
		r.rev, r.err = 0, failure
	}
	close(r.done)
}

// queue is where requests wait for the writer.
type queue struct {
	mu      sync.Mutex
	waiting []*request
	closed  bool
	// filled has an element when the writer may have something to do.
	filled chan struct{}
}

func newQueue() *queue { return &queue{filled: make(chan struct{}, 1)} }

func (q *queue) put(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return store.ErrClosed
	}
	q.waiting = append(q.waiting, r)
	q.signal()
	return nil
}

func (q *queue) signal() {
	select {
	case q.filled <- struct{}{}:
	default:
	}
}

// take moves to the group what waits and fits. It waits for nothing: filled says when there is something.
// whole means that no more will go into the group: it is full, or the queue is closed.
func (q *queue) take(g *group) (whole bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for n < len(q.waiting) && (g.bytes == 0 || g.bytes+q.waiting[n].bytes <= groupBytes) {
		g.bytes += q.waiting[n].bytes
		n++
	}
	g.requests = append(g.requests, q.waiting[:n]...)
	rest := copy(q.waiting, q.waiting[n:])
	clear(q.waiting[rest:])
	q.waiting = q.waiting[:rest]
	if rest > 0 {
		q.signal()
	}
	return rest > 0 || q.closed
}

// drained says that there is nothing any more, and never will be.
func (q *queue) drained() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed && len(q.waiting) == 0
}

// close lets no more requests in; those that wait are still served.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

// group is what goes to disk together.
type group struct {
	requests []*request
	// bytes is the sum of the requests'.
	bytes int64
	// batch is nil if the group has nothing to write.
	batch *pebble.Batch
	// view is the state after the group; nil if batch is.
	view  *view
	state stateRecord
	// expiry is the soonest expiry that the group set, or never.
	expiry int64
	// err is why the group was not written.
	err error
}

// Commit implements store.Store.
func (e *Engine) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if err := store.Validate(ops); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	r, err := e.submit(ops)
	if err != nil {
		return 0, err
	}
	select {
	case <-r.done:
		return r.rev, r.err
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-e.failure.happened:
		return 0, e.failure.get()
	}
}

// submit puts a request into the queue, if the engine can write at all.
func (e *Engine) submit(ops []store.Op) (*request, error) {
	if err := e.failure.get(); err != nil {
		return nil, err
	}
	r := newRequest(ops)
	if e.full.Load() || !e.disk.hasRoom(r.bytes) {
		return nil, e.noSpace()
	}
	if err := e.queue.put(r); err != nil {
		return nil, err
	}
	return r, nil
}

func (e *Engine) noSpace() error { return fmt.Errorf("%w: %s", store.ErrNoSpace, e.opts.Dir) }

// writer turns requests into groups on disk. Its fields are its goroutine's alone.
type writer struct {
	e *Engine
	// free has an element when no group is being synced. The writer takes it with every group, and the
	// acknowledger gives it back.
	free chan struct{}
	// state after the last commit.
	state stateRecord
	// overlay holds what the group in the making has changed.
	overlay map[string]liveRecord
	// present reads what was there before the group; nil until it is needed.
	present *pebble.Iterator
	// found holds the present records of the request in the making, one for each op.
	found []liveRecord
	// log holds the commit records of the group in the making.
	log []commitRecord
}

// run ends when the queue is closed and empty.
func (w *writer) run(out chan<- *group) {
	defer close(out)
	for !w.e.queue.drained() {
		<-w.e.queue.filled
		g := &group{expiry: never}
		whole := w.add(g)
		if len(g.requests) == 0 {
			continue
		}
		w.gather(g, whole)
		w.seal(g)
		out <- g
	}
}

// gather adds to the group what comes until the log is free.
func (w *writer) gather(g *group, whole bool) {
	for {
		filled := w.e.queue.filled
		if whole {
			filled = nil
		}
		select {
		case <-w.free:
			return
		case <-filled:
			whole = w.add(g)
		}
	}
}

// add checks the requests that wait, in order, and puts the effects of those that hold into the group's
// batch.
func (w *writer) add(g *group) (whole bool) {
	first := len(g.requests)
	whole = w.e.queue.take(g)
	now := max(time.Now().UnixMilli(), w.state.time)
	for _, r := range g.requests[first:] {
		if r.err = w.check(r.ops); r.err != nil {
			continue
		}
		if g.batch == nil {
			g.batch = w.e.db.NewBatch()
		}
		w.state.time = now
		w.put(g, r)
	}
	return whole
}

// seal completes the group's batch and writes it.
func (w *writer) seal(g *group) {
	clear(w.overlay)
	g.err = w.forget()
	if g.batch == nil {
		return
	}
	// The commit records come last and together: neighbours, which the memtable takes without a search.
	for i, log := range w.log {
		putLog(g.batch, w.state.revision-store.Revision(len(w.log)-1-i), log)
	}
	clear(w.log)
	w.log = w.log[:0]
	g.state = w.state
	mustBatch(g.batch.Set(stateKey, w.state.encode(stateKey), nil))
	g.err = w.write(g)
}

// check finds the present records of the ops' keys and compares them with the preconditions.
func (w *writer) check(ops []store.Op) error {
	w.found = w.found[:0]
	for i := range ops {
		op := &ops[i]
		live, err := w.lookUp(op.Key)
		if err != nil {
			return err
		}
		if !op.Holds(live.revision) {
			actual := store.KV{Key: op.Key, Value: live.value, Revision: live.revision}
			return &store.ConflictError{Key: op.Key, Expect: op.Expect, Actual: actual}
		}
		w.found = append(w.found, live)
	}
	return nil
}

// lookUp finds the key as the group has left it so far. It reads with one iterator a group and not with
// Pebble's Get, which does without the Bloom filters of the largest level and so reads a block for each
// key that does not exist.
func (w *writer) lookUp(key string) (live liveRecord, err error) {
	if live, ok := w.overlay[key]; ok {
		return live, nil
	}
	k := liveKey(key)
	if w.present == nil {
		w.present, err = w.e.db.NewIter(&pebble.IterOptions{
			LowerBound: []byte{liveSpace}, UpperBound: []byte{liveSpace + 1}, UseL6Filters: true,
		})
		if err != nil {
			return live, readError(k, err)
		}
	}
	if !w.present.SeekPrefixGE(k) {
		if err := w.present.Error(); err != nil {
			return live, readError(k, err)
		}
		return live, nil
	}
	record, err := w.present.ValueAndErr()
	if err != nil {
		return live, readError(k, err)
	}
	if live, err = decodeLive(k, record); err != nil {
		return liveRecord{}, err
	}
	live.value = append([]byte{}, live.value...)
	return live, nil
}

// forget closes the iterator; the next group needs one that sees this group.
func (w *writer) forget() error {
	if w.present == nil {
		return nil
	}
	err := w.present.Close()
	w.present = nil
	return err
}

// put writes a request's effects into the batch, under the next revision.
func (w *writer) put(g *group, r *request) {
	w.state.revision++
	r.rev = w.state.revision
	r.events = make([]store.Event, 0, len(r.ops))
	log := commitRecord{time: w.state.time, changes: make([]change, 0, len(r.ops))}
	for i := range r.ops {
		op, prev := &r.ops[i], w.found[i]
		if op.Check {
			continue
		}
		expiry := w.putLive(g, op, prev)
		g.expiry = min(g.expiry, expiry)
		log.changes = append(log.changes, change{key: op.Key, deleted: op.Value == nil, prevRevision: prev.revision, prev: prev.value})
		event := store.Event{
			Revision: r.rev, Key: op.Key, Value: op.Value, Hint: op.Hint,
			Prev: prev.value, PrevRevision: prev.revision,
		}
		if prev.revision == 0 {
			event.Prev = nil
		}
		r.events = append(r.events, event)
		if prev.revision > w.e.history.forgotten.Load() {
			k := forwardKey(prev.revision, op.Key)
			mustBatch(g.batch.Set(k, encodeNumber(k, r.rev), nil))
		}
	}
	// The total includes the record's own size, as of before the total was known: totals are for measuring
	// the log, and a byte more or less in one record is no matter.
	w.state.total += int64(log.size())
	log.total = w.state.total
	w.log = append(w.log, log)
}

// putLive replaces a key's live record and its place in the expiry index.
func (w *writer) putLive(g *group, op *store.Op, prev liveRecord) (expiry int64) {
	if prev.expiry != 0 {
		mustBatch(g.batch.Delete(expiryKey(prev.expiry, op.Key), nil))
	}
	if op.Value == nil {
		w.overlay[op.Key] = liveRecord{}
		mustBatch(g.batch.Delete(liveKey(op.Key), nil))
		return never
	}
	live := liveRecord{revision: w.state.revision, value: op.Value}
	if op.TTL > 0 {
		live.expiry = w.state.time + max(1, op.TTL.Milliseconds())
		mustBatch(g.batch.Set(expiryKey(live.expiry, op.Key), nil, nil))
	}
	w.overlay[op.Key] = live
	set := g.batch.SetDeferred(1+len(op.Key), live.size())
	set.Key[0] = liveSpace
	copy(set.Key[1:], op.Key)
	live.encode(set.Key, set.Value)
	mustBatch(set.Finish())
	if live.expiry == 0 {
		return never
	}
	return live.expiry
}

// putLog writes a commit record.
func putLog(b *pebble.Batch, rev store.Revision, log commitRecord) {
	set := b.SetDeferred(logKeyLen, log.size())
	appendLogKey(set.Key[:0], rev)
	log.encode(set.Key, set.Value)
	mustBatch(set.Finish())
}

// mustBatch is for operations on a batch in memory, which fail only if it grows beyond 4 GiB.
func mustBatch(err error) {
	if err != nil {
		panic(fmt.Sprintf("a group of at most %d bytes and one request did not fit a batch: %v", groupBytes, err))
	}
}

// write gives the group to Pebble, without waiting for the sync, and takes the view after it.
func (w *writer) write(g *group) (err error) {
	if err = errors.Join(g.err, w.e.failure.get()); err != nil {
		return err
	}
	if w.e.opts.Durability == Sync {
		err = w.e.db.ApplyNoSyncWait(g.batch, pebble.Sync)
	} else {
		err = w.e.db.Apply(g.batch, pebble.NoSync)
	}
	if err != nil {
		return err
	}
	g.view = newView(w.e.db, g.state.revision)
	return nil
}

// acknowledge ends when the writer does.
func (e *Engine) acknowledge(groups <-chan *group, free chan<- struct{}) {
	for g := range groups {
		err := e.settle(g, free)
		if err != nil {
			err = e.failure.set(err)
		}
		for _, r := range g.requests {
			r.answer(err)
		}
	}
}

// settle waits until the group is durable and shows it to readers.
func (e *Engine) settle(g *group, free chan<- struct{}) error {
	err := errors.Join(g.err, e.failure.get())
	if err == nil && g.batch != nil && e.opts.Durability == Sync {
		err = g.batch.SyncWait()
	}
	free <- struct{}{}
	if err != nil || g.batch == nil {
		return err
	}
	if err := g.batch.Close(); err != nil {
		return err
	}
	e.readers.install(g.view)
	e.tail.publish(g)
	e.syncer.written()
	e.history.grown(g.state.total)
	e.expirer.scheduled(g.expiry)
	return nil
}
