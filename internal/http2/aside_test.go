package http2

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"testing/synctest"

	xhttp2 "golang.org/x/net/http2"
)

type aside interface {
	HasRoom(again func()) bool
	TryWrite(p []byte) (taken bool, err error)
	FlushAside() error
}

// TryWrite takes what the client has room for, never a part, and what follows it comes after it.
func TestTryWriteTakesAllOrNothing(t *testing.T) {
	const piece = 10_000
	want := pattern(1, 200*piece)
	full := make(chan int)
	hs := serveOurs(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := w.(aside)
		if taken, err := a.TryWrite(want[:piece]); taken || err != nil {
			t.Errorf("before the header: %v, %v", taken, err)
		}
		w.Write(nil)
		w.(http.Flusher).Flush()
		sent := 0
		for rest := want; ; rest = rest[piece:] {
			taken, err := a.TryWrite(rest[:piece])
			if err != nil {
				t.Error(err)
			}
			if !taken {
				break
			}
			sent += piece
			if err := a.FlushAside(); err != nil {
				t.Error(err)
			}
		}
		full <- sent
		w.Write(want[sent:])
	}), &Server{})
	c := newClient(t, hs)
	c.Transport.(*http.Transport).HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}
	res, err := c.Do(newRequest(t, "GET", hs.URL, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if sent := <-full; sent == 0 || sent > 128<<10 {
		t.Errorf("%d bytes were taken for a client that takes 64 KiB", sent)
	}
	got, err := io.ReadAll(res.Body)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d came, or others: %v", len(got), len(want), err)
	}
}

// What a connection gathers for a client that does not read is bounded. Who found no room is told when there is some, once,
// unless the answer has ended.
func TestRoomInTheOutput(t *testing.T) {
	for name, ends := range map[string]bool{"an answer that goes on": false, "one that ends": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testRoom(t, ends) })
		})
	}
}

func testRoom(t *testing.T, ends bool) {
	piece := pattern(2, 10_000)
	begin, full, told := make(chan bool), make(chan int, 1), make(chan bool, 2)
	nc, _ := onPipe(t, &Server{}, func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		<-begin
		a, sent := w.(aside), 0
		for a.HasRoom(func() { told <- true }) {
			if taken, err := a.TryWrite(piece); !taken || err != nil {
				t.Errorf("taken: %v, %v", taken, err)
			}
			sent += len(piece)
		}
		full <- sent
		if ends {
			return
		}
		<-told
		if taken, err := a.TryWrite(piece); !a.HasRoom(nil) || !taken || err != nil {
			t.Errorf("when there should be room: taken %v, %v", taken, err)
		}
	})
	go func() {
		io.WriteString(nc, preface)
		say(t, nc, func(fr *xhttp2.Framer) {
			fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 30})
			fr.WriteWindowUpdate(0, 1<<30)
			fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true, EndStream: true})
		})
	}()
	client, want, got := xhttp2.NewFramer(io.Discard, nc), 0, 0
	for over := false; !over; {
		f, err := client.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *xhttp2.HeadersFrame:
			synctest.Wait() // nobody writes
			begin <- true
			synctest.Wait() // the handler has come to the end, or to wait for room
			want = <-full
			if want < outputLimit || want > outputLimit+len(piece) {
				t.Errorf("gathered %d bytes", want)
			}
		case *xhttp2.DataFrame:
			got += len(f.Data())
			over = f.StreamEnded()
		}
	}
	if !ends {
		want += len(piece)
	}
	synctest.Wait()
	if got != want || len(told) != 0 {
		t.Errorf("%d bytes of %d came, told of room %d times more", got, want, len(told))
	}
}

func TestTryWriteAfterTheEnd(t *testing.T) {
	asides := make(chan aside, 1)
	hs := serveOurs(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		asides <- w.(aside)
	}), &Server{})
	if _, _, err := do(t, newClient(t, hs), newRequest(t, "GET", hs.URL, nil)); err != nil {
		t.Fatal(err)
	}
	a := <-asides
	if taken, err := a.TryWrite([]byte("late")); taken || err == nil {
		t.Errorf("taken: %v, %v", taken, err)
	}
	if a.FlushAside() == nil {
		t.Error("flushed")
	}
}
