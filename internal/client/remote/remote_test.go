package remote

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/proa-dev/proa/internal/client"
)

// serve is a transport to a server that answers with f.
func serve(t *testing.T, f http.HandlerFunc) *Transport {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	tr, err := New(&rest.Config{Host: s.URL, UserAgent: "proa-test", BearerToken: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// official encodes as Kubernetes does, to check our envelopes against.
var official = protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)

func inProtobuf(o runtime.Object) []byte {
	o = o.DeepCopyObject()
	kinds, _, err := scheme.Scheme.ObjectKinds(o)
	if err != nil {
		panic(err)
	}
	o.GetObjectKind().SetGroupVersionKind(kinds[0])
	if _, ok := o.(*metav1.Status); ok {
		o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Status"})
	}
	var out bytes.Buffer
	if err := official.Encode(o, &out); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func pod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, ResourceVersion: "7", Labels: map[string]string{"a": "b"}},
		Spec:       corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
}

func TestRequests(t *testing.T) {
	crd := schema.GroupVersionResource{Group: "example.org", Version: "v1beta1", Resource: "widgets"}
	widget := func() client.Object { return &unstructured.Unstructured{} }
	aPod := func() client.Object { return &corev1.Pod{} }
	pods := client.Pods.Resource
	yes := true
	seconds := int64(3)
	const both = "application/vnd.kubernetes.protobuf,application/json"
	for name, c := range map[string]struct {
		r            client.Request
		line, accept string
		contentType  string
		body         string // of JSON bodies
		protobuf     runtime.Object
	}{
		"get":    {r: client.Request{Verb: "get", Resource: pods, Namespace: "ns", Name: "p", New: aPod}, line: "GET /api/v1/namespaces/ns/pods/p", accept: both},
		"list":   {r: client.Request{Verb: "list", Resource: pods, New: aPod, List: metav1.ListOptions{LabelSelector: "a in (b,c)", Limit: 5}}, line: "GET /api/v1/pods?labelSelector=a+in+%28b%2Cc%29&limit=5", accept: both},
		"custom": {r: client.Request{Verb: "list", Resource: crd, Namespace: "ns", New: widget}, line: "GET /apis/example.org/v1beta1/namespaces/ns/widgets", accept: "application/json"},
		"metadata": {
			r:      client.Request{Verb: "list", Resource: crd, New: func() client.Object { return &metav1.PartialObjectMetadata{} }},
			line:   "GET /apis/example.org/v1beta1/widgets",
			accept: "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
		},
		"create": {
			r:    client.Request{Verb: "create", Resource: pods, Namespace: "ns", Object: pod("p"), New: aPod, Create: metav1.CreateOptions{FieldManager: "me", DryRun: []string{"All"}}},
			line: "POST /api/v1/namespaces/ns/pods?dryRun=All&fieldManager=me", accept: both, contentType: mediaProtobuf, protobuf: pod("p"),
		},
		"subresource": {
			r: client.Request{
				Verb: "create", Resource: client.ServiceAccounts.Resource, Namespace: "ns", Name: "sa", Subresource: "token",
				Object: &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}},
				New:    func() client.Object { return &authenticationv1.TokenRequest{} },
			},
			line: "POST /api/v1/namespaces/ns/serviceaccounts/sa/token", accept: both, contentType: mediaProtobuf,
			protobuf: &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}},
		},
		"update custom": {
			r: client.Request{Verb: "update", Resource: crd, Name: "w", Subresource: "status", New: widget, Object: &unstructured.Unstructured{
				Object: map[string]any{"apiVersion": "example.org/v1beta1", "kind": "Widget", "n": int64(1)},
			}},
			line: "PUT /apis/example.org/v1beta1/widgets/w/status", accept: "application/json", contentType: mediaJSON,
			body: `{"apiVersion":"example.org/v1beta1","kind":"Widget","n":1}`,
		},
		"patch": {
			r:    client.Request{Verb: "patch", Resource: pods, Namespace: "ns", Name: "p", Patch: []byte(`{"a":1}`), PatchType: types.MergePatchType, PatchO: metav1.PatchOptions{Force: &yes}, New: aPod},
			line: "PATCH /api/v1/namespaces/ns/pods/p?force=true", accept: both, contentType: "application/merge-patch+json", body: `{"a":1}`,
		},
		"delete": {
			r:    client.Request{Verb: "delete", Resource: pods, Namespace: "ns", Name: "p", Delete: metav1.DeleteOptions{GracePeriodSeconds: &seconds}, New: aPod},
			line: "DELETE /api/v1/namespaces/ns/pods/p", accept: both, contentType: mediaJSON,
			body: `{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":3}`,
		},
		"delete all": {
			r:    client.Request{Verb: "deletecollection", Resource: pods, Namespace: "ns", List: metav1.ListOptions{FieldSelector: "x=y"}, New: aPod},
			line: "DELETE /api/v1/namespaces/ns/pods?fieldSelector=x%3Dy", accept: both, contentType: mediaJSON,
			body: `{"kind":"DeleteOptions","apiVersion":"v1"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr := serve(t, func(w http.ResponseWriter, in *http.Request) {
				body, _ := io.ReadAll(in.Body)
				check := func(what, got, want string) {
					if got != want {
						t.Errorf("%s: got %q, want %q", what, got, want)
					}
				}
				check("request", in.Method+" "+in.URL.String(), c.line)
				check("Accept", in.Header.Get("Accept"), c.accept)
				check("Content-Type", in.Header.Get("Content-Type"), c.contentType)
				check("User-Agent", in.Header.Get("User-Agent"), "proa-test")
				check("Authorization", in.Header.Get("Authorization"), "Bearer secret")
				if c.protobuf != nil {
					check("body", base64.StdEncoding.EncodeToString(body), base64.StdEncoding.EncodeToString(inProtobuf(c.protobuf)))
				} else {
					check("body", string(body), c.body)
				}
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, `{"kind":"Widget","apiVersion":"example.org/v1"}`)
			})
			if _, err := tr.Do(t.Context(), &c.r); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	ctx := t.Context()
	list := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "9", Continue: "more"}, Items: []corev1.Pod{*pod("a"), *pod("b")}}
	for _, media := range []string{mediaProtobuf, mediaJSON} {
		tr := serve(t, func(w http.ResponseWriter, in *http.Request) {
			answer := runtime.Object(pod("a"))
			switch {
			case strings.HasSuffix(in.URL.Path, "/pods"):
				answer = list
			case in.Method == http.MethodDelete:
				answer = &metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Success"}
			}
			w.Header().Set("Content-Type", media)
			if media == mediaProtobuf {
				_, _ = w.Write(inProtobuf(answer))
				return
			}
			_ = json.NewEncoder(w).Encode(answer)
		})
		got, err := client.Pods.Get(ctx, tr, "ns", "a")
		if err != nil || cmp.Diff(pod("a"), got) != "" {
			t.Errorf("%s: get: %v %s", media, err, cmp.Diff(pod("a"), got))
		}
		l, err := client.Pods.List(ctx, tr, "ns", metav1.ListOptions{})
		if err != nil || cmp.Diff(&client.List[corev1.Pod]{Meta: list.ListMeta, Items: []*corev1.Pod{pod("a"), pod("b")}}, l) != "" {
			t.Errorf("%s: list: %v %v", media, err, l)
		}
		m := client.Metadata(client.Pods.Resource, "Pod", true)
		partial, err := m.Get(ctx, tr, "ns", "a")
		if err != nil || cmp.Diff(pod("a").ObjectMeta, partial.ObjectMeta) != "" {
			t.Errorf("%s: metadata: %v %v", media, err, partial)
		}
		if err := client.Pods.Delete(ctx, tr, "ns", "a", metav1.DeleteOptions{}); err != nil {
			t.Errorf("%s: delete: %v", media, err)
		}
	}
}

func TestIntegersStayIntegers(t *testing.T) {
	tr := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"kind":"WidgetList","metadata":{"resourceVersion":"1"},"items":[{"kind":"Widget","apiVersion":"example.org/v1","n":9007199254740993}]}`)
	})
	widgets := client.Kind[unstructured.Unstructured]{Resource: schema.GroupVersionResource{Group: "example.org", Version: "v1", Resource: "widgets"}}
	l, err := widgets.List(t.Context(), tr, "", metav1.ListOptions{})
	if err != nil || len(l.Items) != 1 || l.Items[0].Object["n"] != int64(9007199254740993) {
		t.Fatalf("%v %v", l, err)
	}
}

func TestErrors(t *testing.T) {
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "pods"}, "a", errors.New("modified"))
	conflict.ErrStatus.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	inJSON, _ := json.Marshal(conflict.ErrStatus)
	for name, c := range map[string]struct {
		code        int
		media, body string
		is          func(error) bool
		message     string
	}{
		"status in JSON":     {409, mediaJSON, string(inJSON), apierrors.IsConflict, conflict.Error()},
		"status in protobuf": {409, mediaProtobuf, string(inProtobuf(&conflict.ErrStatus)), apierrors.IsConflict, conflict.Error()},
		"no status":          {404, "text/plain", "404 page not found", apierrors.IsNotFound, "the server could not find the requested resource (get pods a)"},
		"nothing":            {500, "", "", apierrors.IsInternalError, `an error on the server ("") has prevented the request from succeeding (get pods a)`},
		"a proxy's answer":   {403, "text/html", "<p>no", apierrors.IsForbidden, "<p>no (get pods a)"},
	} {
		tr := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.media)
			w.WriteHeader(c.code)
			fmt.Fprint(w, c.body)
		})
		_, err := client.Pods.Get(t.Context(), tr, "ns", "a")
		if !c.is(err) || err.Error() != c.message {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err = client.Pods.Watch(t.Context(), tr, "ns", metav1.ListOptions{}); !c.is(err) {
			t.Errorf("%s: watch: got %v", name, err)
		}
	}
}

func TestServerThatWantsItLater(t *testing.T) {
	tries := 0
	tr := serve(t, func(w http.ResponseWriter, in *http.Request) {
		tries++
		if body, _ := io.ReadAll(in.Body); !bytes.Equal(body, inProtobuf(pod("a"))) {
			t.Errorf("try %d has another body", tries)
		}
		if tries == 1 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		w.Header().Set("Content-Type", mediaProtobuf)
		_, _ = w.Write(inProtobuf(pod("a")))
	})
	if _, err := client.Pods.Create(t.Context(), tr, pod("a")); err != nil || tries != 2 {
		t.Errorf("%d tries, %v", tries, err)
	}

	never := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		tries++
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	tries = 0
	_, err := client.Pods.Get(t.Context(), never, "ns", "a")
	if tries != maxTries || !apierrors.IsTooManyRequests(err) {
		t.Errorf("%d tries, %v", tries, err)
	}

	err = failure(&client.Request{}, "GET", &http.Response{
		StatusCode: 503, Header: http.Header{"Retry-After": {"17"}}, Body: http.NoBody,
	})
	if seconds, _ := apierrors.SuggestsClientDelay(err); seconds != 17 {
		t.Errorf("to be tried again after %d s, want 17", seconds)
	}
}

func TestWatch(t *testing.T) {
	expired := apierrors.NewResourceExpired("too old resource version: 1 (5)").ErrStatus
	expired.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	for _, media := range []string{mediaProtobuf, mediaJSON} {
		t.Run(media, func(t *testing.T) {
			frames := func(w http.ResponseWriter, events ...watch.Event) {
				var out bytes.Buffer
				for _, e := range events {
					writeFrame(&out, media, e)
				}
				_, _ = w.Write(out.Bytes())
				w.(http.Flusher).Flush()
			}
			proceed := make(chan string) // how to go on
			tr := serve(t, func(w http.ResponseWriter, in *http.Request) {
				if in.URL.RawQuery != "allowWatchBookmarks=true&resourceVersion=5&watch=true" {
					t.Errorf("query %q", in.URL.RawQuery)
				}
				w.Header().Set("Content-Type", media+";stream=watch")
				frames(w, watch.Event{Type: watch.Added, Object: pod("a")})
				<-proceed
				frames(w, watch.Event{Type: watch.Modified, Object: pod("b")}, watch.Event{Type: watch.Deleted, Object: pod("c")},
					watch.Event{Type: watch.Bookmark, Object: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "12"}}})
				switch <-proceed {
				case "error":
					frames(w, watch.Event{Type: watch.Added, Object: pod("d")}, watch.Event{Type: watch.Error, Object: &expired})
				case "cut":
					_, _ = w.Write([]byte{0})
					panic(http.ErrAbortHandler)
				case "stop":
					<-in.Context().Done()
				}
			})
			for _, how := range []string{"error", "end", "cut", "stop"} {
				s, err := client.Pods.Watch(t.Context(), tr, "ns", metav1.ListOptions{ResourceVersion: "5", AllowWatchBookmarks: true})
				if err != nil {
					t.Fatal(err)
				}
				next := func(want ...string) {
					t.Helper()
					var got []string
					for len(got) < len(want) {
						events, err := s.Next()
						if err != nil {
							t.Fatalf("after %q: %v", got, err)
						}
						for _, e := range events {
							got = append(got, fmt.Sprint(e.Type, e.Object.GetName(), e.Object.GetResourceVersion()))
						}
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Error(diff)
					}
				}
				next("ADDEDa7")
				proceed <- how
				next("MODIFIEDb7", "DELETEDc7", "BOOKMARK12")
				proceed <- how
				if how == "error" {
					next("ADDEDd7")
				}
				if how == "stop" {
					time.AfterFunc(time.Millisecond, s.Stop)
				}
				_, err = s.Next()
				switch {
				case how == "error" && !apierrors.IsResourceExpired(err),
					how == "end" && err != io.EOF,
					how == "cut" && (err == nil || errors.Is(err, io.EOF)),
					how == "stop" && err == nil:
					t.Errorf("%s: ended with %v", how, err)
				}
				if _, again := s.Next(); again == nil {
					t.Errorf("%s: goes on after its end", how)
				}
				s.Stop()
			}
		})
	}
}

func writeFrame(out *bytes.Buffer, media string, e watch.Event) {
	event := metav1.WatchEvent{Type: string(e.Type), Object: runtime.RawExtension{}}
	if media == mediaJSON {
		event.Object.Raw, _ = json.Marshal(e.Object)
		_ = json.NewEncoder(out).Encode(event)
		return
	}
	event.Object.Raw = inProtobuf(e.Object)
	frame, _ := event.Marshal()
	_ = binary.Write(out, binary.BigEndian, uint32(len(frame)))
	out.Write(frame)
}

func TestDiscover(t *testing.T) {
	tr := serve(t, func(w http.ResponseWriter, in *http.Request) {
		w.Header().Set("Content-Type", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
		if in.URL.Path == "/api" {
			fmt.Fprint(w, `{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","items":[{"versions":[{"version":"v1","resources":[
				{"resource":"pods","responseKind":{"group":"","version":"v1","kind":"Pod"},"scope":"Namespaced","singularResource":"pod","verbs":["get"],"shortNames":["po"],
				"subresources":[{"subresource":"status","responseKind":{"group":"","version":"v1","kind":"Pod"},"verbs":["patch"]}]}]}]}]}`)
			return
		}
		fmt.Fprint(w, `{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","items":[{"metadata":{"name":"apps"},"versions":[{"version":"v1"},{"version":"v1beta1"}]}]}`)
	})
	got, err := tr.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list := metav1.TypeMeta{APIVersion: "v1", Kind: "APIResourceList"}
	want := []metav1.APIResourceList{
		{TypeMeta: list, GroupVersion: "v1", APIResources: []metav1.APIResource{
			{Name: "pods", SingularName: "pod", Namespaced: true, Version: "v1", Kind: "Pod", Verbs: []string{"get"}, ShortNames: []string{"po"}},
			{Name: "pods/status", Namespaced: true, Version: "v1", Kind: "Pod", Verbs: []string{"patch"}},
		}},
		{TypeMeta: list, GroupVersion: "apps/v1"}, {TypeMeta: list, GroupVersion: "apps/v1beta1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTLSAndTimeout(t *testing.T) {
	over := make(chan bool)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	defer close(over)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	tr, err := New(&rest.Config{Host: s.URL, TLSClientConfig: rest.TLSClientConfig{CAData: ca}, Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Pods.Get(t.Context(), tr, "ns", "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	stranger, err := New(&rest.Config{Host: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Pods.Get(t.Context(), stranger, "ns", "a"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("trusted a stranger: %v", err)
	}
}

func FuzzProtobuf(f *testing.F) {
	f.Add(inProtobuf(pod("a")))
	f.Add(inProtobuf(&corev1.PodList{Items: []corev1.Pod{*pod("a")}}))
	f.Add([]byte("k8s\x00\x0a\x04"))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _ = decodeListProtobuf(body, func() client.Object { return &corev1.Pod{} })
		e, err := openEnvelope(body)
		var theirs runtime.Unknown
		if err == nil && len(body) > 4 && theirs.Unmarshal(body[4:]) == nil && !bytes.Equal(e.raw, theirs.Raw) {
			t.Errorf("read %q, the library %q", e.raw, theirs.Raw)
		}
	})
}
