package http2

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
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
