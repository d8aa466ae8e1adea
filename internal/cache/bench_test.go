package cache

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/proa-dev/proa/internal/store"
	"k8s.io/apimachinery/pkg/labels"
)

// describeBench is what Describe costs when the writer's hint has it all. It may keep the value: all benchmarks' are
// one.
func describeBench(kv store.KV, hint any) (*Item, error) {
	node, _ := hint.(string)
	return &Item{Fields: MakeFields(node), Value: kv.Value}, nil
}

// benchTable is a live table that the benchmark itself feeds.
func benchTable(b *testing.B, items int, describe func(store.KV, any) (*Item, error)) (*Cache, *Table) {
	c := New(newFakeStore(), Options{WindowEvents: 10_000})
	t, err := c.Add(context.Background(), Schema{Resource: "pods", Prefix: podPrefix, Indexed: []int{0}, Describe: describe})
	if err != nil {
		b.Fatal(err)
	}
	if err := c.load(context.Background()); err != nil {
		b.Fatal(err)
	}
	for n := range items {
		c.distribute([]store.Event{benchEvent(n, int64(n+1))}, 0)
	}
	return c, t
}

func benchKey(n int) string { return fmt.Sprintf("%sns%03d/pod-%07d", podPrefix, n%100, n) }

var benchValue = make([]byte, 2000)

func benchEvent(n int, rev store.Revision) store.Event {
	return store.Event{Revision: rev, Key: benchKey(n), Value: benchValue, Hint: "node-hot"}
}

// drain reads a watcher until it is stopped, counting events.
func drain(w *Watcher, seen *atomic.Int64) {
	for {
		batch, err := w.Next(context.Background())
		if err != nil {
			return
		}
		seen.Add(int64(len(batch.Events)))
	}
}

func BenchmarkApply(b *testing.B) {
	const items = 10_000
	selectors := map[string]func(n int) Selector{
		"miss/node":      func(n int) Selector { return Selector{Fields: []FieldDemand{{Value: fmt.Sprint("node-", n)}}} },
		"miss/namespace": func(n int) Selector { return Selector{Namespace: fmt.Sprint("other-", n)} },
		"miss/labels": func(n int) Selector {
			return Selector{Labels: labels.SelectorFromSet(labels.Set{"app": fmt.Sprint(n)})}
		},
		"hit": func(int) Selector { return Selector{} },
	}
	for _, name := range []string{"miss/node", "miss/namespace", "miss/labels", "hit"} {
		for _, watchers := range []int{0, 1, 1000, 10_000} {
			b.Run(fmt.Sprintf("%s/watchers=%d", name, watchers), func(b *testing.B) {
				c, t := benchTable(b, items, describeBench)
				var seen atomic.Int64
				for n := range watchers {
					w, err := t.Watch(context.Background(), WatchOptions{Selector: selectors[name](n), After: c.Revision()})
					if err != nil {
						b.Fatal(err)
					}
					b.Cleanup(w.Stop)
					go drain(w, &seen)
				}
				rev := c.Revision()
				events := make([]store.Event, 1)
				b.ReportAllocs()
				for b.Loop() {
					rev++
					events[0] = benchEvent(int(rev)%items, rev)
					c.distribute(events, rev)
				}
			})
		}
	}
}

// One event until all of a thousand equal watchers have it.
func BenchmarkFanOut(b *testing.B) {
	for _, watchers := range []int{1, 1000, 10_000} {
		b.Run(fmt.Sprintf("watchers=%d", watchers), func(b *testing.B) {
			c, t := benchTable(b, 1000, describeBench)
			var seen atomic.Int64
			for range watchers {
				w := watch(b, t, WatchOptions{After: c.Revision()})
				go drain(w, &seen)
			}
			rev, want := c.Revision(), int64(0)
			b.ReportAllocs()
			for b.Loop() {
				rev++
				c.distribute([]store.Event{benchEvent(int(rev)%1000, rev)}, rev)
				for want += int64(watchers); seen.Load() < want; {
					runtime.Gosched()
				}
			}
		})
	}
}

// BenchmarkStopped is an event to a hundred equal watchers that keep up, beside others that have stopped reading: a
// window of 10,000 events passes over those in the first moments, as it would in a minute of 170 writes a second.
func BenchmarkStopped(b *testing.B) {
	const reading = 100
	for _, stopped := range []int{0, 1, 100, 10_000} {
		b.Run(fmt.Sprintf("stopped=%d", stopped), func(b *testing.B) {
			c, t := benchTable(b, 1000, describeBench)
			for range stopped {
				watch(b, t, WatchOptions{After: c.Revision()})
			}
			var seen atomic.Int64
			for range reading {
				go drain(watch(b, t, WatchOptions{After: c.Revision()}), &seen)
			}
			rev, want := c.Revision(), int64(0)
			event := func() {
				rev++
				c.distribute([]store.Event{benchEvent(int(rev)%1000, rev)}, rev)
				for want += reading; seen.Load() < want; {
					runtime.Gosched()
				}
			}
			for range 11_000 {
				event()
			}
			b.ReportAllocs()
			for b.Loop() {
				event()
			}
		})
	}
}

func BenchmarkReadMillion(b *testing.B) {
	const items = 1_000_000
	c, t := benchTable(b, items, describeBench)
	ctx := context.Background()
	b.Run("page of 500", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s, err := t.Snapshot(ctx, At{})
			if err != nil {
				b.Fatal(err)
			}
			got, last := 0, ""
			s.Range("", "ns050/", func(i *Item) bool {
				got, last = got+1, i.Key
				return got < 500
			})
			if left := s.CountFrom("", last); left == 0 || got != 500 {
				b.Fatal(got, left)
			}
		}
	})
	b.Run("get", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			n = (n + 7919) % items
			if _, err := t.Get(ctx, benchKey(n)[len(podPrefix):], At{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	rev := c.Revision()
	b.Run("write between two snapshots", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			rev++
			c.distribute([]store.Event{benchEvent(int(rev*7919)%items, rev)}, rev)
			if _, err := t.Snapshot(ctx, At{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("1000 revisions back", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			t.past = nil
			if _, err := t.Snapshot(ctx, At{Consistency: Exact, Revision: rev - 1000}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkMemory reports what an item takes beside its value: a small object with a UID, three labels
// and a node, as Describe makes it from decoded bytes.
func BenchmarkMemory(b *testing.B) {
	const items, size = 1_000_000, 256
	for b.Loop() {
		before := heap()
		f := newFakeStore()
		c := New(f, Options{})
		t, err := c.Add(context.Background(), Schema{Resource: "pods", Prefix: podPrefix, Indexed: []int{0}, Describe: describeSmall})
		if err != nil {
			b.Fatal(err)
		}
		d := &draft{table: t, tree: newTree()}
		for n := range items {
			d.tree.Load(t.describe(store.KV{Key: fmt.Sprintf("%sns%03d/pod-%07d", podPrefix, n/10_000, n), Value: make([]byte, size), Revision: int64(n + 1)}, nil))
		}
		t.install(d, items)
		b.ReportMetric(float64(heap()-before)/items-size, "B/item-beside-value")
		runtime.KeepAlive(t)
	}
}

var benchNodes = func() (names []string) {
	for n := range 1000 {
		names = append(names, fmt.Sprintf("node-%04d", n))
	}
	return names
}()

func describeSmall(kv store.KV, _ any) (*Item, error) {
	return &Item{
		UID: fmt.Sprintf("%08x-0000-4000-8000-%012x", kv.Revision, kv.Revision),
		Labels: MakeLabels(map[string]string{
			"app": "web", "pod-template-hash": "5d8f7c9b6d", "tier": "front",
		}),
		Fields: MakeFields(benchNodes[kv.Revision%1000]),
		Value:  bytes.Clone(kv.Value),
	}, nil
}
