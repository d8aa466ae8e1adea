package apiserver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/runtime/serializer/streaming"
	"k8s.io/client-go/kubernetes/scheme"
	restclientwatch "k8s.io/client-go/rest/watch"

	"github.com/proa-dev/proa/internal/cache"
	"github.com/proa-dev/proa/internal/store"
)

// stream is a watch over HTTP. Events are shown as "ADDED a k=v".
type stream struct {
	t      testing.TB
	events chan any
	cancel context.CancelFunc
}

func (w *world) watch(t testing.TB, path string, headers ...string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	res := w.open(t, ctx, path, headers...)
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(res.Body)
		t.Fatalf("GET %s: %d %s", path, res.StatusCode, body)
	}
	s := &stream{t: t, events: make(chan any, 1000), cancel: cancel}
	go func() {
		defer close(s.events)
		defer res.Body.Close()
		d := json.NewDecoder(res.Body)
		for {
			var e any
			if d.Decode(&e) != nil {
				return
			}
			s.events <- e
		}
	}()
	t.Cleanup(cancel)
	return s
}

func (w *world) open(t testing.TB, ctx context.Context, path string, headers ...string) *http.Response {
	t.Helper()
	if w.url == "" {
		w.serve()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// next is the next event, nil at the end of the stream.
func (s *stream) next() any {
	s.t.Helper()
	select {
	case e := <-s.events:
		return e
	case <-time.After(patience):
		s.t.Fatalf("no event in %v", patience)
		return nil
	}
}

// want sees that the next events are these.
func (s *stream) want(lines ...string) {
	s.t.Helper()
	for _, line := range lines {
		if got := shownEvent(s.next()); got != line {
			s.t.Fatalf("got %q, want %q", got, line)
		}
	}
}

// wantEnd sees that the server has ended the stream.
func (s *stream) wantEnd() {
	s.t.Helper()
	if e := s.next(); e != nil {
		s.t.Fatalf("got %q, want the end", shownEvent(e))
	}
}

// shownEvents are those of a watch that has ended.
func (r *reply) shownEvents(t testing.TB) (all []string) {
	t.Helper()
	for d := json.NewDecoder(bytes.NewReader(r.body)); ; {
		var e any
		switch err := d.Decode(&e); err {
		case nil:
			all = append(all, shownEvent(e))
		case io.EOF:
			return all
		default:
			t.Fatalf("%v in %s", err, r.body)
		}
	}
}

func shownEvent(e any) string {
	if e == nil {
		return "END"
	}
	text := fmt.Sprint(lookUp(e, ".type"))
	switch {
	case lookUp(e, ".object.kind") == "Status":
		return text + fmt.Sprintf(" %v %v", lookUp(e, ".object.code"), lookUp(e, ".object.reason"))
	case lookUp(e, `.object.metadata.annotations["k8s.io/initial-events-end"]`) == "true":
		return text + " initial-events-end"
	case text == "BOOKMARK":
		return text
	}
	text += fmt.Sprintf(" %v", lookUp(e, ".object.metadata.name"))
	if k := lookUp(e, ".object.data.k"); k != nil {
		text += fmt.Sprintf(" k=%v", k)
	}
	return text
}

const configMaps = "/api/v1/namespaces/n/configmaps"

func put(w *world, name, k string, labels ...string) *reply {
	w.Helper()
	body := fmt.Sprintf(`{"metadata":{"name":%q,"labels":{%s}},"data":{"k":%q}}`, name, strings.Join(labels, ","), k)
	if r := w.do("PUT", configMaps+"/"+name, body); r.code != http.StatusNotFound {
		return r
	}
	return w.must("POST", configMaps, body)
}

func TestWatchFromTheBeginning(t *testing.T) {
	w := newWorld(t)
	put(w, "a", "1")
	put(w, "b", "1")
	s := w.watch(t, configMaps+"?watch=1")
	s.want("ADDED a k=1", "ADDED b k=1")
	put(w, "a", "2")
	w.must("DELETE", configMaps+"/b", "")
	put(w, "c", "1")
	s.want("MODIFIED a k=2", "DELETED b k=1", "ADDED c k=1")
}

func TestWatchResumes(t *testing.T) {
	w := newWorld(t)
	r := put(w, "a", "1").revision(t)
	last := put(w, "a", "2").revision(t)
	w.watch(t, configMaps+"?watch=1&resourceVersion="+r).want("MODIFIED a k=2")
	s := w.watch(t, configMaps+"?watch=true&resourceVersion="+last)
	put(w, "a", "3")
	s.want("MODIFIED a k=3")
}

func TestWatchOfOneObject(t *testing.T) {
	w := newWorld(t)
	put(w, "a", "1")
	for _, path := range []string{
		configMaps + "?watch=1&fieldSelector=metadata.name%3Da",
		"/api/v1/watch/namespaces/n/configmaps/a",
	} {
		s := w.watch(t, path)
		s.want("ADDED a k=1")
		put(w, "b", path)
		put(w, "a", path)
		s.want("MODIFIED a k=" + path)
		put(w, "a", "1")
		w.must("GET", configMaps+"/a", "") // the cache has it now
	}
}

func TestWatchList(t *testing.T) {
	w := newWorld(t)
	put(w, "a", "1")
	r := put(w, "b", "1").revision(t)
	s := w.watch(t, configMaps+"?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true")
	s.want("ADDED a k=1", "ADDED b k=1")
	mark := s.next()
	if got := shownEvent(mark); got != "BOOKMARK initial-events-end" {
		t.Fatalf("got %s", got)
	}
	if rv := lookUp(mark, ".object.metadata.resourceVersion"); rv != r {
		t.Errorf("the bookmark is at %v, not at %s", rv, r)
	}
	if kind := lookUp(mark, ".object.kind"); kind != "ConfigMap" {
		t.Errorf("the bookmark is a %v", kind)
	}
	put(w, "a", "2")
	s.want("MODIFIED a k=2")

	none := w.watch(t, configMaps+"?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true")
	put(w, "a", "3")
	none.want("MODIFIED a k=3")
}

func TestWatchSelectors(t *testing.T) {
	w := newWorld(t)
	put(w, "a", "1", `"x":"y"`)
	put(w, "b", "1")
	s := w.watch(t, configMaps+"?watch=1&labelSelector=x%3Dy")
	s.want("ADDED a k=1")
	put(w, "b", "2", `"x":"y"`)
	put(w, "a", "2")
	put(w, "a", "3")
	put(w, "a", "4", `"x":"y"`)
	w.must("DELETE", configMaps+"/a", "")
	// What leaves the selection is told as it was when it last belonged, at the revision of its leaving.
	s.want("ADDED b k=2", "DELETED a k=1", "ADDED a k=4", "DELETED a k=4")
}

func TestWatchDeletedObjectHasTheRevisionOfItsDeletion(t *testing.T) {
	w := newWorld(t)
	before := put(w, "a", "1").revision(t)
	s := w.watch(t, configMaps+"?watch=1&resourceVersion="+before)
	w.must("DELETE", configMaps+"/a", "")
	after := put(w, "b", "1").revision(t)
	e := s.next()
	rv, _ := lookUp(e, ".object.metadata.resourceVersion").(string)
	if rv <= before || rv >= after || shownEvent(e) != "DELETED a k=1" {
		t.Errorf("%s at %s, between %s and %s", shownEvent(e), rv, before, after)
	}
}

func TestWatchTooOldIsAnErrorEvent(t *testing.T) {
	var history store.Store
	w := newWorld(t, func(s *setting) {
		s.cache.WindowEvents = 4
		s.wrap = func(st store.Store) store.Store { history = st; return st }
	})
	old := put(w, "a", "0").revision(t)
	for i := range 20 {
		put(w, "a", fmt.Sprint(i))
	}
	w.must("GET", configMaps+"/a", "") // the cache has them now
	s := w.watch(t, configMaps+"?watch=1&resourceVersion="+old)
	s.want("ERROR 410 Expired")
	s.wantEnd()
	// The store has what the cache has let go.
	if r := w.must("GET", configMaps+"?resourceVersionMatch=Exact&resourceVersion="+old, ""); r.at(t, ".items[0].metadata.resourceVersion") != old {
		t.Errorf("an exact list at %s: %s", old, r.body)
	}
	present, err := history.Revision(t.Context())
	if err == nil {
		err = history.Compact(t.Context(), present)
	}
	if err != nil {
		t.Fatal(err)
	}
	old = fmt.Sprint(present - 10)
	if r := w.do("GET", configMaps+"?resourceVersionMatch=Exact&resourceVersion="+old, ""); r.code != http.StatusGone {
		t.Errorf("an exact list: %d %s", r.code, r.body)
	}
	token := continueToken{APIVersion: continueVersion, ResourceVersion: 2, StartKey: "A\x00"}.encode()
	r := w.do("GET", configMaps+"?limit=1&continue="+token, "")
	next, _ := r.at(t, ".metadata.continue").(string)
	if r.code != http.StatusGone || next == "" {
		t.Fatalf("an old token: %d %s", r.code, r.body)
	}
	if r := w.must("GET", configMaps+"?limit=1&continue="+next, ""); r.at(t, ".items[0].metadata.name") != "a" {
		t.Errorf("going on: %s", r.body)
	}
}

func TestWatchBadRequests(t *testing.T) {
	w := newWorld(t).serve()
	for path, code := range map[string]int{
		configMaps + "?watch=1&resourceVersion=x":                                 http.StatusInternalServerError,
		configMaps + "?watch=1&resourceVersionMatch=Exact":                        http.StatusUnprocessableEntity,
		configMaps + "?watch=1&sendInitialEvents=true":                            http.StatusUnprocessableEntity,
		configMaps + "?watch=1&labelSelector=a+b":                                 http.StatusBadRequest,
		configMaps + "?watch=1&fieldSelector=spec.x%3Dy":                          http.StatusBadRequest,
		configMaps + "?watch=1&timeoutSeconds=x":                                  http.StatusBadRequest,
		"/api/v1/watch/namespaces/n/configmaps/a?fieldSelector=metadata.name%3Db": http.StatusBadRequest,
		"/api/v1/namespaces/n/pods/p/status?watch=1":                              http.StatusNotFound,
		"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews?watch=1":          http.StatusMethodNotAllowed,
	} {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		res := w.open(t, ctx, path)
		if res.StatusCode != code {
			body, _ := bufio.NewReader(res.Body).ReadString('\n')
			t.Errorf("GET %s: %d %s, want %d", path, res.StatusCode, body, code)
		}
		cancel()
		res.Body.Close()
	}
}

func TestWatchEndsAfterItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		put(w, "a", "1")
		begin := time.Now()
		got := w.must("GET", configMaps+"?watch=1&timeoutSeconds=1", "").shownEvents(t)
		if took := time.Since(begin); took != time.Second || !slices.Equal(got, []string{"ADDED a k=1"}) {
			t.Errorf("ended after %v with %q", took, got)
		}
	})
}

func TestWatchBookmarkBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		put(w, "a", "1")
		w.must("GET", configMaps+"/a", "") // the cache has it now
		ended := make(chan *reply)
		go func() { ended <- w.do("GET", configMaps+"?watch=1&timeoutSeconds=3&allowWatchBookmarks=true", "") }()
		synctest.Wait() // the watch has begun
		last := put(w, "b", "1").revision(t)
		r := <-ended
		if got := r.shownEvents(t); !slices.Equal(got, []string{"ADDED a k=1", "BOOKMARK initial-events-end", "ADDED b k=1", "BOOKMARK"}) {
			t.Errorf("got %q", got)
		}
		if mark := `{"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"` + last + `"}}}`; !bytes.Contains(r.body, []byte(mark)) {
			t.Errorf("no bookmark at %s: %s", last, r.body)
		}
	})
}

func TestDrainEndsWatches(t *testing.T) {
	w := newWorld(t).serve()
	put(w, "a", "1")
	s := w.watch(t, configMaps+"?watch=1")
	s.want("ADDED a k=1")
	w.server.Drain()
	s.wantEnd()
	if r := w.do("GET", "/readyz", ""); r.code != http.StatusInternalServerError {
		t.Errorf("/readyz: %d", r.code)
	}
	if r := w.do("GET", "/livez", ""); r.code != http.StatusOK {
		t.Errorf("/livez: %d", r.code)
	}
}

// watchers are those that the cache serves.
func (w *world) watchers() (n int) {
	for _, table := range w.server.cache.Stats().Tables {
		n += table.Watchers
	}
	return n
}

// Clients that vanish leave nothing behind: no goroutine, and no watcher in the cache.
func TestVanishedWatchersLeaveNothing(t *testing.T) {
	w := newWorld(t).serve()
	put(w, "a", "1")
	http.DefaultClient.CloseIdleConnections()
	before, idle := runtime.NumGoroutine(), w.watchers()
	var streams []*stream
	for range 50 {
		s := w.watch(t, configMaps+"?watch=1")
		s.want("ADDED a k=1")
		streams = append(streams, s)
	}
	if n := w.watchers() - idle; n != 50 {
		t.Fatalf("%d watchers", n)
	}
	for _, s := range streams {
		s.cancel()
	}
	until(t, "no goroutine is left", func() bool {
		http.DefaultClient.CloseIdleConnections()
		return w.watchers() == idle && runtime.NumGoroutine() <= before+2
	})
}

// In-process watches register with the server's end: a watch that has ended must not stay there.
func TestEndedLocalWatchesLeaveNothing(t *testing.T) {
	w := newWorld(t)
	watch := func(n int) {
		for range n {
			s, err := w.local().Watch(context.Background(), listRequest(nil))
			if err != nil {
				t.Fatal(err)
			}
			s.Stop()
		}
	}
	objects := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapObjects
	}
	watch(100)
	before := objects()
	watch(2000)
	// What watches leave to goroutines of theirs may take a while.
	until(t, "2000 watches leave fewer objects behind", func() bool { return objects() <= before+2000 })
}

func TestWatchTables(t *testing.T) {
	w := newWorld(t)
	put(w, "a", "1")
	s := w.watch(t, configMaps+"?watch=1", "Accept: application/json;as=Table;v=v1;g=meta.k8s.io")
	first := s.next()
	if lookUp(first, ".object.kind") != "Table" || lookUp(first, ".object.columnDefinitions[0].name") != "Name" || lookUp(first, ".object.rows[0].cells[0]") != "a" {
		t.Errorf("first event: %v", first)
	}
	put(w, "b", "1")
	second := s.next()
	if lookUp(second, ".object.columnDefinitions[0]") != nil || lookUp(second, ".object.rows[0].cells[0]") != "b" || lookUp(second, ".object.rows[0].object.kind") != "PartialObjectMetadata" {
		t.Errorf("second event: %v", second)
	}
	p := w.watch(t, configMaps+"?watch=1", "Accept: application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io")
	if e := p.next(); lookUp(e, ".object.kind") != "PartialObjectMetadata" || lookUp(e, ".object.metadata.name") != "a" || lookUp(e, ".object.data") != nil {
		t.Errorf("metadata: %v", e)
	}
}

// The oracle of protobuf framing is the library that clients read it with.
func TestWatchProtobuf(t *testing.T) {
	for _, c := range []struct{ accept, kind string }{
		{"application/vnd.kubernetes.protobuf;stream=watch", "ConfigMap"},
		{"application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "PartialObjectMetadata"},
	} {
		t.Run(c.kind, func(t *testing.T) {
			w := newWorld(t)
			put(w, "a", "1")
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			res := w.open(t, ctx, configMaps+"?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true", "Accept: "+c.accept)
			defer res.Body.Close()
			if got := res.Header.Get("Content-Type"); got != "application/vnd.kubernetes.protobuf;stream=watch" {
				t.Fatalf("Content-Type is %q", got)
			}
			types := kruntime.NewScheme()
			metav1.AddMetaToScheme(types)
			corev1.AddToScheme(types)
			metav1.AddToGroupVersion(types, metav1.Unversioned)
			s := protobuf.NewSerializer(types, types)
			raw := protobuf.NewRawSerializer(scheme.Scheme, scheme.Scheme)
			d := restclientwatch.NewDecoder(streaming.NewDecoder(protobuf.LengthDelimitedFramer.NewFrameReader(res.Body), raw), s)
			for _, want := range []string{"ADDED a", "BOOKMARK ", "MODIFIED a", "DELETED a"} {
				kind, o, err := d.Decode()
				if err != nil {
					t.Fatal(err)
				}
				if got := string(kind) + " " + o.(metav1.Object).GetName(); got != want {
					t.Fatalf("got %s, want %s", got, want)
				}
				if got := fmt.Sprintf("%T", o); !strings.HasSuffix(got, "."+c.kind) {
					t.Errorf("%s is a %s", want, got)
				}
				if want == "BOOKMARK " {
					put(w, "a", "2")
					w.must("DELETE", configMaps+"/a", "")
				}
			}
		})
	}
}

// A watcher that does not read is not waited for: writers and other watchers go on.
func TestSlowWatcherHoldsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *setting) { s.cache = cache.Options{WindowEvents: 10, Logger: s.Logger} })
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	slow := w.open(t, ctx, configMaps+"?watch=1&resourceVersion="+put(w, "a", "0").revision(t))
	defer slow.Body.Close()
	big := strings.Repeat("x", 150<<10)
	for i := range 120 {
		w.must("PATCH", configMaps+"/a", fmt.Sprintf(`{"data":{"k":"%d","big":%q}}`, i, big), "Content-Type: application/merge-patch+json")
	}
	d := json.NewDecoder(slow.Body)
	for {
		var e any
		if err := d.Decode(&e); err != nil {
			t.Fatalf("the slow watcher's stream ended without a reason: %v", err)
		}
		if shownEvent(e) == "ERROR 410 Expired" {
			return
		}
	}
}
