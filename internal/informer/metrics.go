package informer

import (
	"github.com/prometheus/client_golang/prometheus"
)

// collector is Metrics as a prometheus.Collector, with the names and buckets that Kubernetes' components use for
// work queues.
type collector struct{ metrics *Metrics }

// Collector shows the metrics to Prometheus.
func Collector(m *Metrics) prometheus.Collector { return collector{m} }

var (
	queueLabels     = []string{"name"}
	queueDepth      = queueMetric("depth", "Current depth of workqueue")
	queueAdds       = queueMetric("adds_total", "Total number of adds handled by workqueue")
	queueRetries    = queueMetric("retries_total", "Total number of retries handled by workqueue")
	queueLatency    = queueMetric("queue_duration_seconds", "How long in seconds an item stays in workqueue before being requested.")
	queueWork       = queueMetric("work_duration_seconds", "How long in seconds processing an item from workqueue takes.")
	queueUnfinished = queueMetric("unfinished_work_seconds", "How many seconds of work is in progress that work_duration has not observed yet.")
	queueLongest    = queueMetric("longest_running_processor_seconds", "How many seconds has the longest running processor for workqueue been running.")

	reflectorLabels   = []string{"resource"}
	reflectorLists    = reflectorMetric("lists_total", "Total number of lists done by informers")
	reflectorWatches  = reflectorMetric("watches_total", "Total number of watches begun by informers")
	reflectorEvents   = reflectorMetric("events_total", "Total number of events that informers received")
	reflectorFailures = reflectorMetric("failures_total", "Total number of lists and watches that failed")
)

func queueMetric(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("workqueue_"+name, help, queueLabels, nil)
}

func reflectorMetric(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("informer_"+name, help, reflectorLabels, nil)
}

// Describe sends the descriptions of all metrics.
func (collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		queueDepth, queueAdds, queueRetries, queueLatency, queueWork, queueUnfinished, queueLongest,
		reflectorLists, reflectorWatches, reflectorEvents, reflectorFailures,
	} {
		out <- d
	}
}

// Collect sends the values of all metrics. Queues and informers that share a name are one.
func (c collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, label string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, label)
	}
	counter := func(d *prometheus.Desc, v uint64, label string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), label)
	}
	for name, s := range c.metrics.queuesByName() {
		gauge(queueDepth, float64(s.Depth), name)
		counter(queueAdds, s.Adds, name)
		counter(queueRetries, s.Retries, name)
		gauge(queueUnfinished, s.Unfinished.Seconds(), name)
		gauge(queueLongest, s.Longest.Seconds(), name)
		out <- s.Latency.metric(queueLatency, name)
		out <- s.Work.metric(queueWork, name)
	}
	for resource, s := range c.metrics.reflectorsByResource() {
		counter(reflectorLists, s.lists, resource)
		counter(reflectorWatches, s.watches, resource)
		counter(reflectorEvents, s.events, resource)
		counter(reflectorFailures, s.failures, resource)
	}
}

func (m *Metrics) queuesByName() map[string]QueueStats {
	byName := map[string]QueueStats{}
	for _, s := range m.Queues() {
		sum := byName[s.Name]
		sum.Depth += s.Depth
		sum.Adds += s.Adds
		sum.Retries += s.Retries
		sum.Unfinished += s.Unfinished
		sum.Longest = max(sum.Longest, s.Longest)
		sum.Latency.add(s.Latency)
		sum.Work.add(s.Work)
		byName[s.Name] = sum
	}
	return byName
}

type reflectorSums struct{ lists, watches, events, failures uint64 }

func (m *Metrics) reflectorsByResource() map[string]reflectorSums {
	m.mu.Lock()
	defer m.mu.Unlock()
	byResource := map[string]reflectorSums{}
	for _, s := range m.reflectors {
		sum := byResource[s.Resource]
		sum.lists += s.Lists.Load()
		sum.watches += s.Watches.Load()
		sum.events += s.Events.Load()
		sum.failures += s.Failures.Load()
		byResource[s.Resource] = sum
	}
	return byResource
}

func (h *Histogram) add(other Histogram) {
	for n := range h.Counts {
		h.Counts[n] += other.Counts[n]
	}
	h.Count += other.Count
	h.Sum += other.Sum
}

func (h *Histogram) metric(d *prometheus.Desc, label string) prometheus.Metric {
	buckets := make(map[float64]uint64, len(h.Counts))
	var below uint64
	for n, bound := range durationBuckets {
		below += h.Counts[n]
		buckets[bound] = below
	}
	return prometheus.MustNewConstHistogram(d, h.Count, h.Sum, buckets, label)
}
