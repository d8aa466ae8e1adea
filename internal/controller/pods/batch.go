package pods

import (
	"sync"
	"sync/atomic"
)

// Burst is how many pods a loop creates or deletes for one object before it looks at what became of them.
const Burst = 500

// inFlight is how many calls are under way at most. They share the store's syncs; more would only wait.
const inFlight = 64

// SlowStart is SlowStartEach for calls that are all alike.
func SlowStart(n int, f func() error) (done int, err error) {
	return SlowStartEach(n, func(int) error { return f() })
}

// SlowStartEach calls f with each number below n, once in parallel, then twice, four times and so on, and
// stops after a batch in which a call failed: what fails for one pod, such as a quota, would fail for all.
// It returns how many calls succeeded, and the first error.
func SlowStartEach(n int, f func(n int) error) (done int, err error) {
	for from, batch := 0, 1; from < n; from, batch = from+batch, batch*2 {
		batch = min(batch, n-from)
		failed, first := parallel(batch, func(i int) error { return f(from + i) })
		done += batch - failed
		if first != nil {
			return done, first
		}
	}
	return done, nil
}

// Each calls f for all pods in parallel, and returns one of the errors.
func Each[T any](all []T, f func(T) error) error {
	_, err := parallel(len(all), func(n int) error { return f(all[n]) })
	return err
}

func parallel(n int, f func(int) error) (failed int, first error) {
	if n == 1 {
		if first = f(0); first != nil {
			failed = 1
		}
		return failed, first
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var next atomic.Int64
	note := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		failed++
		if first == nil {
			first = err
		}
	}
	for range min(n, inFlight) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				if err := f(int(i)); err != nil {
					note(err)
				}
			}
		})
	}
	wg.Wait()
	return failed, first
}
