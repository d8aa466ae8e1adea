package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Tally counts what controllers do, by the names that the stable metrics of kube-controller-manager have. It is a
// prometheus.Collector. A nil Tally counts nothing.
type Tally struct {
	jobSyncs     *prometheus.CounterVec
	jobSync      *prometheus.HistogramVec
	jobsFinished *prometheus.CounterVec
	jobPods      *prometheus.CounterVec
	cronSkew     prometheus.Histogram
	evictions    *prometheus.CounterVec
}

// NewTally makes a Tally that has counted nothing.
func NewTally() *Tally {
	sync := []string{"completion_mode", "result", "action"}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	return &Tally{
		jobSyncs: counter("job_controller_job_syncs_total", "The number of job syncs", sync...),
		jobSync: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "job_controller_job_sync_duration_seconds", Help: "The time it took to sync a job",
			Buckets: prometheus.ExponentialBuckets(0.004, 2, 15),
		}, sync),
		jobsFinished: counter("job_controller_jobs_finished_total", "The number of finished jobs", "completion_mode", "result", "reason"),
		jobPods:      counter("job_controller_job_pods_finished_total", "The number of finished Pods that are fully tracked", "completion_mode", "result"),
		cronSkew: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "cronjob_controller_job_creation_skew_duration_seconds",
			Help:    "Time between when a cronjob is scheduled to be run, and when the corresponding job is created",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		evictions: counter("node_collector_evictions_total",
			"Number of Node evictions that happened since current instance of NodeController started.", "zone"),
	}
}

// JobSynced counts a look at a job: its completion mode, what was done about its pods, and whether that failed.
func (t *Tally) JobSynced(mode, action string, err error, took time.Duration) {
	if t == nil {
		return
	}
	result := "success"
	if err != nil {
		result = "error"
	}
	t.jobSyncs.WithLabelValues(mode, result, action).Inc()
	t.jobSync.WithLabelValues(mode, result, action).Observe(took.Seconds())
}

// JobFinished counts a job that is over.
func (t *Tally) JobFinished(mode string, succeeded bool, reason string) {
	if t != nil {
		t.jobsFinished.WithLabelValues(mode, outcome(succeeded), reason).Inc()
	}
}

// JobPodsFinished counts pods of a job that the job's status counts now.
func (t *Tally) JobPodsFinished(mode string, succeeded bool, pods int) {
	if t != nil && pods >= 0 {
		t.jobPods.WithLabelValues(mode, outcome(succeeded)).Add(float64(pods))
	}
}

func outcome(succeeded bool) string {
	if succeeded {
		return "succeeded"
	}
	return "failed"
}

// CronJobStarted counts a job that was made so long after its time.
func (t *Tally) CronJobStarted(skew time.Duration) {
	if t != nil {
		t.cronSkew.Observe(skew.Seconds())
	}
}

// NodeEvicted counts a node of a zone that pods are thrown out of; a zone without any shows as zero once it was seen.
func (t *Tally) NodeEvicted(zone string, nodes int) {
	if t != nil {
		t.evictions.WithLabelValues(zone).Add(float64(nodes))
	}
}

func (t *Tally) collectors() []prometheus.Collector {
	return []prometheus.Collector{t.jobSyncs, t.jobSync, t.jobsFinished, t.jobPods, t.cronSkew, t.evictions}
}

// Describe sends the descriptions of all metrics.
func (t *Tally) Describe(out chan<- *prometheus.Desc) {
	for _, c := range t.collectors() {
		c.Describe(out)
	}
}

// Collect sends the values of all metrics.
func (t *Tally) Collect(out chan<- prometheus.Metric) {
	for _, c := range t.collectors() {
		c.Collect(out)
	}
}
