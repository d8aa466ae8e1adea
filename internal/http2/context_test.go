package http2

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"
)

func contextWith(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithCancel(r.Context())
}

func newTestStream() *stream {
	return &stream{c: &conn{ctx: context.Background()}}
}

func TestStreamIsAContext(t *testing.T) {
	st := newTestStream()
	child, cancel := context.WithTimeout(context.WithValue(st, "k", "v"), time.Hour)
	defer cancel()
	called := make(chan bool, 2)
	stop := context.AfterFunc(st, func() { called <- true })
	stopped := context.AfterFunc(child, func() { called <- true })
	if !stopped() {
		t.Error("a function that was not called could not be stopped")
	}
	if st.Err() != nil || child.Err() != nil {
		t.Fatal("a context that ended by itself")
	}
	st.cancel(context.Canceled)
	st.cancel(context.DeadlineExceeded)
	<-child.Done()
	<-st.Done()
	<-called
	if st.Err() != context.Canceled || child.Err() != context.Canceled || context.Cause(child) != context.Canceled {
		t.Errorf("ended with %v, the child with %v, cause %v", st.Err(), child.Err(), context.Cause(child))
	}
	if stop() || len(called) != 0 {
		t.Error("a function was called twice, or could be stopped after that")
	}
	late := make(chan bool)
	context.AfterFunc(st, func() { close(late) })
	<-late
}

func TestStreamContextRaces(t *testing.T) {
	for range 200 {
		st := newTestStream()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				child, cancel := context.WithCancel(st)
				defer cancel()
				<-child.Done()
				<-st.Done()
			})
		}
		wg.Go(func() { st.cancel(context.Canceled) })
		wg.Wait()
	}
}
