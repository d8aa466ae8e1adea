package embedded

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/proa-dev/proa/internal/store"
)

// The commit pipeline.
//
// Many callers of Commit; a few carriers, each of which takes a group of commits the whole way; three gates that keep the
// order:
//
//	Commit ──► queue ──► the turn: gather a group, check preconditions,   ──► the device: ──► the order: install the
//	                     assign revisions, wait for the device, write to      sync the        view, publish to the
//	                     the log and to the index                             log             tail, answer
//
// Who has the turn takes what waits as the beginning of a group. Each request is checked in order against the state after
// the one before it: first what this group already changes (overlay), then the index, which shows earlier groups as soon as
// they are written. The writes of requests whose preconditions hold become one frame of the log and one batch of the index.
// As long as the group before is being synced, the group goes on growing with what comes (up to groupBytes); it is written
// when that sync is done. So a sync carries all that came during the one before it, and whoever comes waits for what is left
// of one sync and for its own. What a group costs besides (checking, encoding) happens while the device is busy. A commit
// that comes alone is carried by one goroutine from the queue to its answer.
//
// Invariants:
//
//  1. Only who has the turn writes to the log and to the index. Revisions are dense: revision n+1 is in the same frame as
//     n or in the next one.
//  2. Groups become durable in the order in which they were written (one log, synced by prefix), and are shown in that
//     order.
//  3. What a reader or a caller is told follows from durable commits only: readers use views, which
//     appear when their group is durable; a failed precondition is reported after the group that it was
//     checked against is durable, even if it has nothing to write itself.
//  4. A commit is in the latest view and in the tail before its caller is answered.
//  5. The index on the device is not ahead of the log on the device (see disk.go), so what it lacks after a crash is at
//     the log's end, and is put into it by the next Open (replay.go).
//  6. After a failed write or sync nothing is acknowledged any more, for nobody knows what the device
//     holds: the engine serves reads of the last durable view until it is opened again. The operation
//     that failed never returns (see disk.go), so the pipeline may stand still from then on, and those
//     who wait for it are told by failure.
//
// With Batch and Memory nobody waits for a sync, and "durable" above means written.

const (
	// groupBytes bounds a group, so that its first commits do not wait for long.
	groupBytes = 1 << 20
	// carriers is how many groups can be under way: one gathers, one is being synced, one is answered.
	carriers = 3
	// maxCommit bounds a commit, well below what a frame of the log can say of its length.
	maxCommit = 1 << 30
	// requestOverhead is what a request is counted for beside its values.
	requestOverhead = 256
)

// request is one call of Commit on its way through the pipeline.
type request struct {
	ops []store.Op
	// task is what the engine itself wants written, instead of ops.
	task func(w *writer, g *group) error
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
	if rest > 0 || q.closed {
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
	// batch is what goes to the index, nil if the group has nothing to write.
	batch *pebble.Batch
	// logged is whether something goes to the log.
	logged bool
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
	if r.bytes > maxCommit {
		return nil, fmt.Errorf("a commit of %d bytes is too large: the store takes %d at most", r.bytes, maxCommit)
	}
	if e.full.Load() || !e.disk.hasRoom(r.bytes) {
		return nil, e.noSpace()
	}
	if err := e.queue.put(r); err != nil {
		return nil, err
	}
	return r, nil
}

// do has the pipeline carry out a task of the engine's own, which may take of the room that commits leave alone.
func (e *Engine) do(task func(w *writer, g *group) error) error {
	if err := e.failure.get(); err != nil {
		return err
	}
	r := newRequest(nil)
	r.task = task
	if err := e.queue.put(r); err != nil {
		return err
	}
	select {
	case <-r.done:
		return r.err
	case <-e.failure.happened:
		return e.failure.get()
	}
}

func (e *Engine) noSpace() error { return fmt.Errorf("%w: %s", store.ErrNoSpace, e.opts.Dir) }

// carry ends when the queue is closed and empty.
func (e *Engine) carry() {
	for {
		g := e.writer.group()
		if g == nil {
			return
		}
		err := e.settle(g)
		if err != nil {
			err = e.failure.set(err)
		}
		for _, r := range g.requests {
			r.answer(err)
		}
	}
}

// settle makes the group durable and shows it to readers.
func (e *Engine) settle(g *group) error {
	err := errors.Join(g.err, e.failure.get())
	if err == nil && g.logged && e.opts.Durability == Sync {
		err = e.log.sync()
	}
	e.writer.order.Lock()
	defer e.writer.order.Unlock()
	e.writer.device <- struct{}{}
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
