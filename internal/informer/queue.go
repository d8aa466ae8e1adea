package informer

import (
	"context"
	"sync"
	"time"
)

// QueueOptions shape a queue. The zero value retries after 5 ms to 1000 s, without an overall limit.
type QueueOptions struct {
	Name      string        // for metrics
	BaseDelay time.Duration // before the first retry of a key, doubled for each that follows; 5 ms if zero
	MaxDelay  time.Duration // 1000 s if zero
	// Rate and Burst bound the retries of all keys together, in keys a second. Zero is no bound.
	Rate    float64
	Burst   int
	Metrics *Metrics // nil for none
}

const (
	defaultBaseDelay = 5 * time.Millisecond
	defaultMaxDelay  = 1000 * time.Second
)

// Queue holds keys to work on. A key is in it at most once, and never with two workers at a time: one that
// is added while it is worked on comes back after Done. It needs no goroutine of its own.
type Queue[K comparable] struct {
	options QueueOptions

	mu      sync.Mutex
	wake    *sync.Cond      // a key is ready, or the queue is shut
	ready   fifo[K]         // dirty and not with a worker
	dirty   map[K]time.Time // to be worked on, since when
	working map[K]time.Time // with a worker, since when
	delayed delayed[K]      // to be added later
	timer   *time.Timer     // fires for the first of delayed; nil until needed
	retries limiter[K]
	stats   queueCounts
	shut    bool
}

// NewQueue makes an empty queue.
func NewQueue[K comparable](o QueueOptions) *Queue[K] {
	if o.BaseDelay == 0 {
		o.BaseDelay = defaultBaseDelay
	}
	if o.MaxDelay == 0 {
		o.MaxDelay = defaultMaxDelay
	}
	q := &Queue[K]{
		options: o,
		dirty:   map[K]time.Time{},
		working: map[K]time.Time{},
		delayed: newDelayed[K](),
		retries: newLimiter[K](o),
	}
	q.wake = sync.NewCond(&q.mu)
	o.Metrics.addQueue(q)
	return q
}

// Add puts a key at the end, unless it is in the queue.
func (q *Queue[K]) Add(k K) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(k)
}

// AddAfter adds a key when some time has passed. Of several times for a key the earliest counts.
func (q *Queue[K]) AddAfter(k K, d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.addAfter(k, d)
}

// AddRateLimited adds a key again, later for each time since it was last forgotten.
func (q *Queue[K]) AddRateLimited(k K) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shut {
		return
	}
	q.stats.retries++
	q.addAfter(k, q.retries.next(k, time.Now()))
}

// Forget ends the retries of a key: the next begins with the shortest delay.
func (q *Queue[K]) Forget(k K) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.retries.forget(k)
}

// Retries is how often a key was added by AddRateLimited since it was last forgotten.
func (q *Queue[K]) Retries(k K) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.retries.failures[k]
}

// Len is the number of keys that are ready.
func (q *Queue[K]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ready.len()
}

// Get waits for a key, which is the caller's until Done. It is false when the queue is shut down and empty.
func (q *Queue[K]) Get() (k K, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.ready.len() == 0 {
		if q.shut {
			return k, false
		}
		q.wake.Wait()
	}
	return q.take(), true
}

// next is Get that does not wait, and is false too when the context has ended.
func (q *Queue[K]) next(ctx context.Context) (k K, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ready.len() == 0 || ctx.Err() != nil {
		return k, false
	}
	return q.take(), true
}

func (q *Queue[K]) take() K {
	k := q.ready.pop()
	now := time.Now()
	q.stats.latency.observe(now.Sub(q.dirty[k]))
	delete(q.dirty, k)
	q.working[k] = now
	return k
}

// Done gives a key back that Get handed out.
func (q *Queue[K]) Done(k K) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stats.work.observe(time.Since(q.working[k]))
	delete(q.working, k)
	if _, again := q.dirty[k]; again {
		q.push(k)
	}
}

// ShutDown refuses further keys. Those that are ready are still handed out, those for later are not.
func (q *Queue[K]) ShutDown() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.shut = true
	q.delayed = newDelayed[K]()
	if q.timer != nil {
		q.timer.Stop()
	}
	q.wake.Broadcast()
}

func (q *Queue[K]) add(k K) {
	if q.shut {
		return
	}
	if _, there := q.dirty[k]; there {
		return
	}
	q.stats.adds++
	q.dirty[k] = time.Now()
	if _, busy := q.working[k]; !busy {
		q.push(k)
	}
}

func (q *Queue[K]) push(k K) {
	q.ready.push(k)
	q.wake.Signal()
}

func (q *Queue[K]) addAfter(k K, d time.Duration) {
	if q.shut {
		return
	}
	if d <= 0 {
		q.add(k)
		return
	}
	if !q.delayed.add(k, time.Now().Add(d)) {
		return
	}
	if q.timer == nil {
		q.timer = time.AfterFunc(d, q.addDue)
		return
	}
	q.timer.Reset(d)
}

// addDue adds what was delayed until now, and sets the timer for the rest.
func (q *Queue[K]) addDue() {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for {
		k, at, ok := q.delayed.first()
		if !ok {
			return
		}
		if wait := at.Sub(now); wait > 0 {
			q.timer.Reset(wait)
			return
		}
		q.delayed.pop()
		q.add(k)
	}
}
