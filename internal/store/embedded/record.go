package embedded

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/proa-dev/proa/internal/store"
)

// Every record begins with the CRC-32C of its key and of the bytes that follow, so that a record that
// was damaged, or that stands under another key, is found when it is read. Integers are uvarints.
//
//	live     revision expiry value...
//	commit   time total count { deleted prevRevision len(key) key len(prev) prev }...
//	state    revision total time
//	number   number
const checksumLen = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// liveRecord is the present state of a key. The zero value is a key that does not exist.
type liveRecord struct {
	revision store.Revision
	// expiry is when the key is to be deleted, in milliseconds since 1970; 0 is never.
	expiry int64
	value  []byte
}

// commitRecord is one commit in the log.
type commitRecord struct {
	// time of the commit in milliseconds since 1970. It never goes back from one commit to the next.
	time int64
	// total is the size of all commit records ever written up to and including this one: the
	// difference of two totals is the size of the log between them.
	total   int64
	changes []change
}

// change is what a commit did to one key. What it wrote is not here: see keys.go.
type change struct {
	key          string
	deleted      bool
	prevRevision store.Revision
	prev         []byte
}

// stateRecord is what the writer must know to go on after a restart.
type stateRecord struct {
	revision    store.Revision
	total, time int64
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

func (r liveRecord) size() int {
	return checksumLen + uvarintLen(uint64(r.revision)) + uvarintLen(uint64(r.expiry)) + len(r.value)
}

// encode fills dst, which has the record's size.
func (r liveRecord) encode(key, dst []byte) {
	b := binary.AppendUvarint(dst[:checksumLen], uint64(r.revision))
	b = binary.AppendUvarint(b, uint64(r.expiry))
	copy(dst[len(b):], r.value)
	seal(key, dst)
}

// decodeLive reads a live record. Its value is a part of record, not a copy.
func decodeLive(key, record []byte) (liveRecord, error) {
	r, err := open(key, record)
	if err != nil {
		return liveRecord{}, err
	}
	live := liveRecord{revision: r.revision(), expiry: r.int64()}
	live.value = r.rest
	if live.value == nil {
		live.value = []byte{}
	}
	return live, r.err
}

func (c commitRecord) size() int {
	n := checksumLen + uvarintLen(uint64(c.time)) + uvarintLen(uint64(c.total)) + uvarintLen(uint64(len(c.changes)))
	for _, ch := range c.changes {
		n += 1 + uvarintLen(uint64(ch.prevRevision)) + uvarintLen(uint64(len(ch.key))) + len(ch.key) +
			uvarintLen(uint64(len(ch.prev))) + len(ch.prev)
	}
	return n
}

func (c commitRecord) encode(key, dst []byte) {
	b := binary.AppendUvarint(dst[:checksumLen], uint64(c.time))
	b = binary.AppendUvarint(b, uint64(c.total))
	b = binary.AppendUvarint(b, uint64(len(c.changes)))
	for _, ch := range c.changes {
		b = append(b, boolByte(ch.deleted))
		b = binary.AppendUvarint(b, uint64(ch.prevRevision))
		b = binary.AppendUvarint(b, uint64(len(ch.key)))
		b = append(b, ch.key...)
		b = binary.AppendUvarint(b, uint64(len(ch.prev)))
		b = append(b, ch.prev...)
	}
	seal(key, dst)
}

// decodeCommit reads a commit record. The changes' prev are parts of record, not copies.
func decodeCommit(key, record []byte) (commitRecord, error) {
	r, err := open(key, record)
	if err != nil {
		return commitRecord{}, err
	}
	c := commitRecord{time: r.int64(), total: r.int64()}
	n := r.count()
	c.changes = make([]change, 0, n)
	for range n {
		ch, key := r.change()
		ch.key = string(key)
		c.changes = append(c.changes, ch)
	}
	r.end()
	return c, r.err
}

// eachChange is decodeCommit for those who look at much and keep little: the change's key stands beside
// it, as a part of record.
func eachChange(key, record []byte, use func(ch change, key []byte)) error {
	r, err := open(key, record)
	if err != nil {
		return err
	}
	r.int64() // time
	r.int64() // total
	for range r.count() {
		ch, key := r.change()
		if r.err != nil {
			return r.err
		}
		use(ch, key)
	}
	r.end()
	return r.err
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
	ch = change{deleted: r.flag(), prevRevision: r.revision()}
	key, ch.prev = r.bytes(), r.bytes()
	if ch.prevRevision == 0 {
		ch.prev = nil
	}
	return ch, key
}

func (s stateRecord) encode(key []byte) []byte {
	b := make([]byte, checksumLen, checksumLen+3*binary.MaxVarintLen64)
	b = binary.AppendUvarint(b, uint64(s.revision))
	b = binary.AppendUvarint(b, uint64(s.total))
	b = binary.AppendUvarint(b, uint64(s.time))
	seal(key, b)
	return b
}

func decodeState(key, record []byte) (stateRecord, error) {
	r, err := open(key, record)
	if err != nil {
		return stateRecord{}, err
	}
	s := stateRecord{revision: r.revision(), total: r.int64(), time: r.int64()}
	r.end()
	return s, r.err
}

func encodeNumber(key []byte, n int64) []byte {
	b := binary.AppendUvarint(make([]byte, checksumLen, checksumLen+binary.MaxVarintLen64), uint64(n))
	seal(key, b)
	return b
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

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}
