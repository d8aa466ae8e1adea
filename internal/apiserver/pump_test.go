package apiserver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/cache"
	"github.com/proa-dev/proa/internal/http2"
)

// serveHTTP2 has the world answer over the product's own HTTP/2, and makes clients with a connection each.
func (w *world) serveHTTP2(t testing.TB) (newClient func() *http.Client) {
	srv := httptest.NewUnstartedServer(w.handler)
	srv.TLS = &tls.Config{NextProtos: []string{"h2"}}
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	(&http2.Server{Logger: slog.New(slog.DiscardHandler)}).Install(srv.Config)
	srv.StartTLS()
	w.url = srv.URL
	t.Cleanup(func() {
		w.server.Drain()
		srv.CloseClientConnections()
		srv.Close()
	})
	return func() *http.Client {
		tr := srv.Client().Transport.(*http.Transport).Clone()
		tr.ForceAttemptHTTP2 = true
		tr.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr}
	}
}

// Watches that share connections see every change once and in order, whether their clients read at once, late, or
// more slowly than there is news; and those that go away hold up nobody.
func TestPumpedWatchesSeeEverythingInOrder(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t)
	newClient := w.serveHTTP2(t)
	clients := []*http.Client{newClient(), newClient(), newClient()}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	const watches, writes = 48, 200
	from := w.must("POST", configMaps, `{"metadata":{"name":"a"}}`).revision(t)
	late := make(chan struct{})
	seen := make([][]string, watches)
	var readers sync.WaitGroup
	for i := range watches {
		query := "?watch=1&resourceVersion=" + from
		if i%6 == 5 {
			query += "&fieldSelector=metadata.name%3Da"
		}
		life, leave := context.WithCancel(ctx)
		r, err := http.NewRequestWithContext(life, "GET", w.url+configMaps+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := clients[i%len(clients)].Do(r)
		if err != nil {
			t.Fatal(err)
		}
		last, pause := writes, rand.New(rand.NewPCG(seed, uint64(i)))
		if i%4 == 1 {
			last = rnd.IntN(writes)
		}
		readers.Go(func() {
			defer leave()
			defer res.Body.Close()
			if i%4 == 2 {
				<-late
			}
			lines := bufio.NewReader(res.Body)
			for len(seen[i]) < last {
				line, err := lines.ReadString('\n')
				if err != nil {
					t.Errorf("watch %d: after %d events: %v", i, len(seen[i]), err)
					return
				}
				seen[i] = append(seen[i], revisionIn.FindString(line))
				if i%4 == 3 && pause.IntN(10) == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	var written []string
	for n := range writes {
		body := fmt.Sprintf(`{"data":{"n":"%d","k":%q}}`, n, strings.Repeat("x", rnd.IntN(1+rnd.IntN(20_000))))
		r := w.must("PATCH", configMaps+"/a", body, "Content-Type: application/merge-patch+json")
		written = append(written, `"resourceVersion":"`+r.revision(t)+`"`)
		if n == writes/2 {
			close(late)
		}
	}
	readers.Wait()
	for i, got := range seen {
		if i%4 == 1 {
			if !slices.Equal(got, written[:len(got)]) {
				t.Errorf("watch %d, which left early, saw other events", i)
			}
		} else if !slices.Equal(got, written) {
			t.Errorf("watch %d saw %d events, or others in another order", i, len(got))
		}
	}
	pumped := 0
	for i := range w.server.pumps.all {
		p := &w.server.pumps.all[i]
		p.mu.Lock()
		pumped += cap(p.waiting)
		p.mu.Unlock()
	}
	if pumped == 0 {
		t.Error("no pump has worked")
	}
}

var revisionIn = regexp.MustCompile(`"resourceVersion":"\d+"`)

// fakeAside takes what is written, unless its client makes no room, or it is crowded.
type fakeAside struct {
	full, crowded            bool
	again                    func()
	written, events, flushed int
}

func (a *fakeAside) HasRoom(again func()) bool {
	if a.crowded {
		a.again = again
	}
	return !a.crowded
}

func (a *fakeAside) TryWrite(b []byte) (taken bool, err error) {
	if !a.full {
		a.written += len(b)
		a.events += bytes.Count(b, newline)
	}
	return !a.full, nil
}

func (a *fakeAside) FlushAside() error {
	a.flushed++
	return nil
}

// What a pump has written is flushed even if the handler looks, just then, whether there is something for it: it finds
// nothing, and flushes nothing.
func TestAPumpFlushesWhileTheHandlerLooks(t *testing.T) {
	out := &fakeAside{}
	st := &watchStream{aside: out}
	p := &pump{wrote: []*watchStream{st}}
	st.turn.Lock()
	p.flush()
	if out.flushed != 1 || len(p.wrote) != 0 {
		t.Errorf("flushed %d times, %d are left", out.flushed, len(p.wrote))
	}
}

// A watch whose connection has enough to write keeps its place until that is written, and then sees everything.
func TestAPumpComesBackToACrowdedConnection(t *testing.T) {
	w := newWorld(t)
	rt := w.server.routes.Load().find(corev1.SchemeGroupVersion, "configmaps")
	after, err := w.server.store.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cw, err := rt.res.table.Watch(t.Context(), cache.WatchOptions{After: after})
	if err != nil {
		t.Fatal(err)
	}
	p, out := &w.server.pumps.all[0], &fakeAside{crowded: true}
	st := &watchStream{call: &call{res: rt.res, version: rt.version}, format: format{media: mediaJSON}, aside: out}
	w.must("POST", configMaps, `{"metadata":{"name":"a"}}`)
	w.must("GET", configMaps+"/a", "") // the cache has it now
	if st.advance(p, cw) || out.written > 0 || out.again == nil {
		t.Fatalf("%d bytes written to a crowded connection; comes again: %v", out.written, out.again != nil)
	}
	rewrite(w, 5, watchChunk) // more than is taken at once
	w.must("GET", configMaps+"/a", "")
	out.crowded = false
	out.again()
	until(t, "all six events are written", func() bool {
		st.turn.Lock()
		defer st.turn.Unlock()
		return out.events == 6
	})
}

// A watch that panics in a pump, or in what goes on for a slow client, ends with an error; others get their events.
func TestAPanicInAPumpEndsOneWatch(t *testing.T) {
	w := newWorld(t)
	rt := w.server.routes.Load().find(corev1.SchemeGroupVersion, "configmaps")
	after, err := w.server.store.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := &w.server.pumps.all[0]
	streams := []struct {
		name   string
		full   bool
		res    *resource // without one, encoding panics
		broken bool
	}{
		{"sound", false, rt.res, false},
		// It has room for nothing, the frames are those of before, and it has nothing to write with.
		{"slow", true, nil, true},
		{"unsound", false, nil, true},
		{"sound again", false, rt.res, false},
	}
	var watchers []*cache.Watcher
	for range streams {
		cw, err := rt.res.table.Watch(t.Context(), cache.WatchOptions{After: after})
		if err != nil {
			t.Fatal(err)
		}
		watchers = append(watchers, cw)
	}
	w.must("POST", configMaps, `{"metadata":{"name":"a"}}`)
	w.must("GET", configMaps+"/a", "") // the cache has it now
	for i, c := range streams {
		out, ended := &fakeAside{full: c.full}, false
		st := &watchStream{
			call: &call{res: c.res, version: rt.version}, format: format{media: mediaJSON}, aside: out,
			end: func() { ended = true },
		}
		if c.name == "unsound" {
			p.form = frameForm{}
		}
		st.advance(p, watchers[i])
		st.turn.Lock()
		if ended != c.broken || (st.broken != nil) != c.broken || (out.written > 0) == c.broken {
			t.Errorf("%s: ended %v with %v after %d bytes", c.name, ended, st.broken, out.written)
		}
		st.turn.Unlock()
		if !c.broken {
			continue
		}
		st.call.res, out.full = rt.res, false
		rewrite(w, 2, 10)
		w.must("GET", configMaps+"/a", "")
		if st.advance(p, watchers[i]) {
			t.Errorf("%s: events go on after those that it has not got", c.name)
		}
	}
}
