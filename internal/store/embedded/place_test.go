package embedded

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/proa-dev/proa/internal/store"
)

const testSalt = 1 << 50

// frameOf is a frame with some entries, sealed for a place.
func frameOf(segment uint64, offset, durable int64, kind byte, entries ...entry) []byte {
	frame := appendUnit(make([]byte, frameHeader), kind, 1<<40, len(entries))
	for i := range entries {
		frame = entries[i].append(frame)
	}
	sealFrame(frame, mark{segment, testSalt}, offset, durable)
	return frame
}

func segmentOf(id uint64, data []byte) *segment {
	s := &segment{mark: mark{id, testSalt}, file: vfs.NewMemFile(data)}
	s.size.Store(int64(len(data)))
	return s
}

// FuzzFrames takes any bytes for a segment and, sealed, for a frame's units. Whatever is read is in the bytes, and encodes to
// what was read.
func FuzzFrames(f *testing.F) {
	whole := frameOf(7, 0, 0, unitCommit, entry{key: "a", revision: 3, value: []byte("value")}, entry{key: "", deleted: true, revision: 3})
	moves := frameOf(7, int64(len(whole)), int64(len(whole)), unitMoves, entry{key: "b\x00", revision: 2, expiry: math.MaxInt64, value: []byte{}})
	f.Add(append(bytes.Clone(whole), moves...))
	f.Add(append(make([]byte, 30), moves...))
	f.Add(beginUnit(make([]byte, frameHeader), 6, 1<<30, 1<<60))
	f.Add(whole[frameHeader:])
	f.Fuzz(func(t *testing.T, data []byte) {
		sealed := append(make([]byte, frameHeader), data...)
		sealFrame(sealed, mark{7, testSalt}, 0, 0)
		for _, data := range [][]byte{data, sealed} {
			s := segmentOf(7, data)
			end, err := s.frames(0, int64(len(data)), func(units []byte, offset, after int64) error {
				checkUnits(t, data, units, offset)
				return nil
			})
			if err != nil || end < 0 || end > int64(len(data)) {
				t.Fatalf("frames to %d of %d, %v", end, len(data), err)
			}
			_, err = s.torn(end)
			corrupt(t, err)
			_, _, err = s.beginning()
			corrupt(t, err)
		}
	})
}

// checkUnits takes a frame's units apart and puts them together.
func checkUnits(t *testing.T, data, units []byte, offset int64) {
	again := []byte{}
	err := eachUnit(units, 7, offset, func(u *unit) error {
		if u.kind == unitBegin {
			again = beginUnit(again, u.before, u.end, u.salt)
		} else {
			again = appendUnit(again, u.kind, u.time, len(u.entries))
		}
		for i, e := range u.entries {
			at := u.places[i]
			record := data[at.offset:][:at.size]
			value, err := valueIn(record, e.key, e.revision, at)
			if e.deleted != (err != nil) || !e.deleted && !bytes.Equal(value, e.value) {
				t.Fatalf("%+v at %v: %q, %v", e, at, value, err)
			}
			again = e.append(again)
		}
		return nil
	})
	if corrupt(t, err) {
		return
	}
	// What is written shorter than it was must still mean the same.
	var first, second []unit
	keep := func(to *[]unit) func(u *unit) error {
		return func(u *unit) error {
			kept := *u
			kept.entries, kept.places = append([]entry(nil), u.entries...), nil
			*to = append(*to, kept)
			return nil
		}
	}
	must(t, eachUnit(units, 7, offset, keep(&first)))
	must(t, eachUnit(again, 7, offset, keep(&second)))
	if !reflect.DeepEqual(first, second) {
		t.Fatalf("%+v became %+v", first, second)
	}
}

// TestEveryBitOfAFrameCounts flips each bit of a frame, and of an entry that is read by itself.
func TestEveryBitOfAFrameCounts(t *testing.T) {
	e := entry{key: "pods/default/web", revision: 300, expiry: 12, value: []byte("value")}
	frame := frameOf(3, 4000, 2000, unitCommit, e)
	if _, ok := frameAt(frame, mark{3, testSalt}, 4000); !ok {
		t.Fatal("it is no frame")
	}
	record := e.append(nil)
	for i := range len(frame) * 8 {
		frame[i/8] ^= 1 << (i % 8)
		if _, ok := frameAt(frame, mark{3, testSalt}, 4000); ok {
			t.Fatalf("bit %d flipped: it is still a frame", i)
		}
		frame[i/8] ^= 1 << (i % 8)
	}
	for i := range len(record) * 8 {
		record[i/8] ^= 1 << (i % 8)
		if value, err := valueIn(record, e.key, e.revision, place{}); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("bit %d flipped: %q, %v", i, value, err)
		}
		record[i/8] ^= 1 << (i % 8)
	}
}

// TestFrameElsewhere: a frame is one only where it was written, and an entry only the value of its key and revision.
func TestFrameElsewhere(t *testing.T) {
	e := entry{key: "a", revision: 5, value: []byte("value")}
	frame := frameOf(3, 4000, 2000, unitCommit, e)
	for _, elsewhere := range []struct {
		mark
		offset int64
	}{{mark{2, testSalt}, 4000}, {mark{3, testSalt}, 3999}, {mark{3, testSalt}, 0}, {mark{4000, testSalt}, 3}, {mark{3, 0}, 4000}} {
		if _, ok := frameAt(frame, elsewhere.mark, elsewhere.offset); ok {
			t.Errorf("it is a frame in %v", elsewhere)
		}
	}
	gone := entry{key: "a", revision: 5, deleted: true}
	for name, c := range map[string]struct {
		record   []byte
		key      string
		revision store.Revision
	}{
		"another key":      {e.append(nil), "b", 5},
		"another revision": {e.append(nil), "a", 4},
		"deleted":          {gone.append(nil), "a", 5},
		"too short":        {e.append(nil)[:9], "a", 5},
		"too long":         {append(e.append(nil), 0), "a", 5},
		"nothing":          {nil, "a", 5},
	} {
		if value, err := valueIn(c.record, c.key, c.revision, place{}); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %q, %v", name, value, err)
		}
	}
}

// TestLargeFrame finds frames that are larger than what is read at a time, and those around them.
func TestLargeFrame(t *testing.T) {
	var data []byte
	sizes := []int{10, scanBytes - 200, 3 * scanBytes, 10, 5 * scanBytes, scanBytes, 0}
	for i, size := range sizes {
		e := entry{key: "a", revision: store.Revision(i), value: bytes.Repeat([]byte{byte(i)}, size)}
		data = append(data, frameOf(1, int64(len(data)), 0, unitCommit, e)...)
	}
	whole := int64(len(data))
	data = append(data, make([]byte, 2*scanBytes)...)
	found := 0
	end, err := segmentOf(1, data).frames(0, int64(len(data)), func(units []byte, offset, _ int64) error {
		return eachUnit(units, 1, offset, func(u *unit) error {
			if e := u.entries[0]; len(e.value) != sizes[found] || e.revision != store.Revision(found) {
				t.Errorf("frame %d has %d bytes of revision %d", found, len(e.value), e.revision)
			}
			found++
			return nil
		})
	})
	if err != nil || end != whole || found != len(sizes) {
		t.Errorf("%d frames to %d of %d, %v", found, end, whole, err)
	}
}
