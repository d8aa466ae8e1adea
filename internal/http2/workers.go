package http2

import (
	"slices"
	"sync"
)

// workers are the goroutines that run handlers. They are used again: a new one begins with a small stack, and growing
// it costs a short request more than all that this package does for it. The one that ended last, whose stack and caches
// are warm, is the first to work again. Those that had nothing to do between two visits of the janitor end.
type workers struct {
	mu     sync.Mutex
	open   bool // guarded by mu; there is a janitor
	idle   []*worker
	unused int // guarded by mu; how many of idle, from the beginning, had no work since the janitor came by
}

// worker is one of them, and next where it waits.
type worker struct{ next chan *stream }

// mostIdle bounds the workers that wait.
const mostIdle = 256

// handle has a request handled.
func (p *workers) handle(st *stream) {
	if w := p.take(); w != nil {
		w.next <- st
		return
	}
	w := &worker{next: make(chan *stream, 1)}
	go w.work(p, st)
}

// take is a worker that waits, nil if none does.
func (p *workers) take() *worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle) - 1
	if n < 0 {
		return nil
	}
	w := p.idle[n]
	p.idle[n] = nil
	p.idle = p.idle[:n]
	p.unused = min(p.unused, n)
	return w
}

// work handles a request and those that follow.
func (w *worker) work(p *workers, st *stream) {
	for ; st != nil; st = <-w.next {
		st.c.handle(st)
		if !p.rest(w) {
			return
		}
	}
}

// rest puts a worker among those that wait, if it may.
func (p *workers) rest(w *worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.open || len(p.idle) == mostIdle {
		return false
	}
	p.idle = append(p.idle, w)
	return true
}

// review is the janitor's visit: the workers that were not needed since the last one end. All do, and nobody waits any
// more, when it is the last.
func (p *workers) review(last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = !last
	if last {
		p.unused = len(p.idle)
	}
	for _, w := range p.idle[:p.unused] {
		close(w.next)
	}
	p.idle = slices.Delete(p.idle, 0, p.unused)
	p.unused = len(p.idle)
}
