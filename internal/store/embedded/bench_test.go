package embedded

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/proa-dev/proa/internal/store"
)

const benchValueSize = 2048

func openBench(b *testing.B) *Engine {
	b.Helper()
	e, err := Open(Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
	})
	return e
}

// benchValue looks like an object: half of it repeats, half does not.
func benchValue(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	v := make([]byte, benchValueSize)
	for i := range v {
		if i%32 < 16 {
			v[i] = byte('a' + i%16)
		} else {
			v[i] = byte(r.Uint32())
		}
	}
	return v
}

func benchKey(i int64) string {
	return fmt.Sprintf("/registry/configmaps/namespace-%03d/name-%08d", i%100, i)
}

func fill(b *testing.B, e *Engine, keys int) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			v := benchValue(uint64(w))
			for i := next.Add(1) - 1; i < int64(keys); i = next.Add(1) - 1 {
				if _, err := e.Commit(context.Background(), store.Op{Key: benchKey(i), Value: v}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// settle waits until what the fill has left to flush and to compact is done.
func settle(b *testing.B, e *Engine) {
	b.Helper()
	if err := e.db.Flush(); err != nil {
		b.Fatal(err)
	}
	for calm := 0; calm < 10; calm++ {
		if m := e.db.Metrics(); m.Compact.NumInProgress > 0 || m.Flush.NumInProgress > 0 {
			calm = 0
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// run has writers commit b.N times in all, and reports rate and percentiles.
func runWriters(b *testing.B, e *Engine, writers int, op func(r *rand.Rand, n int64) store.Op) {
	b.Helper()
	var next atomic.Int64
	latencies := make([][]time.Duration, writers)
	b.ReportAllocs()
	b.ResetTimer()
	start, cpu := time.Now(), cpuTime()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 2))
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				begin := time.Now()
				if _, err := e.Commit(context.Background(), op(r, n)); err != nil {
					b.Error(err)
					return
				}
				latencies[w] = append(latencies[w], time.Since(begin))
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
	b.StopTimer()
	all := slices.Concat(latencies...)
	slices.Sort(all)
	b.ReportMetric(float64(b.N)/elapsed.Seconds(), "commits/s")
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
}

func BenchmarkCreate(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			e := openBench(b)
			v := benchValue(1)
			runWriters(b, e, writers, func(_ *rand.Rand, n int64) store.Op {
				return store.Op{Key: benchKey(n), Value: v, Expect: store.MustNotExist}
			})
		})
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			e := openBench(b)
			fill(b, e, 10_000)
			v := benchValue(1)
			runWriters(b, e, writers, func(r *rand.Rand, _ int64) store.Op {
				return store.Op{Key: benchKey(r.Int64N(10_000)), Value: v, Expect: store.AnyRevision}
			})
		})
	}
}

// BenchmarkCreateInto shows how a create's cost grows with the store.
func BenchmarkCreateInto(b *testing.B) {
	for _, keys := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			if keys > 1000 && testing.Short() {
				b.Skip("takes a minute to fill")
			}
			e := openBench(b)
			fill(b, e, keys)
			settle(b, e)
			for _, writers := range []int{1, 64} {
				var base atomic.Int64
				base.Store(int64(keys))
				b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
					v := benchValue(1)
					runWriters(b, e, writers, func(r *rand.Rand, _ int64) store.Op {
						return store.Op{Key: fmt.Sprintf("%s-%d", benchKey(r.Int64N(int64(keys))), base.Add(1)), Value: v, Expect: store.AnyRevision}
					})
				})
			}
		})
	}
}

// BenchmarkRead takes a snapshot, and reads a page of a list from a snapshot of its own, among few keys and many.
func BenchmarkRead(b *testing.B) {
	for _, keys := range []int{20_000, 1_000_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			if keys > 20_000 && testing.Short() {
				b.Skip("takes a minute to fill")
			}
			e := openBench(b)
			fill(b, e, keys)
			settle(b, e)
			b.Run("snapshot", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					openSnapshot(b, e).Close()
				}
			})
			b.Run("page of 500", func(b *testing.B) {
				r := rand.New(rand.NewPCG(1, 1))
				b.ReportAllocs()
				for b.Loop() {
					s := openSnapshot(b, e)
					n := 0
					err := s.Range(store.Range{Start: benchKey(r.Int64N(int64(keys))), Limit: 500}, func(store.KV) bool { n++; return true })
					if err != nil || n == 0 {
						b.Fatal(n, err)
					}
					s.Close()
				}
			})
		})
	}
}

func openSnapshot(b *testing.B, e *Engine) store.Snapshot {
	b.Helper()
	s, err := e.Snapshot(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func BenchmarkOpenEmpty(b *testing.B) {
	for b.Loop() {
		e, err := Open(Options{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		e.Close()
		b.StartTimer()
	}
}

// BenchmarkSync is what one sync of the device costs here: the floor under one writer.
func BenchmarkSync(b *testing.B) {
	benchSync(b)
}
