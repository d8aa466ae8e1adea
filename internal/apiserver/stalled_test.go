package apiserver

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/cache"
)

// Clients that ask for a watch and then take nothing: over HTTP/2 because they leave no room in a stream's window or
// in the connection's, over HTTP/1.1 because they do not read.

// frames is a client that decides itself what it makes room for.
type frames struct {
	t testing.TB
	*http2.Framer
	next uint32 // the stream to open
	host string
}

// dialFrames opens a connection whose streams may be sent window bytes each, and together what the protocol begins with.
func (w *world) dialFrames(t testing.TB, window uint32) *frames {
	t.Helper()
	u, err := url.Parse(w.url)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := tls.Dial("tcp", u.Host, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	f := &frames{t: t, Framer: http2.NewFramer(nc, nc), next: 1, host: u.Host}
	_, err = io.WriteString(nc, http2.ClientPreface)
	f.must(err)
	f.must(f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}))
	f.must(f.WriteSettingsAck())
	return f
}

func (f *frames) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// get asks for a path, and returns when the answer has begun.
func (f *frames) get(path string) (stream uint32) {
	f.t.Helper()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":path", path}, {":authority", f.host}} {
		f.must(enc.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}))
	}
	stream = f.next
	f.next += 2
	f.must(f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true}))
	f.read(func(fr http2.Frame) bool {
		_, begun := fr.(*http2.HeadersFrame)
		return begun && fr.Header().StreamID == stream
	})
	return stream
}

// read reads until a frame is the one.
func (f *frames) read(isIt func(http2.Frame) bool) {
	f.t.Helper()
	for {
		fr, err := f.ReadFrame()
		f.must(err)
		if isIt(fr) {
			return
		}
	}
}

// events reads what revisions so many events of a stream have. It makes room for them as they come.
func (f *frames) events(stream uint32, count int) (revisions []string) {
	f.t.Helper()
	var all []byte
	f.must(f.WriteWindowUpdate(stream, 1<<20))
	f.must(f.WriteWindowUpdate(0, 1<<20))
	f.read(func(fr http2.Frame) bool {
		data, ok := fr.(*http2.DataFrame)
		if !ok {
			return false
		}
		if fr.Header().StreamID != stream {
			f.t.Errorf("%d bytes on stream %d, which has no room", len(data.Data()), fr.Header().StreamID)
			return true
		}
		all = append(all, data.Data()...)
		if n := len(data.Data()); n > 0 {
			f.must(f.WriteWindowUpdate(stream, uint32(n)))
			f.must(f.WriteWindowUpdate(0, uint32(n)))
		}
		return bytes.Count(all, newline) == count
	})
	return revisionIn.FindAllString(string(all), -1)
}

// rewrite changes an object so often, each time to about size bytes, and returns the events' revisions.
func rewrite(w *world, times, size int) (revisions []string) {
	big := strings.Repeat("x", size)
	for n := range times {
		r := w.must("PATCH", configMaps+"/a", fmt.Sprintf(`{"data":{"n":"%d","big":%q}}`, n, big), "Content-Type: application/merge-patch+json")
		revisions = append(revisions, `"resourceVersion":"`+r.revision(w)+`"`)
	}
	return revisions
}

// patience is how long a test waits for what comes at once, unless the machine is very busy.
const patience = 2 * time.Minute

// until waits for something that must come soon.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v\n%s", what, patience, stacks())
		}
	}
}

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// goesOnAside tells whether a watch is being written by a goroutine that a pump began.
func goesOnAside() bool { return strings.Contains(stacks(), "(*watchStream).rest(") }

// A stream without room keeps its events to itself, be it written by its handler or for a pump: other watches of the
// connection and of others see everything in order. When the watch is over, so are its goroutines, a little later.
func TestAStreamWithoutRoomHoldsNobody(t *testing.T) {
	w := newWorld(t)
	newClient := w.serveHTTP2(t)
	w.server.endGrace = 50 * time.Millisecond
	from := w.must("POST", configMaps, `{"metadata":{"name":"a"}}`).revision(t)
	const watch = "?watch=1&resourceVersion="
	f := w.dialFrames(t, 0)
	stalled := f.get(configMaps + watch + from)
	beside := f.get(configMaps + watch + from)
	res, err := newClient().Get(w.url + configMaps + watch + from)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()

	const first = 50
	written := rewrite(w, first, 20_000)
	until(t, "the pump hands the client over", goesOnAside)
	late := f.get(configMaps + watch + from) // its handler has something to write at once
	written = append(written, rewrite(w, first, 20_000)...)
	if got := f.events(beside, len(written)); !slices.Equal(got, written) {
		t.Errorf("a watch of the same connection saw %d events, or others, or in another order", len(got))
	}
	var got []string
	for d := bufio.NewReader(res.Body); len(got) < len(written); {
		line, err := d.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, revisionIn.FindString(line))
	}
	if !slices.Equal(got, written) {
		t.Error("a watch of another connection saw other events, or in another order")
	}

	w.server.drain() // watches, and nothing else
	until(t, "all watches end", func() bool { return w.server.active.inside.Load() == 0 })
	until(t, "no ended watch is written to", func() bool { return !goesOnAside() })
	reset := map[uint32]bool{}
	f.read(func(fr http2.Frame) bool {
		if r, ok := fr.(*http2.RSTStreamFrame); ok {
			reset[r.StreamID] = true
		}
		return reset[stalled] && reset[late] // the client knows that this is not all
	})
	f.get(configMaps + "/a") // and the connection is as good as new
}

// A connection whose client makes no room holds up none but its own watches, and these not for ever.
func TestAConnectionWithoutRoomHoldsNobody(t *testing.T) {
	w := newWorld(t)
	w.serveHTTP2(t)
	w.server.endGrace = 50 * time.Millisecond
	from := w.must("POST", configMaps, `{"metadata":{"name":"a"}}`).revision(t)
	f, other := w.dialFrames(t, 1<<20), w.dialFrames(t, 1<<20)
	const watches = 10
	for range watches {
		f.get(configMaps + "?watch=1&resourceVersion=" + from)
	}
	reader := other.get(configMaps + "?watch=1&resourceVersion=" + from)
	written := rewrite(w, 50, 20_000)
	until(t, "the pump hands the clients over", goesOnAside)
	if got := other.events(reader, len(written)); !slices.Equal(got, written) {
		t.Errorf("a watch of another connection saw %d events, or others, or in another order", len(got))
	}
	w.server.drain()
	until(t, "the watches end", func() bool { return w.server.active.inside.Load() == 0 })
	until(t, "no ended watch is written to", func() bool { return !goesOnAside() })
}

// Over HTTP/1.1 a client that does not read ends with its watch, too.
func TestAWatchThatNobodyReadsEnds(t *testing.T) {
	for _, c := range []struct{ name, extra string }{
		{"HTTP/1.1", ""},
		{"websocket", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: http://x\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t).serve()
			w.server.endGrace = 50 * time.Millisecond
			from := w.must("POST", configMaps, `{"metadata":{"name":"a"}}`).revision(t)
			u, err := url.Parse(w.url)
			if err != nil {
				t.Fatal(err)
			}
			nc, err := net.Dial("tcp", u.Host)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			idle := w.watchers()
			fmt.Fprintf(nc, "GET %s?watch=1&resourceVersion=%s HTTP/1.1\r\nHost: x\r\n%s\r\n", configMaps, from, c.extra)
			until(t, "the watch begins", func() bool { return w.watchers() > idle })
			rewrite(w, 100, 150<<10) // more than the buffers of a connection take
			w.server.drain()
			until(t, "the watch ends", func() bool { return w.server.active.inside.Load() == 0 })
		})
	}
}

// What is being written is the only event that a stalled watch holds of those before it in the batch.
func TestAnEventThatIsWrittenIsForgotten(t *testing.T) {
	w := newWorld(t)
	rt := w.server.routes.Load().find(corev1.SchemeGroupVersion, "configmaps")
	cw, err := rt.res.table.Watch(t.Context(), cache.WatchOptions{Initial: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := cw.Take(nil, 1<<20); err != nil {
		t.Fatal(err)
	}
	w.must("POST", configMaps, `{"metadata":{"name":"a"}}`)
	rewrite(w, 5, 2*watchChunk)
	w.must("GET", configMaps+"/a", "") // the cache has it now
	batch, _, err := cw.Take(nil, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	written := 0
	st := &watchStream{call: &call{res: rt.res, version: rt.version}, format: format{media: mediaJSON}}
	st.write = func(b []byte) error {
		written += bytes.Count(b, newline)
		for n, e := range batch.Events {
			if forgotten := e == (cache.Event{}); forgotten != (n < written) {
				t.Errorf("when %d events are being written, event %d is forgotten: %v", written, n, forgotten)
			}
		}
		return nil
	}
	st.flush = func() error { return nil }
	if err := st.events(batch.Events); err != nil || written != 6 {
		t.Errorf("%d events written, %v", written, err)
	}
}

// A watch whose time is over takes nothing more, though there is always something.
func TestABusyWatchEndsAfterItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		put(w, "a", "0")
		one := int64(1)
		r := listRequest(nil)
		r.List.TimeoutSeconds = &one
		s, err := w.local().Watch(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Stop()
		begin := time.Now()
		for n := 1; ; n++ {
			put(w, "a", fmt.Sprint(n))
			w.must("GET", configMaps+"/a", "") // the cache has it now
			_, err := s.Next()
			took := time.Since(begin)
			if over := took > time.Second; over != errors.Is(err, io.EOF) {
				t.Fatalf("after %v: %v", took, err)
			} else if over {
				return
			}
			time.Sleep(30 * time.Millisecond)
		}
	})
}
