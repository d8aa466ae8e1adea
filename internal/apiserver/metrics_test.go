package apiserver

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// hasLines sees that a text has lines that begin so.
func hasLines(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, line := range want {
		if !strings.Contains("\n"+text, "\n"+line) {
			t.Errorf("metrics lack %s", line)
		}
	}
}

func TestMetricsHaveKubernetesLabels(t *testing.T) {
	w := newWorld(t)
	put(w, "a", "1")
	w.must("GET", configMaps+"/a", "")
	w.must("GET", configMaps, "")
	w.must("GET", "/api/v1/configmaps", "")
	w.must("PATCH", configMaps+"/b?fieldManager=m&dryRun=All", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}`, "Content-Type: application/apply-patch+yaml")
	w.do("DELETE", configMaps+"/a?dryRun=Some", "")
	w.must("DELETE", configMaps, "")
	w.must("GET", "/apis/batch/v1beta1/cronjobs", "")
	w.must("GET", "/livez", "")
	text := string(w.must("GET", "/metrics", "").body)
	hasLines(t, text,
		`apiserver_request_total{code="201",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="POST",version="v1"} 1`,
		`apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="GET",version="v1"} 1`,
		`apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="configmaps",scope="namespace",subresource="",verb="LIST",version="v1"} 1`,
		`apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="configmaps",scope="cluster",subresource="",verb="LIST",version="v1"} 1`,
		`apiserver_request_total{code="201",component="apiserver",dry_run="All",group="",resource="configmaps",scope="resource",subresource="",verb="APPLY",version="v1"} 1`,
		`apiserver_request_total{code="422",component="apiserver",dry_run="invalid",group="",resource="configmaps",scope="resource",subresource="",verb="DELETE",version="v1"} 1`,
		`apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="configmaps",scope="namespace",subresource="",verb="DELETE",version="v1"} 1`,
		`apiserver_request_total{code="200",component="",dry_run="",group="",resource="",scope="",subresource="/livez",verb="GET",version=""} 1`,
		`apiserver_request_duration_seconds_count{component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="POST",version="v1"} 1`,
		`apiserver_response_sizes_count{component="apiserver",group="",resource="configmaps",scope="namespace",subresource="",verb="LIST",version="v1"} 1`,
		`apiserver_requested_deprecated_apis{group="batch",removed_release="1.25",resource="cronjobs",subresource="",version="v1beta1"} 1`,
		`apiserver_storage_objects{resource="configmaps"} 0`,
		`apiserver_resource_objects{group="apps",resource="deployments"} 0`,
		`apiserver_storage_size_bytes{storage_cluster_id="etcd-0"} `,
		`apiserver_admission_step_admission_duration_seconds_count{operation="CREATE",rejected="false",type="admit"} 2`,
	)
	if strings.Contains(text, `apiserver_response_sizes_count{component="apiserver",group="",resource="configmaps",scope="resource",subresource="",verb="POST"`) {
		t.Error("sizes of answers to writes are counted")
	}
}

func TestMetricsAreReset(t *testing.T) {
	w := newWorld(t)
	put(w, "a", "1")
	w.must("GET", "/readyz", "")
	if r := w.must("DELETE", "/metrics", ""); string(r.body) != "metrics reset\n" {
		t.Errorf("%q", r.body)
	}
	if text := string(w.must("GET", "/metrics", "").body); strings.Contains(text, `verb="POST"`) || strings.Contains(text, `operation="CREATE"`) {
		t.Error("what was counted before the reset is still there")
	}
	put(w, "b", "1")
	hasLines(t, string(w.must("GET", "/metrics", "").body),
		`apiserver_request_total{code="201",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="POST",version="v1"} 1`)
	hasLines(t, string(w.must("GET", "/metrics/slis", "").body),
		`kubernetes_healthcheck{name="ping",type="readyz"} 1`, `kubernetes_healthchecks_total{name="ping",status="success",type="readyz"} 1`)
	w.must("DELETE", "/metrics/slis", "")
	if text := string(w.must("GET", "/metrics/slis", "").body); strings.Contains(text, "kubernetes_healthcheck") {
		t.Error("what was counted before the reset is still there")
	}
}

// A request is counted without allocating, once its kind is known.
func TestCountingAllocatesNothing(t *testing.T) {
	w := newWorld(t)
	r := httptest.NewRequest(http.MethodGet, configMaps+"/a", nil)
	st := &state{info: parseRequest(r)}
	st.route = w.server.routes.Load().of(st.info)
	rec := &recorder{code: http.StatusOK}
	count := func() { w.server.metrics.end(w.server.metrics.begin(st, r), st, rec, time.Millisecond) }
	count()
	n := testing.AllocsPerRun(100, count)
	for tries := 0; n > 0 && tries < 20; tries++ { // others in the process may allocate meanwhile, but not always
		n = min(n, testing.AllocsPerRun(100, count))
	}
	if n > 0 {
		t.Errorf("%v allocations a request", n)
	}
}

func BenchmarkCounting(b *testing.B) {
	w := newWorld(b)
	r := httptest.NewRequest(http.MethodGet, configMaps+"/a", nil)
	st := &state{info: parseRequest(r)}
	st.route = w.server.routes.Load().of(st.info)
	rec := &recorder{code: http.StatusOK}
	b.ReportAllocs()
	for b.Loop() {
		w.server.metrics.end(w.server.metrics.begin(st, r), st, rec, time.Millisecond)
	}
}
