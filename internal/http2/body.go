package http2

import (
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

// wholeBody is up to what announced length a request is handled only when its body is there.
const wholeBody = 64 << 10

// body is what the handler reads of a request.
type body struct{ st *stream }

var _ io.ReadCloser = body{}

// Read implements io.Reader.
func (b body) Read(p []byte) (int, error) {
	st := b.st
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	st.continueBody()
	for len(st.unread) == 0 {
		switch {
		case st.bodyErr != nil:
			return 0, st.bodyErr
		case st.err != nil:
			return 0, st.err
		case st.readFailed.passed:
			return 0, os.ErrDeadlineExceeded
		}
		st.cond.Wait()
	}
	n := copy(p, st.unread)
	st.unread = st.unread[n:]
	c.take(st, n)
	if len(st.unread) == 0 && st.bodyErr != nil {
		return n, st.bodyErr
	}
	return n, nil
}

// Whole returns what is left of the body, until the handler ends, if all of it has come: nobody can make the
// handler wait for it.
func (b body) Whole() (data []byte, ok bool) {
	st := b.st
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	if st.bodyErr != io.EOF {
		return nil, false
	}
	data, st.unread = st.unread, nil
	st.c.take(st, len(data))
	return data, true
}

// Close implements io.Closer. What still comes is thrown away.
func (b body) Close() error {
	c := b.st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.take(b.st, len(b.st.unread))
	b.st.unread = nil
	if b.st.bodyErr == nil {
		b.st.bodyErr = http.ErrBodyReadAfterClose
	}
	return nil
}

// continueBody tells a client that waits for it to send the body. Caller holds mu.
func (st *stream) continueBody() {
	if !st.w.expectsContinue || st.w.sent || st.err != nil {
		return
	}
	st.w.expectsContinue = false
	st.c.appendHeaders(st, http.StatusContinue, nil, false)
	st.c.flushAside()
}

// take gives the client leave to send as much as has been taken, when that is worth a frame. Caller holds mu.
func (c *conn) take(st *stream, n int) {
	if n == 0 {
		return
	}
	c.taken += n
	st.taken += n
	if c.err != nil {
		return
	}
	if c.taken >= connWindow/2 {
		o := c.output()
		o.b = appendWindowUpdate(o.b, 0, c.taken)
		c.mayReceive += c.taken
		c.taken = 0
		c.flushAside()
	}
	if st.taken >= streamWindow/2 && !st.remoteClosed && st.err == nil {
		o := c.output()
		o.b = appendWindowUpdate(o.b, st.id, st.taken)
		st.mayReceive += st.taken
		st.taken = 0
		c.flushAside()
	}
}

// discard gives up what has come of the body. Nobody takes what was read before for all of it. Caller holds mu.
func (st *stream) discard(err error) {
	if len(st.unread) > 0 {
		st.bodyErr = err
	}
	st.unread = nil
}

// rooms are where bodies lie that are whole before they are handled.
var rooms = sync.Pool{New: func() any { return new(buffer) }}

// vacate gives the body's room to the next one. The handler has ended.
func (st *stream) vacate() {
	if st.room == nil {
		return
	}
	st.c.mu.Lock()
	st.discard(errClosed) // there is some yet if the connection failed
	st.c.mu.Unlock()
	if cap(st.room.b) <= wholeBody {
		rooms.Put(st.room)
	}
	st.room = nil
}

// receive adds DATA to the body. Caller holds mu and has checked the windows.
func (st *stream) receive(data []byte) {
	st.received += int64(len(data))
	if st.bodyErr != nil { // the handler wants no more
		st.c.take(st, len(data))
		return
	}
	if st.unread == nil && len(data) > 0 && st.req.ContentLength > 0 && !st.started {
		// What was announced counts only as far as it has come: it costs the client nothing.
		st.room = rooms.Get().(*buffer)
		st.room.b = slices.Grow(st.room.b, int(min(st.req.ContentLength, int64(4*len(data)))))
		st.unread = st.room.b
	}
	st.unread = append(st.unread, data...)
	st.cond.Broadcast()
}

// complete ends the body. Caller holds mu.
func (st *stream) complete() {
	st.remoteClosed = true
	if st.bodyErr == nil {
		st.bodyErr = io.EOF
	}
	st.cond.Broadcast()
}

// deadline is when reading or writing fails.
type deadline struct {
	timer  *time.Timer
	passed bool
}

// set moves the deadline; the zero time takes it away. Caller holds mu.
func (d *deadline) set(st *stream, at time.Time) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.passed = !at.IsZero() && !time.Now().Before(at)
	if d.passed {
		st.cond.Broadcast()
	}
	if d.passed || at.IsZero() {
		return
	}
	c := st.c
	var timer *time.Timer
	timer = time.AfterFunc(time.Until(at), func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if d.timer == timer {
			d.passed = true
			st.cond.Broadcast()
		}
	})
	d.timer = timer
}
