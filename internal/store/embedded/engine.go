package embedded

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/proa-dev/proa/internal/store"
)

// Engine is an open store.
type Engine struct {
	opts Options
	disk *disk
	lock *pebble.Lock
	// db is nil while full is true: nothing is written then, and reads go to a view of another one.
	db        *pebble.DB
	full      atomic.Bool
	failure   *failure
	log       *log
	writer    *writer
	queue     *queue
	readers   *readers
	tail      *tail
	history   *history
	expirer   *expirer
	collector *collector
	syncer    *syncer
	// closedAt is the revision that the directory was last closed at.
	closedAt store.Revision
	pipeline sync.WaitGroup
	// background counts the goroutines that stop ends.
	background sync.WaitGroup
	stop       chan struct{}
	closing    sync.Once
	closeErr   error
}

var _ store.Store = (*Engine)(nil)

// start begins the pipeline and the background work, from the state that was found on disk.
func (e *Engine) start(first *view, oldest store.Revision) {
	e.queue = newQueue()
	e.readers = newReaders(first)
	e.tail = &tail{last: first.revision, oldest: oldest, limit: e.opts.TailBytes}
	e.history = &history{e: e, wake: make(chan struct{}, 1)}
	e.history.oldest.Store(oldest)
	e.expirer = &expirer{e: e, wake: make(chan struct{}, 1)}
	e.expirer.next.Store(never)
	e.collector = &collector{e: e, wake: make(chan struct{}, 1), done: make(map[uint64]bool)}
	e.syncer = &syncer{e: e}
	e.stop = make(chan struct{})
	files := first.files.hold() // before anybody can replace the view
	for range carriers {
		e.pipeline.Go(e.carry)
	}
	go e.readers.retire()
	e.background.Go(func() { e.history.run(e.stop) })
	e.background.Go(func() { e.expirer.run(e.stop) })
	e.background.Go(func() { e.collector.run(e.stop) })
	e.collector.look()
	e.background.Go(func() {
		defer files.release()
		files.prefetch(e.stop)
	})
	if e.full.Load() {
		e.background.Go(e.awaitRoom)
	}
}

// Get implements store.Store.
func (e *Engine) Get(ctx context.Context, key string) (store.KV, error) {
	if err := ctx.Err(); err != nil {
		return store.KV{}, err
	}
	v, err := e.readers.acquire()
	if err != nil {
		return store.KV{}, err
	}
	defer e.readers.giveBack(v)
	return v.kv(key)
}

// Revision implements store.Store.
func (e *Engine) Revision(ctx context.Context) (store.Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return e.readers.revision()
}

// Snapshot implements store.Store. A snapshot that is kept for long keeps what was deleted since on disk.
func (e *Engine) Snapshot(ctx context.Context) (store.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := e.readers.snapshot()
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Oldest implements store.Store.
func (e *Engine) Oldest(ctx context.Context) (store.Revision, error) {
	if err := e.readers.enter(); err != nil {
		return 0, err
	}
	defer e.readers.leave()
	return e.history.oldest.Load(), ctx.Err()
}

// Compact implements store.Store.
func (e *Engine) Compact(ctx context.Context, upTo store.Revision) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	v, err := e.readers.acquire()
	if err != nil {
		return err
	}
	defer e.readers.giveBack(v)
	return e.history.cut(min(upTo, v.revision))
}

// Size implements store.Store: the sizes of the directory's files.
func (e *Engine) Size(ctx context.Context) (size int64, err error) {
	if err := e.readers.enter(); err != nil {
		return 0, err
	}
	defer e.readers.leave()
	names, err := e.opts.FS.List(e.opts.Dir)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		info, err := e.opts.FS.Stat(e.opts.FS.PathJoin(e.opts.Dir, name))
		if err == nil {
			size += info.Size() // and if not, it has just been deleted
		}
	}
	return size, ctx.Err()
}

// Cool implements store.Store: streams that keep up have had what the tail holds.
func (e *Engine) Cool() int64 { return e.tail.forget() }

// Close implements store.Store. Commits that were called before it are finished.
func (e *Engine) Close() error {
	e.closing.Do(func() { e.closeErr = e.close() })
	return e.closeErr
}

func (e *Engine) close() error {
	e.disk.release()
	close(e.stop)
	e.queue.close()
	drained := make(chan struct{})
	go func() {
		e.background.Wait()
		e.pipeline.Wait()
		close(drained)
	}()
	select {
	case <-drained:
	case <-e.failure.happened:
	}
	e.tail.close()
	e.syncer.stop()
	full := e.full.Load()
	err := e.failure.get()
	if err == nil && !full {
		err = e.finish()
	}
	if failed := e.failure.get(); failed != nil {
		// What waits for the disk waits for ever, so nothing is waited for here. The disk lets no write
		// through any more: no harm is done to whoever opens the directory next.
		e.readers.shut()
		return errors.Join(failed, e.disk.unlock())
	}
	last := e.readers.latest.revision
	e.readers.close()
	if full { // nothing was written
		e.log.close(nil)
		return e.disk.unlock()
	}
	err = errors.Join(err, e.await(e.db.Close)) // which may sync the log once more
	e.log.close(e.failure.happened)
	if err == nil {
		err = e.noteRevision(last)
	}
	return errors.Join(err, e.disk.unlock())
}

// finish makes durable what was acknowledged before it was, and brings the index up to the log's end, so that the next Open
// has nothing to replay.
func (e *Engine) finish() error {
	if e.opts.Durability == Memory {
		return nil
	}
	if err := e.await(e.log.sync); err != nil {
		return err
	}
	if !e.disk.hasRoom(e.opts.MemTableBytes) {
		return nil // then it has
	}
	return e.await(e.db.Flush)
}

// await waits for work that does not return if the disk fails.
func (e *Engine) await(work func() error) error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	select {
	case err := <-done:
		return err
	case <-e.failure.happened:
		return e.failure.get()
	}
}

// noteRevision leaves the last revision for the next Open to compare.
func (e *Engine) noteRevision(last store.Revision) error {
	if e.opts.Durability == Memory || last == e.closedAt {
		return nil
	}
	return writeMarker(e.opts.FS, e.opts.Dir, last)
}

// failure is the first error after which the engine writes no more.
type failure struct {
	err atomic.Pointer[error]
	// happened is closed when err is there.
	happened chan struct{}
}

func newFailure() *failure { return &failure{happened: make(chan struct{})} }

// set keeps the first error and returns it.
func (f *failure) set(err error) error {
	wrapped := fmt.Errorf("the store writes no more until it is opened again: %w", err)
	if f.err.CompareAndSwap(nil, &wrapped) {
		close(f.happened)
	}
	return f.get()
}

func (f *failure) get() error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}

// Failure is the error after which the engine refuses writes, or nil. A server that is not healthy
// without its store asks here.
func (e *Engine) Failure() error { return e.failure.get() }

// syncer brings commits to the device some time after they were acknowledged, for Batch.
type syncer struct {
	e  *Engine
	mu sync.Mutex
	// due is nil while all is on the device; guarded by mu.
	due *time.Timer
}

// written is told of every group.
func (s *syncer) written() {
	if s.e.opts.Durability != Batch {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.due == nil {
		s.due = time.AfterFunc(s.e.opts.SyncInterval, s.sync)
	}
}

func (s *syncer) sync() {
	s.mu.Lock()
	s.due = nil
	s.mu.Unlock()
	if s.e.readers.enter() != nil {
		return
	}
	defer s.e.readers.leave()
	if err := s.e.log.sync(); err != nil {
		s.e.failure.set(err)
	}
}

// stop is followed by the engine's last sync.
func (s *syncer) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.due != nil {
		s.due.Stop()
	}
}
