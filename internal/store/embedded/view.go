package embedded

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/proa-dev/proa/internal/store"
)

// view is the key space at a revision. The pipeline takes one of every group of commits as it is
// applied, and hands it to readers when the group is durable: Pebble itself shows writes before they
// are, so nobody but the writer reads from Pebble except through a view.
type view struct {
	snap *pebble.Snapshot
	// files are the log's, with all that snap leads to.
	files    *segments
	revision store.Revision
	// refs counts the readers, plus one while the view is the latest. At 0 snap is to be closed.
	refs atomic.Int32
	// unread is called once snap is closed; nil for nothing.
	unread func()
}

// newView takes the files over.
func newView(db *pebble.DB, files *segments, rev store.Revision) *view {
	v := &view{snap: db.NewSnapshot(), files: files, revision: rev}
	v.refs.Store(1)
	return v
}

// get returns a record of the view after use has had a look at it; found is false if there is none. The
// record's bytes are use's only while it runs.
func (v *view) get(key []byte, use func(record []byte) error) (found bool, err error) {
	return get(v.snap, key, use)
}

func get(r pebble.Reader, key []byte, use func(record []byte) error) (found bool, err error) {
	record, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, readError(key, err)
	}
	defer closer.Close()
	return true, use(record)
}

// live returns the present record of a key; zero if there is none.
func (v *view) live(key string) (live liveRecord, err error) {
	k := liveKey(key)
	_, err = v.get(k, func(record []byte) (err error) {
		live, err = decodeLive(k, record)
		return err
	})
	return live, err
}

// value reads what a commit wrote to the key.
func (v *view) value(key string, revision store.Revision, at place) ([]byte, error) {
	return v.files.read(key, revision, at)
}

// readError names the record that could not be read.
func readError(key []byte, err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: record %q: %v", store.ErrCorrupt, key, err)
	}
	return fmt.Errorf("reading record %q: %w", key, err)
}

// readers lets reads in until the engine closes, and holds the view that they get. Pebble must not be
// used after it was closed, so close waits for those inside and closes the snapshots of those who still
// hold one.
type readers struct {
	mu     sync.Mutex
	latest *view
	// inside is how many reads are under way.
	inside int
	closed bool
	// empty is closed when the last read after shut has left; made by shut.
	empty chan struct{}
	// held are the snapshots given out and not yet closed.
	held map[*snapshot]struct{}
	// unused are the views without readers, for retire to close.
	unused []*view
	// used has an element when there may be unused views, and is closed when there will be no more.
	used chan struct{}
	// retired is closed when the last view is.
	retired chan struct{}
}

func newReaders(latest *view) *readers {
	return &readers{
		latest: latest, held: make(map[*snapshot]struct{}), used: make(chan struct{}, 1), retired: make(chan struct{}),
	}
}

// retire closes unused views. It is a goroutine of its own because Pebble makes the closing of a snapshot
// wait for a manifest write that may be under way, which is no reader's and no writer's business.
func (r *readers) retire() {
	defer close(r.retired)
	for range r.used {
		r.retireAll()
	}
	r.retireAll()
}

func (r *readers) retireAll() {
	r.mu.Lock()
	unused := r.unused
	r.unused = nil
	r.mu.Unlock()
	for _, v := range unused {
		if err := v.snap.Close(); err != nil {
			panic("closing a snapshot twice: " + err.Error())
		}
		v.files.release()
		if v.unread != nil {
			v.unread()
		}
	}
}

// release gives a reference to a view up; mu must be held.
func (r *readers) release(v *view) {
	if v.refs.Add(-1) > 0 {
		return
	}
	r.unused = append(r.unused, v)
	select {
	case r.used <- struct{}{}:
	default:
	}
}

// enter begins a read; leave must follow.
func (r *readers) enter() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return store.ErrClosed
	}
	r.inside++
	return nil
}

func (r *readers) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaveLocked()
}

func (r *readers) leaveLocked() {
	r.inside--
	if r.closed && r.inside == 0 {
		close(r.empty)
	}
}

// acquire begins a read of the latest view; giveBack must follow.
func (r *readers) acquire() (*view, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, store.ErrClosed
	}
	r.inside++
	r.latest.refs.Add(1)
	return r.latest, nil
}

func (r *readers) giveBack(v *view) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.release(v)
	r.leaveLocked()
}

// revision of the latest view.
func (r *readers) revision() (store.Revision, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, store.ErrClosed
	}
	return r.latest.revision, nil
}

// install makes v the latest view.
func (r *readers) install(v *view) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.release(r.latest)
	r.latest = v
}

// snapshot gives out the latest view for as long as its holder wants, or the engine lives.
func (r *readers) snapshot() (*snapshot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, store.ErrClosed
	}
	r.latest.refs.Add(1)
	s := &snapshot{readers: r, view: r.latest}
	r.held[s] = struct{}{}
	return s, nil
}

// drop takes the snapshot back, if that was not done before.
func (r *readers) drop(s *snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, held := r.held[s]; held {
		delete(r.held, s)
		r.release(s.view)
	}
}

// shut lets no more reads in, and returns the snapshots that are still held.
func (r *readers) shut() (held map[*snapshot]struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.empty = make(chan struct{})
	if r.inside == 0 {
		close(r.empty)
	}
	held, r.held = r.held, nil
	return held
}

// close ends reading: it waits for the reads under way and closes all views.
func (r *readers) close() {
	held := r.shut()
	<-r.empty
	r.mu.Lock()
	for s := range held {
		r.release(s.view)
	}
	r.release(r.latest)
	close(r.used)
	r.mu.Unlock()
	<-r.retired
}

// snapshot is a view in the hands of a user of the store.
type snapshot struct {
	readers *readers
	view    *view
}

var _ store.Snapshot = (*snapshot)(nil)

func (s *snapshot) Revision() store.Revision { return s.view.revision }

func (s *snapshot) Get(key string) (store.KV, error) {
	if err := s.readers.enter(); err != nil {
		return store.KV{}, err
	}
	defer s.readers.leave()
	return s.view.kv(key)
}

func (v *view) kv(key string) (store.KV, error) {
	live, err := v.live(key)
	if err != nil {
		return store.KV{}, err
	}
	if live.revision == 0 {
		return store.KV{}, fmt.Errorf("%s: %w", key, store.ErrNotFound)
	}
	value, err := v.value(key, live.revision, live.at)
	return store.KV{Key: key, Value: value, Revision: live.revision}, err
}

func (s *snapshot) Range(r store.Range, yield func(store.KV) bool) error {
	if err := s.readers.enter(); err != nil {
		return err
	}
	defer s.readers.leave()
	c, err := s.view.cursor(r.Start, r.End)
	if err != nil {
		return err
	}
	defer c.close()
	given := 0
	for c.next() {
		kv, err := c.kv(r.Lent)
		if err != nil {
			return err
		}
		given++
		if !yield(kv) || given == r.Limit {
			return nil
		}
	}
	return c.err
}

// Close may be called more than once, and after the engine's.
func (s *snapshot) Close() error {
	s.readers.drop(s)
	return nil
}
