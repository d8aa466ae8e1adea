package informer

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
)

// A listener is one handler and the delta queue of what it has yet to be told. The reflector pushes and
// never waits; a goroutine drains, and lives only while there is something to drain.
//
// The queue keeps every change of an object, in order, while the handler keeps up. Once it is mergeFrom
// changes behind, an update of an object whose last pending change is an update too is merged into that
// one, so that however slow a handler is, the queue grows with the number of objects and not with the
// number of events. Additions and deletions are never merged: who counts them can rely on each.
type listener[T any] struct {
	handler  Handler[T]
	log      *slog.Logger
	handling *sync.WaitGroup
	synced   chan struct{} // closed when the handler was told of all that was there first, or stopped
	once     sync.Once     // closes synced

	mu       sync.Mutex
	pending  []change[T]
	last     map[Key]int // the last change of each key in pending; nil while it is short
	draining bool        // a goroutine is at it
	stopped  bool
}

// mergeFrom is the length of a delta queue from which on updates are merged.
const mergeFrom = 1024

// change is an addition (no old), a deletion (no new), an update (both), or the end of what was there first
// (neither).
type change[T any] struct {
	old, new *T
	initial  bool
}

func newListener[T any](h Handler[T], log *slog.Logger, handling *sync.WaitGroup) *listener[T] {
	return &listener[T]{handler: h, log: log, handling: handling, synced: make(chan struct{})}
}

// initial is what a listener is told first.
func initial[T any](all []*T) []change[T] {
	changes := make([]change[T], 0, len(all)+1)
	for _, o := range all {
		changes = append(changes, change[T]{new: o, initial: true})
	}
	return append(changes, change[T]{})
}

func (l *listener[T]) push(changes []change[T]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped || len(changes) == 0 {
		return
	}
	for _, c := range changes {
		l.add(c)
	}
	if !l.draining {
		l.draining = true
		l.handling.Go(l.drain)
	}
}

func (l *listener[T]) add(c change[T]) {
	if len(l.pending) < mergeFrom {
		l.pending = append(l.pending, c)
		return
	}
	if l.last == nil {
		l.last = make(map[Key]int, 2*len(l.pending))
		for n, c := range l.pending {
			l.remember(c, n)
		}
	}
	if c.old != nil && c.new != nil {
		n, ok := l.last[keyOf(c.new)]
		if ok && l.pending[n].old != nil && l.pending[n].new != nil {
			l.pending[n].new = c.new
			return
		}
	}
	l.remember(c, len(l.pending))
	l.pending = append(l.pending, c)
}

func (l *listener[T]) remember(c change[T], n int) {
	if o := c.new; o != nil {
		l.last[keyOf(o)] = n
	} else if c.old != nil {
		l.last[keyOf(c.old)] = n
	}
}

// take returns all that is pending. If that is nothing, the caller drains no longer.
func (l *listener[T]) take() []change[T] {
	l.mu.Lock()
	defer l.mu.Unlock()
	batch := l.pending
	l.pending, l.last = nil, nil
	if len(batch) == 0 {
		l.draining = false
	}
	return batch
}

func (l *listener[T]) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	l.once.Do(func() { close(l.synced) })
	l.pending, l.last = nil, nil
}

func (l *listener[T]) isStopped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopped
}

func (l *listener[T]) drain() {
	for batch := l.take(); len(batch) > 0; batch = l.take() {
		for n, c := range batch {
			if l.isStopped() {
				break
			}
			l.call(c)
			batch[n] = change[T]{}
		}
	}
}

func (l *listener[T]) call(c change[T]) {
	defer func() {
		if v := recover(); v != nil {
			l.log.Error("A handler panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	switch {
	case c.old == nil && c.new == nil:
		l.once.Do(func() { close(l.synced) })
	case c.old == nil:
		if l.handler.Add != nil {
			l.handler.Add(c.new, c.initial)
		}
	case c.new == nil:
		if l.handler.Delete != nil {
			l.handler.Delete(c.old)
		}
	case l.handler.Update != nil:
		l.handler.Update(c.old, c.new)
	}
}
