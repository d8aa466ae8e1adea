package http2

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	xhttp2 "golang.org/x/net/http2"
)

// whole is what a handler asks a body for.
type whole interface{ Whole() ([]byte, bool) }

// A body that came before its handler is handed over as it is, and stays what it is while others come and go.
func TestWholeBodies(t *testing.T) {
	const clients, rounds = 8, 20
	ours := serveOurs(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := r.Body.(whole).Whole()
		if !ok {
			t.Errorf("a body of %d bytes is not there", r.ContentLength)
		}
		before := bytes.Clone(data)
		rest, err := io.ReadAll(r.Body)
		if len(rest) != 0 || err != nil {
			t.Errorf("%d bytes more than all, %v", len(rest), err)
		}
		if !bytes.Equal(before, data) {
			t.Error("a body changed while it was handled")
		}
		w.Write(data)
	}), &Server{})
	var done sync.WaitGroup
	for n := range clients {
		c := newClient(t, ours)
		done.Go(func() {
			for i := range rounds {
				text := strings.Repeat(fmt.Sprintf("%d.%d ", n, i), 1+i*200)
				_, answer, err := do(t, c, newRequest(t, http.MethodPost, ours.URL, strings.NewReader(text)))
				if err != nil || string(answer) != text {
					t.Errorf("sent %d bytes, got %d of another kind, %v", len(text), len(answer), err)
				}
			}
		})
	}
	done.Wait()
}

// A body that still comes is not whole, whatever of it is there.
func TestBodiesThatStillCome(t *testing.T) {
	asked := make(chan bool)
	ours := serveOurs(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, ok := r.Body.(whole).Whole()
		asked <- ok
		io.Copy(w, r.Body)
	}), &Server{})
	body, rest := io.Pipe()
	go func() {
		rest.Write([]byte("begin"))
		if <-asked {
			t.Error("a body without end is whole")
		}
		rest.Write([]byte(" and end"))
		rest.Close()
	}()
	_, answer, err := do(t, newClient(t, ours), newRequest(t, http.MethodPost, ours.URL, body))
	if err != nil || string(answer) != "begin and end" {
		t.Errorf("%q, %v", answer, err)
	}
}

// A body that was there, and is given up with its request before it is read, is not an empty one: whoever takes it for
// that deletes what was to be deleted only if, or only for show.
func TestBodiesThatAreGivenUp(t *testing.T) {
	for name, read := range map[string]func(io.Reader) bool{
		"read":         func(b io.Reader) bool { _, err := io.ReadAll(b); return err == nil },
		"whole":        func(b io.Reader) bool { _, ok := b.(whole).Whole(); return ok },
		"after a part": func(b io.Reader) bool { _, err := io.ReadAll(b); return err == nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				complete := make(chan bool, 1)
				nc, _ := onPipe(t, &Server{}, func(_ http.ResponseWriter, r *http.Request) {
					if name == "after a part" {
						r.Body.Read(make([]byte, 4))
					}
					<-r.Context().Done()
					complete <- read(r.Body)
				})
				go io.Copy(io.Discard, nc)
				hello(t, nc)
				say(t, nc, func(fr *xhttp2.Framer) {
					// POST / with content-length 9.
					head := append([]byte{0x83, 0x87, 0x84, 0x0f, 0x0d, 1}, '9')
					fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: head, EndHeaders: true})
					fr.WriteData(1, true, []byte("123456789"))
				})
				synctest.Wait()
				say(t, nc, func(fr *xhttp2.Framer) { fr.WriteRSTStream(1, xhttp2.ErrCodeCancel) })
				if <-complete {
					t.Error("what was left of the body was taken for all of it")
				}
				nc.Close()
			})
		})
	}
}
