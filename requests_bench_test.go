package proa

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/proa-dev/proa/internal/access/authn"
)

// BenchmarkRequests is what one request costs the server without the network: from the filters to the
// answer's last byte, with the administrator's certificate, the whole access chain and a store on disk that
// syncs, by 16 clients at a time. cpu-us/op is the process's user and system time, and so includes what the
// store, the cache and the collector of garbage do meanwhile.
func BenchmarkRequests(b *testing.B) {
	b.Run("CreateConfigMap", func(b *testing.B) {
		filler := strings.Repeat("x", 900)
		benchRequests(b, 201, func(_, n int, _ []byte) (string, string, []byte) {
			return http.MethodPost, "/api/v1/namespaces/default/configmaps",
				fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"map-%d","namespace":"default"},"data":{"key":"%s"}}`, n, filler)
		})
	})
	b.Run("CreatePod", func(b *testing.B) {
		benchRequests(b, 201, func(_, n int, _ []byte) (string, string, []byte) {
			return http.MethodPost, "/api/v1/namespaces/default/pods", benchPod(n)
		})
	})
	b.Run("GetPod", func(b *testing.B) {
		benchRequests(b, 200, func(int, int, []byte) (string, string, []byte) {
			return http.MethodGet, "/api/v1/namespaces/default/pods/pod-0", nil
		}, benchRequest{http.MethodPost, "/api/v1/namespaces/default/pods", benchPod(0)})
	})
	b.Run("UpdateLease", func(b *testing.B) {
		const path = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
		var first []benchRequest
		for w := range benchClients {
			first = append(first, benchRequest{http.MethodPost, path, fmt.Appendf(nil, `{"metadata":{"name":"lease-%d"}}`, w)})
		}
		benchRequests(b, 200, func(worker, n int, last []byte) (string, string, []byte) {
			return http.MethodPut, fmt.Sprintf("%s/lease-%d", path, worker), fmt.Appendf(nil,
				`{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"lease-%d","namespace":"default","resourceVersion":%q},`+
					`"spec":{"holderIdentity":"node-%d","leaseDurationSeconds":40,"renewTime":"2026-01-01T00:00:00.%06dZ"}}`, worker, revisionIn(last), worker, n%1e6)
		}, first...)
	})
	b.Run("PatchConfigMap", func(b *testing.B) {
		const path = "/api/v1/namespaces/default/configmaps"
		var first []benchRequest
		for w := range benchClients {
			first = append(first, benchRequest{http.MethodPost, path, fmt.Appendf(nil, `{"metadata":{"name":"map-%d"},"data":{"a":"b"}}`, w)})
		}
		benchRequests(b, 200, func(worker, n int, _ []byte) (string, string, []byte) {
			return http.MethodPatch, fmt.Sprintf("%s/map-%d", path, worker), fmt.Appendf(nil, `{"data":{"a":"%d"}}`, n)
		}, first...)
	})
}

const benchClients = 16

type benchRequest struct {
	method, path string
	body         []byte
}

// revisionIn finds the resourceVersion of an answer.
func revisionIn(answer []byte) string {
	_, after, _ := bytes.Cut(answer, []byte(`"resourceVersion":"`))
	rv, _, _ := bytes.Cut(after, []byte(`"`))
	return string(rv)
}

// benchRequests sends some requests, and then those of make until the benchmark is over. make is given the
// worker's last answer; of the first requests the last as many as there are workers are each one's first.
func benchRequests(b *testing.B, code int, make func(worker, n int, last []byte) (method, path string, body []byte), first ...benchRequest) {
	s, err := Start(b.Context(), Config{DataDir: b.TempDir(), Disable: Parts, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Stop()
	leaf, err := x509.ParseCertificate(s.plane.admin.Certificate[0])
	if err != nil {
		b.Fatal(err)
	}
	handler := s.plane.api.Handler()
	connection := func() func(benchRequest) *benchAnswer {
		ctx := authn.ConnContext(context.Background(), nil)
		state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
		a := &benchAnswer{}
		return func(r benchRequest) *benchAnswer {
			a.header, a.code = http.Header{}, 0
			a.body.Reset()
			handler.ServeHTTP(a, r.http(ctx, state))
			return a
		}
	}
	send := connection()
	first = append([]benchRequest{{http.MethodPost, "/api/v1/namespaces/default/serviceaccounts", []byte(`{"metadata":{"name":"default"}}`)}}, first...)
	var answers [][]byte
	for _, r := range first {
		a := send(r)
		if a.code != http.StatusCreated {
			b.Fatalf("%s %s: %d %s", r.method, r.path, a.code, a.body.Bytes())
		}
		answers = append(answers, bytes.Clone(a.body.Bytes()))
	}
	b.ReportAllocs()
	var next atomic.Int64
	var workers sync.WaitGroup
	begin := cpuTime(b)
	b.ResetTimer()
	for w := range benchClients {
		workers.Go(func() {
			send := connection()
			var last []byte
			if at := len(answers) - benchClients + w; at >= 0 {
				last = answers[at]
			}
			for n := int(next.Add(1)); n <= b.N; n = int(next.Add(1)) {
				method, path, body := make(w, n, last)
				a := send(benchRequest{method, path, body})
				last = a.body.Bytes()
				if a.code != code {
					b.Errorf("%s %s: %d %s", method, path, a.code, a.body.Bytes())
					return
				}
			}
		})
	}
	workers.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpuTime(b)-begin).Nanoseconds())/1000/float64(b.N), "cpu-us/op")
}

// http is the request as net/http would hand it over.
func (r benchRequest) http(ctx context.Context, state *tls.ConnectionState) *http.Request {
	h := http.Header{"User-Agent": {"bench"}, "Accept": {"application/json"}}
	out := &http.Request{
		Method: r.method, URL: &url.URL{Path: r.path}, RequestURI: r.path, Proto: "HTTP/2.0", ProtoMajor: 2,
		Header: h, Host: "127.0.0.1", RemoteAddr: "127.0.0.1:1", TLS: state, Body: http.NoBody,
	}
	if r.body != nil {
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(r.body)), int64(len(r.body))
		h["Content-Type"] = []string{"application/json"}
		if r.method == http.MethodPatch {
			h["Content-Type"] = []string{"application/merge-patch+json"}
		}
	}
	return out.WithContext(ctx)
}

// benchAnswer takes an answer.
type benchAnswer struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (a *benchAnswer) Header() http.Header         { return a.header }
func (a *benchAnswer) WriteHeader(code int)        { a.code = code }
func (a *benchAnswer) Write(p []byte) (int, error) { return a.body.Write(p) }

// cpuTime is the user and system time of this process.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchPod is a pod of about 1.2 KB, as a controller would make it.
func benchPod(n int) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"pod-%d","namespace":"default","labels":{"app":"bench","pick":"no",`+
		`"pod-template-hash":"6c5f67b5f7"},"annotations":{"note":"%s"}},"spec":{"serviceAccountName":"default","automountServiceAccountToken":false,`+
		`"containers":[{"name":"web","image":"registry.example/web:1.27.3","ports":[{"name":"http","containerPort":8080,"protocol":"TCP"}],`+
		`"env":[{"name":"MODE","value":"production"},{"name":"ZONE","value":"a"}],"resources":{"requests":{"cpu":"100m","memory":"128Mi"},`+
		`"limits":{"memory":"256Mi"}},"readinessProbe":{"httpGet":{"path":"/ready","port":8080},"periodSeconds":5},`+
		`"volumeMounts":[{"name":"data","mountPath":"/data"}]},{"name":"sidecar","image":"registry.example/proxy:2.1","args":["--quiet"]}],`+
		`"volumes":[{"name":"data","emptyDir":{}}],"tolerations":[{"key":"dedicated","operator":"Equal","value":"web","effect":"NoSchedule"}]}}`,
		n, strings.Repeat("n", 120))
}
