package http2

import (
	"bytes"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
)

var seed = flag.Uint64("seed", 0, "seed of the random tests; 0 takes a new one")

// pattern is size bytes that depend on n.
func pattern(n, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(n + i*7 + i>>8)
	}
	return b
}

// Many requests at once over few connections: bodies of all sizes in both directions, in pieces, flushed and
// not, given up in the middle, read slowly. Whoever gets an answer gets the right one.
func TestRandomTraffic(t *testing.T) {
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", s)
	hs := serveOurs(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		n, _ := strconv.Atoi(q.Get("n"))
		size, _ := strconv.Atoi(q.Get("size"))
		piece, _ := strconv.Atoi(q.Get("piece"))
		sum := sha256.New()
		if q.Get("read") != "" {
			if _, err := io.Copy(sum, r.Body); err != nil {
				return
			}
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		if q.Get("length") != "" {
			w.Header().Set("Content-Length", strconv.Itoa(size+sha256.Size))
		}
		for data := append(pattern(n, size), sum.Sum(nil)...); len(data) > 0; {
			k := min(piece, len(data))
			if _, err := w.Write(data[:k]); err != nil {
				return
			}
			data = data[k:]
			if q.Get("flush") != "" {
				w.(http.Flusher).Flush()
			}
		}
	}), &Server{})
	const workers, rounds = 24, 40
	clients := make([]*http.Client, 3)
	for i := range clients {
		clients[i] = newClient(t, hs)
	}
	var wg sync.WaitGroup
	for w := range workers {
		rnd := rand.New(rand.NewPCG(s, uint64(w)))
		wg.Go(func() {
			for i := range rounds {
				if err := randomRequest(t.Context(), rnd, clients[rnd.IntN(len(clients))], hs.URL, w*rounds+i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func randomRequest(ctx context.Context, rnd *rand.Rand, c *http.Client, url string, n int) error {
	sizes := []int{0, 1, 100, 4095, 4096, 4097, 20_000, 70_000, 300_000, 1_500_000}
	size, sent := sizes[rnd.IntN(len(sizes))], sizes[rnd.IntN(len(sizes))]
	url += fmt.Sprintf("?n=%d&size=%d&piece=%d", n, size, 1+size/(1+rnd.IntN(20)))
	for _, option := range []string{"read", "length", "flush"} {
		if rnd.IntN(2) == 0 {
			url += "&" + option + "=1"
		}
	}
	body := pattern(n+1, sent)
	var reader io.Reader = bytes.NewReader(body)
	if rnd.IntN(2) == 0 {
		reader = io.MultiReader(reader) // hides the length
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	givesUp := rnd.IntN(8) == 0
	if givesUp {
		time.AfterFunc(time.Duration(rnd.IntN(5000))*time.Microsecond, cancel)
	}
	r, err := http.NewRequestWithContext(ctx, "POST", url, reader)
	if err != nil {
		return err
	}
	res, err := c.Do(r)
	if err != nil {
		if givesUp {
			return nil
		}
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		if givesUp {
			return nil
		}
		return fmt.Errorf("%s: %w", url, err)
	}
	sum := sha256.New()
	if r.URL.Query().Get("read") != "" {
		sum.Write(body)
	}
	if want := append(pattern(n, size), sum.Sum(nil)...); !bytes.Equal(data, want) {
		return fmt.Errorf("%s: %d bytes that are not the %d that were sent", url, len(data), len(want))
	}
	return nil
}

// Watches: many answers that never end on one connection, all of which get every event in order, while others
// are given up.
func TestManyWatches(t *testing.T) {
	const watches, events = 200, 50
	var mu sync.Mutex
	news := sync.NewCond(&mu)
	last := 0
	hs := serveOurs(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		for seen := 0; seen < events && r.Context().Err() == nil; {
			mu.Lock()
			for last == seen {
				news.Wait()
			}
			upTo := last
			mu.Unlock()
			for ; seen < upTo; seen++ {
				fmt.Fprintf(w, "%d\n", seen+1)
			}
			w.(http.Flusher).Flush()
		}
	}), &Server{})
	c := newClient(t, hs)
	var begun, done sync.WaitGroup
	for i := range watches {
		begun.Add(1)
		done.Go(func() {
			r := newRequest(t, "GET", hs.URL, nil)
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			res, err := c.Do(r.WithContext(ctx))
			begun.Done()
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if i%5 == 0 {
				cancel()
				return
			}
			for want := 1; want <= events; want++ {
				var got int
				if _, err := fmt.Fscan(res.Body, &got); err != nil || got != want {
					t.Errorf("watch %d got %d, %v, want %d", i, got, err, want)
					return
				}
			}
		})
	}
	begun.Wait()
	for range events {
		mu.Lock()
		last++
		mu.Unlock()
		news.Broadcast()
	}
	done.Wait()
}

// A stream whose client does not read holds up nobody else, and no more memory than the windows allow.
func TestAReaderThatStops(t *testing.T) {
	hs := serveOurs(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/endless" {
			for chunk := make([]byte, 64<<10); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}
		io.WriteString(w, "here")
	}), &Server{})
	r := newRaw(t, dial(t, hs))
	r.must(r.WriteWindowUpdate(0, 1<<20))
	r.headers(1, r.fields(":method", "GET", ":scheme", "https", ":path", "/endless"), true)
	got := 0
	for got < defaultWindow {
		f, err := r.ReadFrame()
		r.must(err)
		if d, ok := f.(*xhttp2.DataFrame); ok {
			got += len(d.Data())
		}
	}
	r.headers(3, r.get(), true)
	if got := r.outcome(); got != "3: here" {
		t.Errorf("beside a stream that is not read: %s", got)
	}
	r.must(r.WriteWindowUpdate(1, 5))
	got = 0
	for answered := false; !answered; {
		f, err := r.ReadFrame()
		r.must(err)
		switch f := f.(type) {
		case *xhttp2.DataFrame:
			got += len(f.Data())
			r.must(r.WritePing(false, [8]byte{})) // what else was sent comes before the answer
		case *xhttp2.PingFrame:
			answered = true
		}
	}
	if got != 5 {
		t.Errorf("five bytes were allowed, and %d came", got)
	}
}
