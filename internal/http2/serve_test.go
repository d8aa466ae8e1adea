package http2

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// newPair starts a server of this package and one of the standard library, for the same handler.
func newPair(t testing.TB, h http.Handler) (ours, theirs *httptest.Server) {
	return serveOurs(t, h, &Server{}), serveTheirs(t, h)
}

func serveOurs(t testing.TB, h http.Handler, s *Server) *httptest.Server {
	t.Helper()
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	hs := httptest.NewUnstartedServer(h)
	hs.TLS = &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
	hs.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.Install(hs.Config)
	hs.Listener = Direct(hs.Listener)
	hs.StartTLS()
	t.Cleanup(hs.Close)
	t.Cleanup(hs.CloseClientConnections)
	return hs
}

func serveTheirs(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	hs := httptest.NewUnstartedServer(h)
	hs.EnableHTTP2 = true
	hs.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	hs.StartTLS()
	t.Cleanup(hs.Close)
	t.Cleanup(hs.CloseClientConnections)
	return hs
}

// newClient is a client with one connection of its own.
func newClient(t testing.TB, hs *httptest.Server) *http.Client {
	tr := hs.Client().Transport.(*http.Transport).Clone()
	tr.ForceAttemptHTTP2 = true
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// dial opens a connection that has agreed on HTTP/2.
func dial(t testing.TB, hs *httptest.Server) net.Conn {
	t.Helper()
	nc, err := tls.Dial("tcp", hs.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

func do(t testing.TB, c *http.Client, r *http.Request) (*http.Response, []byte, error) {
	t.Helper()
	res, err := c.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return res, data, err
}

func newRequest(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
