package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proa-dev/proa/internal/store"
)

func others() Schema {
	return Schema{Resource: "others", Prefix: "/registry/others/", Describe: describeTest}
}

func TestWatchersResumeAcrossARestart(t *testing.T) {
	f := newFakeStore()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		f.Commit(context.Background(), randomOps(rng)...)
	}
	f.Compact(context.Background(), 20)
	all := modelSelector{wants: func(_, value string) bool { return value != "" && value != "garbage" }}
	for _, limit := range []int{0, 50} {
		c, tables := startCache(t, f, Options{WindowEvents: limit, Logger: quiet()}, podSchema(), others())
		oldest := tables[0].stats().Oldest
		if limit == 0 && oldest != 20 || limit > 0 && (oldest <= 20 || oldest >= 190) {
			t.Errorf("the window begins at %d", oldest)
		}
		for after := oldest; after < f.rev; after += 7 {
			r := &record{model: all, after: after}
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			r.follow(ctx, watch(t, tables[0], WatchOptions{After: after}), false, func() {})
			r.verify(t, f.history, f.rev)
			s, err := tables[0].Snapshot(context.Background(), At{Consistency: Exact, Revision: after})
			if err != nil || !slices.Equal(dump(s), all.stateAt(f.history, after)) {
				t.Errorf("the state at %d is wrong: %v", after, err)
			}
		}
		if _, err := tables[0].Watch(context.Background(), WatchOptions{After: oldest - 1}); err == nil {
			t.Error("a watch begins below the window")
		}
		if c.Revision() != f.rev {
			t.Errorf("at %d of %d", c.Revision(), f.rev)
		}
	}
}

func TestAStoreThatDoesNotTellItsPastOnlyCostsThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		f.put(podPrefix+"ns/p", "||1")
		f.put(podPrefix+"ns/p", "||2")
		f.setMute(true)
		c, tables := startCache(t, f, Options{Logger: quiet()}, podSchema())
		if s := tables[0].stats(); s.Items != 1 || s.Oldest != 2 {
			t.Errorf("%+v", s)
		}
		f.setMute(false)
		w := watch(t, tables[0], WatchOptions{After: 2})
		f.put(podPrefix+"ns/p", "||3")
		settle(t, c)
		equal(t, next(t, w), "1 ns/p ||3@3 was ||2@2")
	})
}

func TestStreamsThatBreakAreResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		c, tables := startCache(t, f, Options{Logger: quiet()}, podSchema())
		w := watch(t, tables[0], WatchOptions{})
		for n := range 20 {
			f.put(podPrefix+"ns/p", fmt.Sprintf("||%d", n))
			f.breakStreams()
			time.Sleep(10 * time.Millisecond)
		}
		settle(t, c)
		var got []string
		for len(got) < 20 {
			got = append(got, next(t, w)...)
		}
		all := modelSelector{wants: func(_, value string) bool { return value != "" }}
		equal(t, got, all.expected(f.history, 0)...)
		if s := c.Stats(); s.Reconnects == 0 || s.Reloads != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestCompactionUnderTheFeederReloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		f.put(podPrefix+"ns/gone", "||1")
		f.put(podPrefix+"ns/stays", "||2")
		c, tables := startCache(t, f, Options{Logger: quiet()}, podSchema())
		w := watch(t, tables[0], WatchOptions{After: 2})
		old, _ := tables[0].Snapshot(context.Background(), At{Consistency: Any})
		f.setMute(true)
		f.put(podPrefix+"ns/gone", "")
		rev := f.put(podPrefix+"ns/new", "||4")
		f.Compact(context.Background(), rev)
		f.setMute(false)
		settle(t, c)
		var expired *ExpiredError
		if _, err := w.Next(context.Background()); !errors.As(err, &expired) {
			t.Errorf("got %v", err)
		}
		s, err := tables[0].Snapshot(context.Background(), At{Consistency: Consistent})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, dump(s), "ns/new ||4@4", "ns/stays ||2@2")
		equal(t, dump(old), "ns/gone ||1@1", "ns/stays ||2@2")
		again := watch(t, tables[0], WatchOptions{After: rev})
		f.put(podPrefix+"ns/new", "||5")
		settle(t, c)
		equal(t, next(t, again), "1 ns/new ||5@5 was ||4@4")
		if n := c.Stats().Reloads; n != 1 {
			t.Errorf("%d reloads", n)
		}
	})
}

func TestTablesComeAndGoWhileOthersWrite(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	f := newFakeStore()
	c, _ := startCache(t, f, Options{Logger: quiet()}, others())
	ctx, stop := context.WithCancel(context.Background())
	var writing sync.WaitGroup
	writing.Go(func() {
		rng := rand.New(rand.NewPCG(seed, 1))
		for ctx.Err() == nil {
			f.Commit(context.Background(), randomOps(rng)...)
			time.Sleep(20 * time.Microsecond)
		}
	})
	all := modelSelector{wants: func(_, value string) bool { return value != "" && value != "garbage" }}
	for range 40 {
		table, err := c.Add(context.Background(), podSchema())
		if err != nil {
			t.Fatal(err)
		}
		r := &record{model: all}
		w := watch(t, table, WatchOptions{Initial: true, At: At{Consistency: Any}})
		reading, cancel := context.WithTimeout(context.Background(), 3*time.Millisecond)
		r.follow(reading, w, true, func() {})
		cancel()
		if r.err != context.DeadlineExceeded {
			t.Fatal(r.err)
		}
		r.reached = w.Reached()
		f.mu.Lock()
		history := slices.Clone(f.history)
		f.mu.Unlock()
		history = slices.DeleteFunc(history, func(e store.Event) bool { return e.Revision > r.reached })
		r.verify(t, history, r.reached)
		if err := c.Remove("pods"); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	writing.Wait()
	if _, err := c.Table("pods"); !errors.Is(err, ErrNoTable) {
		t.Errorf("got %v", err)
	}
}

// Events that the feeder has put by for a joining table are in the snapshot already, or not, or both.
func TestJoiningTakesEveryEventOnce(t *testing.T) {
	f := newFakeStore()
	c, _ := startCache(t, f, Options{}, others())
	f.put(podPrefix+"ns/p", "||0")
	f.beforeSnapshot = func() {
		for n := range 3 {
			f.put(podPrefix+"ns/p", fmt.Sprintf("||before%d", n))
		}
		settle(t, c)
	}
	s := podSchema()
	var once sync.Once
	s.Describe = func(kv store.KV, hint any) (*Item, error) {
		once.Do(func() {
			f.put(podPrefix+"ns/p", "||while loading")
			settle(t, c)
		})
		return describeTest(kv, hint)
	}
	f.put(podPrefix+"ns/q", "||0")
	table, err := c.Add(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	all := modelSelector{wants: func(_, value string) bool { return value != "" }}
	equal(t, next(t, watch(t, table, WatchOptions{})), all.expected(f.history, 0)...)
	snap, err := table.Snapshot(context.Background(), At{Consistency: Consistent})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, dump(snap), all.stateAt(f.history, f.rev)...)
}

func TestAddRefusesWhatClashes(t *testing.T) {
	c, _ := startCache(t, newFakeStore(), Options{}, podSchema())
	for name, s := range map[string]Schema{
		"the same name":   {Resource: "pods", Prefix: "/registry/x/", Describe: describeTest},
		"the same prefix": {Resource: "x", Prefix: podPrefix, Describe: describeTest},
		"a prefix within": {Resource: "x", Prefix: podPrefix + "x/", Describe: describeTest},
		"a prefix around": {Resource: "x", Prefix: "/registry/", Describe: describeTest},
		"no final slash":  {Resource: "x", Prefix: "/registry/x", Describe: describeTest},
		"no describe":     {Resource: "x", Prefix: "/registry/x/"},
	} {
		if _, err := c.Add(context.Background(), s); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := c.AddAll(context.Background(), []Schema{others(), others()}); err == nil {
		t.Error("twins were accepted")
	}
	if _, err := c.Table("others"); err == nil {
		t.Error("half of a refused pair is there")
	}
}

func TestDamageLeavesOneItemOut(t *testing.T) {
	f := newFakeStore()
	f.put(podPrefix+"ns/bad", "garbage")
	f.put(podPrefix+"ns/good", "||1")
	c, tables := startCache(t, f, Options{Logger: quiet()}, podSchema())
	w := watch(t, tables[0], WatchOptions{After: f.rev})
	f.put(podPrefix+"ns/good", "garbage")
	f.put(podPrefix+"ns/bad", "||2")
	settle(t, c)
	equal(t, next(t, w), "2 ns/good ||1@3 was ||1@2", "0 ns/bad ||2@4 was none")
	if n := tables[0].stats().Damaged; n < 2 {
		t.Errorf("%d damaged", n)
	}
}

func TestHintBecomesTheObject(t *testing.T) {
	f := newFakeStore()
	c, tables := startCache(t, f, Options{}, podSchema())
	hint := &big{name: "mine"}
	f.Commit(context.Background(), store.Op{Key: podPrefix + "ns/p", Value: []byte("||1"), Hint: hint})
	settle(t, c)
	i, err := tables[0].Get(context.Background(), "ns/p", At{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := i.Object(func() (any, error) { return nil, errors.New("decoded") }); got != any(hint) || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestReadsWaitForTheirRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		_, tables := startCache(t, f, Options{}, podSchema())
		ctx := context.Background()
		f.setMute(true)
		f.put(podPrefix+"ns/p", "||1")
		if _, err := tables[0].Get(ctx, "ns/p", At{Consistency: Any}); err != store.ErrNotFound {
			t.Errorf("got %v", err)
		}
		begin := time.Now()
		for _, at := range []At{{Consistency: NotOlderThan, Revision: 1}, {Consistency: Consistent}, {Consistency: Exact, Revision: 1}} {
			_, err := tables[0].Get(ctx, "ns/p", at)
			var future *FutureError
			if !errors.As(err, &future) || future.Requested != 1 || future.Current != 0 {
				t.Errorf("%+v: got %v", at, err)
			}
		}
		if took := time.Since(begin); took != 3*waitLimit {
			t.Errorf("took %v", took)
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := tables[0].Snapshot(short, At{Consistency: Consistent}); err != context.DeadlineExceeded {
			t.Errorf("got %v", err)
		}
		time.AfterFunc(time.Second, func() { f.setMute(false) })
		begin = time.Now()
		if i, err := tables[0].Get(ctx, "ns/p", At{Consistency: Consistent}); err != nil || string(i.Value) != "||1@1" {
			t.Errorf("got %v, %v", i, err)
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestTableBeforeRunIsStarting(t *testing.T) {
	c := New(newFakeStore(), Options{})
	table, err := c.Add(context.Background(), podSchema())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Snapshot(context.Background(), At{Consistency: Any}); err != ErrStarting {
		t.Errorf("got %v", err)
	}
	if _, err := table.Watch(context.Background(), WatchOptions{}); err != ErrStarting {
		t.Errorf("got %v", err)
	}
}

func TestSnapshotRangeAndCount(t *testing.T) {
	f := newFakeStore()
	for ns := range 5 {
		for n := range 300 {
			f.put(fmt.Sprintf("%sns%d/p%03d", podPrefix, ns, n), "||1")
		}
	}
	_, tables := startCache(t, f, Options{}, podSchema())
	s, err := tables[0].Snapshot(context.Background(), At{})
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"", "ns", "ns0/", "ns2/", "ns4/", "ns4/p29", "ns3/p150", "zz", "a"} {
		for _, after := range []string{"", "a", "ns0/p000", "ns2/p299", "ns2/p150", "ns2/p1505", "ns4/p298", "ns4/p299", "zzz"} {
			count := 0
			last := ""
			s.Range(prefix, after, func(i *Item) bool {
				if i.Key <= last || i.Key <= after || len(i.Key) < len(prefix) || i.Key[:len(prefix)] != prefix {
					t.Errorf("%q after %q gave %q", prefix, after, i.Key)
				}
				last = i.Key
				count++
				return true
			})
			if got := s.CountFrom(prefix, after); got != count {
				t.Errorf("%q after %q: %d, counted %d", prefix, after, got, count)
			}
		}
	}
	if n := s.CountFrom("ns2/", "ns2/p150"); n != 149 || s.Len() != 1500 {
		t.Errorf("%d of %d", n, s.Len())
	}
}
