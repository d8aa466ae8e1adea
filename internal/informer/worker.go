package informer

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// PanicError is a panic that was contained.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Work calls f for the keys of a queue, for up to n keys at a time, until the context ends; then it shuts the
// queue down, waits for the calls under way, and returns. It may end early only by the queue being shut
// down. A key whose call failed or panicked is retried with backoff; one for which again is positive is
// worked on again after that time.
//
// One goroutine waits for keys, and makes others only while there is work: an idle loop costs one stack. Those
// go on as long as keys are ready, so that in a busy loop no stack has to grow again for each key.
func Work[K comparable](ctx context.Context, q *Queue[K], n int, f func(ctx context.Context, k K) (again time.Duration, err error)) {
	defer context.AfterFunc(ctx, q.ShutDown)()
	slots := make(chan struct{}, max(n, 1))
	var workers sync.WaitGroup
	defer workers.Wait()
	for {
		slots <- struct{}{}
		k, ok := q.Get()
		if !ok || ctx.Err() != nil {
			return
		}
		workers.Go(func() {
			defer func() { <-slots }()
			for ok := true; ok; k, ok = q.next(ctx) {
				workOn(ctx, q, k, f)
			}
		})
	}
}

func workOn[K comparable](ctx context.Context, q *Queue[K], k K, f func(context.Context, K) (time.Duration, error)) {
	defer q.Done(k)
	again, err := Contain(ctx, k, f)
	if err != nil {
		q.AddRateLimited(k)
		return
	}
	q.Forget(k)
	if again > 0 {
		q.AddAfter(k, again)
	}
}

// Contain calls f and makes a panic an error, so that one bad object does not take the others with it.
func Contain[K comparable](ctx context.Context, k K, f func(context.Context, K) (time.Duration, error)) (again time.Duration, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f(ctx, k)
}
