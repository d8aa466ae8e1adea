package informer

import (
	"sync"
	"sync/atomic"
	"time"
)

// Metrics is what queues and reflectors report to. It is made by its zero value, and read by a Collector
// or by Queues. A nil *Metrics reports nothing.
type Metrics struct {
	mu         sync.Mutex
	queues     []interface{ Stats() QueueStats } // guarded by mu
	reflectors []*ReflectorStats                 // guarded by mu
}

// QueueStats are the counts of one queue at one time.
type QueueStats struct {
	Name          string
	Depth         int // keys that are ready
	Adds, Retries uint64
	Latency, Work Histogram     // from Add to Get, from Get to Done
	Unfinished    time.Duration // of the work under way, summed
	Longest       time.Duration
}

// ReflectorStats are the counts of one informer.
type ReflectorStats struct {
	Resource                         string
	Lists, Watches, Events, Failures atomic.Uint64
}

// durationBuckets are the upper bounds of a histogram's buckets, in seconds: 10 ns, and ten times as much
// for each that follows.
var durationBuckets = [...]float64{1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10}

// Histogram counts durations.
type Histogram struct {
	Counts [len(durationBuckets)]uint64 // those that fall into each bucket, not cumulated
	Count  uint64
	Sum    float64 // seconds
}

func (h *Histogram) observe(d time.Duration) {
	s := d.Seconds()
	h.Count++
	h.Sum += s
	for n, bound := range durationBuckets {
		if s <= bound {
			h.Counts[n]++
			return
		}
	}
}

// queueCounts are guarded by the queue's lock.
type queueCounts struct {
	adds, retries uint64
	latency, work Histogram
}

// Stats are the queue's counts as of now.
func (q *Queue[K]) Stats() QueueStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := QueueStats{
		Name: q.options.Name, Depth: q.ready.len(), Adds: q.stats.adds, Retries: q.stats.retries,
		Latency: q.stats.latency, Work: q.stats.work,
	}
	now := time.Now()
	for _, since := range q.working {
		s.Unfinished += now.Sub(since)
		s.Longest = max(s.Longest, now.Sub(since))
	}
	return s
}

// Queues are the counts of all queues.
func (m *Metrics) Queues() []QueueStats {
	m.mu.Lock()
	queues := m.queues
	m.mu.Unlock()
	all := make([]QueueStats, len(queues))
	for n, q := range queues {
		all[n] = q.Stats()
	}
	return all
}

func (m *Metrics) addQueue(q interface{ Stats() QueueStats }) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queues = append(m.queues, q)
}

func (m *Metrics) reflector(resource string) *ReflectorStats {
	s := &ReflectorStats{Resource: resource}
	if m == nil {
		return s
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reflectors = append(m.reflectors, s)
	return s
}
