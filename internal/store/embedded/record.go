package embedded

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/proa-dev/proa/internal/store"
)

// Every record of the index begins with the CRC-32C of its key and of the bytes that follow, so that a record that
// was damaged, or that stands under another key, is found when it is read. Integers are uvarints.
//
//	live     revision expiry place
//	commit   time total count { deleted len(key) key place prevRevision prevPlace }...
//	segment  live end movedAt salt
//	state    revision total time segment offset
//	number   number
//	place    segment offset size
//
// A change that deleted has no place, and one without a value before it no prevPlace.
const checksumLen = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// liveRecord is the present state of a key. The zero value is a key that does not exist.
type liveRecord struct {
	revision store.Revision
	// expiry is when the key is to be deleted, in milliseconds since 1970; 0 is never.
	expiry int64
	// at is where the value is.
	at place
}

// commitRecord is one commit in the log.
type commitRecord struct {
	// time of the commit in milliseconds since 1970. It never goes back from one commit to the next.
	time int64
	// total is the size of all commit records ever written up to and including this one, and of the values that
	// they replaced: the difference of two totals is what the history between them takes.
	total   int64
	changes []change
}

// change is what a commit did to one key.
type change struct {
	key     string
	deleted bool
	// at is where what it wrote was at that time, prev where what stood there before was. Both are there as long as the
	// commit is in the history.
	at           place
	prevRevision store.Revision
	prev         place
}

// segmentRecord is what is known of a segment of the log.
type segmentRecord struct {
	// live is the size of the entries that are present values, or are to be found from the history as the values
	// before a commit.
	live int64
	// end is how far the segment is written.
	end int64
	// movedAt is the last revision at which a value was moved out of it: commits up to there may lead to what has moved.
	movedAt store.Revision
	// salt is that of its frames.
	salt uint64
}

// stateRecord is what the writer must know to go on after a restart.
type stateRecord struct {
	revision    store.Revision
	total, time int64
	// log is up to where the log is in the index; its size is nothing.
	log place
}

// seal writes the checksum into the first bytes of a record whose remainder is in place.
func seal(key, record []byte) {
	binary.LittleEndian.PutUint32(record, checksum(key, record[checksumLen:]))
}

func checksum(key, body []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, key), castagnoli, body)
}

// open checks a record's checksum and returns a reader of its body.
func open(key, record []byte) (reader, error) {
	if len(record) < checksumLen || binary.LittleEndian.Uint32(record) != checksum(key, record[checksumLen:]) {
		return reader{}, damaged(key, "checksum mismatch")
	}
	return reader{key: key, rest: record[checksumLen:]}, nil
}

func damaged(key []byte, what string) error {
	return fmt.Errorf("%w: record %q: %s", store.ErrCorrupt, key, what)
}

func (p place) append(b []byte) []byte {
	b = binary.AppendUvarint(b, p.segment)
	b = binary.AppendUvarint(b, uint64(p.offset))
	return binary.AppendUvarint(b, uint64(p.size))
}

func (r *reader) place() place {
	return place{segment: uint64(r.int64()), offset: r.int64(), size: r.int64()}
}

// record begins a record, for sealRecord to end.
func record(b []byte) []byte { return append(b[:0], 0, 0, 0, 0) }

func sealRecord(key, record []byte) []byte {
	seal(key, record)
	return record
}

// encode uses the bytes of b for the record.
func (r liveRecord) encode(key, b []byte) []byte {
	b = binary.AppendUvarint(record(b), uint64(r.revision))
	b = binary.AppendUvarint(b, uint64(r.expiry))
	return sealRecord(key, r.at.append(b))
}

func decodeLive(key, record []byte) (liveRecord, error) {
	r, err := open(key, record)
	if err != nil {
		return liveRecord{}, err
	}
	live := liveRecord{revision: r.revision(), expiry: r.int64(), at: r.place()}
	r.end()
	return live, r.err
}

func (c commitRecord) encode(key, b []byte) []byte {
	b = binary.AppendUvarint(record(b), uint64(c.time))
	b = binary.AppendUvarint(b, uint64(c.total))
	b = binary.AppendUvarint(b, uint64(len(c.changes)))
	for i := range c.changes {
		ch := &c.changes[i]
		b = append(b, boolByte(ch.deleted))
		b = binary.AppendUvarint(b, uint64(len(ch.key)))
		b = append(b, ch.key...)
		if !ch.deleted {
			b = ch.at.append(b)
		}
		b = binary.AppendUvarint(b, uint64(ch.prevRevision))
		if ch.prevRevision != 0 {
			b = ch.prev.append(b)
		}
	}
	return sealRecord(key, b)
}

func decodeCommit(key, record []byte) (commitRecord, error) {
	c := commitRecord{}
	var err error
	c.time, c.total, err = eachChange(key, record, func(ch change, key []byte) {
		ch.key = string(key)
		c.changes = append(c.changes, ch)
	})
	return c, err
}

// eachChange is decodeCommit for those who look at much and keep little: the change's key stands beside
// it, as a part of record.
func eachChange(key, record []byte, use func(ch change, key []byte)) (time, total int64, err error) {
	r, err := open(key, record)
	if err != nil {
		return 0, 0, err
	}
	time, total = r.int64(), r.int64()
	for range r.count() {
		ch, key := r.change()
		if r.err != nil {
			return 0, 0, r.err
		}
		use(ch, key)
	}
	r.end()
	return time, total, r.err
}

// count is how many changes follow; each takes a byte at least.
func (r *reader) count() int64 {
	n := r.int64()
	if n > int64(len(r.rest)) {
		r.fail("more changes than bytes")
		return 0
	}
	return n
}

// change reads a change, but for its key, which is a part of the record.
func (r *reader) change() (ch change, key []byte) {
	ch.deleted, key = r.flag(), r.bytes()
	if !ch.deleted {
		ch.at = r.place()
	}
	ch.prevRevision = r.revision()
	if ch.prevRevision != 0 {
		ch.prev = r.place()
	}
	return ch, key
}

func (s segmentRecord) encode(key []byte) []byte {
	b := binary.AppendUvarint(record(nil), uint64(s.live))
	b = binary.AppendUvarint(b, uint64(s.end))
	b = binary.AppendUvarint(b, uint64(s.movedAt))
	return sealRecord(key, binary.AppendUvarint(b, s.salt))
}

func decodeSegment(key, record []byte) (segmentRecord, error) {
	r, err := open(key, record)
	if err != nil {
		return segmentRecord{}, err
	}
	s := segmentRecord{live: r.int64(), end: r.int64(), movedAt: r.revision(), salt: uint64(r.int64())}
	r.end()
	return s, r.err
}

func (s stateRecord) encode(key []byte) []byte {
	b := binary.AppendUvarint(record(nil), uint64(s.revision))
	b = binary.AppendUvarint(b, uint64(s.total))
	b = binary.AppendUvarint(b, uint64(s.time))
	return sealRecord(key, s.log.append(b))
}

func decodeState(key, record []byte) (stateRecord, error) {
	r, err := open(key, record)
	if err != nil {
		return stateRecord{}, err
	}
	s := stateRecord{revision: r.revision(), total: r.int64(), time: r.int64(), log: r.place()}
	r.end()
	return s, r.err
}

func encodeNumber(key []byte, n int64) []byte {
	return sealRecord(key, binary.AppendUvarint(record(nil), uint64(n)))
}

func decodeNumber(key, record []byte) (int64, error) {
	r, err := open(key, record)
	if err != nil {
		return 0, err
	}
	n := r.int64()
	r.end()
	return n, r.err
}

// reader takes a record's body apart. After the first failure it returns zeros and keeps the error.
type reader struct {
	key, rest []byte
	err       error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = damaged(r.key, what)
	}
	r.rest = nil
}

func (r *reader) int64() int64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > 1<<63-1 {
		r.fail("number out of range")
		return 0
	}
	r.rest = r.rest[n:]
	return int64(v)
}

func (r *reader) revision() store.Revision { return r.int64() }

func (r *reader) flag() bool {
	if len(r.rest) == 0 || r.rest[0] > 1 {
		r.fail("flag out of range")
		return false
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b == 1
}

// bytes returns a length-prefixed part; it is never nil unless the record is damaged.
func (r *reader) bytes() []byte {
	n := r.int64()
	if n > int64(len(r.rest)) {
		r.fail("length beyond the end")
	}
	if r.err != nil {
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) end() {
	if r.err == nil && len(r.rest) != 0 {
		r.fail("bytes after the end")
	}
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}
