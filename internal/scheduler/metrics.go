package scheduler

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/proa-dev/proa/internal/scheduler/framework"
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
	tries    prometheus.Histogram
	incoming *prometheus.CounterVec
	points   *prometheus.HistogramVec
	// byPoint are those of points by point and status, each made when first needed.
	byPoint [framework.Points][framework.Statuses]atomic.Pointer[prometheus.Observer]
	count   func(queue.Place) int // set before the first collection
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
		tries: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "scheduler_pod_scheduling_attempts", Help: "Number of attempts to successfully schedule a pod.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 5),
		}),
		incoming: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "scheduler_queue_incoming_pods_total", Help: "Number of pods added to scheduling queues by event and queue type.",
		}, []string{"queue", "event"}),
		points: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "scheduler_framework_extension_point_duration_seconds",
			Help:    "Latency for running all plugins of a specific extension point.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 12),
		}, []string{"extension_point", "status", "profile"}),
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

// bound counts a pod that has its node after so many attempts.
func (m *Metrics) bound(attempts int) {
	if m != nil {
		m.tries.Observe(float64(attempts))
	}
}

// queueNames are the places of the queue as Kubernetes calls them. Gated pods wait among the unschedulable ones there.
var queueNames = map[queue.Place]string{
	queue.Active: "active", queue.Backoff: "backoff", queue.Failed: "backoff", queue.Waiting: "unschedulable", queue.Gated: "unschedulable",
}

// entered counts a pod that enters a place of the queue.
func (m *Metrics) entered(to queue.Place, why string) {
	if m != nil {
		m.incoming.WithLabelValues(queueNames[to], why).Inc()
	}
}

// passed counts how long a part of a decision took.
func (m *Metrics) passed(p framework.Point, s framework.Status, took time.Duration) {
	if m == nil {
		return
	}
	at := &m.byPoint[p][s]
	o := at.Load()
	if o == nil {
		found := m.points.WithLabelValues(p.String(), s.String(), m.profile)
		o = &found
		at.Store(o)
	}
	(*o).Observe(took.Seconds())
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
	m.tries.Describe(out)
	m.incoming.Describe(out)
	m.points.Describe(out)
	out <- pendingPods
}

// Collect sends the values of all metrics.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	m.attempts.Collect(out)
	m.duration.Collect(out)
	m.tried.Collect(out)
	m.victims.Collect(out)
	m.tries.Collect(out)
	m.incoming.Collect(out)
	m.points.Collect(out)
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
