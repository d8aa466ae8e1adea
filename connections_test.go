package proa_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/proa-dev/proa"
	"github.com/proa-dev/proa/test/ports"
)

// plain sends bytes over TLS in HTTP/1.1 and returns what can be read of the answers.
func plain(t *testing.T, address, text string) *bufio.Reader {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(address, "https://"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	// A server that has seen enough may close before it has read everything.
	go io.WriteString(conn, text)
	return bufio.NewReader(conn)
}

// What two readers may take for one request or for two: a length and chunks, or a length that is no number. The
// answers, how many there are and whether the connection goes on are those of Go's server.
func TestRequestsWithinRequests(t *testing.T) {
	s, _ := start(t, proa.Config{InMemory: true})
	theirs := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/version" && r.Method != http.MethodGet {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer theirs.Close()
	const post, inner = "POST /version HTTP/1.1\r\nHost: x\r\n", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	const last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	for name, text := range map[string]string{
		"one after the other":                   post + "Content-Length: 1\r\n\r\nx",
		"chunks, and a length of them":          post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunks, and a length of more":          post + fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 5+len(inner)) + inner,
		"chunks, and a length of less":          post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
		"chunks first":                          post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"chunks, and a length that is none":     post + "Content-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunks, and two lengths":               post + "Content-Length: 1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunks in capitals":                    post + "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
		"chunks before HTTP/1.1":                "POST /version HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
		"the same length twice":                 post + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
		"a body where none is expected":         "GET /healthz HTTP/1.1\r\nHost: x\r\n" + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(inner)) + inner,
		"a chunk that is longer than it says":   post + "Transfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n",
		"a chunk that ends in a line feed":      post + "Transfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n",
		"a length in a trailer":                 post + "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\nContent-Length: 9\r\n\r\n",
		"a length in a header that is folded":   post + "X: y\r\n Content-Length: 9\r\n\r\n",
		"chunks in a header that a tab begins":  post + "Content-Length: 1\r\n\tTransfer-Encoding: chunked\r\n\r\nx",
		"chunks behind a tab":                   post + "Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n",
		"an empty line before the request line": "\r\n" + post + "Content-Length: 1\r\n\r\nx",
	} {
		t.Run(name, func(t *testing.T) {
			ours, want := answers(t, s.URL(), text+last), answers(t, theirs.URL, text+last)
			if !slices.Equal(ours, want) {
				t.Errorf("%v, where Go's own server says %v", ours, want)
			}
		})
	}
}

// answers are the codes of the answers on one connection.
func answers(t *testing.T, address, text string) (codes []int) {
	t.Helper()
	for r := plain(t, address, text); ; {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return codes
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		codes = append(codes, res.StatusCode)
	}
}

// Requests whose end two readers may see in different places are refused, and so is what is too large.
func TestMalformedRequests(t *testing.T) {
	s, _ := start(t, proa.Config{InMemory: true})
	const get, post = "GET /version HTTP/1.1\r\nHost: x\r\n", "POST /version HTTP/1.1\r\nHost: x\r\n"
	for name, c := range map[string]struct {
		text string
		code int
	}{
		"well":                           {get + "\r\n", 200},
		"two lengths":                    {post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400},
		"two lengths in one":             {post + "Content-Length: 1, 2\r\n\r\nxx", 400},
		"a length with a sign":           {post + "Content-Length: +1\r\n\r\nx", 400},
		"a length below nothing":         {post + "Content-Length: -1\r\n\r\nx", 400},
		"a length in hexadecimal":        {post + "Content-Length: 0x1\r\n\r\nx", 400},
		"an unknown coding":              {post + "Transfer-Encoding: cow\r\n\r\n", 501},
		"chunks within another coding":   {post + "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n", 501},
		"two codings":                    {post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501},
		"a length and another coding":    {post + "Content-Length: 1\r\nTransfer-Encoding: cow\r\n\r\nx", 501},
		"a header without a name":        {get + ": x\r\n\r\n", 400},
		"a line feed in a name":          {get + "X\nY: z\r\n\r\n", 400},
		"a space before the colon":       {post + "Content-Length : 1\r\n\r\nx", 400},
		"a null in a header":             {get + "X: a\x00b\r\n\r\n", 400},
		"no host":                        {"GET /version HTTP/1.1\r\n\r\n", 400},
		"two hosts":                      {get + "Host: y\r\n\r\n", 400},
		"a bad host":                     {"GET /version HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
		"no version":                     {"GET /version\r\n\r\n", 400},
		"a version to come":              {"GET /version HTTP/3.0\r\nHost: x\r\n\r\n", 505},
		"headers of a megabyte and more": {get + "X: " + strings.Repeat("x", 1<<20+8<<10) + "\r\n\r\n", 431},
		"many headers":                   {get + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 1100) + "\r\n", 431},
		"a path of a megabyte":           {"GET /" + strings.Repeat("x", 1<<20+8<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", 431},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := http.ReadResponse(plain(t, s.URL(), c.text), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if res.StatusCode != c.code || c.code != 200 && !res.Close {
				t.Errorf("%d, closes: %v", res.StatusCode, res.Close)
			}
		})
	}
}

// Requests that come all at once are answered in order, and what the first one's body holds is no request.
func TestPipelining(t *testing.T) {
	s, _ := start(t, proa.Config{InMemory: true})
	var text strings.Builder
	inner := "GET /inner HTTP/1.1\r\nHost: x\r\n\r\n"
	for i := range 20 {
		if i%2 == 0 {
			fmt.Fprintf(&text, "GET /livez?n=%d HTTP/1.1\r\nHost: x\r\nAudit-ID: n%d\r\n\r\n", i, i)
		} else {
			fmt.Fprintf(&text, "POST /livez HTTP/1.1\r\nHost: x\r\nAudit-ID: n%d\r\nContent-Length: %d\r\n\r\n%s", i, len(inner), inner)
		}
	}
	from := plain(t, s.URL(), text.String())
	for i := range 20 {
		res, err := http.ReadResponse(from, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("n%d", i); res.Header.Get("Audit-Id") != want {
			t.Errorf("answer %d is to %s", i, res.Header.Get("Audit-Id"))
		}
	}
}

// An informer follows from one server to the next: the end of the first one is no error to it.
func TestStopIsNoErrorToInformers(t *testing.T) {
	free, err := ports.Free()
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(free)
	if err != nil {
		t.Fatal(err)
	}
	config := proa.Config{DataDir: t.TempDir(), SecurePort: port}
	s, client := start(t, config)
	failed := make(chan error, 100)
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace("default"))
	informer := factory.Core().V1().ConfigMaps().Informer()
	if err := informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) { failed <- err }); err != nil {
		t.Fatal(err)
	}
	added := make(chan string, 100)
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(o any) { added <- o.(*corev1.ConfigMap).Name }}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	factory.StartWithContext(ctx)
	defer factory.Shutdown()
	defer cancel()
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		t.Fatal("never in sync")
	}
	create := func(client kubernetes.Interface, name string) {
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := client.CoreV1().ConfigMaps("default").Create(ctx, m, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := <-added; got != name {
			t.Errorf("%s instead of %s", got, name)
		}
	}
	create(client, "before")
	if err := s.Stop(); err != nil {
		t.Errorf("the end: %v", err)
	}
	_, next := start(t, config)
	create(next, "after")
	for {
		select {
		case err := <-failed:
			// Between the servers nobody listens, or the first one says that it ends.
			if text := err.Error(); !strings.Contains(text, "connection refused") && !strings.Contains(text, "apiserver is shutting down") {
				t.Errorf("the informer heard of %v", err)
			}
		default:
			return
		}
	}
}
