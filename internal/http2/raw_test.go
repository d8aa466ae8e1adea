package http2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// raw speaks frames to a server.
type raw struct {
	t  *testing.T
	nc net.Conn
	*xhttp2.Framer
	block bytes.Buffer
	enc   *hpack.Encoder
}

// patience is how long a test waits for what comes at once, unless the machine is very busy.
const patience = 2 * time.Minute

// insistent writes on to a server that has closed the connection: what that said before is still there to be read,
// however far the client was by then.
type insistent struct{ net.Conn }

func (c insistent) Write(p []byte) (int, error) {
	if n, err := c.Conn.Write(p); errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	return len(p), nil
}

// newRaw has exchanged prefaces and settings.
func newRaw(t *testing.T, nc net.Conn) *raw {
	t.Helper()
	nc.SetDeadline(time.Now().Add(patience))
	r := rawOn(t, nc)
	r.greet()
	return r
}

// rawOn has said nothing yet.
func rawOn(t *testing.T, nc net.Conn) *raw {
	nc = insistent{nc}
	r := &raw{t: t, nc: nc, Framer: xhttp2.NewFramer(nc, nc)}
	r.AllowIllegalWrites = true
	r.enc = hpack.NewEncoder(&r.block)
	r.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return r
}

func (r *raw) greet() {
	r.t.Helper()
	_, err := io.WriteString(r.nc, preface)
	r.must(err)
	r.must(r.WriteSettings())
	r.must(r.WriteSettingsAck())
}

func (r *raw) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// fields compresses pairs of names and values.
func (r *raw) fields(pairs ...string) []byte {
	r.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		r.must(r.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}))
	}
	return bytes.Clone(r.block.Bytes())
}

func (r *raw) get(extra ...string) []byte {
	return r.fields(append([]string{":method", "GET", ":scheme", "https", ":path", "/", ":authority", "x"}, extra...)...)
}

func (r *raw) post(extra ...string) []byte {
	return r.fields(append([]string{":method", "POST", ":scheme", "https", ":path", "/", ":authority", "x"}, extra...)...)
}

func (r *raw) headers(id uint32, block []byte, end bool) {
	r.t.Helper()
	r.must(r.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: end}))
}

// outcome reads until a stream is answered or reset, or the connection ends, and says which.
func (r *raw) outcome() string {
	for {
		f, err := r.ReadFrame()
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || strings.Contains(err.Error(), "reset by peer") {
				return "closed"
			}
			return err.Error()
		}
		switch f := f.(type) {
		case *xhttp2.MetaHeadersFrame:
			if f.StreamEnded() {
				return fmt.Sprintf("%d: %s", f.StreamID, f.PseudoValue("status"))
			}
			if f.PseudoValue("status") != "200" {
				return fmt.Sprintf("%d: %s", f.StreamID, f.PseudoValue("status"))
			}
		case *xhttp2.DataFrame:
			if f.StreamEnded() {
				return fmt.Sprintf("%d: %s", f.StreamID, f.Data())
			}
		case *xhttp2.RSTStreamFrame:
			return fmt.Sprintf("%d: reset %v", f.StreamID, f.ErrCode)
		case *xhttp2.GoAwayFrame:
			return fmt.Sprintf("go away %v", f.ErrCode)
		case *xhttp2.PingFrame:
			return fmt.Sprintf("ping %s", f.Data[:])
		}
	}
}

// rules of RFC 9113 that a client breaks or keeps, and what comes of it.
var rules = []struct {
	name string
	send func(r *raw)
	want string
}{
	{"a request", func(r *raw) { r.headers(1, r.get(), true) }, "1: GET 0"},
	{"a request with a body", func(r *raw) {
		r.headers(1, r.post("content-length", "5"), false)
		r.must(r.WriteData(1, false, []byte("he")))
		r.must(r.WriteData(1, true, []byte("llo")))
	}, "1: POST 5"},
	{"padding and priority", func(r *raw) {
		r.must(r.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: r.post(), EndHeaders: true, PadLength: 9,
			Priority: xhttp2.PriorityParam{StreamDep: 3, Weight: 5}}))
		r.must(r.WriteDataPadded(1, true, []byte("body"), make([]byte, 7)))
	}, "1: POST 4"},
	{"a header in pieces", func(r *raw) {
		b := r.get("x-long", strings.Repeat("v", 900))
		r.must(r.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:3], EndStream: true}))
		r.must(r.WriteContinuation(1, false, b[3:7]))
		r.must(r.WriteContinuation(1, true, b[7:]))
	}, "1: GET 0"},
	{"trailers", func(r *raw) {
		r.headers(1, r.post(), false)
		r.must(r.WriteData(1, false, []byte("x")))
		r.headers(1, r.fields("x-after", "y"), true)
	}, "1: POST 1"},
	{"ping", func(r *raw) { r.must(r.WritePing(false, [8]byte([]byte("pingpong")))) }, "ping pingpong"},
	{"an unknown frame", func(r *raw) {
		r.must(r.WriteRawFrame(0xbb, 0xff, 1, []byte("whatever")))
		r.headers(1, r.get(), true)
	}, "1: GET 0"},
	{"a priority of a stream to come", func(r *raw) {
		r.must(r.WritePriority(7, xhttp2.PriorityParam{StreamDep: 5}))
		r.headers(1, r.get(), true)
	}, "1: GET 0"},
	{"a setting that is not known", func(r *raw) {
		r.must(r.WriteSettings(xhttp2.Setting{ID: 99, Val: 1}))
		r.headers(1, r.get(), true)
	}, "1: GET 0"},

	{"a push that is neither on nor off", func(r *raw) { r.must(r.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingEnablePush, Val: 2})) }, "go away PROTOCOL_ERROR"},
	{"an initial window too large", func(r *raw) {
		r.must(r.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 31}))
	}, "go away FLOW_CONTROL_ERROR"},
	{"a frame size too small", func(r *raw) { r.must(r.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingMaxFrameSize, Val: 100})) }, "go away PROTOCOL_ERROR"},
	{"settings on a stream", func(r *raw) { r.must(r.WriteRawFrame(xhttp2.FrameSettings, 0, 1, nil)) }, "go away PROTOCOL_ERROR"},
	{"settings of an odd size", func(r *raw) { r.must(r.WriteRawFrame(xhttp2.FrameSettings, 0, 0, []byte("abc"))) }, "go away FRAME_SIZE_ERROR"},
	{"an acknowledgement with a body", func(r *raw) { r.must(r.WriteRawFrame(xhttp2.FrameSettings, flagAck, 0, []byte("abcdef"))) }, "go away FRAME_SIZE_ERROR"},
	{"ping on a stream", func(r *raw) { r.must(r.WriteRawFrame(xhttp2.FramePing, 0, 1, make([]byte, 8))) }, "go away PROTOCOL_ERROR"},
	{"ping of an odd size", func(r *raw) { r.must(r.WriteRawFrame(xhttp2.FramePing, 0, 0, make([]byte, 7))) }, "go away FRAME_SIZE_ERROR"},
	{"a frame that is too large", func(r *raw) { r.must(r.WriteRawFrame(xhttp2.FrameData, 0, 1, make([]byte, 16<<10+1))) }, "go away FRAME_SIZE_ERROR"},
	{"push", func(r *raw) { r.must(r.WriteRawFrame(xhttp2.FramePushPromise, flagEndHeaders, 1, make([]byte, 8))) }, "go away PROTOCOL_ERROR"},
	{"data on stream 0", func(r *raw) { r.must(r.WriteRawFrame(xhttp2.FrameData, 0, 0, []byte("x"))) }, "go away PROTOCOL_ERROR"},
	{"headers on stream 0", func(r *raw) { r.must(r.WriteRawFrame(xhttp2.FrameHeaders, flagEndHeaders, 0, r.get())) }, "go away PROTOCOL_ERROR"},
	{"an even stream", func(r *raw) { r.headers(2, r.get(), true) }, "go away PROTOCOL_ERROR"},
	{"a stream of the past", func(r *raw) { r.headers(5, r.post(), false); r.headers(3, r.get(), true) }, "go away PROTOCOL_ERROR"},
	{"data before headers", func(r *raw) { r.must(r.WriteData(1, true, []byte("x"))) }, "go away PROTOCOL_ERROR"},
	{"reset before headers", func(r *raw) { r.must(r.WriteRSTStream(1, xhttp2.ErrCodeCancel)) }, "go away PROTOCOL_ERROR"},
	{"window before headers", func(r *raw) { r.must(r.WriteWindowUpdate(1, 5)) }, "go away PROTOCOL_ERROR"},
	{"reset of an odd size", func(r *raw) { r.must(r.WriteRawFrame(xhttp2.FrameRSTStream, 0, 1, make([]byte, 3))) }, "go away FRAME_SIZE_ERROR"},
	{"window of an odd size", func(r *raw) { r.must(r.WriteRawFrame(xhttp2.FrameWindowUpdate, 0, 0, make([]byte, 3))) }, "go away FRAME_SIZE_ERROR"},
	{"a window that does not grow", func(r *raw) { r.must(r.WriteRawFrame(xhttp2.FrameWindowUpdate, 0, 0, make([]byte, 4))) }, "go away PROTOCOL_ERROR"},
	{"a window too large", func(r *raw) { r.must(r.WriteWindowUpdate(0, 1<<31-1)) }, "go away FLOW_CONTROL_ERROR"},
	{"a stream's window that does not grow", func(r *raw) {
		r.headers(1, r.post(), false)
		r.must(r.WriteRawFrame(xhttp2.FrameWindowUpdate, 0, 1, make([]byte, 4)))
	}, "1: reset PROTOCOL_ERROR"},
	{"an answered stream's window that does not grow", func(r *raw) {
		r.headers(1, r.get(), true)
		if got := r.outcome(); got != "1: GET 0" {
			r.t.Error(got)
		}
		r.must(r.WriteRawFrame(xhttp2.FrameWindowUpdate, 0, 1, make([]byte, 4)))
	}, "1: reset PROTOCOL_ERROR"},
	{"a stream's window too large", func(r *raw) {
		r.headers(1, r.post(), false)
		r.must(r.WriteWindowUpdate(1, 1<<31-1))
	}, "1: reset FLOW_CONTROL_ERROR"},
	{"a continuation of nothing", func(r *raw) { r.must(r.WriteContinuation(1, true, nil)) }, "go away PROTOCOL_ERROR"},
	{"a header broken off", func(r *raw) {
		r.must(r.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: r.get()}))
		r.must(r.WritePing(false, [8]byte{}))
	}, "go away PROTOCOL_ERROR"},
	{"a continuation of another header", func(r *raw) {
		r.must(r.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: r.get()}))
		r.must(r.WriteContinuation(3, true, nil))
	}, "go away PROTOCOL_ERROR"},
	{"a block that is none", func(r *raw) { r.headers(1, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, true) }, "go away COMPRESSION_ERROR"},
	{"more padding than frame", func(r *raw) { r.must(r.WriteRawFrame(xhttp2.FrameHeaders, flagEndHeaders|flagPadded, 1, []byte{9, 1})) }, "go away PROTOCOL_ERROR"},
	{"a stream that depends on itself", func(r *raw) {
		r.must(r.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: r.get(), EndHeaders: true, EndStream: true,
			Priority: xhttp2.PriorityParam{StreamDep: 1}}))
	}, "1: reset PROTOCOL_ERROR"},
	{"a priority of an odd size", func(r *raw) {
		r.headers(1, r.post(), false)
		r.must(r.WriteRawFrame(xhttp2.FramePriority, 0, 1, make([]byte, 4)))
	}, "1: reset FRAME_SIZE_ERROR"},

	{"no method", func(r *raw) { r.headers(1, r.fields(":scheme", "https", ":path", "/"), true) }, "1: reset PROTOCOL_ERROR"},
	{"no path", func(r *raw) { r.headers(1, r.fields(":scheme", "https", ":method", "GET"), true) }, "1: reset PROTOCOL_ERROR"},
	{"no scheme", func(r *raw) { r.headers(1, r.fields(":path", "/", ":method", "GET"), true) }, "1: reset PROTOCOL_ERROR"},
	{"a path that is none", func(r *raw) {
		r.headers(1, r.fields(":method", "GET", ":scheme", "https", ":path", "a b"), true)
	}, "1: reset PROTOCOL_ERROR"},
	{"two paths", func(r *raw) { r.headers(1, r.get(":path", "/other"), true) }, "1: reset PROTOCOL_ERROR"},
	{"a pseudo-header too late", func(r *raw) {
		r.headers(1, r.fields(":method", "GET", "a", "b", ":path", "/", ":scheme", "https"), true)
	}, "1: reset PROTOCOL_ERROR"},
	{"an unknown pseudo-header", func(r *raw) { r.headers(1, r.get(":protocol", "websocket"), true) }, "1: reset PROTOCOL_ERROR"},
	{"a pseudo-header of answers", func(r *raw) { r.headers(1, r.get(":status", "200"), true) }, "1: reset PROTOCOL_ERROR"},
	{"upper case", func(r *raw) { r.headers(1, r.get("X-Upper", "v"), true) }, "1: reset PROTOCOL_ERROR"},
	{"a space in a name", func(r *raw) { r.headers(1, r.get("x y", "v"), true) }, "1: reset PROTOCOL_ERROR"},
	{"a line break in a value", func(r *raw) { r.headers(1, r.get("x", "a\r\nb: c"), true) }, "1: reset PROTOCOL_ERROR"},
	{"connection", func(r *raw) { r.headers(1, r.get("connection", "close"), true) }, "1: reset PROTOCOL_ERROR"},
	{"transfer-encoding", func(r *raw) { r.headers(1, r.post("transfer-encoding", "chunked"), false) }, "1: reset PROTOCOL_ERROR"},
	{"te", func(r *raw) { r.headers(1, r.get("te", "gzip"), true) }, "1: reset PROTOCOL_ERROR"},
	{"two lengths", func(r *raw) { r.headers(1, r.post("content-length", "1", "content-length", "2"), false) }, "1: reset PROTOCOL_ERROR"},
	{"a length that is none", func(r *raw) { r.headers(1, r.post("content-length", "-1"), false) }, "1: reset PROTOCOL_ERROR"},
	{"a length and no body", func(r *raw) { r.headers(1, r.post("content-length", "1"), true) }, "1: reset PROTOCOL_ERROR"},
	{"more than the length", func(r *raw) {
		r.headers(1, r.post("content-length", "1"), false)
		r.must(r.WriteData(1, true, []byte("xy")))
	}, "1: reset PROTOCOL_ERROR"},
	{"less than the length", func(r *raw) {
		r.headers(1, r.post("content-length", "3"), false)
		r.must(r.WriteData(1, true, []byte("xy")))
	}, "1: reset PROTOCOL_ERROR"},
	{"less than the length, with trailers", func(r *raw) {
		r.headers(1, r.post("content-length", "3"), false)
		r.must(r.WriteData(1, false, []byte("xy")))
		r.headers(1, r.fields("a", "b"), true)
	}, "1: reset PROTOCOL_ERROR"},
	{"trailers that do not end", func(r *raw) {
		r.headers(1, r.post("content-length", "3"), false)
		r.headers(1, r.fields("a", "b"), false)
	}, "1: reset PROTOCOL_ERROR"},
	{"a field that is too long", func(r *raw) {
		b := r.get("x", strings.Repeat("v", 70_000))
		r.must(r.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:16<<10], EndStream: true}))
		for b = b[16<<10:]; len(b) > 16<<10; b = b[16<<10:] {
			r.must(r.WriteContinuation(1, false, b[:16<<10]))
		}
		r.must(r.WriteContinuation(1, true, b))
	}, "go away ENHANCE_YOUR_CALM"},
	{"too many fields", func(r *raw) {
		var many []string
		for i := range 700 {
			many = append(many, "f", strings.Repeat("v", 60)+fmt.Sprint(i))
		}
		b := r.get(many...)
		r.must(r.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:16<<10], EndStream: true}))
		for b = b[16<<10:]; len(b) > 16<<10; b = b[16<<10:] {
			r.must(r.WriteContinuation(1, false, b[:16<<10]))
		}
		r.must(r.WriteContinuation(1, true, b))
	}, "1: 431"},
	{"a header without end", func(r *raw) {
		r.must(r.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: r.get()}))
		for range 200 {
			r.must(r.WriteContinuation(1, false, nil))
		}
	}, "go away ENHANCE_YOUR_CALM"},
	{"too many streams", func(r *raw) {
		for i := range uint32(6) {
			r.headers(2*i+1, r.post("content-length", "3"), false)
		}
	}, "11: reset REFUSED_STREAM"},
	{"more than a stream's window", func(r *raw) {
		r.headers(1, r.post("x-sleep", "yes"), false)
		for range streamWindow/(16<<10) + 1 {
			r.must(r.WriteData(1, false, make([]byte, 16<<10)))
		}
	}, "1: reset FLOW_CONTROL_ERROR"},
	{"data after the end", func(r *raw) {
		r.headers(1, r.get("x-sleep", "yes"), true)
		r.must(r.WriteData(1, true, []byte("more")))
	}, "1: reset STREAM_CLOSED"},
	{"headers after the end", func(r *raw) {
		r.headers(1, r.get("x-sleep", "yes"), true)
		r.headers(1, r.get(), true)
	}, "1: reset STREAM_CLOSED"},
}

// echoed answers with what it was asked, when it has read all of it.
var echoed = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Sleep") != "" {
		<-r.Context().Done()
		return
	}
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, "%s %d", r.Method, n)
})

func TestRules(t *testing.T) {
	hs := serveOurs(t, echoed, &Server{MaxStreams: 5, MaxHeaderBytes: 64 << 10})
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			r := newRaw(t, dial(t, hs))
			rule.send(r)
			if got := r.outcome(); got != rule.want {
				t.Errorf("got %q, want %q", got, rule.want)
			}
		})
	}
}

// A request that is answered before its body has come is reset without an error. What the client had on its way then is
// taken silently, but a mistake is one all the same.
func TestAMistakeAfterAnEarlyAnswer(t *testing.T) {
	hs := serveOurs(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "early") }), &Server{})
	r := newRaw(t, dial(t, hs))
	r.headers(1, r.get(), false)
	for _, want := range []string{"1: early", "1: reset NO_ERROR"} {
		if got := r.outcome(); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	r.must(r.WriteData(1, false, []byte("under way")))
	r.must(r.WriteRawFrame(xhttp2.FrameWindowUpdate, 0, 1, make([]byte, 4)))
	if got := r.outcome(); got != "1: reset PROTOCOL_ERROR" {
		t.Errorf("got %q", got)
	}
}

func TestAStreamErrorLeavesTheConnection(t *testing.T) {
	hs := serveOurs(t, echoed, &Server{})
	r := newRaw(t, dial(t, hs))
	r.headers(1, r.get("connection", "close"), true)
	if got := r.outcome(); got != "1: reset PROTOCOL_ERROR" {
		t.Fatal(got)
	}
	// What the bad header put into the table of the compression is there for the next.
	r.headers(3, r.get("connection", "close"), true)
	if got := r.outcome(); got != "3: reset PROTOCOL_ERROR" {
		t.Fatal(got)
	}
	r.headers(5, r.get(), true)
	if got := r.outcome(); got != "5: GET 0" {
		t.Fatal(got)
	}
}

func TestNoHTTP2AtAll(t *testing.T) {
	hs := serveOurs(t, echoed, &Server{})
	for _, say := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", strings.Repeat("\x00", 100)} {
		nc := dial(t, hs)
		nc.SetDeadline(time.Now().Add(patience))
		io.WriteString(nc, say)
		fr := xhttp2.NewFramer(nc, nc)
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				t.Fatalf("%q: %v", say, err)
			}
			if g, ok := f.(*xhttp2.GoAwayFrame); ok {
				if g.ErrCode != xhttp2.ErrCodeProtocol {
					t.Errorf("%q: %v", say, g)
				}
				break
			}
		}
	}
}

// A client that asks for answers and takes none is shown out; it is not remembered for ever.
func TestFloodOfPings(t *testing.T) {
	hs := serveOurs(t, echoed, &Server{})
	nc := dial(t, hs)
	r := newRaw(t, nc)
	var pings bytes.Buffer
	for range 1000 {
		r.must(xhttp2.NewFramer(&pings, nil).WritePing(false, [8]byte{}))
	}
	for range 3000 {
		if _, err := nc.Write(pings.Bytes()); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("it is not shown out")
		} else if err != nil {
			return
		}
	}
	t.Error("three million pings, and no answer was taken")
}

// Requests that are begun and given up at once cost no more handlers than streams are allowed.
func TestRapidReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan bool)
		defer close(release)
		var running atomic.Int64
		nc, _ := onPipe(t, &Server{MaxStreams: 10}, func(http.ResponseWriter, *http.Request) { running.Add(1); <-release })
		heard := make(chan string, 1)
		r := rawOn(t, nc)
		go func() { heard <- r.outcome() }()
		r.greet()
		for i := range uint32(200) {
			r.headers(2*i+1, r.get(), true)
			r.must(r.WriteRSTStream(2*i+1, xhttp2.ErrCodeCancel))
		}
		if got := <-heard; got != "go away ENHANCE_YOUR_CALM" {
			t.Errorf("got %q", got)
		}
		synctest.Wait() // every handler that is to begin has begun
		if n := running.Load(); n != 10 {
			t.Errorf("%d handlers ran for 10 streams", n)
		}
	})
}
