package http2

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	xhttp2 "golang.org/x/net/http2"
)

// Shutdown tells clients to go, serves what is under way, and ends.
func TestShutdown(t *testing.T) {
	release := make(chan bool)
	begun := make(chan bool)
	hs := serveOurs(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun <- true
		<-release
		io.WriteString(w, "the last words")
	}), &Server{})
	r := newRaw(t, dial(t, hs))
	r.headers(1, r.get(), true)
	<-begun
	over := make(chan error, 1)
	go func() { over <- hs.Config.Shutdown(context.Background()) }()
	for _, last := range []uint32{largestStream, 1} {
		for {
			f, err := r.ReadFrame()
			r.must(err)
			if g, ok := f.(*xhttp2.GoAwayFrame); ok {
				if g.LastStreamID != last || g.ErrCode != xhttp2.ErrCodeNo {
					t.Fatalf("%v, want the last stream %d", g, last)
				}
				break
			}
		}
	}
	r.headers(3, r.get(), true) // too late: not served, and not refused, since the client knows
	release <- true
	if got := r.outcome(); got != "1: the last words" {
		t.Error(got)
	}
	if got := r.outcome(); got != "closed" {
		t.Error(got)
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
}

func TestAPanicIsLogged(t *testing.T) {
	var log bytes.Buffer
	hs := serveOurs(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			panic("the reason")
		}
		panic(http.ErrAbortHandler)
	}), &Server{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	c := newClient(t, hs)
	for _, path := range []string{"/silent", "/"} {
		if log.Len() > 0 {
			t.Errorf("an aborted answer was logged: %s", &log)
		}
		if _, _, err := do(t, c, newRequest(t, "GET", hs.URL+path, nil)); err == nil {
			t.Error("an answer from a handler that panicked")
		}
	}
	if !strings.Contains(log.String(), "the reason") {
		t.Errorf("the log says %q", &log)
	}
}

func TestDeadlines(t *testing.T) {
	failed := make(chan error, 2)
	hs := serveOurs(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		rc.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		_, err := r.Body.Read(make([]byte, 10))
		failed <- err
		rc.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		for err = nil; err == nil; {
			_, err = w.Write(make([]byte, 10_000))
		}
		failed <- err
	}), &Server{})
	r := newRaw(t, dial(t, hs))
	r.headers(1, r.post(), false)
	for range 2 {
		if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("ended with %v", err)
		}
	}
}

// A client that gives leave to send nothing holds a request no longer than that may take, however short the answer is,
// and does not take for whole what it has got of it.
func TestAnAnswerThatNobodyTakes(t *testing.T) {
	for _, length := range []string{"", "5"} {
		synctest.Test(t, func(t *testing.T) {
			const limit = 30 * time.Second
			nc, _ := onPipe(t, &Server{}, func(w http.ResponseWriter, r *http.Request) {
				r.Context().(*stream).Keep(nil, nil, limit)
				w.Header().Set("Content-Type", "text/plain")
				if length != "" {
					w.Header().Set("Content-Length", length)
				}
				io.WriteString(w, "short")
			})
			begin := time.Now()
			over := make(chan error, 1)
			go func() {
				for fr := xhttp2.NewFramer(nil, nc); ; {
					f, err := fr.ReadFrame()
					if h, ok := f.(*xhttp2.RSTStreamFrame); err != nil || ok && h.StreamID == 1 {
						over <- err
						io.Copy(io.Discard, nc)
						return
					}
					if f.Header().Flags.Has(xhttp2.FlagDataEndStream) && f.Header().StreamID == 1 {
						t.Errorf("the answer ended with %v", f)
					}
				}
			}()
			hello(t, nc)
			say(t, nc, func(fr *xhttp2.Framer) {
				fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 0})
				fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true, EndStream: true})
			})
			select {
			case err := <-over:
				if took := time.Since(begin); err != nil || took != limit {
					t.Errorf("over after %v, %v", took, err)
				}
			case <-time.After(2 * limit):
				t.Error("it goes on waiting")
			}
			nc.Close()
		})
	}
}

// onPipe serves one end of a connection in memory, where time is virtual, and returns the other. ended tells
// when the server had enough of it.
func onPipe(t *testing.T, s *Server, h http.HandlerFunc) (client net.Conn, ended <-chan time.Time) {
	client, server := net.Pipe()
	s.Logger = slog.New(slog.DiscardHandler)
	over := make(chan time.Time, 1)
	t.Cleanup(func() {
		client.Close()
		time.Sleep(2 * janitorEvery) // the janitor notices that there is nothing left to do
	})
	c := newConn(s, server, h, t.Context())
	s.track(c, true)
	go func() {
		c.close(c.read())
		s.track(c, false)
		over <- time.Now()
	}()
	return client, over
}

func say(t *testing.T, nc net.Conn, frames func(fr *xhttp2.Framer)) {
	t.Helper()
	var b bytes.Buffer
	frames(xhttp2.NewFramer(&b, nil))
	if _, err := nc.Write(b.Bytes()); err != nil {
		t.Error(err)
	}
}

func hello(t *testing.T, nc net.Conn) {
	t.Helper()
	if _, err := io.WriteString(nc, preface); err != nil {
		t.Error(err)
	}
	say(t, nc, func(fr *xhttp2.Framer) { fr.WriteSettings() })
}

// block is GET /.
var block = []byte{0x82, 0x87, 0x84}

func TestIdleConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{IdleTimeout: time.Minute}
		nc, ended := onPipe(t, s, func(http.ResponseWriter, *http.Request) { time.Sleep(3 * time.Minute) })
		go io.Copy(io.Discard, nc)
		begin := time.Now()
		hello(t, nc)
		time.Sleep(50 * time.Second)
		say(t, nc, func(fr *xhttp2.Framer) {
			fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true, EndStream: true})
		})
		if took := (<-ended).Sub(begin); took < 290*time.Second || took > 300*time.Second {
			t.Errorf("ended after %v, want a minute after the only request, which ended at 3m50s", took)
		}
	})
}

func TestStalledConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wrote := make(chan error, 1)
		nc, ended := onPipe(t, &Server{StallTimeout: time.Minute}, func(w http.ResponseWriter, _ *http.Request) {
			var err error
			for err == nil {
				_, err = io.WriteString(w, strings.Repeat("x", 10_000))
			}
			wrote <- err
		})
		begin := time.Now()
		go hello(t, nc)
		io.CopyN(io.Discard, nc, 9+4*6+13) // the server's settings and its window
		time.Sleep(time.Second)
		go say(t, nc, func(fr *xhttp2.Framer) {
			fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true, EndStream: true})
		})
		if took := (<-ended).Sub(begin); took < time.Minute || took > 3*time.Minute {
			t.Errorf("ended after %v, want one to two minutes", took)
		}
		<-wrote // the handler got to know
	})
}

// A small body that does not come is its handler's business after a while, and that may give it a deadline.
func TestASlowSmallBodyReachesItsHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := make(chan time.Time, 1)
		nc, _ := onPipe(t, &Server{}, func(_ http.ResponseWriter, r *http.Request) {
			began <- time.Now()
			io.Copy(io.Discard, r.Body)
		})
		go io.Copy(io.Discard, nc)
		begin := time.Now()
		hello(t, nc)
		say(t, nc, func(fr *xhttp2.Framer) {
			// POST / with content-length 9.
			head := append([]byte{0x83, 0x87, 0x84, 0x0f, 0x0d, 1}, '9')
			fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: head, EndHeaders: true})
			fr.WriteData(1, false, []byte("1234"))
		})
		if took := (<-began).Sub(begin); took < janitorEvery || took > 3*janitorEvery {
			t.Errorf("the handler began after %v", took)
		}
		nc.Close()
	})
}

func TestASilentClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nc, ended := onPipe(t, &Server{}, func(http.ResponseWriter, *http.Request) {})
		go io.Copy(io.Discard, nc)
		begin := time.Now()
		if took := (<-ended).Sub(begin); took != prefaceTimeout {
			t.Errorf("waited %v for the preface", took)
		}
	})
}
