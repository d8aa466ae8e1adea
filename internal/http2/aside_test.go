package http2

import (
	"bytes"
	"io"
	"net/http"
	"testing"
)

type aside interface {
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
