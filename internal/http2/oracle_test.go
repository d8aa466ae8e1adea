package http2

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// handlers are written without a thought of who serves them. What a client sees of each must be what it sees of
// the standard library's server.
var handlers = map[string]http.HandlerFunc{
	"nothing":       func(http.ResponseWriter, *http.Request) {},
	"short":         func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") },
	"pieces":        func(w http.ResponseWriter, _ *http.Request) { writeTimes(w, 40, 200) },
	"long":          func(w http.ResponseWriter, _ *http.Request) { writeTimes(w, 100, 50_000) },
	"one long":      func(w http.ResponseWriter, _ *http.Request) { writeTimes(w, 1, 3_000_000) },
	"html":          func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html><body>hello") },
	"error":         func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such thing", http.StatusNotFound) },
	"no content":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
	"not modified":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) },
	"redirect":      func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
	"second header": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.WriteHeader(500) },
	"late header": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(201)
		w.Header().Set("Late", "yes")
		io.WriteString(w, "x")
	},
	"no type": func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		io.WriteString(w, "<html>")
	},
	"encoded": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "own")
		io.WriteString(w, "<html>")
	},
	"length": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "he")
		io.WriteString(w, "llo")
	},
	"length zero": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(200)
	},
	"length bad": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "many")
		io.WriteString(w, "hello")
	},
	"body of 204": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
		if _, err := io.WriteString(w, "x"); !errors.Is(err, http.ErrBodyNotAllowed) {
			panic(err)
		}
	},
	"flushed": func(w http.ResponseWriter, _ *http.Request) {
		for i := range 10 {
			fmt.Fprintf(w, "part %d\n", i)
			if err := http.NewResponseController(w).Flush(); err != nil {
				panic(err)
			}
		}
	},
	"header flushed": func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() },
	"many headers": func(w http.ResponseWriter, _ *http.Request) {
		for i := range 300 {
			w.Header().Add(fmt.Sprintf("X-Field-%d", i%100), strings.Repeat("v", i))
		}
	},
	"connection fields": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Transfer-Encoding", "chunked")
		io.WriteString(w, "x")
	},
	"own date":      func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Date", "long ago") },
	"echo":          func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) },
	"half the body": func(w http.ResponseWriter, r *http.Request) { io.CopyN(w, r.Body, r.ContentLength/2) },
	"unread body":   func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "not interested") },
	"closed body": func(w http.ResponseWriter, r *http.Request) {
		r.Body.Close()
		_, err := r.Body.Read(make([]byte, 1))
		fmt.Fprint(w, err != nil)
	},
	"early hints": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "then")
	},
	"panic":       func(http.ResponseWriter, *http.Request) { panic("own") },
	"abort":       func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	"abort later": func(w http.ResponseWriter, _ *http.Request) { writeTimes(w, 10, 1000); panic(http.ErrAbortHandler) },
	"request": func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{
			"method": r.Method, "url": r.URL.String(), "proto": r.Proto, "major": r.ProtoMajor, "minor": r.ProtoMinor,
			"header": r.Header, "length": r.ContentLength, "encoding": r.TransferEncoding, "close": r.Close, "uri": r.RequestURI,
			"tls": r.TLS != nil && r.TLS.NegotiatedProtocol == "h2", "trailer": r.Trailer,
			"host": strings.Split(r.Host, ":")[0], "from": strings.Split(r.RemoteAddr, ":")[0],
			"server": r.Context().Value(http.ServerContextKey) != nil,
		})
	},
}

func writeTimes(w io.Writer, times, size int) {
	data := bytes.Repeat([]byte("abcdefghij"), size/10)
	for range times {
		if _, err := w.Write(data); err != nil {
			return
		}
	}
}

// requests are what each handler is asked.
var requests = []struct {
	name, method, path string
	body               func() io.Reader
	header             http.Header
}{
	{name: "GET", method: "GET", path: "/x?a=b&c=%20d"},
	{name: "HEAD", method: "HEAD", path: "/"},
	{name: "small body", method: "POST", path: "/", body: func() io.Reader { return strings.NewReader("hello") }},
	{name: "large body", method: "PUT", path: "/", body: func() io.Reader { return strings.NewReader(strings.Repeat("0123456789", 200_000)) }},
	{name: "body of unknown length", method: "PATCH", path: "/", body: func() io.Reader { return io.MultiReader(strings.NewReader("some"), strings.NewReader("thing")) }},
	{name: "own method and fields", method: "BREW", path: "/a%2Fb//c/../d", header: http.Header{
		"Cookie": {"a=1", "b=2"}, "X-Own": {"one", "two"}, "Te": {"trailers"}, "Empty": {""},
		"Authorization": {"Bearer x"}, "Accept-Encoding": {"gzip"},
	}},
	{name: "continue", method: "POST", path: "/", body: func() io.Reader { return strings.NewReader("asked for") }, header: http.Header{"Expect": {"100-continue"}}},
}

func TestAnswersAreThoseOfTheStandardLibrary(t *testing.T) {
	for name, h := range handlers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := newPair(t, h)
			our, their := newClient(t, ours), newClient(t, theirs)
			for _, q := range requests {
				send := func(c *http.Client, url string) string {
					var body io.Reader
					if q.body != nil {
						body = q.body()
					}
					r := newRequest(t, q.method, url+q.path, body)
					maps.Copy(r.Header, q.header)
					res, data, err := do(t, c, r)
					return describe(res, data, err)
				}
				want, got := send(their, theirs.URL), send(our, ours.URL)
				if got != want {
					t.Errorf("%s:\n got %.1000s\nwant %.1000s", q.name, got, want)
				}
			}
		})
	}
}

// describe is what a client sees of an answer.
func describe(res *http.Response, data []byte, err error) string {
	if res == nil {
		return fmt.Sprintf("no answer: %t", err != nil)
	}
	h := res.Header.Clone()
	if d := h.Get("Date"); d != "long ago" {
		h.Set("Date", fmt.Sprint(len(d)))
	}
	if err != nil { // how much of it arrives before it breaks off is a matter of buffers
		data = nil
	}
	return fmt.Sprintf("%s %s length %d, %v, trailer %v, broke off: %t, body %d %.300s", res.Proto, res.Status, res.ContentLength,
		h, res.Trailer, err != nil, len(data), data)
}

func TestAnAnswerThatBreaksItsPromiseFails(t *testing.T) {
	hs := serveOurs(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "3")
		if _, err := io.WriteString(w, "hello"); !errors.Is(err, http.ErrContentLength) {
			t.Errorf("writing more than was announced: %v", err)
		}
	}), &Server{})
	if _, data, err := do(t, newClient(t, hs), newRequest(t, "GET", hs.URL, nil)); err == nil {
		t.Errorf("got %q, and should have got less than was announced", data)
	}
}

func TestTheContextEndsWithTheRequest(t *testing.T) {
	type key struct{}
	began, ended := make(chan bool), make(chan error, 1)
	hs := serveOurs(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		began <- r.Context().Value(key{}) == nil
		<-r.Context().Done()
		ended <- r.Context().Err()
	}), &Server{})
	c := newClient(t, hs)
	r := newRequest(t, "GET", hs.URL, nil)
	failed := make(chan error, 1)
	ctx, cancel := contextWith(r)
	go func() {
		_, err := c.Do(r.WithContext(ctx))
		failed <- err
	}()
	if !<-began {
		t.Error("a value from nowhere")
	}
	cancel()
	if err := <-ended; err == nil || err.Error() != "context canceled" {
		t.Errorf("the context ended with %v", err)
	}
	if <-failed == nil {
		t.Error("an answer to a request that was given up")
	}
}

func TestTwoServersHaveTheSameMethods(t *testing.T) {
	ours, theirs := newPair(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		rc := http.NewResponseController(w)
		_, _, herr := rc.Hijack()
		fmt.Fprint(w, errors.Is(herr, http.ErrNotSupported))
		_, flusher := w.(http.Flusher)
		_, stringer := w.(io.StringWriter)
		fmt.Fprint(w, flusher, stringer)
	}))
	_, want, err1 := do(t, newClient(t, theirs), newRequest(t, "GET", theirs.URL, nil))
	_, got, err2 := do(t, newClient(t, ours), newRequest(t, "GET", ours.URL, nil))
	if err1 != nil || err2 != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %s %v, want %s %v", got, err2, want, err1)
	}
}
