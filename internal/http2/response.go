package http2

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2/hpack"
)

// heldBody is up to what size an answer is held back to find out its length, if the handler does not say.
const heldBody = 4 << 10

// response is the http.ResponseWriter of a stream. Like all of them it belongs to one goroutine at a time.
type response struct {
	st     *stream
	header http.Header
	// frozen is the header as it was when the handler gave the code; nil until then.
	frozen   http.Header
	code     int   // 0 until the handler has given one
	sent     bool  // the header is in the output
	declared int64 // Content-Length; -1 if the handler did not say
	written  int64
	held     []byte // body that waits for its length to be known
	noBody   bool   // the answer has none, whatever is written

	// expectsContinue tells of a client that waits to be asked for the body. Guarded by conn.mu.
	expectsContinue bool
	// refuse is what the server answers for itself, without the handler; 0 is nothing.
	refuse int
}

var (
	_ http.Flusher    = (*response)(nil)
	_ io.StringWriter = (*response)(nil)
)

func (w *response) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(code int) {
	switch {
	case w.code != 0:
		return
	case code < 100 || code > 999:
		panic("http2: invalid WriteHeader code " + strconv.Itoa(code))
	case code < 200:
		w.interim(code)
		return
	}
	w.code, w.declared = code, -1
	w.noBody = w.isHead() || code == http.StatusNoContent || code == http.StatusNotModified
	if text := w.header.Get("Content-Length"); text != "" {
		if n, err := strconv.ParseUint(text, 10, 63); err == nil {
			w.declared = int64(n)
		} else {
			w.header.Del("Content-Length")
		}
	}
	if _, typed := w.header["Content-Type"]; w.declared < 0 || !typed {
		w.frozen = maps.Clone(w.header) // what is missing depends on the body
		return
	}
	w.frozen = w.header
	w.sendHeader(w.noBody || w.declared == 0)
}

func (w *response) isHead() bool { return w.st.req.Method == http.MethodHead }

// interim sends a header before the header, such as 103 Early Hints.
func (w *response) interim(code int) {
	c := w.st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.st.mayWrite() == nil {
		c.appendHeaders(w.st, code, w.header, false)
		c.flush()
	}
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	if w.code == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.code == http.StatusNoContent || w.code == http.StatusNotModified {
		return 0, http.ErrBodyNotAllowed
	}
	if w.declared >= 0 && w.written+int64(len(p)) > w.declared {
		return 0, http.ErrContentLength
	}
	w.written += int64(len(p))
	if !w.sent {
		if len(w.held)+len(p) <= heldBody {
			w.held = append(w.held, p...)
			return len(p), nil
		}
		if err := w.release(p); err != nil {
			return 0, err
		}
	}
	if len(p) == 0 || w.noBody {
		return len(p), nil
	}
	if err := w.st.send(p, w.written == w.declared); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteString implements io.StringWriter.
func (w *response) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// release sends the header and what was held back; more is what the handler writes after that.
func (w *response) release(more []byte) error {
	if w.code == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.sent {
		return nil
	}
	if len(w.held) > 0 {
		w.sniff(w.held)
	} else {
		w.sniff(more)
	}
	w.sendHeader(w.noBody)
	held := w.held
	w.held = nil
	if len(held) == 0 || w.noBody {
		return nil
	}
	return w.st.send(held, w.written == w.declared && len(more) == 0)
}

// sniff says what the body is, if the handler did not.
func (w *response) sniff(beginning []byte) {
	if len(beginning) == 0 || w.frozen.Get("Content-Encoding") != "" {
		return
	}
	if _, typed := w.frozen["Content-Type"]; !typed {
		w.frozen.Set("Content-Type", http.DetectContentType(beginning))
	}
}

func (w *response) sendHeader(end bool) {
	w.sent = true
	c := w.st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.st.mayWrite() == nil {
		c.appendHeaders(w.st, w.code, w.frozen, end)
	}
}

// Flush implements http.Flusher.
func (w *response) Flush() { _ = w.FlushError() }

// FlushError sends what has been written so far, at once or within flushEvery.
func (w *response) FlushError() error {
	if err := w.release(nil); err != nil {
		return err
	}
	c := w.st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := w.st.mayWrite(); err != nil {
		return err
	}
	c.flushSoon(c.flush)
	return nil
}

// HasRoom tells whether there is room for what TryWrite is to take. If not, again is called once, by whoever makes some,
// unless the answer ends before that: there is to be another look. It must neither wait nor use the answer.
func (w *response) HasRoom(again func()) bool { return w.st.hasRoom(again) }

// TryWrite is Write of all of p, or of nothing where the client makes no room for it or the header has to be sent first.
// With HasRoom, which bounds what the connection gathers, and FlushAside it lets one goroutine write to many answers that
// go on, none of which it ever waits for.
func (w *response) TryWrite(p []byte) (taken bool, err error) {
	if !w.sent || w.noBody || w.declared >= 0 {
		return false, nil
	}
	if taken, err = w.st.trySend(p); taken {
		w.written += int64(len(p))
	}
	return taken, err
}

// FlushAside is FlushError by another goroutine.
func (w *response) FlushAside() error {
	c := w.st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := w.st.mayWrite(); err != nil {
		return err
	}
	c.flushSoon(c.flushAside)
	return nil
}

// SetReadDeadline implements what http.ResponseController asks for.
func (w *response) SetReadDeadline(t time.Time) error {
	w.st.c.mu.Lock()
	defer w.st.c.mu.Unlock()
	w.st.readFailed.set(w.st, t)
	return nil
}

// SetWriteDeadline implements what http.ResponseController asks for.
func (w *response) SetWriteDeadline(t time.Time) error {
	w.st.c.mu.Lock()
	defer w.st.c.mu.Unlock()
	w.st.writeFailed.set(w.st, t)
	return nil
}

// EnableFullDuplex implements what http.ResponseController asks for: HTTP/2 is.
func (w *response) EnableFullDuplex() error { return nil }

// finish completes the answer when the handler is done, and tells whether there is something to write.
func (w *response) finish() bool {
	st, c := w.st, w.st.c
	if w.code == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if !w.sent {
		if _, told := w.frozen["Content-Length"]; !told && (!w.noBody || w.isHead() && w.written > 0) {
			w.frozen.Set("Content-Length", strconv.FormatInt(w.written, 10))
			w.declared = w.written
		}
		if len(w.held) == 0 {
			w.sendHeader(w.noBody || w.declared == 0)
		} else {
			_ = w.release(nil) // a stream that is gone needs no end
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	late := st.writeFailed.passed
	st.readFailed.set(st, time.Time{})
	st.writeFailed.set(st, time.Time{})
	if st.err != nil || c.err != nil {
		return false
	}
	if !st.localClosed && (late || w.declared > w.written && !w.noBody) {
		c.reset(st, codeInternal, errClosed) // the client is to know that this is not all
		return true
	}
	if !st.localClosed {
		o := c.output()
		o.b = appendFrameHeader(o.b, 0, frameData, flagEndStream, st.id)
		st.localClosed = true
	}
	if st.remoteClosed {
		c.end(st, errClosed)
	} else {
		c.reset(st, codeNone, errClosed) // what is left of the request is not needed
	}
	if slices.Contains(w.frozen["Connection"], "close") {
		go c.goAway()
	}
	return true
}

// mayWrite tells why nothing can be written to the stream, nil if it can. Caller holds mu.
func (st *stream) mayWrite() error {
	switch {
	case st.err != nil:
		return st.err
	case st.c.err != nil:
		return st.c.err
	case st.writeFailed.passed:
		return os.ErrDeadlineExceeded
	case st.localClosed:
		return errComplete
	}
	return nil
}

var errComplete = errors.New("http2: the answer is complete")

// appendHeaders compresses a header into the output. Caller holds mu.
func (c *conn) appendHeaders(st *stream, code int, header http.Header, end bool) {
	c.block.Reset()
	field := func(name, value string, passing bool) {
		// What is never the same again would only push other fields out of the peer's table.
		_ = c.enc.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: passing}) // a bytes.Buffer takes all
	}
	field(":status", statusText(code), false)
	for key, values := range header {
		name := fieldName(key)
		if connectionFields[name] {
			continue
		}
		for _, v := range values {
			if validValue(v) {
				field(name, v, passingFields[name])
			}
		}
	}
	if _, told := header["Date"]; !told && code >= 200 {
		field("date", date(), false)
	}
	block := c.block.Bytes()
	o := c.output()
	kind, flags := frameHeaders, byte(0)
	if end {
		flags = flagEndStream
		st.localClosed = true
	}
	for {
		n := min(len(block), c.maxFrame)
		if n == len(block) {
			flags |= flagEndHeaders
		}
		o.b = appendFrameHeader(o.b, n, kind, flags, st.id)
		o.b = append(o.b, block[:n]...)
		if block = block[n:]; len(block) == 0 {
			return
		}
		kind, flags = frameContinuation, 0
	}
}

func statusText(code int) string {
	switch code {
	case http.StatusOK:
		return "200"
	case http.StatusCreated:
		return "201"
	default:
		return strconv.Itoa(code)
	}
}

// clock is the Date header of a second.
type clock struct {
	second int64
	text   string
}

var lastDate atomic.Pointer[clock]

// date is the present time as the Date header has it.
func date() string {
	now := time.Now()
	if d := lastDate.Load(); d != nil && d.second == now.Unix() {
		return d.text
	}
	d := &clock{second: now.Unix(), text: now.UTC().Format(http.TimeFormat)}
	lastDate.Store(d)
	return d.text
}
