package apiserver

import (
	"net/http"
	"strconv"
	"sync"
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
	long     *prometheus.GaugeVec
	panics   prometheus.Counter
	// mutating and reading count the requests under way that are meant to end.
	mutating, reading prometheus.Gauge
	known             sync.Map // of seriesKey to *series
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
		long: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "apiserver_longrunning_requests",
			Help: "Watches and the like under way.",
		}, requestLabels),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "apiserver_request_panics_total",
			Help: "Requests whose handler panicked.",
		}),
	}
	inflight := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "apiserver_current_inflight_requests",
		Help: "Requests under way, by kind.",
	}, []string{"request_kind"})
	m.mutating, m.reading = inflight.WithLabelValues("mutating"), inflight.WithLabelValues("readOnly")
	m.registry.MustRegister(m.requests, m.duration, m.sizes, inflight, m.long, m.panics,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// seriesKey is what tells the metrics of requests apart. All of it is from fixed sets: what a client can
// make up is left empty.
type seriesKey struct{ verb, group, version, resource, subresource, scope string }

// series are the metrics of one kind of request, looked up once.
type series struct {
	requests       *prometheus.CounterVec // by code
	duration, size prometheus.Observer
	long           prometheus.Gauge
	mu             sync.Mutex
	byCode         map[int]prometheus.Counter // guarded by mu
}

// metricVerbs bounds what a client can make up.
var metricVerbs = map[string]string{
	"get": "GET", "list": "LIST", "watch": "WATCH", "create": "POST", "update": "PUT", "patch": "PATCH",
	"delete": "DELETE", "deletecollection": "DELETECOLLECTION", "post": "POST", "put": "PUT", "head": "GET",
}

func (st *state) seriesKey() seriesKey {
	i := st.info
	k := seriesKey{verb: "other"}
	if v, ok := metricVerbs[i.verb]; ok {
		k.verb = v
	}
	if st.route == nil {
		return k
	}
	k.group, k.version, k.resource, k.subresource, k.scope = i.group, i.version, i.resource, i.subresource, "cluster"
	switch {
	case i.name != "":
		k.scope = "resource"
	case i.namespace != "":
		k.scope = "namespace"
	}
	return k
}

// of returns the metrics of a request.
func (m *metrics) of(k seriesKey) *series {
	if s, ok := m.known.Load(k); ok {
		return s.(*series)
	}
	labels := prometheus.Labels{
		"verb": k.verb, "group": k.group, "version": k.version, "resource": k.resource, "subresource": k.subresource, "scope": k.scope,
	}
	s := &series{requests: m.requests.MustCurryWith(labels), byCode: map[int]prometheus.Counter{}}
	if k.verb == "WATCH" || longRunningSubresources[k.subresource] {
		s.long = m.long.With(labels)
	} else {
		s.duration, s.size = m.duration.With(labels), m.sizes.With(labels)
	}
	known, _ := m.known.LoadOrStore(k, s)
	return known.(*series)
}

func (s *series) count(code int) {
	s.mu.Lock()
	c := s.byCode[code]
	if c == nil {
		c = s.requests.WithLabelValues(strconv.Itoa(code))
		s.byCode[code] = c
	}
	s.mu.Unlock()
	c.Inc()
}

var mutating = map[string]bool{"create": true, "update": true, "patch": true, "delete": true, "deletecollection": true}

// begin counts a request that is under way.
func (m *metrics) begin(st *state) *series {
	s := m.of(st.seriesKey())
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
	if s.long != nil {
		s.long.Dec()
		return
	}
	if mutating[st.info.verb] {
		m.mutating.Dec()
	} else {
		m.reading.Dec()
	}
	s.duration.Observe(took.Seconds())
	s.size.Observe(float64(w.bytes))
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
