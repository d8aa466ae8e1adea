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
	key   string
	live  liveRecord
	begun bool
	err   error
	run   run
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
	if c.err != nil {
		return false
	}
	step := c.it.Next
	if !c.begun {
		c.begun, step = true, c.it.First
	}
	if !step() {
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
	value, err := c.run.read(c.view.files, c.key, c.live, lent)
	return store.KV{Key: c.key, Value: value, Revision: c.live.revision}, err
}

func (c *cursor) close() { c.it.Close() }

// run reads values of which many lie one after the other, though the next one may be anywhere: what follows the one before
// closely is fetched together with what is behind it.
type run struct {
	// buf is what a segment has at a place.
	buf []byte
	at  place
	// end is where the value before ended; its size is nothing.
	end place
}

const (
	runBytes = 64 << 10
	runGap   = 4 << 10
)

// read returns a value. A lent one is good until the next call.
func (r *run) read(files *segments, key string, live liveRecord, lent bool) (value []byte, err error) {
	at := live.at
	record, shared := r.had(at), true
	if record == nil {
		record, shared, err = r.fetch(files, at, lent)
	}
	r.end = place{segment: at.segment, offset: at.offset + at.size}
	if err == nil {
		value, err = valueIn(record, key, live.revision, at)
	}
	if err == nil && shared && !lent {
		value = append([]byte{}, value...)
	}
	return value, err
}

// had is what buf has of the place.
func (r *run) had(at place) []byte {
	from := at.offset - r.at.offset
	if at.segment != r.at.segment || from < 0 || from+at.size > int64(len(r.buf)) {
		return nil
	}
	return r.buf[from : from+at.size]
}

// fetch fetches what is at the place; shared means that it is a part of buf.
func (r *run) fetch(files *segments, at place, lent bool) (record []byte, shared bool, err error) {
	gap := at.offset - r.end.offset
	run := at
	if at.segment == r.end.segment && gap >= 0 && gap <= runGap {
		run.size = max(at.size, min(runBytes, files.left(at)))
	} else if !lent {
		record, err = files.bytes(nil, at)
		return record, false, err
	}
	r.buf, err = files.bytes(r.buf, run)
	r.at = run
	if err != nil {
		r.buf = nil
		return nil, false, err
	}
	return r.buf[:at.size], true, nil
}
