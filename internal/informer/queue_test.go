package informer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestQueueHoldsAKeyOnce(t *testing.T) {
	q := NewQueue[string](QueueOptions{})
	for _, k := range []string{"a", "b", "a", "c", "b"} {
		q.Add(k)
	}
	k, _ := q.Get()
	q.Add("a") // while it is worked on
	if k != "a" || q.Len() != 2 {
		t.Fatalf("got %q, and %d are ready, want a, 2", k, q.Len())
	}
	q.Done("a")
	var rest []string
	q.ShutDown()
	q.Add("too late")
	for {
		k, ok := q.Get()
		if !ok {
			break
		}
		rest = append(rest, k)
		q.Done(k)
	}
	if !slices.Equal(rest, []string{"b", "c", "a"}) {
		t.Errorf("then got %q", rest)
	}
}

func TestQueueDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue[string](QueueOptions{})
		begin := time.Now()
		q.AddAfter("c", 3*time.Second)
		q.AddAfter("a", 5*time.Second)
		q.AddAfter("a", time.Second) // the earliest counts
		q.AddAfter("a", 2*time.Second)
		q.AddAfter("b", 2*time.Second)
		q.AddAfter("now", 0)
		var got []string
		for range 4 {
			k, _ := q.Get()
			got = append(got, fmt.Sprint(k, time.Since(begin)))
			q.Done(k)
		}
		if want := []string{"now0s", "a1s", "b2s", "c3s"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		q.AddAfter("never", time.Second)
		q.ShutDown()
		time.Sleep(time.Minute)
		if _, ok := q.Get(); ok {
			t.Error("a queue that is shut down gave a delayed key")
		}
	})
}

func TestQueueBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue[string](QueueOptions{})
		next := func() time.Duration {
			begin := time.Now()
			q.AddRateLimited("k")
			k, _ := q.Get()
			q.Done(k)
			return time.Since(begin)
		}
		for n, want := 0, 5*time.Millisecond; n < 80; n, want = n+1, min(2*want, 1000*time.Second) {
			if got := next(); got != want {
				t.Fatalf("retry %d after %v, want %v", n, got, want)
			}
		}
		if q.Retries("k") != 80 {
			t.Errorf("%d retries", q.Retries("k"))
		}
		q.Forget("k")
		if got := next(); got != 5*time.Millisecond {
			t.Errorf("after Forget %v", got)
		}
	})
}

func TestQueueBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue[int](QueueOptions{BaseDelay: time.Microsecond, Rate: 10, Burst: 5})
		for round := range 2 {
			begin := time.Now()
			for n := range 25 {
				q.AddRateLimited(n)
			}
			for range 25 {
				k, _ := q.Get()
				q.Forget(k)
				q.Done(k)
			}
			if took := time.Since(begin).Round(time.Millisecond); took != 2*time.Second {
				t.Errorf("round %d: 25 retries at 10/s beyond a burst of 5 took %v, want 2s", round, took)
			}
			time.Sleep(time.Hour)
		}
	})
}

// Whatever workers and adders do: never two at once for a key, and after the last Add of a key it is worked on.
func TestQueueUnderStress(t *testing.T) {
	const keys, adders, adds, workers = 20, 8, 3000, 6
	q := NewQueue[int](QueueOptions{BaseDelay: time.Microsecond, MaxDelay: 50 * time.Microsecond})
	var wanted, done [keys]atomic.Int64
	var busy [keys]atomic.Bool
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		Work(ctx, q, workers, func(_ context.Context, k int) (time.Duration, error) {
			if busy[k].Swap(true) {
				t.Error("two workers have a key")
			}
			seen := wanted[k].Load()
			defer busy[k].Store(false)
			switch rand.IntN(10) {
			case 0:
				return 0, errors.New("try again")
			case 1:
				panic("and again")
			case 2:
				return time.Microsecond, nil
			}
			done[k].Store(seen)
			return 0, nil
		})
	})
	var adding sync.WaitGroup
	for range adders {
		adding.Go(func() {
			for range adds {
				k := rand.IntN(keys)
				wanted[k].Add(1)
				if rand.IntN(4) == 0 {
					q.AddAfter(k, time.Duration(rand.IntN(30))*time.Microsecond)
				} else {
					q.Add(k)
				}
			}
		})
	}
	adding.Wait()
	deadline := time.Now().Add(2 * time.Minute)
	for k := range keys {
		for done[k].Load() != wanted[k].Load() {
			if time.Now().After(deadline) {
				t.Fatalf("key %d: worked on for %d of %d adds", k, done[k].Load(), wanted[k].Load())
			}
			time.Sleep(time.Millisecond)
		}
	}
	cancel()
	all.Wait()
}

func TestWorkEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue[int](QueueOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		running, most := 0, 0
		for k := range 10 {
			q.Add(k)
		}
		var mu sync.Mutex
		time.AfterFunc(1500*time.Millisecond, cancel)
		begin := time.Now()
		calls := 0
		Work(ctx, q, 3, func(context.Context, int) (time.Duration, error) {
			mu.Lock()
			calls++
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return 0, nil
		})
		if most != 3 || running != 0 || calls != 6 || time.Since(begin) != 2*time.Second {
			t.Errorf("%d at a time, %d left running, %d calls, ended after %v", most, running, calls, time.Since(begin))
		}
	})
}

func TestQueueStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &Metrics{}
		q := NewQueue[int](QueueOptions{Name: "q", Metrics: m})
		q.Add(1)
		q.Add(1)
		q.Add(2)
		time.Sleep(50 * time.Millisecond)
		k, _ := q.Get()
		time.Sleep(3 * time.Second)
		s := m.Queues()[0]
		if s.Name != "q" || s.Depth != 1 || s.Adds != 2 || s.Unfinished != 3*time.Second || s.Longest != 3*time.Second {
			t.Errorf("while working: %+v", s)
		}
		q.AddRateLimited(k)
		q.Done(k)
		s = m.Queues()[0]
		if s.Retries != 1 || s.Latency.Count != 1 || s.Latency.Sum != 0.05 || s.Latency.Counts[7] != 1 ||
			s.Work.Sum != 3 || s.Work.Counts[9] != 1 || s.Unfinished != 0 {
			t.Errorf("after it: %+v", s)
		}
	})
}

func BenchmarkQueue(b *testing.B) {
	q := NewQueue[Key](QueueOptions{})
	keys := make([]Key, 1000)
	for n := range keys {
		keys[n] = Key{Namespace: "namespace", Name: fmt.Sprint("name-", n)}
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		q.Add(keys[n%len(keys)])
		k, _ := q.Get()
		q.Done(k)
	}
}
