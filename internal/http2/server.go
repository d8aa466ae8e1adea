package http2

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Server serves HTTP/2 connections. The zero value has the defaults.
type Server struct {
	// MaxStreams bounds the requests under way on one connection; 0 is DefaultMaxStreams.
	MaxStreams int
	// MaxHeaderBytes bounds a request's header fields, names and values and 32 bytes for each (RFC 9113
	// section 6.5.2); a request that has more is answered with 431. 0 is http.DefaultMaxHeaderBytes.
	MaxHeaderBytes int
	// IdleTimeout ends a connection that has no request under way; 0 never.
	IdleTimeout time.Duration
	// StallTimeout ends a connection whose client takes nothing of what is being written to it; 0 is
	// DefaultStallTimeout.
	StallTimeout time.Duration
	// Logger tells of handlers that panicked; nil is slog's default.
	Logger *slog.Logger

	mu    sync.Mutex
	conns map[*conn]struct{} // guarded by mu

	workers workers
}

// Defaults of Server.
const (
	DefaultMaxStreams   = 250
	DefaultStallTimeout = 2 * time.Minute
)

// What a client may send before a handler has taken any of it.
const (
	streamWindow = 256 << 10
	connWindow   = 1 << 20
)

// Install makes hs hand over the connections that speak HTTP/2. It is called before hs serves; the server's
// Shutdown then tells clients to go elsewhere, and waits for the connections to end.
func (s *Server) Install(hs *http.Server) {
	if hs.TLSNextProto == nil {
		hs.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	}
	hs.TLSNextProto["h2"] = func(_ *http.Server, c *tls.Conn, h http.Handler) { s.serve(c, h) }
	hs.RegisterOnShutdown(s.goAway)
}

// serve serves a connection until it ends. The handshake is done.
func (s *Server) serve(tc *tls.Conn, h http.Handler) {
	base := context.Background()
	if b, ok := h.(interface{ BaseContext() context.Context }); ok {
		base = b.BaseContext()
	}
	ctx, cancel := context.WithCancel(base)
	defer cancel()
	state := tc.ConnectionState()
	c := newConn(s, tc, h, ctx)
	c.tlsState = &state
	s.track(c, true)
	defer s.track(c, false)
	err := error(nil)
	if !strong(state) {
		err = connError{codeInadequateSecurity, "a cipher suite that HTTP/2 forbids"}
	} else {
		err = c.read()
	}
	c.close(err)
}

func (s *Server) track(c *conn, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !on {
		delete(s.conns, c)
		return
	}
	if s.conns == nil {
		s.conns = map[*conn]struct{}{}
		s.workers.review(false)
		go s.janitor()
	}
	s.conns[c] = struct{}{}
}

// goAway tells all clients that there will be no answers to new requests. Connections end with their last
// request.
func (s *Server) goAway() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.goAway()
	}
}

func (s *Server) maxStreams() int { return cmp.Or(s.MaxStreams, DefaultMaxStreams) }

func (s *Server) maxHeaderBytes() int { return cmp.Or(s.MaxHeaderBytes, http.DefaultMaxHeaderBytes) }

func (s *Server) stallTimeout() time.Duration { return cmp.Or(s.StallTimeout, DefaultStallTimeout) }

func (s *Server) logger() *slog.Logger {
	if s.Logger == nil {
		return slog.Default()
	}
	return s.Logger
}

// strong tells whether a connection's cipher suite is none of those that RFC 9113 (appendix A) forbids: with
// TLS 1.2 it must be ephemeral and authenticate what it encrypts.
func strong(state tls.ConnectionState) bool {
	if state.Version >= tls.VersionTLS13 {
		return true
	}
	name := tls.CipherSuiteName(state.CipherSuite)
	return state.Version == tls.VersionTLS12 && strings.HasPrefix(name, "TLS_ECDHE_") &&
		(strings.Contains(name, "_GCM_") || strings.Contains(name, "_CHACHA20_"))
}
