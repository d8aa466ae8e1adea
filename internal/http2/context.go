package http2

import (
	"context"
	"sync"
	"time"
)

// streamContext is the state of a request's context, which is the stream. What a handler would wrap a context for
// can be put into it, so that it stays the one context of the request.
type streamContext struct {
	key, value any // what Keep was given; not changed once others have the context

	mu       sync.Mutex
	done     chan struct{}  // guarded by mu; nil until somebody asks
	err      error          // guarded by mu; nil until it is done
	after    map[int]func() // guarded by mu; to call when it is done
	next     int            // guarded by mu; key in after
	deadline time.Time      // guarded by mu; zero if there is none
	timer    *time.Timer    // guarded by mu; nil until somebody waits for the deadline
}

var _ context.Context = (*stream)(nil)

// Keep gives the context a value and, unless limit is 0, a deadline. The handler may call it once, before anybody
// else has the context.
func (st *stream) Keep(key, value any, limit time.Duration) {
	x := &st.ctx
	x.key, x.value = key, value
	if limit > 0 {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.deadline = time.Now().Add(limit)
	}
}

// watchClock sees to it that the context ends at its deadline: a timer runs only if somebody waits for the end.
// Caller holds ctx.mu.
func (st *stream) watchClock() {
	if x := &st.ctx; x.timer == nil && !x.deadline.IsZero() {
		x.timer = time.AfterFunc(time.Until(x.deadline), st.expire)
	}
}

func (st *stream) expire() { st.cancel(context.DeadlineExceeded) }

// Deadline implements context.Context.
func (st *stream) Deadline() (time.Time, bool) {
	at, ok := st.c.ctx.Deadline()
	st.ctx.mu.Lock()
	defer st.ctx.mu.Unlock()
	if own := st.ctx.deadline; !own.IsZero() && (!ok || own.Before(at)) {
		return own, true
	}
	return at, ok
}

// Value implements context.Context.
func (st *stream) Value(key any) any {
	if st.ctx.key != nil && key == st.ctx.key {
		return st.ctx.value
	}
	return st.c.ctx.Value(key)
}

// Err implements context.Context.
func (st *stream) Err() error {
	x := &st.ctx
	x.mu.Lock()
	err := x.err
	passed := err == nil && !x.deadline.IsZero() && !time.Now().Before(x.deadline)
	x.mu.Unlock()
	if !passed {
		return err
	}
	st.expire()
	return st.Err()
}

// Done implements context.Context.
func (st *stream) Done() <-chan struct{} {
	x := &st.ctx
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.done == nil {
		x.done = make(chan struct{})
		if x.err != nil {
			close(x.done)
		} else {
			st.watchClock()
		}
	}
	return x.done
}

// AfterFunc has f called when the context is done; package context looks for it, and needs no goroutine then.
func (st *stream) AfterFunc(f func()) (stop func() bool) {
	x := &st.ctx
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.err != nil {
		go f() // the caller may hold what f needs
		return func() bool { return false }
	}
	if x.after == nil {
		x.after = map[int]func(){}
	}
	st.watchClock()
	key := x.next
	x.next++
	x.after[key] = f
	return func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		_, waiting := x.after[key]
		delete(x.after, key)
		return waiting
	}
}

// cancel ends the request's context.
func (st *stream) cancel(err error) {
	x := &st.ctx
	x.mu.Lock()
	if x.err != nil {
		x.mu.Unlock()
		return
	}
	x.err = err
	if x.timer != nil {
		x.timer.Stop()
	}
	if x.done != nil {
		close(x.done)
	}
	after := x.after
	x.after = nil
	x.mu.Unlock()
	for _, f := range after {
		f()
	}
}
