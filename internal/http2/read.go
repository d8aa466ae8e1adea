package http2

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"time"

	"golang.org/x/net/http2/hpack"
)

// prefaceTimeout is how long a client may take to say that it speaks HTTP/2.
const prefaceTimeout = 10 * time.Second

// read serves the connection: it takes frames until there are no more. It returns why.
func (c *conn) read() error {
	c.mu.Lock()
	o := c.output()
	o.b = appendSettings(o.b,
		setting{settingMaxFrame, defaultMaxFrame},
		setting{settingMaxStreams, uint32(c.server.maxStreams())},
		setting{settingMaxHeaderList, uint32(c.server.maxHeaderBytes())},
		setting{settingInitialWindow, streamWindow})
	o.b = appendWindowUpdate(o.b, 0, connWindow-defaultWindow)
	c.flush()
	c.mu.Unlock()
	if err := c.readPreface(); err != nil {
		return err
	}
	for {
		h, err := c.nextFrame()
		if err != nil {
			return err
		}
		err = c.frame(h)
		var broken streamError
		if errors.As(err, &broken) {
			err = c.breakOff(broken)
		}
		if err != nil {
			return err
		}
	}
}

// readPreface reads what a client begins with. Settings follow it.
func (c *conn) readPreface() error {
	c.net.SetReadDeadline(time.Now().Add(prefaceTimeout))
	var got [len(preface)]byte
	if _, err := io.ReadFull(c.in, got[:]); err != nil {
		return err
	}
	if string(got[:]) != preface {
		return connError{codeProtocol, "this is not HTTP/2"}
	}
	h, err := c.nextFrame()
	if err != nil {
		return err
	}
	if h.kind != frameSettings || h.has(flagAck) {
		return connError{codeProtocol, "no settings at the beginning"}
	}
	if err := c.frame(h); err != nil {
		return err
	}
	return c.net.SetReadDeadline(time.Time{})
}

func (c *conn) nextFrame() (frameHeader, error) {
	b, err := c.in.Peek(frameHeaderSize)
	if err != nil {
		return frameHeader{}, err
	}
	h := parseFrameHeader(b)
	c.in.Discard(frameHeaderSize)
	if h.length > defaultMaxFrame {
		return h, connError{codeFrameSize, "a frame that is too large"}
	}
	return h, nil
}

// payload is the rest of a frame, until the next read.
func (c *conn) payload(h frameHeader) ([]byte, error) {
	if h.length <= c.in.Size() {
		b, err := c.in.Peek(h.length)
		c.in.Discard(len(b))
		return b, err
	}
	if c.scratch == nil {
		c.scratch = make([]byte, defaultMaxFrame)
	}
	_, err := io.ReadFull(c.in, c.scratch[:h.length])
	return c.scratch[:h.length], err
}

// frame takes one frame.
func (c *conn) frame(h frameHeader) error {
	p, err := c.payload(h)
	if err != nil {
		return err
	}
	switch h.kind {
	case frameData:
		return c.data(h, p)
	case frameHeaders:
		return c.headers(h, p)
	case framePriority:
		return c.priority(h, p)
	case frameReset:
		return c.resetByClient(h, p)
	case frameSettings:
		return c.settings(h, p)
	case framePing:
		return c.ping(h, p)
	case frameGoAway:
		return onConnection(h, "GOAWAY") // the client ends the connection when it is done
	case frameWindowUpdate:
		return c.windowUpdate(h, p)
	case framePushPromise, frameContinuation:
		return connError{codeProtocol, "a frame that has no place here"}
	default:
		return nil // RFC 9113 section 5.5: unknown frames are ignored
	}
}

func onConnection(h frameHeader, name string) error {
	if h.stream != 0 {
		return connError{codeProtocol, name + " on a stream"}
	}
	return nil
}

func onStream(h frameHeader, name string) error {
	if h.stream == 0 {
		return connError{codeProtocol, name + " on no stream"}
	}
	return nil
}

// breakOff ends a stream in which the client made a mistake, or tells of one that was made after its end. What was only
// under way when this side reset the stream is no mistake, and does not come here.
func (c *conn) breakOff(e streamError) error {
	c.mu.Lock()
	st := c.streams[e.id]
	if st != nil {
		c.reset(st, e.code, errReset)
	} else {
		o := c.output()
		o.b = appendReset(o.b, e.id, e.code)
	}
	err := c.owe()
	c.flushAside()
	c.mu.Unlock()
	if st != nil {
		st.cancel(context.Canceled)
	}
	return err
}

// unpad takes the padding off a frame's payload.
func unpad(h frameHeader, p []byte) ([]byte, error) {
	if !h.has(flagPadded) {
		return p, nil
	}
	if len(p) == 0 || int(p[0]) >= len(p) {
		return nil, connError{codeProtocol, "more padding than frame"}
	}
	return p[1 : len(p)-int(p[0])], nil
}

func (c *conn) data(h frameHeader, p []byte) error {
	if err := onStream(h, "DATA"); err != nil {
		return err
	}
	data, err := unpad(h, p)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// Padding counts, too (RFC 9113 section 6.1).
	if len(p) > c.mayReceive {
		return connError{codeFlowControl, "more data than the connection's window"}
	}
	c.mayReceive -= len(p)
	st := c.streams[h.stream]
	if st == nil {
		return c.strayData(h, len(p))
	}
	if st.remoteClosed {
		c.takeOnly(len(p))
		return streamError{h.stream, codeStreamClosed}
	}
	if len(p) > st.mayReceive {
		c.takeOnly(len(p))
		return streamError{h.stream, codeFlowControl}
	}
	st.mayReceive -= len(p)
	c.take(st, len(p)-len(data))
	announced := st.req.ContentLength
	if got := st.received + int64(len(data)); announced >= 0 && (got > announced || h.has(flagEndStream) && got != announced) {
		c.takeOnly(len(data))
		return streamError{h.stream, codeProtocol}
	}
	st.receive(data)
	if h.has(flagEndStream) {
		return c.complete(st)
	}
	return nil
}

// takeOnly gives back what no stream will. Caller holds mu.
func (c *conn) takeOnly(n int) {
	var nobody stream
	nobody.remoteClosed = true
	c.take(&nobody, n)
}

// strayData is for a stream that there is none of. Caller holds mu.
func (c *conn) strayData(h frameHeader, n int) error {
	if h.stream > c.newest || h.stream%2 == 0 {
		return connError{codeProtocol, "data on a stream that was never opened"}
	}
	c.takeOnly(n)
	if c.wasReset(h.stream) {
		return nil
	}
	return streamError{h.stream, codeStreamClosed}
}

// complete ends a request's body, and has it handled if it waited for that. Caller holds mu.
func (c *conn) complete(st *stream) error {
	st.complete()
	if st.started {
		return nil
	}
	return c.start(st)
}

func (c *conn) headers(h frameHeader, p []byte) error {
	if err := onStream(h, "HEADERS"); err != nil {
		return err
	}
	if h.stream%2 == 0 {
		return connError{codeProtocol, "a request on a server's stream"}
	}
	p, err := unpad(h, p)
	if err != nil {
		return err
	}
	if h.has(flagPriority) {
		if len(p) < priorityFieldSize {
			return connError{codeFrameSize, "HEADERS without a whole priority"}
		}
		if binary.BigEndian.Uint32(p)&largestStream == h.stream {
			err = streamError{h.stream, codeProtocol} // told when the block is decoded: compression has a state
		}
		p = p[priorityFieldSize:]
	}
	if derr := c.decode(h, p); derr != nil {
		return derr
	}
	return c.open(h, err)
}

// mostContinuations is in how many pieces a header block may come beyond what its size makes necessary.
const mostContinuations = 64

// decode decompresses a header block, with those of its frames that follow.
func (c *conn) decode(h frameHeader, p []byte) error {
	c.head.begin()
	for size, pieces := 0, 0; ; pieces++ {
		if size += len(p); size > 2*c.head.limit || pieces > mostContinuations+size/defaultMaxFrame {
			return connError{codeEnhanceYourCalm, "a header without end"}
		}
		if _, err := c.head.dec.Write(p); err != nil {
			if errors.Is(err, hpack.ErrStringLength) {
				return connError{codeEnhanceYourCalm, "a header field that is too long"}
			}
			return connError{codeCompression, err.Error()}
		}
		if h.has(flagEndHeaders) {
			break
		}
		next, err := c.nextFrame()
		if err != nil {
			return err
		}
		if next.kind != frameContinuation || next.stream != h.stream {
			return connError{codeProtocol, "a header was broken off"}
		}
		if p, err = c.payload(next); err != nil {
			return err
		}
		h.flags |= next.flags & flagEndHeaders
	}
	if err := c.head.dec.Close(); err != nil {
		return connError{codeCompression, err.Error()}
	}
	return nil
}

// open begins the stream of a header that was decoded; bad is what was wrong before.
func (c *conn) open(h frameHeader, bad error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if st := c.streams[h.stream]; st != nil {
		return c.trailers(h, st)
	}
	if h.stream <= c.newest {
		if c.wasReset(h.stream) {
			return nil
		}
		return connError{codeProtocol, "a header on a stream that is over"}
	}
	if c.leaving == last {
		return nil // the client was told, and tries elsewhere
	}
	c.newest = h.stream
	if bad != nil {
		return bad
	}
	if len(c.streams) >= c.server.maxStreams() {
		return streamError{h.stream, codeRefusedStream}
	}
	complete := h.has(flagEndStream)
	st := c.newStream(h.stream)
	if c.head.tooLarge {
		st.w.refuse = http.StatusRequestHeaderFieldsTooLarge
		st.req.Method, st.req.ContentLength = http.MethodGet, -1
	} else if !c.head.request(c, st.req, complete) {
		return streamError{h.stream, codeProtocol}
	}
	st.settle()
	c.streams[h.stream] = st
	if complete {
		st.complete()
	}
	if st.waits() {
		return nil
	}
	return c.start(st)
}

// newStream makes a stream with an empty request. Caller holds mu.
func (c *conn) newStream(id uint32) *stream {
	st := &stream{c: c, id: id, window: c.initialWindow, mayReceive: streamWindow}
	st.cond.L = &c.mu
	st.w.st = st
	st.w.header = make(http.Header, 8)
	st.req = (&http.Request{}).WithContext(st)
	return st
}

// settle finds out how the body of the stream's request comes.
func (st *stream) settle() {
	if st.req.ContentLength != 0 {
		st.req.Body = body{st}
	}
	if v, ok := st.req.Header["Expect"]; ok && v[0] == "100-continue" {
		st.w.expectsContinue = true
		delete(st.req.Header, "Expect")
	}
}

// waits tells whether a request is handled only when its body is there. Caller holds mu.
func (st *stream) waits() bool {
	return !st.remoteClosed && st.w.refuse == 0 && !st.w.expectsContinue &&
		st.req.ContentLength >= 0 && st.req.ContentLength <= wholeBody
}

// trailers end a body. What they say is not of interest. Caller holds mu.
func (c *conn) trailers(h frameHeader, st *stream) error {
	switch {
	case st.remoteClosed:
		return streamError{h.stream, codeStreamClosed}
	case !h.has(flagEndStream), c.head.malformed, c.head.method != "",
		st.req.ContentLength >= 0 && st.received != st.req.ContentLength:
		return streamError{h.stream, codeProtocol}
	}
	return c.complete(st)
}
