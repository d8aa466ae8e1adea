package apiserver

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are the server's own, under the names and labels that kube-apiserver gives them.
type metrics struct {
	registry   *prometheus.Registry
	requests   *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	sizes      *prometheus.HistogramVec
	long       *prometheus.GaugeVec
	deprecated *prometheus.GaugeVec
	panics     prometheus.Counter
	aborts     *prometheus.CounterVec
	// mutating and reading count the requests under way that are meant to end.
	mutating, reading prometheus.Gauge

	// health is what /metrics/slis shows.
	health healthMetrics

	// known is replaced whole, so that a request finds its series without a lock and without allocating.
	known    atomic.Pointer[map[seriesKey]*series]
	learning sync.Mutex // held while known is replaced
}

var (
	requestLabels  = []string{"verb", "group", "version", "resource", "subresource", "scope"}
	answerLabels   = append([]string{"component"}, requestLabels...)
	durationLabels = append([]string{"dry_run"}, answerLabels...)
)

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apiserver_request_total",
			Help: "Requests by verb, dry run, resource, scope, component and HTTP code.",
		}, append([]string{"code"}, durationLabels...)),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "apiserver_request_duration_seconds",
			Help: "How long requests took, by verb, dry run, resource, scope and component.",
			Buckets: []float64{
				0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
			},
		}, durationLabels),
		sizes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "apiserver_response_sizes",
			Help:    "Bytes of the answers to reads, by verb, resource, scope and component.",
			Buckets: prometheus.ExponentialBuckets(1000, 10, 7),
		}, answerLabels),
		long: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "apiserver_longrunning_requests",
			Help: "Watches, logs and the like under way, by verb, resource, scope and component.",
		}, answerLabels),
		deprecated: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "apiserver_requested_deprecated_apis",
			Help: "Deprecated APIs that have been requested, by group, version, resource, subresource and the release that removed them.",
		}, []string{"group", "version", "resource", "subresource", "removed_release"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "apiserver_request_panics_total",
			Help: "Requests whose handler panicked; each is an apiserver_request_total of code 500 too.",
		}),
		aborts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apiserver_request_aborts_total",
			Help: "Requests whose answer was broken off, by verb, resource and scope.",
		}, requestLabels),
		health: newHealthMetrics(),
	}
	inflight := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "apiserver_current_inflight_requests",
		Help: "Requests under way, by kind.",
	}, []string{"request_kind"})
	m.mutating, m.reading = inflight.WithLabelValues("mutating"), inflight.WithLabelValues("readOnly")
	m.registry.MustRegister(m.requests, m.duration, m.sizes, inflight, m.long, m.deprecated, m.panics, m.aborts,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.known.Store(&map[seriesKey]*series{})
	return m
}

// mutating are the verbs that write.
var mutating = map[string]bool{"create": true, "update": true, "patch": true, "delete": true, "deletecollection": true}

// begin counts a request that is under way.
func (m *metrics) begin(st *state, r *http.Request) *series {
	s := m.of(st.seriesKey(r), st.route)
	switch {
	case s.long != nil:
		s.long.Inc()
	case mutating[st.info.verb]:
		m.mutating.Inc()
	default:
		m.reading.Inc()
	}
	return s
}

// end counts it as done.
func (m *metrics) end(s *series, st *state, w *recorder, took time.Duration) {
	s.count(w.status())
	switch {
	case s.long != nil:
		s.long.Dec()
	case mutating[st.info.verb]:
		m.mutating.Dec()
	default:
		m.reading.Dec()
	}
	s.duration.Observe(took.Seconds())
	if s.size != nil {
		s.size.Observe(float64(w.bytes))
	}
	if s.deprecated != nil {
		s.deprecated.Set(1)
	}
}

// reset forgets what has been counted. What is under way when it happens is not counted any more.
func (m *metrics) reset() {
	m.learning.Lock()
	defer m.learning.Unlock()
	for _, vec := range []interface{ Reset() }{m.requests, m.duration, m.sizes, m.long, m.deprecated, m.aborts} {
		vec.Reset()
	}
	m.known.Store(&map[seriesKey]*series{})
}

// Metrics is where components in this process register theirs, to be read at /metrics.
func (s *Server) Metrics() prometheus.Registerer { return s.metrics.registry }

func (s *Server) addMetrics() {
	s.metrics.registry.MustRegister(&cacheCollector{cache: s.cache}, storeCollector{s.store, s.log}, s.admission)
	s.Handle("/metrics", resettable(s.metrics.registry, func() {
		s.metrics.reset()
		s.admission.Reset()
	}))
	s.Handle("/metrics/slis", resettable(s.metrics.health.registry, s.metrics.health.reset))
}

// resettable shows metrics, and resets them on DELETE.
func resettable(g prometheus.Gatherer, reset func()) http.Handler {
	show := promhttp.HandlerFor(g, promhttp.HandlerOpts{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			reset()
			io.WriteString(w, "metrics reset\n")
			return
		}
		show.ServeHTTP(w, r)
	})
}
