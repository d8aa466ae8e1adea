package http2

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"time"
)

// stream is a request and its answer. It is also the request's context, which spares the several objects of a
// context of the standard library.
type stream struct {
	c   *conn
	id  uint32
	req *http.Request
	w   response

	// All guarded by c.mu.
	cond         sync.Cond // signalled when something changed that the handler may wait for
	err          error     // why the handler can neither read nor write any more, nil while it can
	started      bool      // a handler runs, or is queued
	late         bool      // the janitor has seen that the body is slow
	window       int64     // what may be sent
	remoteClosed bool      // the request is complete
	localClosed  bool      // the answer is complete
	// The body, see body.go.
	mayReceive              int    // bytes that the client may still send
	taken                   int    // bytes that the handler has taken, and the client does not know of
	received                int64  // bytes in all
	unread                  []byte // received and not read
	bodyErr                 error  // after unread; nil while more may come
	readFailed, writeFailed deadline

	ctx streamContext
}

// streamContext is the state of a request's context.
type streamContext struct {
	mu    sync.Mutex
	done  chan struct{}  // guarded by mu; nil until somebody asks
	err   error          // guarded by mu; nil until it is done
	after map[int]func() // guarded by mu; to call when it is done
	next  int            // guarded by mu; key in after
}

var _ context.Context = (*stream)(nil)

// serve runs the handler and ends the answer. It tells whether there is something to write.
func (st *stream) serve() (flush bool) {
	defer st.cancel(context.Canceled)
	if !st.call() {
		st.c.mu.Lock()
		defer st.c.mu.Unlock()
		if st.err != nil {
			return false
		}
		st.c.reset(st, codeInternal, errClosed)
		return true
	}
	return st.w.finish()
}

// call runs the handler, and tells whether it came to its end.
func (st *stream) call() (whole bool) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			st.c.server.logger().Error("a handler panicked", "path", st.req.URL.Path, "from", st.c.remote,
				"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	if st.w.refuse != 0 {
		http.Error(&st.w, http.StatusText(st.w.refuse), st.w.refuse)
		return true
	}
	st.c.handler.ServeHTTP(&st.w, st.req)
	return true
}

// Deadline implements context.Context.
func (st *stream) Deadline() (time.Time, bool) { return st.c.ctx.Deadline() }

// Value implements context.Context.
func (st *stream) Value(key any) any { return st.c.ctx.Value(key) }

// Err implements context.Context.
func (st *stream) Err() error {
	st.ctx.mu.Lock()
	defer st.ctx.mu.Unlock()
	return st.ctx.err
}

// Done implements context.Context.
func (st *stream) Done() <-chan struct{} {
	st.ctx.mu.Lock()
	defer st.ctx.mu.Unlock()
	if st.ctx.done == nil {
		st.ctx.done = make(chan struct{})
		if st.ctx.err != nil {
			close(st.ctx.done)
		}
	}
	return st.ctx.done
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
