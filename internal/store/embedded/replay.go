package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/proa-dev/proa/internal/store"
)

// Opening the log. The index says up to where it has the log; what follows is put into it by the means of the
// writer, frame by frame, to the log's end. The end is where no frame is: nothing has been written there, or only a
// part of a frame, when a crash came. If a later frame says that what should be there was durable, it is no end
// but damage.

// open opens the segments that the index needs, and all after them. What is in them is durable then: a process that
// was killed may have left more than that.
func (l *log) open(segments map[uint64]*segmentRecord, indexed place) error {
	byID := make(map[uint64]*segment)
	defer func() { l.files = newSegments(byID) }()
	for id, s := range segments {
		seg, err := l.openSegment(id)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %s is missing", store.ErrCorrupt, segmentName(id))
		}
		if err != nil {
			return err
		}
		byID[id], seg.salt = seg, s.salt
		if size := seg.size.Load(); size < s.end {
			return fmt.Errorf("%w: %s ends at %d and should go to %d", store.ErrCorrupt, segmentName(id), size, s.end)
		}
	}
	for id := indexed.segment + 1; ; id++ {
		seg, err := l.openSegment(id)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		byID[id] = seg
	}
	for id, seg := range byID {
		if id < indexed.segment {
			continue
		}
		if err := seg.file.SyncData(); err != nil {
			return err
		}
	}
	return nil
}

// openSegment opens the file of a segment, and makes none.
func (l *log) openSegment(id uint64) (*segment, error) {
	info, err := l.disk.Stat(l.path(id))
	if err != nil {
		return nil, err
	}
	f, err := l.disk.OpenReadWrite(l.path(id), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	seg := &segment{mark: mark{segment: id}, file: f}
	seg.size.Store(info.Size())
	return seg, nil
}

// scanBytes is how much of a segment is read at a time, unless a frame is larger.
const scanBytes = 1 << 20

// frames hands out the segment's frames from an offset on, where one begins, and returns where there is no frame any more.
// Nothing at to or behind it is looked at.
func (s *segment) frames(offset, to int64, use func(units []byte, offset, after int64) error) (end int64, err error) {
	window := int64(scanBytes)
	for offset < to {
		data, err := s.read(offset, min(offset+window, to))
		if err != nil {
			return 0, err
		}
		window = scanBytes
		begin := offset
		for {
			units, ok := frameAt(data[offset-begin:], s.mark, offset)
			if !ok {
				break
			}
			after := offset + int64(frameHeader+len(units))
			if err := use(units, offset, after); err != nil {
				return 0, err
			}
			offset = after
		}
		if offset > begin {
			continue
		}
		if window = frameLength(data); window <= int64(len(data)) || offset+window > to {
			break
		}
	}
	return offset, nil
}

// read fetches what the segment has between the offsets.
func (s *segment) read(from, to int64) ([]byte, error) {
	data := make([]byte, max(0, to-from))
	if n, err := s.file.ReadAt(data, from); n < len(data) {
		return nil, fmt.Errorf("%s at %d: %w", segmentName(s.segment), from, err)
	}
	return data, nil
}

// torn looks at what is behind the last frame. clean means that nothing is there. An error tells of a frame that was.
func (s *segment) torn(end int64) (clean bool, err error) {
	data, err := s.read(end, s.size.Load())
	if err != nil {
		return false, err
	}
	magic := binary.LittleEndian.AppendUint32(nil, frameMagic)
	for at := 0; ; at++ {
		next := bytes.Index(data[at:], magic)
		if next < 0 {
			return len(bytes.Trim(data, "\x00")) == 0, nil
		}
		at += next
		if !says(data[at:], end, end+int64(at)) {
			continue // the checksum of what is long may be dear
		}
		if _, ok := frameAt(data[at:], s.mark, end+int64(at)); ok {
			return false, fmt.Errorf("%w: no frame in %s at %d, though there was one when that at %d was written",
				store.ErrCorrupt, segmentName(s.segment), end, end+int64(at))
		}
	}
}

// says tells whether what looks like a frame at the offset could say that something was durable beyond the end.
func says(data []byte, end, offset int64) bool {
	if frameLength(data) == 0 {
		return false
	}
	durable := frameDurable(data)
	return durable > end && durable <= offset
}

// beginning is where the segment before ended; begun is false if nothing is in this one. The salt is known afterwards.
func (s *segment) beginning() (before place, begun bool, err error) {
	units, begun := []byte(nil), false
	_, err = s.frames(0, s.size.Load(), func(first []byte, _, _ int64) error {
		units, begun = first, true
		return errStop
	})
	if err != nil && err != errStop {
		return place{}, false, err
	}
	if !begun {
		_, err = s.torn(0)
		return place{}, false, err
	}
	err = eachUnit(units, s.segment, 0, func(u *unit) error {
		if u.kind == unitBegin {
			before, s.salt = place{segment: u.before, offset: u.end}, u.salt
		}
		return nil
	})
	return before, true, err
}

// errStop ends a reading that has what it wants.
var errStop = errors.New("enough")

// replay brings the index up to the log's end, and returns where that is.
func (w *writer) replay() (end place, err error) {
	files := w.e.log.files.byID
	for at := w.state.log; ; at = (place{segment: at.segment + 1}) {
		if seg := files[at.segment]; seg != nil {
			if at.offset, err = seg.frames(at.offset, seg.size.Load(), func(units []byte, offset, after int64) error {
				return w.replayFrame(units, at.segment, offset, after)
			}); err != nil {
				return at, err
			}
		}
		next := files[at.segment+1]
		if next == nil {
			return at, nil
		}
		before, begun, err := next.beginning()
		if err != nil || !begun {
			return at, err
		}
		if before != at {
			return at, fmt.Errorf("%w: %s goes on after %v, but no frame is in %s at %d",
				store.ErrCorrupt, segmentName(next.segment), before, segmentName(at.segment), at.offset)
		}
	}
}

// replayFrame puts a frame of the log into the index.
func (w *writer) replayFrame(units []byte, segment uint64, offset, after int64) error {
	b := w.db.NewBatch()
	clear(w.overlay)
	err := eachUnit(units, segment, offset, func(u *unit) error {
		switch u.kind {
		case unitCommit:
			return w.replayCommit(b, u)
		case unitMoves:
			return w.replayMoves(b, u)
		default:
			return nil
		}
	})
	clear(w.overlay)
	if err := errors.Join(err, w.forget()); err != nil {
		return err
	}
	w.state.log = place{segment: segment, offset: after}
	record := w.segment(segment)
	record.end, record.salt = after, w.e.log.files.byID[segment].salt
	w.note(b)
	return errors.Join(w.db.Apply(b, pebble.NoSync), b.Close())
}

func (w *writer) replayCommit(b *pebble.Batch, u *unit) error {
	w.beginCommit(w.state.revision+1, u.time)
	for i, e := range u.entries {
		if e.revision != w.state.revision {
			return fmt.Errorf("%w: revision %d follows %d (%v)", store.ErrCorrupt, e.revision, w.state.revision-1, u.places[i])
		}
		was, err := w.lookUp(e.key)
		if err != nil {
			return err
		}
		w.change(b, e, u.places[i], was)
	}
	w.endCommit(b)
	return nil
}

func (w *writer) replayMoves(b *pebble.Batch, u *unit) error {
	for i, e := range u.entries {
		was, err := w.lookUp(e.key)
		if err != nil {
			return err
		}
		if was.revision != e.revision {
			return fmt.Errorf("%w: a value of revision %d moved, but the present one is of %d (%v)",
				store.ErrCorrupt, e.revision, was.revision, u.places[i])
		}
		w.move(b, e, u.places[i], was.at)
	}
	return nil
}

// endAt begins writing where replay has ended: in the same segment if nothing is behind that, or in a new one.
func (l *log) endAt(at place) error {
	l.after = at
	l.replace(func(byID map[uint64]*segment) {
		maps.DeleteFunc(byID, func(id uint64, _ *segment) bool { return id > at.segment }) // made ahead, and not begun
	})
	last := l.files.byID[at.segment]
	if last == nil {
		return nil
	}
	clean, err := last.torn(at.offset)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.end, l.durable, l.ended = last, at.offset, at.offset, !clean
	return nil
}

// leftovers are the files of segments that are not in the log: a crash came before they were removed, or before they were
// begun. One that was begun behind the log's end has lost those before it.
func (l *log) leftovers(end place) (ids []uint64, err error) {
	names, err := l.disk.List(l.dir)
	slices.Sort(names)
	for _, name := range names {
		var id uint64
		if n, _ := fmt.Sscanf(name, segmentFormat, &id); n != 1 || name != segmentName(id) || l.files.byID[id] != nil {
			continue
		}
		if id > end.segment {
			if err := l.notBegun(id, end); err != nil {
				return nil, err
			}
		}
		ids = append(ids, id)
	}
	return ids, err
}

// notBegun makes sure that nothing is in a segment behind the log's end.
func (l *log) notBegun(id uint64, end place) error {
	seg, err := l.openSegment(id)
	if err != nil {
		return err
	}
	defer seg.file.Close()
	before, begun, err := seg.beginning()
	if err == nil && begun {
		err = fmt.Errorf("%w: %s goes on after %v, but what is left ends with %v",
			store.ErrCorrupt, segmentName(id), before, end)
	}
	return err
}
