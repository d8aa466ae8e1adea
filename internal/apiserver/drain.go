package apiserver

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The end of a server, in order: it says at /readyz that it is not to be used (PrepareDrain) while it serves on,
// so that load balancers notice; it refuses what is new and ends its watches (Drain); it waits for the
// requests under way (WaitIdle). Streams to pods, which may last for days, are not waited for.

// gate counts who is inside, until it closes.
type gate struct {
	inside atomic.Int64
	closed atomic.Bool
	empty  chan struct{} // closed when the gate is, and nobody is inside
	once   sync.Once
}

func newGate() *gate { return &gate{empty: make(chan struct{})} }

// enter tells whether a request may begin; if so, leave ends it.
func (g *gate) enter() bool {
	g.inside.Add(1)
	if g.closed.Load() {
		g.leave()
		return false
	}
	return true
}

func (g *gate) leave() {
	if g.inside.Add(-1) == 0 && g.closed.Load() {
		g.once.Do(func() { close(g.empty) })
	}
}

func (g *gate) close() {
	g.inside.Add(1)
	g.closed.Store(true)
	g.leave()
}

// PrepareDrain makes /readyz fail, so that clients go elsewhere. Everything is served as before.
func (s *Server) PrepareDrain() { s.unready.Store(true) }

// Drain refuses new requests, and ends all watches in good order.
func (s *Server) Drain() {
	s.PrepareDrain()
	s.active.close()
	s.drain()
}

// WaitIdle waits, once the server drains, until no request is under way.
func (s *Server) WaitIdle(ctx context.Context) error {
	select {
	case <-s.active.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answeredToTheEnd are the paths that tell how a server is, and answer while it ends.
var answeredToTheEnd = []string{"/metrics", "/livez", "/readyz", "/healthz"}

// refused answers a request that comes too late, and makes its connection close: the next one shall reach
// another server.
func (s *Server) refused(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	s.writeError(w, r, retryLater(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "apiserver is shutting down", 1))
}

// admitted tells whether a request may begin.
func (s *Server) admitted(r *http.Request) bool {
	if s.active.enter() {
		return true
	}
	for _, prefix := range answeredToTheEnd {
		if strings.HasPrefix(r.URL.Path, prefix) {
			s.active.inside.Add(1) // it leaves like all others
			return true
		}
	}
	return false
}
