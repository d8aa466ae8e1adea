package apiserver

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/proa-dev/proa/internal/cache"
)

// metrics are the server's own, under the names that kube-apiserver gives them.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	sizes    *prometheus.HistogramVec
	inflight *prometheus.GaugeVec
	long     *prometheus.GaugeVec
	panics   prometheus.Counter
}

var requestLabels = []string{"verb", "group", "version", "resource", "subresource", "scope"}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apiserver_request_total",
			Help: "Requests by verb, resource and HTTP code.",
		}, append([]string{"code"}, requestLabels...)),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "apiserver_request_duration_seconds",
			Help:    "How long requests took, watches excepted.",
			Buckets: []float64{0.0001, 0.0005, 0.001, 0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 5, 10, 30, 60},
		}, requestLabels),
		sizes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "apiserver_response_sizes",
			Help:    "Bytes of answers, watches excepted.",
			Buckets: prometheus.ExponentialBuckets(1000, 10, 7),
		}, requestLabels),
		inflight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "apiserver_current_inflight_requests",
			Help: "Requests under way, by kind.",
		}, []string{"request_kind"}),
		long: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "apiserver_longrunning_requests",
			Help: "Watches and the like under way.",
		}, requestLabels),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "apiserver_request_panics_total",
			Help: "Requests whose handler panicked.",
		}),
	}
	m.registry.MustRegister(m.requests, m.duration, m.sizes, m.inflight, m.long, m.panics,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (i *requestInfo) labels() []string {
	scope := "cluster"
	switch {
	case i.name != "":
		scope = "resource"
	case i.namespace != "":
		scope = "namespace"
	case !i.isResource:
		scope = ""
	}
	return []string{metricVerb(i), i.group, i.version, i.resource, i.subresource, scope}
}

// metricVerbs bounds what a client can make up.
var metricVerbs = map[string]string{
	"get": "GET", "list": "LIST", "watch": "WATCH", "create": "POST", "update": "PUT", "patch": "PATCH",
	"delete": "DELETE", "deletecollection": "DELETECOLLECTION", "post": "POST", "put": "PUT", "head": "GET",
}

func metricVerb(i *requestInfo) string {
	if v, ok := metricVerbs[i.verb]; ok {
		return v
	}
	return "other"
}

var mutating = map[string]bool{"create": true, "update": true, "patch": true, "delete": true, "deletecollection": true}

func requestKind(i *requestInfo) string {
	if mutating[i.verb] {
		return "mutating"
	}
	return "readOnly"
}

func (m *metrics) begin(i *requestInfo) {
	if longRunning(i) {
		m.long.WithLabelValues(i.labels()...).Inc()
		return
	}
	m.inflight.WithLabelValues(requestKind(i)).Inc()
}

func (m *metrics) end(i *requestInfo, w *recorder, took time.Duration) {
	labels := i.labels()
	if w.status() == http.StatusNotFound && i.isResource {
		// The path may be made up: its names must not become label values.
		labels = []string{metricVerb(i), "", "", "", "", ""}
	}
	m.requests.WithLabelValues(append([]string{strconv.Itoa(w.status())}, labels...)...).Inc()
	if longRunning(i) {
		m.long.WithLabelValues(i.labels()...).Dec()
		return
	}
	m.inflight.WithLabelValues(requestKind(i)).Dec()
	m.duration.WithLabelValues(labels...).Observe(took.Seconds())
	m.sizes.WithLabelValues(labels...).Observe(float64(w.bytes))
}

// Metrics is where components in this process register theirs, to be read at /metrics.
func (s *Server) Metrics() prometheus.Registerer { return s.metrics.registry }

func (s *Server) metricsHandler() http.Handler {
	s.metrics.registry.MustRegister(&cacheCollector{cache: s.cache})
	return promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{})
}

// cacheCollector reads the cache's own counters when somebody asks.
type cacheCollector struct{ cache *cache.Cache }

var (
	objectsDesc = prometheus.NewDesc("apiserver_storage_objects", "Stored objects by resource.", []string{"resource"}, nil)
	bytesDesc   = prometheus.NewDesc("proa_cache_bytes", "Bytes of stored objects by resource.", []string{"resource"}, nil)
	eventsDesc  = prometheus.NewDesc("proa_cache_events_total", "Changes since the start by resource.", []string{"resource"}, nil)
	watchesDesc = prometheus.NewDesc("proa_cache_watchers", "Watchers by resource.", []string{"resource"}, nil)
	expiredDesc = prometheus.NewDesc("proa_cache_expired_watchers_total", "Watchers that fell out of the window, by resource.", []string{"resource"}, nil)
	damagedDesc = prometheus.NewDesc("proa_cache_damaged_values_total", "Stored values that could not be read, by resource.", []string{"resource"}, nil)
)

func (c *cacheCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{objectsDesc, bytesDesc, eventsDesc, watchesDesc, expiredDesc, damagedDesc} {
		ch <- d
	}
}

func (c *cacheCollector) Collect(ch chan<- prometheus.Metric) {
	for _, t := range c.cache.Stats().Tables {
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, t.Resource)
		}
		count := func(d *prometheus.Desc, v uint64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), t.Resource)
		}
		gauge(objectsDesc, float64(t.Items))
		gauge(bytesDesc, float64(t.Bytes))
		gauge(watchesDesc, float64(t.Watchers))
		count(eventsDesc, t.Events)
		count(expiredDesc, t.Expired)
		count(damagedDesc, t.Damaged)
	}
}
