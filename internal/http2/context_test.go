package http2

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func contextWith(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithCancel(r.Context())
}

func newTestStream() *stream {
	return &stream{c: &conn{ctx: context.Background()}}
}

func TestStreamIsAContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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
		if st.Err() != context.Canceled || child.Err() != context.Canceled || context.Cause(child) != context.Canceled {
			t.Errorf("ended with %v, the child with %v, cause %v", st.Err(), child.Err(), context.Cause(child))
		}
		synctest.Wait() // whoever is called has been called
		if stop() || len(called) != 1 {
			t.Errorf("a function was called %d times, or could be stopped after that", len(called))
		}
		late := make(chan bool)
		context.AfterFunc(st, func() { close(late) })
		<-late
	})
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

// A value and a deadline that the handler adds are those of the context and of all that is derived from it.
func TestStreamContextKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		for name, wait := range map[string]func(*stream){
			"nobody waits": func(*stream) { time.Sleep(time.Minute) },
			"Done":         func(st *stream) { <-st.Done() },
			"AfterFunc": func(st *stream) {
				ended := make(chan bool)
				context.AfterFunc(st, func() { close(ended) })
				<-ended
			},
			"a child": func(st *stream) {
				child, cancel := context.WithCancel(st)
				defer cancel()
				<-child.Done()
			},
		} {
			st := newTestStream()
			begin := time.Now()
			st.Keep(key{}, "mine", time.Minute)
			if at, ok := st.Deadline(); !ok || !at.Equal(begin.Add(time.Minute)) || st.Err() != nil {
				t.Errorf("%s: deadline %v %v, %v", name, at, ok, st.Err())
			}
			child := context.WithValue(st, "k", "v")
			if st.Value(key{}) != "mine" || child.Value(key{}) != "mine" || st.Value("k") != nil {
				t.Errorf("%s: value %v", name, st.Value(key{}))
			}
			wait(st)
			if took := time.Since(begin); took != time.Minute || st.Err() != context.DeadlineExceeded || child.Err() != context.DeadlineExceeded {
				t.Errorf("%s: ended after %v with %v", name, took, st.Err())
			}
			st.cancel(context.Canceled)
			if <-st.Done(); st.Err() != context.DeadlineExceeded {
				t.Errorf("%s: the end changed to %v", name, st.Err())
			}
		}
	})
}

// A request that ends before its deadline leaves nothing that waits for it.
func TestStreamContextEndsBeforeItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newTestStream()
		st.Keep(nil, nil, time.Hour)
		begin, done := time.Now(), st.Done()
		st.cancel(context.Canceled)
		<-done
		if st.Err() != context.Canceled || st.ctx.timer.Stop() || time.Since(begin) != 0 {
			t.Errorf("ended with %v after %v", st.Err(), time.Since(begin))
		}
	})
}
