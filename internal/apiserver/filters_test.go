package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/access/admission"
	"github.com/proa-dev/proa/internal/client"
)

// hook is an admission plugin that is a function.
type hook func(ctx context.Context, r *admission.Request) error

func (hook) Name() string                                                   { return "hook" }
func (hook) Handles(admission.Operation, schema.GroupResource, string) bool { return true }
func (h hook) Mutate(ctx context.Context, r *admission.Request) error       { return h(ctx, r) }

func withHook(h hook) func(*setting) {
	return func(s *setting) { s.Admission = admission.Chain{h} }
}

func TestPanicsAreCaught(t *testing.T) {
	w := newWorld(t, withHook(func(_ context.Context, r *admission.Request) error {
		if r.Name == "bad" {
			panic("oh no")
		}
		return nil
	}))
	for range 3 {
		r := w.do("POST", configMaps, `{"metadata":{"name":"bad"}}`)
		if r.code != http.StatusInternalServerError || r.at(t, ".reason") != "InternalError" || !strings.Contains(string(r.body), "caused apiserver to panic") {
			t.Fatalf("%d %s", r.code, r.body)
		}
		put(w, "good", "1")
	}
	bad := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "bad", Namespace: "n"}}
	if _, err := client.ConfigMaps.Create(context.Background(), w.local(), bad); !apierrors.IsInternalError(err) {
		t.Errorf("in process: %v", err)
	}
	text := string(w.must("GET", "/metrics", "").body)
	for _, want := range []string{
		"apiserver_request_panics_total 4\n",
		`apiserver_request_total{code="500",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="POST",version="v1"} 3`,
		`apiserver_current_inflight_requests{request_kind="mutating"} 0`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

func TestRequestsUnderWayAreLimited(t *testing.T) {
	const most = 3
	inside, release := make(chan struct{}, 100), make(chan struct{})
	w := newWorld(t, func(s *setting) { s.MaxMutatingInFlight = most }, withHook(func(_ context.Context, r *admission.Request) error {
		if strings.HasPrefix(r.Name, "slow") {
			inside <- struct{}{}
			<-release
		}
		return nil
	}))
	var slow sync.WaitGroup
	for i := range most {
		slow.Go(func() {
			if r := w.do("POST", configMaps, fmt.Sprintf(`{"metadata":{"name":"slow%d"}}`, i), userHeader+": eve"); r.code != http.StatusCreated {
				t.Errorf("slow: %d %s", r.code, r.body)
			}
		})
		<-inside
	}
	r := w.do("POST", configMaps, `{"metadata":{"name":"a"}}`, userHeader+": eve")
	if r.code != http.StatusTooManyRequests || r.header.Get("Retry-After") != "1" || string(r.body) != "Too many requests, please try again later.\n" {
		t.Errorf("over the limit: %d %v %q", r.code, r.header, r.body)
	}
	w.must("GET", configMaps, "", userHeader+": eve")
	w.must("POST", configMaps, `{"metadata":{"name":"b"}}`)
	if text := string(w.must("GET", "/metrics", "").body); !strings.Contains(text, `apiserver_current_inflight_requests{request_kind="mutating"} 3`) {
		t.Error("metrics do not show three requests under way")
	}
	close(release)
	slow.Wait()
	for range 2 * most {
		w.must("PATCH", configMaps+"/b", `{}`, userHeader+": eve", "Content-Type: application/merge-patch+json")
	}
	text := string(w.must("GET", "/metrics", "").body)
	for _, want := range []string{
		`apiserver_current_inflight_requests{request_kind="mutating"} 0`,
		`apiserver_request_total{code="429",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="POST",version="v1"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

func TestWatchesAreNotLimited(t *testing.T) {
	w := newWorld(t, func(s *setting) { s.MaxInFlight = 1 })
	put(w, "a", "1")
	for range 5 {
		w.watch(t, configMaps+"?watch=1", userHeader+": eve").want("ADDED a k=1")
	}
	w.must("GET", configMaps, "", userHeader+": eve")
	if text := string(w.must("GET", "/metrics", "").body); !strings.Contains(text, `apiserver_longrunning_requests{component="apiserver",group="",resource="configmaps",scope="namespace",subresource="",verb="WATCH",version="v1"} 5`) {
		t.Error("metrics do not show five watches")
	}
}

// Nobody can make the server remember names that are made up, be the requests refused, not found or bad.
func TestMetricsDoNotGrowWithMadeUpNames(t *testing.T) {
	w := newWorld(t, func(s *setting) { s.withRBAC = true })
	lines := func() map[string]bool {
		all := map[string]bool{}
		for line := range strings.Lines(string(w.must("GET", "/metrics", "").body)) {
			if strings.HasPrefix(line, "apiserver_request_total{") || strings.HasPrefix(line, "apiserver_longrunning_requests{") {
				name, _, _ := strings.Cut(line, "} ")
				all[name] = true
			}
		}
		return all
	}
	ask := func(i int) {
		for _, path := range []string{
			"/api/v1/namespaces/n%d/configmaps", "/api/v1/made%d", "/apis/g%d/v1/things", "/apis/apps/w%d/deployments",
			"/api/v1/namespaces/n/pods/p/sub%d", "/api/v1/made%d?watch=1", "/x%d", "/api/v1/namespaces/n/made%d/p/log",
		} {
			for _, user := range []string{"eve", ""} {
				for _, method := range []string{"GET", "POST", "DELETE", fmt.Sprintf("M%d", i)} {
					w.do(method, fmt.Sprintf(path, i), "", userHeader+": "+user)
				}
			}
		}
	}
	ask(0)
	lines()
	before := lines()
	for i := range 30 {
		ask(i + 1)
	}
	for line := range lines() {
		if !before[line] {
			t.Errorf("new: %s", line)
		}
	}
}

func TestUnknownUsersAreKeptOut(t *testing.T) {
	w := newWorld(t, func(s *setting) { s.withRBAC = true })
	r := w.do("GET", configMaps, "", userHeader+": eve")
	if want := `configmaps is forbidden: User "eve" cannot list resource "configmaps" in API group "" in the namespace "n"`; r.code != http.StatusForbidden || r.at(t, ".message") != want {
		t.Errorf("%d %s", r.code, r.body)
	}
	if got := r.header.Get("X-Content-Type-Options"); got != "nosniff" {
		t.Errorf("X-Content-Type-Options is %q", got)
	}
	r = w.do("GET", configMaps, "", "Impersonate-User: eve")
	if r.code != http.StatusForbidden || !strings.Contains(string(r.body), "eve") {
		t.Errorf("impersonated: %d %s", r.code, r.body)
	}
}
