package embedded

import (
	"github.com/cockroachdb/pebble/v2"

	"github.com/proa-dev/proa/internal/store"
)

// cursor goes through the present values of a range, in the order of their keys.
type cursor struct {
	view *view
	it   *pebble.Iterator
	// key and live are those that it stands on.
	key  string
	live liveRecord
	err  error
	run  run
}

// cursor begins before the first key; the range ends with the last one if end is empty.
func (v *view) cursor(start, end string) (*cursor, error) {
	upper := []byte{liveSpace + 1}
	if end != "" {
		upper = liveKey(end)
	}
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: liveKey(start), UpperBound: upper})
	if err != nil {
		return nil, readError(liveKey(start), err)
	}
	return &cursor{view: v, it: it}, nil
}

// next is false at the end, and after an error.
func (c *cursor) next() bool {
	valid := false
	switch {
	case c.err != nil:
		return false
	case !c.it.Valid():
		valid = c.it.First()
	default:
		valid = c.it.Next()
	}
	if !valid {
		if err := c.it.Error(); err != nil {
			c.err = readError([]byte(c.key), err)
		}
		return false
	}
	record, err := c.it.ValueAndErr()
	if err != nil {
		c.err = readError(c.it.Key(), err)
		return false
	}
	c.key = string(c.it.Key()[1:])
	c.live, c.err = decodeLive(c.it.Key(), record)
	return c.err == nil
}

// kv is what it stands on. A lent value is good until the next call.
func (c *cursor) kv(lent bool) (store.KV, error) {
	value, err := c.run.read(c.view.files, c.key, c.live)
	if err != nil {
		return store.KV{}, err
	}
	if !lent {
		value = append([]byte{}, value...)
	}
	return store.KV{Key: c.key, Value: value, Revision: c.live.revision}, nil
}

func (c *cursor) close() { c.it.Close() }

// run reads values of which many lie one after the other, though the next one may be anywhere: what follows a value
// closely is fetched together with those behind it.
type run struct {
	buf []byte // what the segment has from offset on
	at  place
}

const (
	runBytes = 64 << 10
	runGap   = 4 << 10
)

// read returns a value that is good until the next call.
func (r *run) read(files *segments, key string, live liveRecord) ([]byte, error) {
	at := live.at
	if !r.has(at) {
		if err := r.fetch(files, at); err != nil {
			return nil, err
		}
	}
	from := at.offset - r.at.offset
	return valueIn(r.buf[from:from+at.size], key, live.revision, at)
}

func (r *run) has(at place) bool {
	return at.segment == r.at.segment && at.offset >= r.at.offset && at.offset+at.size <= r.at.offset+int64(len(r.buf))
}

func (r *run) fetch(files *segments, at place) (err error) {
	end := r.at.offset + int64(len(r.buf))
	follows := at.segment == r.at.segment && at.offset+at.size > end && at.offset <= end+runGap
	size := at.size
	if follows {
		size = max(size, min(runBytes, files.left(at)))
	}
	r.at = place{at.segment, at.offset, size}
	r.buf, err = files.bytes(r.buf, r.at)
	if err != nil {
		r.buf = nil
	}
	return err
}
