package embedded

import (
	"encoding/binary"

	"github.com/proa-dev/proa/internal/store"
)

// The key space on disk. The first byte says what a record is:
//
//	k <key>                the key's present value, with its revision and expiry
//	l <revision>           the commit of that revision: which keys, and what stood there before
//	f <revision> <key>     the revision that next changed what this revision wrote at the key
//	x <expiry> <key>       an index of the keys that have an expiry, soonest first
//	m state, m oldest      the last revision; the oldest revision that Events can start after
//
// A value is on disk once while it is present, in k, and once more while it is history, in the l record
// of the commit that replaced it. So a create writes its value once, and an update writes the new value
// and the old one. What a past commit wrote is found through f, in the commit after it, or in k if
// nothing came after. Numbers are big-endian, so that their order is the byte order.
const (
	liveSpace    = 'k'
	logSpace     = 'l'
	forwardSpace = 'f'
	expirySpace  = 'x'
	metaSpace    = 'm'
)

var (
	stateKey  = []byte("mstate")
	oldestKey = []byte("moldest")
)

func liveKey(key string) []byte {
	return append(append(make([]byte, 0, 1+len(key)), liveSpace), key...)
}

// logKeyLen is the length of every log key.
const logKeyLen = 9

func logKey(rev store.Revision) []byte { return appendLogKey(make([]byte, 0, logKeyLen), rev) }

func appendLogKey(b []byte, rev store.Revision) []byte {
	return binary.BigEndian.AppendUint64(append(b, logSpace), uint64(rev))
}

func forwardKey(rev store.Revision, key string) []byte {
	b := append(make([]byte, 0, 9+len(key)), forwardSpace)
	return append(binary.BigEndian.AppendUint64(b, uint64(rev)), key...)
}

// forwardBound is the first forward key after all of the revision's.
func forwardBound(rev store.Revision) []byte { return forwardKey(rev+1, "") }

func expiryKey(expiry int64, key string) []byte {
	b := append(make([]byte, 0, 9+len(key)), expirySpace)
	return append(binary.BigEndian.AppendUint64(b, uint64(expiry)), key...)
}

// parseExpiryKey is the inverse of expiryKey.
func parseExpiryKey(b []byte) (expiry int64, key string, ok bool) {
	if len(b) < 9 || b[0] != expirySpace {
		return 0, "", false
	}
	return int64(binary.BigEndian.Uint64(b[1:9])), string(b[9:]), true
}
