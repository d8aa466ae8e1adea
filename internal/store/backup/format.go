// Package backup writes the whole of a store, at one revision, into a file, and a file into an empty store.
//
// # The file
//
//	"PROA-BACKUP 1\n"
//	frame: 'H' and a JSON object: the revision, when and by whom it was made
//	frame: 'K', uvarint revision, uvarint length of the key, key, value; for each key, in order
//	frame: 'T', uvarint number of keys, SHA-256 of all bytes of the file before this frame
//
// A frame is its payload's length and the payload's CRC-32C, both 32 bits little-endian, and the payload. A
// file without a trailer that fits is not a backup: what was cut short is noticed, wherever it was cut.
package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"time"

	"github.com/proa-dev/proa/internal/store"
)

const (
	magic = "PROA-BACKUP 1\n"
	// longestFrame bounds what a reader takes for one: far above what a store accepts for a value.
	longestFrame = 256 << 20
	frameHead    = 8
)

// The kinds of frames.
const (
	kindHeader  = 'H'
	kindKey     = 'K'
	kindTrailer = 'T'
)

// ErrDamaged means that a file is not a whole backup.
var ErrDamaged = errors.New("the backup is damaged")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header is what a backup says of itself.
type Header struct {
	Revision store.Revision `json:"revision"`
	Time     time.Time      `json:"time"`
	Server   string         `json:"server"`
}

// writer writes frames, and sums up all that it has written.
type writer struct {
	out *bufio.Writer
	sum hash.Hash
	buf []byte
}

func newWriter(out io.Writer, h Header) (*writer, error) {
	w := &writer{out: bufio.NewWriterSize(out, 64<<10), sum: sha256.New()}
	if err := w.write([]byte(magic)); err != nil {
		return nil, err
	}
	data, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	return w, w.frame(append([]byte{kindHeader}, data...))
}

func (w *writer) write(data []byte) error {
	w.sum.Write(data)
	_, err := w.out.Write(data)
	return err
}

func (w *writer) frame(payload []byte) error {
	if len(payload) > longestFrame {
		return fmt.Errorf("a value of %d bytes does not fit into a backup", len(payload))
	}
	var head [frameHead]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(head[4:], crc32.Checksum(payload, castagnoli))
	if err := w.write(head[:]); err != nil {
		return err
	}
	return w.write(payload)
}

func (w *writer) key(kv store.KV) error {
	w.buf = append(w.buf[:0], kindKey)
	w.buf = binary.AppendUvarint(w.buf, uint64(kv.Revision))
	w.buf = binary.AppendUvarint(w.buf, uint64(len(kv.Key)))
	w.buf = append(append(w.buf, kv.Key...), kv.Value...)
	return w.frame(w.buf)
}

func (w *writer) trailer(keys int) error {
	payload := binary.AppendUvarint([]byte{kindTrailer}, uint64(keys))
	if err := w.frame(w.sum.Sum(payload)); err != nil {
		return err
	}
	return w.out.Flush()
}

// Reader reads a backup and checks it as it goes.
type Reader struct {
	Header Header
	// Keys and Bytes count what was read.
	Keys  int
	Bytes int64

	in   *bufio.Reader
	sum  hash.Hash
	last string // key
	err  error
}

// NewReader reads the header.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(in, 64<<10), sum: sha256.New()}
	start := make([]byte, len(magic))
	n, err := io.ReadFull(r.in, start)
	if err != nil && n < len(start) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if string(start) != magic {
		if bytes.HasPrefix(start, []byte(magic[:len(magic)-2])) {
			return nil, damaged("its format is %q, and this version reads %q", start, magic)
		}
		return nil, damaged("it does not begin as a backup of Proa")
	}
	r.sum.Write(start)
	r.Bytes = int64(len(magic))
	payload, err := r.frame()
	if err != nil {
		return nil, err
	}
	if payload[0] != kindHeader {
		return nil, damaged("it has no header")
	}
	r.add(payload)
	if err := json.Unmarshal(payload[1:], &r.Header); err != nil {
		return nil, damaged("its header: %v", err)
	}
	if r.Header.Revision < 0 {
		return nil, damaged("its revision is %d", r.Header.Revision)
	}
	return r, nil
}

// Next returns the next key. It is io.EOF when all were read and the trailer fits, and not before.
func (r *Reader) Next() (store.KV, error) {
	if r.err != nil {
		return store.KV{}, r.err
	}
	kv, err := r.next()
	r.err = err
	return kv, err
}

func (r *Reader) next() (store.KV, error) {
	payload, err := r.frame()
	if err != nil {
		return store.KV{}, err
	}
	switch payload[0] {
	case kindKey:
		r.add(payload)
		return r.key(payload[1:])
	case kindTrailer:
		return store.KV{}, r.trailer(payload[1:])
	}
	return store.KV{}, damaged("a frame of kind %q", payload[0])
}

// frame reads one; the sum has it after add.
func (r *Reader) frame() ([]byte, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return nil, r.cut(err)
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size == 0 || size > longestFrame {
		return nil, damaged("a frame of %d bytes, after %d bytes", size, r.Bytes)
	}
	// The length is not to be believed before the payload is there.
	var payload bytes.Buffer
	if _, err := io.CopyN(&payload, r.in, int64(size)); err != nil {
		return nil, r.cut(err)
	}
	if crc32.Checksum(payload.Bytes(), castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, damaged("the checksum of the frame after %d bytes does not fit", r.Bytes)
	}
	r.Bytes += frameHead + int64(size)
	return payload.Bytes(), nil
}

func (r *Reader) cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged("it ends after %d bytes and %d keys, without a trailer", r.Bytes, r.Keys)
	}
	return err
}

func (r *Reader) add(payload []byte) {
	var head [frameHead]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(head[4:], crc32.Checksum(payload, castagnoli))
	r.sum.Write(head[:])
	r.sum.Write(payload)
}

func (r *Reader) key(payload []byte) (store.KV, error) {
	rev, n := binary.Uvarint(payload)
	if n <= 0 || rev == 0 || rev > uint64(r.Header.Revision) {
		return store.KV{}, damaged("key %d has no revision up to the backup's", r.Keys)
	}
	payload = payload[n:]
	size, n := binary.Uvarint(payload)
	if n <= 0 || size == 0 || size > uint64(len(payload)-n) {
		return store.KV{}, damaged("key %d has no length", r.Keys)
	}
	kv := store.KV{Key: string(payload[n : n+int(size)]), Value: payload[n+int(size):], Revision: store.Revision(rev)}
	if kv.Key <= r.last {
		return store.KV{}, damaged("key %q comes after %q", kv.Key, r.last)
	}
	r.last = kv.Key
	r.Keys++
	return kv, nil
}

func (r *Reader) trailer(payload []byte) error {
	keys, n := binary.Uvarint(payload)
	if n <= 0 || keys != uint64(r.Keys) {
		return damaged("its trailer counts %d keys, and %d are there", keys, r.Keys)
	}
	if !bytes.Equal(payload[n:], r.sum.Sum(nil)) {
		return damaged("its checksum does not fit")
	}
	if _, err := r.in.ReadByte(); err != io.EOF {
		return damaged("something follows its trailer")
	}
	return io.EOF
}
