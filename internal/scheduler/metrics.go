package scheduler

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/proa-dev/proa/internal/scheduler/queue"
)

// Metrics counts what the scheduler does, by the names that kube-scheduler's metrics have. A nil Metrics counts
// nothing.
type Metrics struct {
	profile  string
	attempts *prometheus.CounterVec
	duration *prometheus.HistogramVec
	tried    prometheus.Counter
	victims  prometheus.Histogram
	count    func(queue.Place) int // set before the first collection
}

// The results of an attempt.
const (
	scheduled     = "scheduled"
	unschedulable = "unschedulable"
	failed        = "error"
)

var pendingPods = prometheus.NewDesc("scheduler_pending_pods",
	"Number of pending pods, by the queue type: active are to be tried, backoff are waiting to be tried again, "+
		"unschedulable were tried in vain, gated have scheduling gates.", []string{"queue"}, nil)

// NewMetrics makes metrics for the scheduler of a name.
func NewMetrics(profile string) *Metrics {
	labels := []string{"result", "profile"}
	return &Metrics{
		profile: profile,
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "scheduler_schedule_attempts_total", Help: "Number of attempts to schedule pods, by the result.",
		}, labels),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "scheduler_scheduling_attempt_duration_seconds",
			Help:    "Scheduling attempt latency in seconds (scheduling algorithm + binding)",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}, labels),
		tried: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "scheduler_preemption_attempts_total", Help: "Total preemption attempts in the cluster till now",
		}),
		victims: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "scheduler_preemption_victims", Help: "Number of selected preemption victims",
			Buckets: prometheus.ExponentialBuckets(1, 2, 7),
		}),
	}
}

func (m *Metrics) attempted(result string, took time.Duration) {
	if m == nil {
		return
	}
	m.attempts.WithLabelValues(result, m.profile).Inc()
	m.duration.WithLabelValues(result, m.profile).Observe(took.Seconds())
	if result == unschedulable {
		m.tried.Inc()
	}
}

func (m *Metrics) preempted(victims int) {
	if m != nil {
		m.victims.Observe(float64(victims))
	}
}

func (m *Metrics) pending(count func(queue.Place) int) {
	if m != nil {
		m.count = count
	}
}

// Describe sends the descriptions of all metrics.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	m.attempts.Describe(out)
	m.duration.Describe(out)
	m.tried.Describe(out)
	m.victims.Describe(out)
	out <- pendingPods
}

// Collect sends the values of all metrics.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	m.attempts.Collect(out)
	m.duration.Collect(out)
	m.tried.Collect(out)
	m.victims.Collect(out)
	if m.count == nil {
		return
	}
	gauge := func(name string, v int) {
		out <- prometheus.MustNewConstMetric(pendingPods, prometheus.GaugeValue, float64(v), name)
	}
	gauge("active", m.count(queue.Active))
	gauge("backoff", m.count(queue.Backoff)+m.count(queue.Failed))
	gauge("unschedulable", m.count(queue.Waiting))
	gauge("gated", m.count(queue.Gated))
}
