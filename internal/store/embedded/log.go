package embedded

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/proa-dev/proa/internal/store"
)

// log is where commits become durable and where values stay. It is a row of segments, which are files; the last one is
// written to, at its end. The index (Pebble) says where each value is. The file place.go has the format, collect.go how the space
// of what is dead is had back.
//
// Who holds the writer's turn may write; anybody may read, from a segments that they hold.
type log struct {
	disk  *disk
	dir   string
	limit int64 // of a segment: one that has reached it is not gone on with

	// of the turn:

	files *segments // all of them
	last  *segment  // the one that was written to last; nil if there is none
	ended bool      // nothing more goes into last, whatever its length
	next  *segment  // the one that the frame in the making begins; nil if it begins none
	after place     // where the segment before next ends; its size is nothing
	ahead chan *segment

	mu sync.Mutex
	// end is how far the last segment is written, durable how far it is on the device; guarded by mu.
	end, durable int64
	// syncing is held while the last segment is synced.
	syncing sync.Mutex
}

// segment is a file of the log.
type segment struct {
	mark
	file vfs.File
	// size is how far the file goes; of the last segment it is beyond the log's end.
	size atomic.Int64
	// refs counts the segments that have it.
	refs atomic.Int32
}

const (
	// logStep is by how much the last segment's file grows at a time at most, in writes of logPage bytes: syncing what lies
	// within a file is one write of the device, and syncing what made it longer is another write or two of the file system's
	// own log. Linux may keep what one write brings as one piece of its cache, all of which it counts as written again with
	// each frame in it.
	logStep = 256 << 10
	logPage = 4 << 10
	// A frame of this length makes the file longer by itself: to write as many zeros first is dearer than what they save.
	largeFrame = 32 << 10
	// A segment is an eighth of the history, within these bounds.
	minSegment = 1 << 20
	maxSegment = 16 << 20
)

func newLog(d *disk, opts Options) *log {
	limit := opts.segmentBytes
	if limit == 0 {
		limit = min(max(opts.WatchHistoryBytes/8, minSegment), maxSegment)
	}
	return &log{disk: d, dir: opts.Dir, limit: limit, files: newSegments(map[uint64]*segment{})}
}

const segmentFormat = "log-%08d"

func segmentName(id uint64) string { return fmt.Sprintf(segmentFormat, id) }

func (l *log) path(id uint64) string { return l.disk.PathJoin(l.dir, segmentName(id)) }

// segments are the files of the log at a time. Whoever holds them can read them, whatever is removed meanwhile.
type segments struct {
	byID map[uint64]*segment
	refs atomic.Int32
}

// newSegments are held once.
func newSegments(byID map[uint64]*segment) *segments {
	for _, s := range byID {
		s.refs.Add(1)
	}
	files := &segments{byID: byID}
	files.refs.Store(1)
	return files
}

// hold is for who has them from one who holds them.
func (s *segments) hold() *segments {
	if s.refs.Add(1) == 1 {
		panic("segments are held that nobody held any more")
	}
	return s
}

// prefetch has the machine read the files from the device, in their order: whoever is about to read all values reads them in
// the order of their keys.
func (s *segments) prefetch(stop <-chan struct{}) {
	for _, id := range slices.Sorted(maps.Keys(s.byID)) {
		select {
		case <-stop:
			return
		default:
		}
		seg := s.byID[id]
		_ = seg.file.Prefetch(0, seg.size.Load()) // which is no more than a hint
	}
}

func (s *segments) release() {
	if s.refs.Add(-1) > 0 {
		return
	}
	for _, seg := range s.byID {
		if seg.refs.Add(-1) == 0 {
			_ = seg.file.Close() // what was written is synced, or lost with a failure that is known
		}
	}
}

// replace changes what the log's files are.
func (l *log) replace(change func(byID map[uint64]*segment)) {
	byID := maps.Clone(l.files.byID)
	change(byID)
	old := l.files
	l.files = newSegments(byID)
	old.release()
}

// begin returns the beginning of a frame, and where it will be. The frame may be the first of a new segment.
func (l *log) begin(frame []byte) (_ []byte, segment uint64, offset int64, err error) {
	frame = append(frame[:0], make([]byte, frameHeader)...)
	if l.last != nil && l.end < l.limit && !l.ended {
		return frame, l.last.segment, l.end, nil
	}
	if l.last != nil {
		l.after = place{segment: l.last.segment, offset: l.end}
	}
	if l.next, err = l.fresh(l.after.segment + 1); err != nil {
		return nil, 0, 0, err
	}
	return beginUnit(frame, l.after.segment, l.after.offset, l.next.salt), l.next.segment, 0, nil
}

// fresh is a new segment, whose name is durable.
func (l *log) fresh(id uint64) (*segment, error) {
	if l.ahead != nil {
		made := <-l.ahead
		l.ahead = nil
		if made != nil && made.segment == id {
			return made, nil
		}
	}
	return l.create(id)
}

// prepare makes the next segment ahead of its time, so that no commit waits for that.
func (l *log) prepare() {
	made := make(chan *segment, 1)
	l.ahead = made
	id := l.last.segment + 1
	go func() {
		seg, err := l.create(id)
		if err != nil {
			seg = nil // fresh tries again, and tells
		}
		made <- seg
	}()
}

func (l *log) create(id uint64) (*segment, error) {
	f, err := l.disk.Create(l.path(id), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	d, err := l.disk.OpenDir(l.dir)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &segment{mark: mark{id, uint64(rand.Int64())}, file: f}, nil
}

// write puts a frame that begin began into its place.
func (l *log) write(frame []byte) error {
	if l.next != nil {
		if err := l.turnTo(l.next); err != nil {
			return err
		}
		l.next = nil
	}
	l.mu.Lock()
	durable := l.durable
	l.mu.Unlock()
	sealFrame(frame, l.last.mark, l.end, durable)
	if _, err := l.last.file.WriteAt(frame, l.end); err != nil {
		return err
	}
	l.mu.Lock()
	l.end += int64(len(frame))
	l.mu.Unlock()
	if l.ahead == nil && l.end > l.limit/2 {
		l.prepare()
	}
	if l.end <= l.last.size.Load() {
		return nil
	}
	if len(frame) >= largeFrame {
		l.last.size.Store(l.end)
		return nil
	}
	return l.grow()
}

// turnTo makes a segment the last one. What is in the one before is durable before anything in it can be.
func (l *log) turnTo(seg *segment) error {
	if err := l.sync(); err != nil {
		return err
	}
	l.replace(func(byID map[uint64]*segment) { byID[seg.segment] = seg })
	l.syncing.Lock() // nobody syncs the one before for the sake of this one
	defer l.syncing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.end, l.durable, l.ended = seg, 0, 0, false
	return nil
}

var noLog [logPage]byte

// grow writes zeros behind the log, which are no frame. Without room for them it does without.
func (l *log) grow() error {
	size := l.end + min(logStep, l.limit)
	l.last.size.Store(l.end)
	for at := l.end; at < size; {
		page := min(logPage-at%logPage, size-at) // to the next boundary
		if fits, err := l.last.file.(*diskFile).fill(noLog[:page], at); err != nil {
			return err
		} else if !fits {
			break
		}
		at += page
		l.last.size.Store(at)
	}
	return nil
}

// sync makes all that was written durable.
func (l *log) sync() error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	l.mu.Lock()
	last, end, durable := l.last, l.end, l.durable
	l.mu.Unlock()
	if last == nil || durable == end {
		return nil
	}
	if err := last.file.SyncData(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.durable = end
	return nil
}

// position is where the next frame of the last segment will be.
func (l *log) position() place {
	if l.last == nil {
		return l.after
	}
	return place{segment: l.last.segment, offset: l.end}
}

// remove takes segments out of the log. Their files go with removeFiles, when nothing that is durable needs them.
func (l *log) remove(ids []uint64) {
	l.replace(func(byID map[uint64]*segment) {
		for _, id := range ids {
			delete(byID, id)
		}
	})
}

func (l *log) removeFiles(ids []uint64) (err error) {
	for _, id := range ids {
		if removed := l.disk.Remove(l.path(id)); !errors.Is(removed, fs.ErrNotExist) {
			err = errors.Join(err, removed)
		}
	}
	return err
}

// close closes the log's files, but for those that readers hold.
func (l *log) close(failed <-chan struct{}) {
	if l.ahead != nil {
		select {
		case seg := <-l.ahead:
			if seg != nil {
				_ = seg.file.Close()
			}
		case <-failed:
		}
	}
	l.files.release()
}

// read fetches the value at a place, which must be that of the key and the revision.
func (s *segments) read(key string, revision store.Revision, at place) ([]byte, error) {
	record, err := s.bytes(nil, at)
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", key, err)
	}
	return valueIn(record, key, revision, at)
}

// left is how much the segment's file has from the place on.
func (s *segments) left(at place) int64 {
	if seg := s.byID[at.segment]; seg != nil {
		return seg.size.Load() - at.offset
	}
	return 0
}

// bytes fetches what is at a place, into buf if it is large enough.
func (s *segments) bytes(buf []byte, at place) ([]byte, error) {
	seg := s.byID[at.segment]
	if seg == nil {
		return nil, fmt.Errorf("%w: %s is missing", store.ErrCorrupt, segmentName(at.segment))
	}
	if int64(cap(buf)) < at.size {
		buf = make([]byte, at.size)
	}
	buf = buf[:at.size]
	if n, err := seg.file.ReadAt(buf, at.offset); n < len(buf) {
		if err == io.EOF {
			return nil, fmt.Errorf("%w: %s ends too early", store.ErrCorrupt, segmentName(at.segment))
		}
		return nil, fmt.Errorf("%s: %w", segmentName(at.segment), err)
	}
	return buf, nil
}
