package apiserver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// The benchmarks are of the whole server from the request's first filter to the answer's last byte, with
// authentication by a header, without a network, over a store in memory.

// discard is a ResponseWriter that keeps nothing.
type discard struct {
	header http.Header
	code   int
	bytes  int
}

func (d *discard) Header() http.Header { return d.header }
func (d *discard) WriteHeader(c int)   { d.code = c }
func (d *discard) Write(b []byte) (int, error) {
	d.bytes += len(b)
	return len(b), nil
}

// bench sends the i-th request until time is up.
func bench(b *testing.B, w *world, code int, request func(i int) (method, path, body string), headers ...string) {
	b.Helper()
	b.ReportAllocs()
	total := 0
	d := &discard{}
	for i := 0; b.Loop(); i++ {
		method, path, body := request(i)
		r := newRequest(method, path, body, headers)
		*d = discard{header: http.Header{}}
		w.handler.ServeHTTP(d, r)
		if d.code != code {
			b.Fatalf("%s %s: %d", method, path, d.code)
		}
		total += d.bytes
	}
	b.SetBytes(int64(total / b.N))
}

func newRequest(method, path, body string, headers []string) *http.Request {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, path, reader)
	if err != nil {
		panic(err)
	}
	r.RequestURI = path
	r.Header.Set("User-Agent", "bench/1")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	return r
}

// podJSON is a pod as a ReplicaSet makes it, of some 2 KB.
func podJSON(name string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"labels":{"app":"web","pod-template-hash":"5d59d67564","group":"g%d"},
"annotations":{"prometheus.io/scrape":"true","prometheus.io/port":"9090"},
"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-5d59d67564","uid":"3f0e8c9a-7f5e-4d5e-9a55-3e8d7f6c1b2a","controller":true,"blockOwnerDeletion":true}]},
"spec":{"nodeName":"node-%d","serviceAccountName":"default","containers":[{"name":"web","image":"registry.example.com/web:v1.2.3","command":["/web","--port=8080"],
"env":[{"name":"A","value":"1"},{"name":"B","value":"2"},{"name":"POD","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}],
"ports":[{"containerPort":8080,"name":"http"}],"resources":{"requests":{"cpu":"100m","memory":"128Mi"},"limits":{"memory":"256Mi"}},
"readinessProbe":{"httpGet":{"path":"/ready","port":8080}},"volumeMounts":[{"name":"config","mountPath":"/etc/web"}]}],
"volumes":[{"name":"config","configMap":{"name":"web"}}],"tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}]}}`,
		name, len(name), len(name)%100)
}

const podPath = "/api/v1/namespaces/n/pods"

func BenchmarkGetPodJSON(b *testing.B) {
	w := newWorld(b)
	w.must("POST", podPath, podJSON("a"))
	bench(b, w, 200, func(int) (string, string, string) { return "GET", podPath + "/a", "" })
}

func BenchmarkGetPodProtobuf(b *testing.B) {
	w := newWorld(b)
	w.must("POST", podPath, podJSON("a"))
	bench(b, w, 200, func(int) (string, string, string) { return "GET", podPath + "/a", "" }, "Accept: "+mediaProtobuf)
}

func BenchmarkCreateConfigMap(b *testing.B) {
	w := newWorld(b)
	bench(b, w, 201, func(i int) (string, string, string) {
		return "POST", configMaps, fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c%d","labels":{"a":"b"}},"data":{"k":"v","l":"w"}}`, i)
	})
}

func BenchmarkCreatePod(b *testing.B) {
	w := newWorld(b)
	bench(b, w, 201, func(i int) (string, string, string) { return "POST", podPath, podJSON(fmt.Sprint("web-", i)) })
}

func BenchmarkUpdateLease(b *testing.B) {
	w := newWorld(b)
	const path = "/apis/coordination.k8s.io/v1/namespaces/n/leases"
	rv := w.must("POST", path, `{"metadata":{"name":"a"},"spec":{"holderIdentity":"me"}}`).revision(b)
	now := time.Now()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		at := now.Add(time.Duration(i) * time.Second).UTC().Format("2006-01-02T15:04:05.000000Z")
		body := fmt.Sprintf(`{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"a","namespace":"n","resourceVersion":%q},"spec":{"holderIdentity":"me","leaseDurationSeconds":40,"renewTime":%q}}`, rv, at)
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, newRequest("PUT", path+"/a", body, nil))
		if rec.Code != 200 {
			b.Fatal(rec.Body)
		}
		_, rv, _ = strings.Cut(rec.Body.String(), `"resourceVersion":"`)
		rv, _, _ = strings.Cut(rv, `"`)
	}
}

func BenchmarkPatchStatus(b *testing.B) {
	w := newWorld(b)
	w.must("POST", podPath, podJSON("a"))
	bench(b, w, 200, func(i int) (string, string, string) {
		return "PATCH", podPath + "/a/status", fmt.Sprintf(`{"status":{"message":"%d"}}`, i)
	}, "Content-Type: application/strategic-merge-patch+json")
}

// fivethousand has as many pods, 50 of which have the label group=rare.
func fivethousand(b *testing.B) *world {
	w := newWorld(b)
	for i := range 5000 {
		text := podJSON(fmt.Sprintf("web-%d", i))
		if i%100 == 0 {
			text = strings.Replace(text, `"group":"`, `"group":"rare","old":"`, 1)
		}
		w.must("POST", podPath, text)
	}
	return w
}

func BenchmarkList(b *testing.B) {
	w := fivethousand(b)
	b.Run("5000PodsJSON", func(b *testing.B) {
		bench(b, w, 200, func(int) (string, string, string) { return "GET", podPath, "" })
	})
	b.Run("5000PodsProtobuf", func(b *testing.B) {
		bench(b, w, 200, func(int) (string, string, string) { return "GET", podPath, "" }, "Accept: "+mediaProtobuf)
	})
	b.Run("ByLabel50of5000", func(b *testing.B) {
		bench(b, w, 200, func(int) (string, string, string) { return "GET", podPath + "?labelSelector=group%3Drare", "" })
	})
	b.Run("Table500", func(b *testing.B) {
		bench(b, w, 200, func(int) (string, string, string) { return "GET", podPath + "?limit=500", "" },
			"Accept: application/json;as=Table;v=v1;g=meta.k8s.io")
	})
}

// lines counts the events that a watcher is sent.
type lines struct {
	discard
	mu   *sync.Mutex
	cond *sync.Cond
	got  int
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	l.got += bytes.Count(b, newline)
	l.mu.Unlock()
	l.cond.Signal()
	return len(b), nil
}

func (l *lines) Flush() {}

func (l *lines) wait(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.got < n {
		l.cond.Wait()
	}
}

// One change of a pod, written and seen by 200 watchers.
func BenchmarkWatchFanout200(b *testing.B) {
	w := newWorld(b)
	w.must("POST", podPath, podJSON("a"))
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	watchers := make([]*lines, 200)
	for i := range watchers {
		l := &lines{discard: discard{header: http.Header{}}, mu: &sync.Mutex{}}
		l.cond = sync.NewCond(l.mu)
		watchers[i] = l
		r := newRequest("GET", podPath+"?watch=1", "", nil).WithContext(ctx)
		done.Go(func() { w.handler.ServeHTTP(l, r) })
	}
	defer done.Wait()
	defer cancel()
	for _, l := range watchers {
		l.wait(1)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := newRequest("PATCH", podPath+"/a/status", fmt.Sprintf(`{"status":{"message":"%d"}}`, i), []string{"Content-Type: application/merge-patch+json"})
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		if rec.Code != 200 {
			b.Fatal(rec.Body)
		}
		for _, l := range watchers {
			l.wait(i + 2)
		}
	}
}
