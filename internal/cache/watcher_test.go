package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proa-dev/proa/internal/store"
	"k8s.io/apimachinery/pkg/labels"
)

func watch(t testing.TB, table *Table, o WatchOptions) *Watcher {
	t.Helper()
	w, err := table.Watch(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return w
}

// next returns the next batch's events as text.
func next(t testing.TB, w *Watcher) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := w.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range b.Events {
		all = append(all, eventText(e))
	}
	return all
}

func equal(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

func TestSelectorTransitions(t *testing.T) {
	f := newFakeStore()
	c, tables := startCache(t, f, Options{}, podSchema())
	w := watch(t, tables[0], WatchOptions{Selector: Selector{Labels: labels.SelectorFromSet(labels.Set{"app": "a"})}})
	f.put(podPrefix+"ns/p", "app=b||1")
	f.put(podPrefix+"ns/p", "app=a||2")
	f.put(podPrefix+"ns/p", "app=a||3")
	f.put(podPrefix+"ns/p", "app=b||4")
	f.put(podPrefix+"ns/p", "app=a||5")
	f.put(podPrefix+"ns/p", "")
	settle(t, c)
	equal(t, next(t, w),
		"0 ns/p app=a||2@2 was app=b||1@1",
		"1 ns/p app=a||3@3 was app=a||2@2",
		"2 ns/p app=a||3@4 was app=a||3@3",
		"0 ns/p app=a||5@5 was app=b||4@4",
		"2 ns/p app=a||5@6 was app=a||5@5")
}

func TestWatchersShareTheDeletedItem(t *testing.T) {
	f := newFakeStore()
	c, tables := startCache(t, f, Options{}, podSchema())
	f.put(podPrefix+"ns/p", "||1")
	settle(t, c)
	var last *Item
	for n := range 3 {
		w := watch(t, tables[0], WatchOptions{After: 1})
		if n == 0 {
			f.put(podPrefix+"ns/p", "")
		}
		b, err := w.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		i := b.Events[0].Item
		if i.Revision != 2 || (last != nil && i != last) {
			t.Errorf("got %p %+v, before %p", i, i, last)
		}
		last = i
	}
}

func TestInitialEventsAndThenTheRest(t *testing.T) {
	f := newFakeStore()
	var ops []store.Op
	for n := range 2*batchSize + 100 {
		ops = append(ops, store.Op{Key: fmt.Sprintf("%sns%d/p%05d", podPrefix, n%2, n), Value: []byte("||1")})
	}
	f.Commit(context.Background(), ops...)
	_, tables := startCache(t, f, Options{}, podSchema())
	w := watch(t, tables[0], WatchOptions{Initial: true, Selector: Selector{Namespace: "ns1"}})
	f.put(podPrefix+"ns1/late", "||2")
	got, batches := 0, 0
	for {
		if r := w.Reached(); r != 0 {
			t.Errorf("reached %d before the initial events are complete", r)
		}
		b, err := w.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		batches++
		got += len(b.Events)
		if b.InitialDone {
			if b.Reached != 1 {
				t.Errorf("initial events of %d", b.Reached)
			}
			break
		}
	}
	if want := len(ops) / 2; got != want || batches < 2 {
		t.Errorf("%d initial events in %d batches, want %d", got, batches, want)
	}
	equal(t, next(t, w), "0 ns1/late ||2@2 was none")
}

func TestInitialOfNothingIsDoneAtOnce(t *testing.T) {
	_, tables := startCache(t, newFakeStore(), Options{}, podSchema())
	w := watch(t, tables[0], WatchOptions{Initial: true})
	if b, err := w.Next(context.Background()); err != nil || !b.InitialDone || len(b.Events) != 0 {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestWhoDoesNotPullFallsOutOfTheWindow(t *testing.T) {
	f := newFakeStore()
	c, tables := startCache(t, f, Options{WindowEvents: 10}, podSchema())
	slow := watch(t, tables[0], WatchOptions{})
	uninterested := watch(t, tables[0], WatchOptions{Selector: Selector{Namespace: "other"}})
	byLabel := watch(t, tables[0], WatchOptions{Selector: Selector{Labels: labels.SelectorFromSet(labels.Set{"app": "a"})}})
	for n := range 50 {
		f.put(podPrefix+"ns/p", fmt.Sprintf("app=b||%d", n))
	}
	settle(t, c)
	for range 2 {
		_, err := slow.Next(context.Background())
		var expired *ExpiredError
		if !errors.As(err, &expired) || expired.Oldest != 40 {
			t.Errorf("got %v", err)
		}
	}
	if s := tables[0].stats(); s.Expired != 1 || s.Watchers != 2 || s.WindowEvents != 10 {
		t.Errorf("%+v", s)
	}
	if r := uninterested.Reached(); r != 50 {
		t.Errorf("reached %d", r)
	}
	f.put(podPrefix+"other/p", "app=a||x")
	equal(t, next(t, uninterested), "0 other/p app=a||x@51 was none")
	equal(t, next(t, byLabel), "0 other/p app=a||x@51 was none")
	if _, err := tables[0].Watch(context.Background(), WatchOptions{After: 40}); err == nil {
		t.Error("a watch begins below the window")
	}
}

func TestWindowIsBoundedByBytesAndAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		c, tables := startCache(t, f, Options{WindowBytes: 10 * changeOverhead, WindowAge: time.Minute}, podSchema())
		for n := range 50 {
			f.put(podPrefix+"ns/p", fmt.Sprintf("||%d", n))
		}
		settle(t, c)
		if s := tables[0].stats(); s.WindowBytes > 10*changeOverhead || s.WindowEvents < 5 {
			t.Errorf("%+v", s)
		}
		time.Sleep(2 * time.Minute)
		f.put(podPrefix+"ns/p", "||last")
		settle(t, c)
		if s := tables[0].stats(); s.WindowEvents != 1 || s.Oldest != 50 {
			t.Errorf("%+v", s)
		}
	})
}

func TestReachedGrowsOnAnIdleTable(t *testing.T) {
	f := newFakeStore()
	c, tables := startCache(t, f, Options{}, podSchema())
	w := watch(t, tables[0], WatchOptions{})
	for n := range 9 {
		f.put("/registry/others/x", fmt.Sprint(n))
	}
	settle(t, c)
	if r := w.Reached(); r != 9 {
		t.Errorf("reached %d", r)
	}
	f.put(podPrefix+"ns/p", "||1")
	f.put("/registry/others/x", "x")
	settle(t, c)
	if r := w.Reached(); r != 9 {
		t.Errorf("reached %d with an event pending", r)
	}
	next(t, w)
	if r := w.Reached(); r != 11 {
		t.Errorf("reached %d", r)
	}
}

func TestWatchFromTheFuture(t *testing.T) {
	f := newFakeStore()
	c, tables := startCache(t, f, Options{}, podSchema())
	w := watch(t, tables[0], WatchOptions{After: 2})
	for n := range 3 {
		f.put(podPrefix+"ns/p", fmt.Sprintf("||%d", n))
	}
	settle(t, c)
	equal(t, next(t, w), "1 ns/p ||2@3 was ||1@2")
}

func TestCommitsAreNotTorn(t *testing.T) {
	f := newFakeStore()
	c, tables := startCache(t, f, Options{}, podSchema())
	w := watch(t, tables[0], WatchOptions{})
	const width = batchSize - 1
	for range 3 {
		var ops []store.Op
		for n := range width {
			ops = append(ops, store.Op{Key: fmt.Sprintf("%sns/p%d", podPrefix, n), Value: []byte("||1")})
		}
		f.Commit(context.Background(), ops...)
	}
	settle(t, c)
	for _, want := range []int{2 * width, width} {
		b, err := w.Next(context.Background())
		if err != nil || len(b.Events) != want {
			t.Fatalf("%d events, want %d: %v", len(b.Events), want, err)
		}
		if last := b.Events[len(b.Events)-1].Item.Revision; b.Reached != last {
			t.Errorf("reached %d, the last event is of %d", b.Reached, last)
		}
	}
}

func TestWatchEnds(t *testing.T) {
	f := newFakeStore()
	c, tables := startCache(t, f, Options{}, podSchema())
	ctx, cancel := context.WithCancel(context.Background())
	byContext, err := tables[0].Watch(ctx, WatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	byStop := watch(t, tables[0], WatchOptions{})
	byRemoval := watch(t, tables[0], WatchOptions{})

	ended := make(chan error, 1)
	go func() {
		_, err := byContext.Next(context.Background())
		ended <- err
	}()
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("got %v", err)
	}
	byStop.Stop()
	byStop.Stop()
	if _, err := byStop.Next(context.Background()); err != ErrStopped {
		t.Errorf("got %v", err)
	}
	if err := c.Remove("pods"); err != nil {
		t.Fatal(err)
	}
	if _, err := byRemoval.Next(context.Background()); !errors.Is(err, ErrNoTable) {
		t.Errorf("got %v", err)
	}
	if n := tables[0].stats().Watchers; n != 0 {
		t.Errorf("%d watchers are left", n)
	}
	if n := len(tables[0].interest.byKey) + len(tables[0].interest.byNamespace); n != 0 {
		t.Errorf("%d buckets are left", n)
	}
}

func TestDeadlineIsNotTheEnd(t *testing.T) {
	f := newFakeStore()
	_, tables := startCache(t, f, Options{}, podSchema())
	w := watch(t, tables[0], WatchOptions{})
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, err := w.Next(ctx); err != context.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	f.put(podPrefix+"ns/p", "||1")
	equal(t, next(t, w), "0 ns/p ||1@1 was none")
}

// An index that offered too little would lose events, which the model finds; one that offers too much
// only costs time, which this finds.
func TestIndexOffersToThoseConcernedOnly(t *testing.T) {
	selectors := map[string]Selector{
		"all":        {},
		"namespace":  {Namespace: "ns"},
		"other ns":   {Namespace: "other"},
		"key":        {Namespace: "ns", Name: "p"},
		"other key":  {Namespace: "ns", Name: "q"},
		"name":       {Name: "p"},
		"node":       {Fields: []FieldDemand{{Field: 0, Value: "n1"}}},
		"node's ns":  {Namespace: "ns", Fields: []FieldDemand{{Field: 0, Value: "n1"}}},
		"other node": {Fields: []FieldDemand{{Field: 0, Value: "n2"}}},
		"not node":   {Fields: []FieldDemand{{Field: 0, Value: "n1", Not: true}}},
		"no node":    {Fields: []FieldDemand{{Field: 0, Value: ""}}},
	}
	x := newInterest([]int{0})
	names := map[*Watcher]string{}
	for name, s := range selectors {
		w := &Watcher{selector: s}
		names[w] = name
		x.add(w)
	}
	item := func(node string) *Item { return &Item{Key: "ns/p", Fields: MakeFields(node)} }
	for _, test := range []struct {
		change *change
		want   []string
	}{
		{&change{item: item("n1")}, []string{"all", "key", "name", "namespace", "node", "node's ns", "not node"}},
		{&change{item: item("n2"), prev: item("n1")}, []string{"all", "key", "name", "namespace", "node", "node's ns", "not node", "other node"}},
		{&change{prev: item("n2")}, []string{"all", "key", "name", "namespace", "not node", "other node"}},
		{&change{prev: &Item{Key: "p"}}, []string{"all", "name", "no node", "not node"}},
	} {
		var got []string
		for _, b := range x.find(nil, test.change) {
			for _, w := range b.watchers {
				got = append(got, names[w])
			}
		}
		slices.Sort(got)
		equal(t, got, test.want...)
	}
	for w := range names {
		x.remove(w)
	}
	if x.count != 0 || len(x.watchers()) != 0 || len(x.byField[0])+len(x.byKey)+len(x.byName)+len(x.byNamespace) != 0 {
		t.Errorf("%+v is not empty", x)
	}
}

// A batch is bounded by what its items hold, at a commit's end, be it of the initial state or of changes.
func TestABatchIsBoundedByBytes(t *testing.T) {
	const size, commits, perCommit = batchBytes / 8, 20, 3
	f := newFakeStore()
	value := []byte("||" + strings.Repeat("x", size))
	write := func() {
		for n := range commits {
			var ops []store.Op
			for i := range perCommit {
				ops = append(ops, store.Op{Key: fmt.Sprintf("%sns/p%d-%d", podPrefix, n, i), Value: value})
			}
			if _, err := f.Commit(context.Background(), ops...); err != nil {
				t.Fatal(err)
			}
		}
	}
	write()
	c, tables := startCache(t, f, Options{}, podSchema())
	settle(t, c)
	w := watch(t, tables[0], WatchOptions{Initial: true})
	write() // the same again, as changes
	settle(t, c)
	for _, part := range []struct {
		name  string
		slack int // how many more events than necessary a batch may have
	}{{"initial", 0}, {"changes", perCommit - 1}} {
		for left := commits * perCommit; left > 0; {
			b, _, err := w.Take(nil, batchBytes)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(b.Events); n == 0 || n > batchBytes/size+part.slack {
				t.Fatalf("%s: %d events of %d bytes", part.name, n, size)
			}
			left -= len(b.Events)
			if last := b.Events[len(b.Events)-1]; part.slack > 0 && left > 0 && b.Reached != last.Item.Revision {
				t.Errorf("a batch ends with an event of %d and has reached %d: in the middle of a commit", last.Item.Revision, b.Reached)
			}
		}
	}
	if cap(w.seen) > keptSeen {
		t.Errorf("a watcher that does nothing keeps room for %d sightings", cap(w.seen))
	}
}
