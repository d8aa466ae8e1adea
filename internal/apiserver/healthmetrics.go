package apiserver

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// healthMetrics say how the health checks ended, for those who compute from them how available the server is.
// They have a registry of their own, so that they can be read often.
type healthMetrics struct {
	registry *prometheus.Registry
	last     *prometheus.GaugeVec
	total    *prometheus.CounterVec
}

func newHealthMetrics() healthMetrics {
	m := healthMetrics{
		registry: prometheus.NewRegistry(),
		last: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kubernetes_healthcheck",
			Help: "The result of the last run of a health check: 1 if it was passed.",
		}, []string{"name", "type"}),
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kubernetes_healthchecks_total",
			Help: "Runs of health checks by their result.",
		}, []string{"name", "type", "status"}),
	}
	m.registry.MustRegister(m.last, m.total, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe counts one run of a check of an endpoint.
func (m healthMetrics) observe(check, endpoint string, err error) {
	passed, status := 1.0, "success"
	if err != nil {
		passed, status = 0, "error"
	}
	m.last.WithLabelValues(check, endpoint).Set(passed)
	m.total.WithLabelValues(check, endpoint, status).Inc()
}

func (m healthMetrics) reset() {
	m.last.Reset()
	m.total.Reset()
}
