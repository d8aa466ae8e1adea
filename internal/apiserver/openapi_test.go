package apiserver

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/openapi"
	"k8s.io/client-go/rest"
	testclock "k8s.io/utils/clock/testing"

	"github.com/proa-dev/proa/internal/registry/batch"
	"github.com/proa-dev/proa/internal/registry/core"
)

var openAPINow = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// openAPIServer serves the documents of two resources and nothing else.
func openAPIServer(t *testing.T) *httptest.Server {
	t.Helper()
	rs, err := makeRoutes([]*resource{{Type: core.Pods.Erase()}, {Type: batch.CronJobs.Erase()}})
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		Storage: &Storage{}, version: "v1.36.3+proa0.0", log: slog.New(slog.DiscardHandler),
		clock: testclock.NewFakePassiveClock(openAPINow), paths: map[string]http.Handler{},
	}
	s.Storage.routes.Store(rs)
	s.addOpenAPI()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := s.pathHandler(r.URL.Path); h != nil {
			h.ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

// fetch asks as the headers say and follows no redirect. It returns the answer with its body, as sent.
func fetch(t *testing.T, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := (&http.Transport{DisableCompression: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, not %q", what, got, want)
	}
}

// openAPILink is what the index says of a document.
func openAPILink(t *testing.T, server *httptest.Server, path string) string {
	t.Helper()
	answer, body := fetch(t, server.URL+"/openapi/v3")
	expect(t, "type of the index", answer.Header.Get("Content-Type"), "application/json")
	var index struct {
		Paths map[string]struct{ ServerRelativeURL string }
	}
	if err := json.Unmarshal([]byte(body), &index); err != nil {
		t.Fatal(err)
	}
	url := index.Paths[path].ServerRelativeURL
	if !strings.HasPrefix(url, "/openapi/v3/"+path+"?hash=") {
		t.Fatalf("%s is at %q", path, url)
	}
	return url
}

func TestOpenAPIWithItsHashIsForEver(t *testing.T) {
	server := openAPIServer(t)
	link := openAPILink(t, server, "apis/batch/v1")
	answer, body := fetch(t, server.URL+link)
	_, hash, _ := strings.Cut(link, "=")
	expect(t, "status", answer.Status, "200 OK")
	expect(t, "type", answer.Header.Get("Content-Type"), "application/json")
	expect(t, "cache", answer.Header.Get("Cache-Control"), "public, immutable")
	expect(t, "expiry", answer.Header.Get("Expires"), "Wed, 03 Feb 2027 04:05:06 GMT")
	expect(t, "etag", answer.Header.Get("ETag"), `"`+hash+`"`)
	if !strings.Contains(answer.Header.Get("Vary"), "Accept") || !strings.Contains(body, `"io.k8s.api.batch.v1.CronJob"`) {
		t.Errorf("varies by %q and begins with %.100s", answer.Header.Get("Vary"), body)
	}

	answer, _ = fetch(t, server.URL+"/openapi/v3/apis/batch/v1?hash=OLD")
	expect(t, "status of a stale hash", answer.Status, "301 Moved Permanently")
	expect(t, "location", answer.Header.Get("Location"), link)

	answer, _ = fetch(t, server.URL+"/openapi/v3/apis/batch/v1")
	expect(t, "status without a hash", answer.Status, "200 OK")
	expect(t, "cache without a hash", answer.Header.Get("Cache-Control"), "")

	answer, _ = fetch(t, server.URL+"/openapi/v3/apis/nothing/v1?hash="+hash)
	expect(t, "status of an unknown group", answer.Status, "404 Not Found")
}

func TestOpenAPINotModified(t *testing.T) {
	server := openAPIServer(t)
	for _, path := range []string{"/openapi/v2", "/openapi/v3", "/openapi/v3/api/v1"} {
		answer, _ := fetch(t, server.URL+path)
		tag := answer.Header.Get("ETag")
		for given, want := range map[string]string{
			tag: "304 Not Modified", `"x", ` + tag: "304 Not Modified", "W/" + tag: "304 Not Modified", `"x"`: "200 OK",
		} {
			again, body := fetch(t, server.URL+path, "If-None-Match", given)
			expect(t, path+" to who has "+given, again.Status, want)
			if again.StatusCode == http.StatusNotModified && body != "" {
				t.Errorf("%s: 304 with a body", path)
			}
		}
	}
}

func TestOpenAPIMediaTypes(t *testing.T) {
	server := openAPIServer(t)
	const v2, v3 = "application/com.github.proto-openapi.spec.v2", "application/com.github.proto-openapi.spec.v3"
	for _, c := range []struct{ path, accept, want string }{
		{"/openapi/v2", "", "application/json"},
		{"/openapi/v2", "*/*", "application/json"},
		{"/openapi/v2", "application/*", "application/json"},
		{"/openapi/v2", v2 + "@v1.0+protobuf", v2 + ".v1.0+protobuf"},
		{"/openapi/v2", v2 + ".v1.0+protobuf", v2 + ".v1.0+protobuf"},
		{"/openapi/v2", "application/json;q=0.5, " + v2 + "@v1.0+protobuf", v2 + ".v1.0+protobuf"},
		{"/openapi/v2", "text/html", ""},
		{"/openapi/v2", v3 + "@v1.0+protobuf", ""},
		{"/openapi/v3/api/v1", v3 + "@v1.0+protobuf", v3 + ".v1.0+protobuf"},
		{"/openapi/v3/api/v1", "application/xml, application/json", "application/json"},
		{"/openapi/v3/api/v1", "application/yaml", ""},
	} {
		answer, _ := fetch(t, server.URL+c.path, "Accept", c.accept)
		if c.want == "" {
			expect(t, c.path+" as "+c.accept, answer.Status, "406 Not Acceptable")
			continue
		}
		expect(t, c.path+" as "+c.accept, answer.Header.Get("Content-Type"), c.want)
	}
}

func TestOpenAPIIsSentCompressed(t *testing.T) {
	server := openAPIServer(t)
	plain, want := fetch(t, server.URL+"/openapi/v2")
	expect(t, "encoding", plain.Header.Get("Content-Encoding"), "")
	small, body := fetch(t, server.URL+"/openapi/v2", "Accept-Encoding", "gzip")
	expect(t, "encoding", small.Header.Get("Content-Encoding"), "gzip")
	zr, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(zr)
	if err != nil || string(got) != want {
		t.Errorf("compressed it is another document: %d bytes for %d, %v", len(got), len(want), err)
	}
	if len(body) > len(want)/5 {
		t.Errorf("%d bytes compress to %d", len(want), len(body))
	}
	head, err := http.Head(server.URL + "/openapi/v2")
	if err != nil || head.StatusCode != http.StatusOK {
		t.Errorf("HEAD: %v %v", head, err)
	}
}

// TestOpenAPIToClientGo: what client-go asks for it gets and understands.
func TestOpenAPIToClientGo(t *testing.T) {
	client, err := discovery.NewDiscoveryClientForConfig(&rest.Config{Host: openAPIServer(t).URL})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := client.OpenAPISchema()
	if err != nil {
		t.Fatal(err)
	}
	if whole.Swagger != "2.0" || len(whole.Definitions.AdditionalProperties) < 100 {
		t.Errorf("Swagger %s with %d definitions", whole.Swagger, len(whole.Definitions.AdditionalProperties))
	}
	paths, err := client.OpenAPIV3().Paths()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"api/v1", "apis/batch/v1", "apis/batch/v1beta1", "apis/batch/v2alpha1", "apis/batch", "api", "apis", "version"} {
		if paths[path] == nil {
			t.Errorf("no %s", path)
			continue
		}
		for _, media := range []string{"application/json", openapi.ContentTypeOpenAPIV3PB} {
			if data, err := paths[path].Schema(media); err != nil || len(data) == 0 {
				t.Errorf("%s as %s: %d bytes, %v", path, media, len(data), err)
			}
		}
	}
}
