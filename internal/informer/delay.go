package informer

import (
	"container/heap"
	"time"
)

// fifo is a queue in a slice that is reused.
type fifo[K any] struct {
	keys []K
	head int // keys before it are gone
}

func (f *fifo[K]) len() int { return len(f.keys) - f.head }

func (f *fifo[K]) push(k K) {
	if f.head > 32 && f.head > len(f.keys)/2 {
		f.keys, f.head = append(f.keys[:0], f.keys[f.head:]...), 0
	}
	f.keys = append(f.keys, k)
}

func (f *fifo[K]) pop() K {
	var zero K
	k := f.keys[f.head]
	f.keys[f.head] = zero
	f.head++
	if f.head == len(f.keys) {
		f.keys, f.head = f.keys[:0], 0
	}
	return k
}

// delayed is keys by the time they are due, each once, at its earliest time.
type delayed[K comparable] struct {
	heap    dueHeap[K]
	entries map[K]*due[K]
}

type due[K any] struct {
	key   K
	at    time.Time
	index int // in the heap
}

func newDelayed[K comparable]() delayed[K] {
	return delayed[K]{entries: map[K]*due[K]{}}
}

// add tells whether the key is now the first of all.
func (d *delayed[K]) add(k K, at time.Time) bool {
	e, there := d.entries[k]
	switch {
	case !there:
		e = &due[K]{key: k, at: at}
		d.entries[k] = e
		heap.Push(&d.heap, e)
	case at.Before(e.at):
		e.at = at
		heap.Fix(&d.heap, e.index)
	default:
		return false
	}
	return e.index == 0
}

func (d *delayed[K]) first() (k K, at time.Time, ok bool) {
	if len(d.heap) == 0 {
		return k, at, false
	}
	return d.heap[0].key, d.heap[0].at, true
}

func (d *delayed[K]) pop() {
	e := heap.Pop(&d.heap).(*due[K])
	delete(d.entries, e.key)
}

type dueHeap[K any] []*due[K]

func (h dueHeap[K]) Len() int           { return len(h) }
func (h dueHeap[K]) Less(i, j int) bool { return h[i].at.Before(h[j].at) }

func (h dueHeap[K]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *dueHeap[K]) Push(x any) {
	e := x.(*due[K])
	e.index = len(*h)
	*h = append(*h, e)
}

func (h *dueHeap[K]) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}

// limiter says how long a key waits before it is tried again: exponentially longer with each failure,
// and not before the bucket, from which all keys draw, has a token for it.
type limiter[K comparable] struct {
	base, max time.Duration
	failures  map[K]int

	rate   float64 // tokens a second; zero is no bucket
	burst  float64
	tokens float64 // negative if promised
	filled time.Time
}

func newLimiter[K comparable](o QueueOptions) limiter[K] {
	return limiter[K]{
		base: o.BaseDelay, max: o.MaxDelay, failures: map[K]int{},
		rate: o.Rate, burst: float64(max(o.Burst, 1)), tokens: float64(max(o.Burst, 1)),
	}
}

func (l *limiter[K]) next(k K, now time.Time) time.Duration {
	n := l.failures[k]
	l.failures[k] = n + 1
	delay := l.max
	if n < 62 && l.base <= l.max>>n {
		delay = l.base << n
	}
	return max(delay, l.draw(now))
}

func (l *limiter[K]) forget(k K) { delete(l.failures, k) }

// draw takes a token and says when it will be there.
func (l *limiter[K]) draw(now time.Time) time.Duration {
	if l.rate == 0 {
		return 0
	}
	if !l.filled.IsZero() {
		l.tokens = min(l.burst, l.tokens+now.Sub(l.filled).Seconds()*l.rate)
	}
	l.filled = now
	l.tokens--
	if l.tokens >= 0 {
		return 0
	}
	return time.Duration(-l.tokens / l.rate * float64(time.Second))
}
