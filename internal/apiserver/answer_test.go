package apiserver

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "gzip": true, "deflate, gzip": true, "br;q=1.0, gzip;q=0.5": true, "gzip;q=0": false,
		"gzip; q=0.0": false, "gzip;q=0.001": true, "identity": false, "gzip;q=high": true,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Encoding", header)
		if got := acceptsGzip(r); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
}

func TestLargeAnswersAreCompressed(t *testing.T) {
	w := newWorld(t)
	put(w, "a", "small")
	if r := w.must("GET", configMaps, "", "Accept-Encoding: gzip"); r.header.Get("Content-Encoding") != "" {
		t.Error("a small answer is compressed")
	}
	put(w, "b", strings.Repeat("x", compressAbove))
	r := w.must("GET", configMaps, "", "Accept-Encoding: gzip")
	if r.header.Get("Content-Encoding") != "gzip" || r.header.Get("Vary") != "Accept-Encoding" {
		t.Fatalf("headers %v", r.header)
	}
	zr, err := gzip.NewReader(strings.NewReader(string(r.body)))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(zr)
	if err != nil {
		t.Fatal(err)
	}
	if plain := w.must("GET", configMaps, ""); string(plain.body) != string(data) {
		t.Error("compressed and plain answers differ")
	}
}

// An error that comes up when the answer has begun must not be written into it.
func TestErrorAfterTheAnswerBegan(t *testing.T) {
	w := newWorld(t)
	out := httptest.NewRecorder()
	rec := &recorder{ResponseWriter: out}
	fmt.Fprint(rec, "half of a")
	w.server.writeError(rec, httptest.NewRequest("GET", "/", nil), badRequest("oh"))
	if got := out.Body.String(); got != "half of a" || out.Code != 200 {
		t.Errorf("%d %q", out.Code, got)
	}
}
