package http2

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"
)

// How a connection ends in good order.
const (
	// goAwayGrace is how long requests that were on their way when the client was told to go are still served.
	goAwayGrace = time.Second
	// lastWrite bounds the writing of the last words to a client that broke the protocol, and lingering how
	// long is waited for it to have read them.
	lastWrite = time.Second
	lingering = 250 * time.Millisecond
)

var (
	errClosed = errors.New("http2: the connection is closed")
	errReset  = errors.New("http2: the client gave the request up")
)

// leaving is how far a connection is on its way to an orderly end.
type leaving int

const (
	staying   leaving = iota
	announced         // the client knows that it should go, and new requests are still served
	last              // no new requests; the connection ends with the last one under way
)

// conn is one connection.
type conn struct {
	server   *Server
	net      net.Conn
	handler  http.Handler
	ctx      context.Context // the parent of the requests' contexts
	tlsState *tls.ConnectionState
	remote   string

	// The reader's own.
	in      *bufio.Reader
	scratch []byte // of frames that do not fit in the buffer of in
	head    head

	mu       sync.Mutex
	streams  map[uint32]*stream // guarded by mu; those that a frame can belong to
	newest   uint32             // guarded by mu; the highest stream of the client's
	resets   [32]uint32         // guarded by mu; the latest streams that this side reset: the client may not know yet
	nextSlot int                // guarded by mu; in resets
	handlers int                // guarded by mu; that run, for streams that may be gone
	queue    []*stream          // guarded by mu; waiting for a handler to end
	leaving  leaving            // guarded by mu
	err      error              // guarded by mu; why nothing more can be written, nil while it can
	idle     time.Time          // guarded by mu; since when there is no stream

	// Sending, see write.go. All guarded by mu.
	out           *buffer // nil if empty
	writing       bool
	written       sync.Cond // some writer has ended
	writes        int       // counts writes that are over
	stalledAt     int       // what writes was when the janitor came by and somebody was writing
	owed          int       // frames in out that answer to pings, settings and broken streams
	blocked       map[*stream]struct{}
	refused       map[*stream]func() // what to call when there may be room in the output, see hasRoom
	flushed       time.Time          // when answers that go on caused a write
	flushDue      bool               // they will, when flushTimer fires
	flushTimer    *time.Timer        // nil until it was needed
	window        int64              // of the connection
	initialWindow int64              // of new streams
	maxFrame      int
	enc           *hpack.Encoder
	block         bytes.Buffer // what enc writes to

	// Receiving. Guarded by mu.
	mayReceive int // bytes of DATA that the client may still send
	taken      int // bytes that handlers have taken, and the client does not know of
}

func newConn(s *Server, nc net.Conn, h http.Handler, ctx context.Context) *conn {
	c := &conn{
		server: s, net: nc, handler: h, ctx: ctx, remote: nc.RemoteAddr().String(), in: bufio.NewReader(nc),
		streams: map[uint32]*stream{}, idle: time.Now(), window: defaultWindow, initialWindow: defaultWindow,
		maxFrame: defaultMaxFrame, mayReceive: connWindow, blocked: map[*stream]struct{}{}, refused: map[*stream]func(){},
	}
	c.written.L = &c.mu
	c.enc = hpack.NewEncoder(&c.block)
	c.head.init(s.maxHeaderBytes())
	return c
}

// close ends the connection after its reader has.
func (c *conn) close(err error) {
	var broken connError
	c.mu.Lock()
	if errors.As(err, &broken) && c.err == nil {
		c.net.SetWriteDeadline(time.Now().Add(lastWrite))
		o := c.output()
		o.b = appendGoAway(o.b, c.newest, broken.code, broken.reason)
		c.flush()
		for c.writing {
			c.written.Wait()
		}
	}
	ended := c.fail(errClosed)
	c.mu.Unlock()
	for _, st := range ended {
		st.cancel(context.Canceled)
	}
	if broken.code != codeNone {
		// A connection that is closed while the client still sends is reset, and the client may never see why.
		if half, ok := c.net.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			c.net.SetReadDeadline(time.Now().Add(lingering))
			io.Copy(io.Discard, io.LimitReader(c.net, connWindow))
		}
	}
	c.net.Close()
}

// fail notes that nothing can be written any more, and returns the streams that ended by that. Caller holds mu.
func (c *conn) fail(err error) (ended []*stream) {
	if c.err == nil {
		c.err = err
	}
	c.drop()
	for _, st := range c.streams {
		c.end(st, errClosed)
		ended = append(ended, st)
	}
	return ended
}

// end takes a stream out of the connection: no frame belongs to it any more. err is what its handler gets to
// know, if it is still at work. Caller holds mu.
func (c *conn) end(st *stream, err error) {
	if st.err == nil {
		st.err = err
	}
	c.take(st, len(st.unread))
	st.discard(err)
	delete(c.streams, st.id)
	delete(c.refused, st)
	if len(c.streams) == 0 {
		c.idle = time.Now()
	}
	st.cond.Broadcast()
}

// reset ends a stream and tells the client why. Caller holds mu, and sees to it that it is written.
func (c *conn) reset(st *stream, code errorCode, err error) {
	o := c.output()
	o.b = appendReset(o.b, st.id, code)
	c.resets[c.nextSlot] = st.id
	c.nextSlot = (c.nextSlot + 1) % len(c.resets)
	c.end(st, err)
}

// wasReset tells whether this side reset a stream a moment ago. Caller holds mu.
func (c *conn) wasReset(id uint32) bool {
	for _, r := range c.resets {
		if r == id {
			return true
		}
	}
	return false
}

// forgetReset is for a stream that the client has given up, too: it has nothing on its way for it any more. Caller
// holds mu.
func (c *conn) forgetReset(id uint32) {
	for i, r := range c.resets {
		if r == id {
			c.resets[i] = 0
		}
	}
}

// start has a request handled, at once or when fewer are. It fails if the client has begun and given up far too
// many requests. Caller holds mu.
func (c *conn) start(st *stream) error {
	st.started = true
	if c.handlers < c.server.maxStreams() {
		c.handlers++
		c.server.workers.handle(st)
		return nil
	}
	if len(c.queue) >= 4*c.server.maxStreams() {
		return connError{codeEnhanceYourCalm, "too many requests that were given up"}
	}
	c.queue = append(c.queue, st)
	return nil
}

// handle runs the handler of a request, and of those that waited for it.
func (c *conn) handle(st *stream) {
	for st != nil {
		if st.serve() {
			c.mu.Lock()
			c.flush()
			c.mu.Unlock()
		}
		st = c.nextQueued()
	}
}

// nextQueued is the next request to handle, nil if there is none.
func (c *conn) nextQueued() *stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) > 0 {
		st := c.queue[0]
		c.queue = c.queue[1:]
		if st.err == nil {
			return st
		}
	}
	c.handlers--
	c.leave()
	return nil
}

// goAway tells the client that there will be no answers to new requests soon.
func (c *conn) goAway() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving != staying || c.err != nil {
		return
	}
	c.leaving = announced
	o := c.output()
	o.b = appendGoAway(o.b, largestStream, codeNone, "")
	c.flushAside()
	time.AfterFunc(goAwayGrace, c.goNow)
}

// goNow takes no more requests.
func (c *conn) goNow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving == last || c.err != nil {
		return
	}
	c.leaving = last
	o := c.output()
	o.b = appendGoAway(o.b, c.newest, codeNone, "")
	c.flushAside()
}

// leave ends the connection if it is on its way out and nothing is left to do. Caller holds mu.
func (c *conn) leave() {
	if c.leaving == last && len(c.streams) == 0 && c.handlers == 0 && c.out == nil && !c.writing && c.err == nil {
		c.err = errClosed
		// The reader notices. Closing may wait for the network, so not under mu.
		go c.net.Close()
	}
}

// tick is what the janitor does to a connection every so often: bodies that are slow to come become their
// handler's business, and who takes nothing, or asks for nothing, is shown out.
func (c *conn) tick(now time.Time, stalled bool) error {
	c.mu.Lock()
	idle := c.server.IdleTimeout
	if idle > 0 && len(c.streams) == 0 && c.handlers == 0 && now.Sub(c.idle) >= idle {
		c.mu.Unlock()
		c.goNow()
		return nil
	}
	defer c.mu.Unlock()
	for _, st := range c.streams {
		if st.started {
			continue
		}
		if !st.late {
			st.late = true
		} else if err := c.start(st); err != nil {
			return err
		}
	}
	c.leave()
	if !stalled {
		return nil
	}
	if c.writing && c.writes == c.stalledAt {
		return errClosed
	}
	c.stalledAt = -1
	if c.writing {
		c.stalledAt = c.writes
	}
	return nil
}
