package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/proa-dev/proa/internal/access/admission"
)

// overBoth runs a test over HTTP/1.1 and HTTP/2.
func overBoth(t *testing.T, test func(t *testing.T, protocol int, open func(w *world) *http.Client)) {
	for _, protocol := range []int{1, 2} {
		t.Run(fmt.Sprintf("HTTP/%d", protocol), func(t *testing.T) {
			test(t, protocol, func(w *world) *http.Client {
				srv := httptest.NewUnstartedServer(w.handler)
				srv.EnableHTTP2 = protocol == 2
				srv.Config.ErrorLog = nil
				srv.StartTLS()
				w.url = srv.URL
				t.Cleanup(func() {
					w.server.Drain()
					srv.CloseClientConnections()
					srv.Close()
				})
				return srv.Client()
			})
		})
	}
}

// request is one that says who sends it, and tells whether it went over a connection that was there.
func request(t *testing.T, method, url, user string, body io.Reader) (r *http.Request, reused *bool) {
	t.Helper()
	reused = new(bool)
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { *reused = i.Reused }})
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(userHeader, user)
	r.Header.Set("Content-Type", "application/json")
	return r, reused
}

func answerOf(t *testing.T, c *http.Client, r *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := c.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	return res, string(body)
}

// A client that sends half of its body and then nothing gets a 504 when its time is up, and gives back its
// place among the requests in flight.
func TestSlowBody(t *testing.T) {
	overBoth(t, func(t *testing.T, protocol int, open func(*world) *http.Client) {
		w := newWorld(t, func(s *setting) { s.MaxMutatingInFlight = 1 })
		c := open(w)
		body, half := io.Pipe()
		defer half.Close()
		go io.WriteString(half, `{"metadata":`)
		r, _ := request(t, "POST", w.url+configMaps+"?timeout=300ms", "slow", body)
		res, text := answerOf(t, c, r)
		if res.ProtoMajor != protocol || res.StatusCode != http.StatusGatewayTimeout || !strings.Contains(text, `"reason":"Timeout"`) {
			t.Errorf("%s %d %s", res.Proto, res.StatusCode, text)
		}
		r, _ = request(t, "POST", w.url+configMaps, "quick", strings.NewReader(`{"metadata":{"name":"a"}}`))
		if res, text := answerOf(t, c, r); res.StatusCode != http.StatusCreated {
			t.Errorf("the next: %d %s", res.StatusCode, text)
		}
	})
}

// A client that asks for much and reads nothing is cut off when its time is up, and others go on.
func TestSlowReader(t *testing.T) {
	overBoth(t, func(t *testing.T, protocol int, open func(*world) *http.Client) {
		w := newWorld(t, func(s *setting) { s.MaxInFlight = 1 })
		for i := range 20 {
			w.must("POST", configMaps, fmt.Sprintf(`{"metadata":{"name":"large-%d"},"data":{"k":%q}}`, i, strings.Repeat("x", 900_000)))
		}
		c := open(w)
		// A busy machine may take longer to ask for anything else than the reader has; then it has more.
		for _, limit := range []string{"1s", "5s", "25s"} {
			if readSlowly(t, c, w.url+configMaps, limit, protocol) {
				return
			}
		}
		t.Error("the slow reader held up nobody: the answer is too short for this test")
	})
}

// readSlowly begins to read a list, which may take so long, and goes on when it must be over. It tells whether anybody
// was refused meanwhile.
func readSlowly(t *testing.T, c *http.Client, url, limit string, protocol int) (refused bool) {
	t.Helper()
	r, _ := request(t, "GET", url+"?timeout="+limit, "slow", nil)
	r.Header.Set("Accept-Encoding", "identity")
	res, err := c.Do(r)
	if err != nil {
		t.Logf("its time was up before it began: %v", err)
		return false
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusGatewayTimeout {
		return false
	}
	if res.StatusCode != http.StatusOK || res.ProtoMajor != protocol {
		t.Fatal(res)
	}
	// While the list waits for its reader, there is room for nobody else.
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		r, _ := request(t, "GET", url+"/none", "quick", nil)
		res, text := answerOf(t, c, r)
		if res.StatusCode == http.StatusNotFound {
			break
		}
		refused = true
		if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") != "1" || time.Now().After(end) {
			t.Fatalf("%d %v %s", res.StatusCode, res.Header, text)
		}
	}
	if n, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Errorf("the slow reader got all %d bytes", n)
	}
	return refused
}

// While a server ends, requests under way finish, new ones are sent elsewhere, and so are their connections.
func TestDrainRequests(t *testing.T) {
	overBoth(t, func(t *testing.T, protocol int, open func(*world) *http.Client) {
		begun, finish := make(chan bool, 1), make(chan bool)
		w := newWorld(t, withHook(func(_ context.Context, r *admission.Request) error {
			if r.Operation == admission.Create && r.Name == "slow" {
				begun <- true
				<-finish
			}
			return nil
		}))
		c := open(w)
		done := make(chan error, 1)
		go func() {
			r, _ := request(t, "POST", w.url+configMaps, "slow", strings.NewReader(`{"metadata":{"name":"slow"}}`))
			res, err := c.Do(r)
			if err == nil {
				res.Body.Close()
				if res.StatusCode != http.StatusCreated {
					err = errors.New(res.Status)
				}
			}
			done <- err
		}()
		<-begun
		get := func(path string) (*http.Response, string, bool) {
			r, reused := request(t, "GET", w.url+path, "other", nil)
			res, text := answerOf(t, c, r)
			return res, text, *reused
		}
		w.server.PrepareDrain()
		if res, _, _ := get("/readyz"); res.StatusCode != http.StatusInternalServerError {
			t.Errorf("/readyz before the end: %d", res.StatusCode)
		}
		if res, _, _ := get(configMaps); res.StatusCode != http.StatusOK {
			t.Errorf("before the end: %d", res.StatusCode)
		}
		w.server.Drain()
		for _, path := range []string{configMaps, configMaps + "?watch=1"} {
			res, text, _ := get(path)
			if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") != "1" || !strings.Contains(text, "apiserver is shutting down") {
				t.Errorf("%s: %d %v %s", path, res.StatusCode, res.Header, text)
			}
			if protocol == 1 && !res.Close {
				t.Errorf("%s: the connection stays open", path)
			}
		}
		// A client of HTTP/2 may have its answer a moment before it is told to go.
		until(t, "the connection is given up", func() bool {
			res, _, reused := get("/livez")
			if res.StatusCode != http.StatusOK {
				t.Fatalf("/livez: %d", res.StatusCode)
			}
			return !reused
		})
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.server.WaitIdle(canceled); !errors.Is(err, context.Canceled) {
			t.Errorf("idle with a request under way: %v", err)
		}
		close(finish)
		if err := <-done; err != nil {
			t.Errorf("the request under way: %v", err)
		}
		if err := w.server.WaitIdle(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Clients of HTTP/2 are made to connect anew as often as the chance says, and no request of theirs fails.
func TestGoaway(t *testing.T) {
	overBoth(t, func(t *testing.T, protocol int, open func(*world) *http.Client) {
		for chance, again := range map[float64]bool{0: true, 1: protocol == 1} {
			w := newWorld(t, func(s *setting) { s.GoawayChance = chance })
			c := open(w)
			ask := func() (sameConnection bool) {
				r, reused := request(t, "GET", w.url+configMaps, "any", nil)
				if res, _ := answerOf(t, c, r); res.StatusCode != http.StatusOK || res.Close {
					t.Fatalf("chance %v: %d, the connection closes: %v", chance, res.StatusCode, res.Close)
				}
				return *reused
			}
			ask()
			for range 3 {
				// A client has its answer a moment before it is told to go, or, over HTTP/1.1, takes a new connection where
				// the one before is not back in time.
				until(t, fmt.Sprintf("chance %v: the same connection: %v", chance, again), func() bool { return ask() == again })
			}
		}
	})
}
