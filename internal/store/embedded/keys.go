package embedded

import (
	"encoding/binary"

	"github.com/proa-dev/proa/internal/store"
)

// On disk are a log (log.go), which has the values, and an index over it, which Pebble keeps. This is the index's key
// space. The first byte says what a record is:
//
//	k <key>                where the key's present value is, with its revision and expiry
//	l <revision>           the commit of that revision: what it wrote to which keys, and what stood there before
//	x <expiry> <key>       an index of the keys that have an expiry, soonest first
//	s <segment>            how much of a segment of the log is needed
//	m state, m oldest      the last revision, and up to where the log is in the index; the oldest revision that Events
//	                       can start after
//
// A value is in the log once, from its commit until neither k nor l leads to it. Numbers are big-endian, so that their
// order is the byte order.
const (
	liveSpace    = 'k'
	logSpace     = 'l'
	expirySpace  = 'x'
	segmentSpace = 's'
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

func segmentKey(id uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{segmentSpace}, id)
}

// parseSegmentKey is the inverse of segmentKey.
func parseSegmentKey(b []byte) (id uint64) {
	if len(b) == 9 {
		id = binary.BigEndian.Uint64(b[1:])
	}
	return id
}

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
