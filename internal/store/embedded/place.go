package embedded

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/proa-dev/proa/internal/store"
)

// The log's format. A segment of the log is a sequence of frames; a group of commits is one frame, written at once:
//
//	frame    magic(4) checksum(4) length(4) durable(8) unit...
//	unit     'b' segment end salt              the segment begins; the one before it was that, and ended there
//	         'c' time count entry...           a commit, of the revision after the one before it
//	         'm' count entry...                values that live, moved here from an older segment
//	entry    checksum(4) flag revision expiry len(key) key len(value) value
//
// A frame's checksum covers all that follows, the segment and the offset that it is at, so that nothing is a frame but
// where it was written, and the segment's salt, so that nobody can make a value that would be a frame. durable is up to
// where the segment was on the device for certain when the frame was written: a frame that cannot be read is the torn end
// that a crash leaves, unless a later one says that it was there.
//
// An entry can be read by itself. Its checksum covers what follows; its key and revision tell whether it is the one that
// was looked for.
const (
	frameMagic  = 0x676f6c70
	frameHeader = 20

	unitBegin  = 'b'
	unitCommit = 'c'
	unitMoves  = 'm'
)

// place is where an entry is in the log. The zero place is nowhere.
type place struct {
	segment uint64
	offset  int64
	size    int64
}

func (p place) String() string { return fmt.Sprintf("%s at %d", segmentName(p.segment), p.offset) }

// entry is what a commit wrote to a key.
type entry struct {
	key      string
	deleted  bool
	revision store.Revision
	expiry   int64
	value    []byte
}

func (e *entry) append(b []byte) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0, boolByte(e.deleted))
	b = binary.AppendUvarint(b, uint64(e.revision))
	b = binary.AppendUvarint(b, uint64(e.expiry))
	b = binary.AppendUvarint(b, uint64(len(e.key)))
	b = append(b, e.key...)
	b = binary.AppendUvarint(b, uint64(len(e.value)))
	b = append(b, e.value...)
	seal(nil, b[start:])
	return b
}

// entry reads one entry. Its key and value are parts of the record, not copies.
func (r *reader) entry() (e entry, key []byte) {
	record := r.rest
	if len(record) < checksumLen {
		r.fail("too short")
		return entry{}, nil
	}
	r.rest = record[checksumLen:]
	e = entry{deleted: r.flag(), revision: r.revision(), expiry: r.int64()}
	key, e.value = r.bytes(), r.bytes()
	if r.err == nil && binary.LittleEndian.Uint32(record) != checksum(nil, record[checksumLen:len(record)-len(r.rest)]) {
		r.fail("checksum mismatch")
	}
	if r.err != nil {
		return entry{}, nil
	}
	return e, key
}

// valueIn is the value in an entry's bytes, which must be that of the key and the revision.
func valueIn(record []byte, key string, revision store.Revision, at place) ([]byte, error) {
	r := reader{key: liveKey(key), rest: record}
	e, found := r.entry()
	r.end()
	if r.err == nil && (string(found) != key || e.revision != revision || e.deleted) {
		r.fail("another one's value")
	}
	if r.err != nil {
		return nil, fmt.Errorf("%w (%v)", r.err, at)
	}
	return e.value, nil
}

// sealFrame completes a frame whose units are in place.
func sealFrame(frame []byte, of mark, offset, durable int64) {
	binary.LittleEndian.PutUint32(frame, frameMagic)
	binary.LittleEndian.PutUint32(frame[8:], uint32(len(frame)))
	binary.LittleEndian.PutUint64(frame[12:], uint64(durable))
	binary.LittleEndian.PutUint32(frame[4:], frameChecksum(frame, of, offset))
}

// mark is what a segment's frames are marked with in their checksums. The first frame, which says the salt, is without it.
type mark struct{ segment, salt uint64 }

func frameChecksum(frame []byte, of mark, offset int64) uint32 {
	if offset == 0 {
		of.salt = 0
	}
	var where [24]byte
	binary.LittleEndian.PutUint64(where[:], of.segment)
	binary.LittleEndian.PutUint64(where[8:], of.salt)
	binary.LittleEndian.PutUint64(where[16:], uint64(offset))
	return crc32.Update(crc32.Update(0, castagnoli, where[:]), castagnoli, frame[8:])
}

// frameAt is the frame that data begins with, if there is one; data is what the segment has from the offset on.
func frameAt(data []byte, of mark, offset int64) (units []byte, ok bool) {
	length := frameLength(data)
	if length < frameHeader || length > int64(len(data)) {
		return nil, false
	}
	frame := data[:length:length]
	if binary.LittleEndian.Uint32(frame[4:]) != frameChecksum(frame, of, offset) {
		return nil, false
	}
	return frame[frameHeader:], true
}

// frameLength is how long the frame claims to be that data begins with.
func frameLength(data []byte) int64 {
	if len(data) < frameHeader || binary.LittleEndian.Uint32(data) != frameMagic {
		return 0
	}
	return int64(binary.LittleEndian.Uint32(data[8:]))
}

// frameDurable is up to where the frame says that the segment was durable.
func frameDurable(frame []byte) int64 { return int64(binary.LittleEndian.Uint64(frame[12:])) }

// beginUnit says where the segment before ended, and the new one's salt.
func beginUnit(b []byte, before uint64, end int64, salt uint64) []byte {
	b = binary.AppendUvarint(append(b, unitBegin), before)
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(end)), salt)
}

// appendUnit begins a unit of entries.
func appendUnit(b []byte, kind byte, time int64, entries int) []byte {
	b = append(b, kind)
	if kind == unitCommit {
		b = binary.AppendUvarint(b, uint64(time))
	}
	return binary.AppendUvarint(b, uint64(entries))
}

// unit is one unit of a frame.
type unit struct {
	kind byte
	// before, end and salt are of unitBegin.
	before, salt uint64
	end          int64
	// time is of unitCommit.
	time int64
	// entries, with their places, are of the others.
	entries []entry
	places  []place
}

// eachUnit takes a frame's units apart. The entries' values are parts of units, not copies.
func eachUnit(units []byte, segment uint64, offset int64, use func(u *unit) error) error {
	whole := len(units)
	r := reader{key: []byte(segmentName(segment)), rest: units}
	var u unit
	for len(r.rest) > 0 {
		u = unit{kind: r.rest[0], entries: u.entries[:0], places: u.places[:0]}
		r.rest = r.rest[1:]
		count := int64(0)
		switch u.kind {
		case unitBegin:
			u.before, u.end, u.salt = uint64(r.int64()), r.int64(), uint64(r.int64())
		case unitCommit:
			u.time, count = r.int64(), r.count()
		case unitMoves:
			count = r.count()
		default:
			r.fail("unit of no kind")
		}
		for range count {
			at := offset + frameHeader + int64(whole-len(r.rest))
			before := len(r.rest)
			e, key := r.entry()
			if r.err != nil {
				return r.err
			}
			e.key = string(key)
			u.entries = append(u.entries, e)
			u.places = append(u.places, place{segment, at, int64(before - len(r.rest))})
		}
		if r.err != nil {
			return r.err
		}
		if err := use(&u); err != nil {
			return err
		}
	}
	return r.err
}
