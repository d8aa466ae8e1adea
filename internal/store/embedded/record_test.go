package embedded

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/proa-dev/proa/internal/store"
)

// FuzzRecords takes any bytes for each kind of record. Without a good checksum they are refused; with
// one, they are refused or decode to something that encodes to a record of the same meaning.
func FuzzRecords(f *testing.F) {
	key := []byte("lkey")
	f.Add(liveRecord{revision: 300, expiry: 1 << 40, at: place{1, 2, 3}}.encode(key, nil))
	f.Add(commitRecord{time: 1 << 40, total: 5000, changes: []change{
		{key: "a", at: place{1, 20, 7}, prevRevision: 7, prev: place{1, 1 << 33, 500}},
		{key: "", deleted: true, prevRevision: 1, prev: place{2, 0, 1}}, {key: "c", at: place{3, 0, 9}}}}.encode(key, nil))
	f.Add(segmentRecord{live: 1000, end: 1 << 24, movedAt: 7, salt: 1 << 60}.encode(key))
	f.Add(stateRecord{revision: 1, total: 2, time: 3, log: place{segment: 7, offset: 100}}.encode(key))
	f.Add(encodeNumber(key, 1<<62))
	f.Fuzz(func(t *testing.T, record []byte) {
		for _, record := range [][]byte{record, sealed(key, record)} {
			checkLive(t, key, record)
			checkCommit(t, key, record)
			if s, err := decodeState(key, record); !corrupt(t, err) {
				if again, err := decodeState(key, s.encode(key)); err != nil || again != s {
					t.Fatalf("state %+v became %+v, %v", s, again, err)
				}
			}
			if s, err := decodeSegment(key, record); !corrupt(t, err) {
				if again, err := decodeSegment(key, s.encode(key)); err != nil || again != s {
					t.Fatalf("segment %+v became %+v, %v", s, again, err)
				}
			}
			if n, err := decodeNumber(key, record); !corrupt(t, err) {
				if again, err := decodeNumber(key, encodeNumber(key, n)); err != nil || again != n {
					t.Fatalf("number %d became %d, %v", n, again, err)
				}
			}
		}
	})
}

func checkLive(t *testing.T, key, record []byte) {
	live, err := decodeLive(key, record)
	if corrupt(t, err) {
		return
	}
	if back, err := decodeLive(key, live.encode(key, nil)); err != nil || back != live {
		t.Fatalf("live record %+v became %+v, %v", live, back, err)
	}
}

func checkCommit(t *testing.T, key, record []byte) {
	commit, err := decodeCommit(key, record)
	if corrupt(t, err) {
		return
	}
	if back, err := decodeCommit(key, commit.encode(key, nil)); err != nil || !reflect.DeepEqual(back, commit) {
		t.Fatalf("commit record %+v became %+v, %v", commit, back, err)
	}
}

func corrupt(t *testing.T, err error) bool {
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("error %v is not ErrCorrupt", err)
	}
	return err != nil
}

func sealed(key, body []byte) []byte {
	record := append(make([]byte, checksumLen), body...)
	seal(key, record)
	return record
}

// TestEveryBitCounts flips each bit of a record and of its key.
func TestEveryBitCounts(t *testing.T) {
	key := liveKey("pods/default/web")
	record := liveRecord{revision: 300, expiry: 12, at: place{3, 4000, 500}}.encode(key, nil)
	if _, err := decodeLive(key, record); err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]byte{key, record} {
		for i := range len(part) * 8 {
			part[i/8] ^= 1 << (i % 8)
			if _, err := decodeLive(key, record); !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("bit %d flipped: %v", i, err)
			}
			part[i/8] ^= 1 << (i % 8)
		}
	}
}

func TestExpiryKeysAreInOrder(t *testing.T) {
	var last []byte
	for _, expiry := range []int64{0, 1, 255, 256, 1 << 40, never} {
		k := expiryKey(expiry, "z")
		if bytes.Compare(last, k) >= 0 {
			t.Fatalf("%x is not after %x", k, last)
		}
		if got, key, ok := parseExpiryKey(k); !ok || got != expiry || key != "z" {
			t.Fatalf("%x: %d %q %v", k, got, key, ok)
		}
		last = k
	}
}
