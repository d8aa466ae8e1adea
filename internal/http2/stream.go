package http2

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
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
	mayReceive              int     // bytes that the client may still send
	taken                   int     // bytes that the handler has taken, and the client does not know of
	received                int64   // bytes in all
	unread                  []byte  // received and not read
	room                    *buffer // where unread began; nil if it is nobody else's
	bodyErr                 error   // after unread; nil while more may come
	readFailed, writeFailed deadline

	ctx streamContext
}

// serve runs the handler and ends the answer. It tells whether there is something to write.
func (st *stream) serve() (flush bool) {
	defer st.vacate()
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
