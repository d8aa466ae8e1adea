package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/proa-dev/proa/internal/store"
	"k8s.io/apimachinery/pkg/labels"
)

// The model is the store's full history, filtered naively.

// randomOps is a commit of one to three keys, of pods and of others.
func randomOps(rng *rand.Rand) []store.Op {
	used := map[string]bool{}
	var ops []store.Op
	for range 1 + rng.IntN(3) {
		resource := "pods"
		if rng.IntN(10) == 0 {
			resource = "others"
		}
		key := fmt.Sprintf("/registry/%s/ns%d/name%d", resource, rng.IntN(3), rng.IntN(5))
		if used[key] {
			continue
		}
		used[key] = true
		op := store.Op{Key: key, Expect: store.AnyRevision}
		if rng.IntN(4) > 0 {
			op.Value = fmt.Appendf(nil, "app=%c|node%d,%c|data%d", 'a'+rng.IntN(3), rng.IntN(4), 'x'+rng.IntN(2), rng.IntN(1000))
		}
		if rng.IntN(30) == 0 {
			op.Value = []byte("garbage")
		}
		ops = append(ops, op)
	}
	return ops
}

// modelSelector is a selector and what it means.
type modelSelector struct {
	selector Selector
	wants    func(key, value string) bool
}

func randomSelector(rng *rand.Rand) modelSelector {
	var s Selector
	var tests []func(key, value string) bool
	if rng.IntN(3) == 0 {
		s.Namespace = fmt.Sprintf("ns%d", rng.IntN(3))
		tests = append(tests, func(key, _ string) bool { return strings.HasPrefix(key, s.Namespace+"/") })
	}
	if rng.IntN(4) == 0 {
		s.Name = fmt.Sprintf("name%d", rng.IntN(5))
		tests = append(tests, func(key, _ string) bool { return strings.HasSuffix(key, "/"+s.Name) })
	}
	if rng.IntN(3) == 0 {
		app := string(rune('a' + rng.IntN(3)))
		s.Labels = labels.SelectorFromSet(labels.Set{"app": app})
		tests = append(tests, func(_, value string) bool { return strings.HasPrefix(value, "app="+app+"|") })
	}
	if rng.IntN(3) == 0 {
		node, not := fmt.Sprintf("node%d", rng.IntN(4)), rng.IntN(3) == 0
		s.Fields = append(s.Fields, FieldDemand{Field: 0, Value: node, Not: not})
		tests = append(tests, func(_, value string) bool { return strings.Contains(value, "|"+node+",") != not })
	}
	if rng.IntN(5) == 0 {
		s.Fields = append(s.Fields, FieldDemand{Field: 1, Value: "x"})
		tests = append(tests, func(_, value string) bool { return strings.Contains(value, ",x|") })
	}
	return modelSelector{s, func(key, value string) bool {
		if value == "" || value == "garbage" {
			return false
		}
		for _, test := range tests {
			if !test(key, value) {
				return false
			}
		}
		return true
	}}
}

// expected is what a watch with the selector must give for the history after a revision.
func (m modelSelector) expected(history []store.Event, after store.Revision) []string {
	var all []string
	for _, e := range history {
		key, ok := strings.CutPrefix(e.Key, podPrefix)
		if !ok || e.Revision <= after {
			continue
		}
		before, now := m.wants(key, string(e.Prev)), m.wants(key, string(e.Value))
		switch {
		case before && now:
			all = append(all, fmt.Sprintf("%d %s %s@%d was %s@%d", Modified, key, e.Value, e.Revision, e.Prev, e.PrevRevision))
		case now && len(e.Prev) > 0 && string(e.Prev) != "garbage":
			all = append(all, fmt.Sprintf("%d %s %s@%d was %s@%d", Added, key, e.Value, e.Revision, e.Prev, e.PrevRevision))
		case now:
			all = append(all, fmt.Sprintf("%d %s %s@%d was none", Added, key, e.Value, e.Revision))
		case before:
			all = append(all, fmt.Sprintf("%d %s %s@%d was %s@%d", Deleted, key, e.Prev, e.Revision, e.Prev, e.PrevRevision))
		}
	}
	return all
}

// stateAt is the pods at a revision, as dump gives them.
func (m modelSelector) stateAt(history []store.Event, rev store.Revision) []string {
	state := map[string]string{}
	for _, e := range history {
		key, ok := strings.CutPrefix(e.Key, podPrefix)
		if !ok || e.Revision > rev {
			continue
		}
		delete(state, key)
		if m.wants(key, string(e.Value)) {
			state[key] = fmt.Sprintf("%s %s@%d", key, e.Value, e.Revision)
		}
	}
	var all []string
	for _, line := range state {
		all = append(all, line)
	}
	sort.Slice(all, func(a, b int) bool { return strings.Fields(all[a])[0] < strings.Fields(all[b])[0] })
	return all
}

func eventText(e Event) string {
	was := "none"
	if e.Prev != nil {
		was = string(e.Prev.Value)
	}
	return fmt.Sprintf("%d %s %s was %s", e.Type, e.Item.Key, e.Item.Value, was)
}

// record is what one watcher was given.
type record struct {
	model    modelSelector
	after    store.Revision // begin, or the initial state's revision
	initial  []string
	events   []string
	err      error
	reached  store.Revision // the last batch's, or what Reached said at the end
	problems []string
}

func (r *record) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// follow drains a watcher until the context ends.
func (r *record) follow(ctx context.Context, w *Watcher, initial bool, dawdle func()) {
	for {
		b, err := w.Next(ctx)
		if err != nil {
			if r.err = err; errors.Is(err, context.Canceled) {
				r.reached = w.Reached()
			}
			return
		}
		if len(b.Events) == 0 && !b.InitialDone {
			r.problem("an empty batch")
		}
		for _, e := range b.Events {
			if initial {
				r.initial = append(r.initial, e.Item.Key+" "+string(e.Item.Value))
				continue
			}
			r.events = append(r.events, eventText(e))
			if e.Item.Revision > b.Reached {
				r.problem("an event at %d in a batch that reached %d", e.Item.Revision, b.Reached)
			}
			if e.Item.Revision <= r.reached {
				r.problem("an event at %d after %d was reached", e.Item.Revision, r.reached)
			}
		}
		if b.InitialDone {
			initial, r.after = false, b.Reached
		}
		if !initial {
			r.reached = b.Reached
		}
		dawdle()
	}
}

// verify compares with the model.
func (r *record) verify(t *testing.T, history []store.Event, last store.Revision) {
	t.Helper()
	for _, p := range r.problems {
		t.Error(p)
	}
	if r.initial != nil && r.after > 0 {
		if want := r.model.stateAt(history, r.after); !slices.Equal(want, r.initial) {
			t.Errorf("%+v: the initial state at %d\n got %q\nwant %q", r.model.selector, r.after, r.initial, want)
		}
	}
	want := r.model.expected(history, r.after)
	var expired *ExpiredError
	if errors.As(r.err, &expired) {
		want = want[:min(len(want), len(r.events))]
	} else if r.reached != max(last, r.after) {
		t.Errorf("%+v: reached %d, not %d: %v", r.model.selector, r.reached, last, r.err)
	}
	if !slices.Equal(want, r.events) {
		t.Errorf("%+v after %d (%v)\n got %q\nwant %q", r.model.selector, r.after, r.err, r.events, want)
	}
}

func TestWatchersSeeWhatTheModelSees(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for round := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, round))
		o := Options{}
		if round%3 == 0 {
			o.WindowEvents = 20 + rng.IntN(100)
		}
		historyRound(t, rng, o, round%4 == 1)
	}
}

// historyRound writes a random history while watchers come, go slowly or fast, and streams break.
func historyRound(t *testing.T, rng *rand.Rand, o Options, breaks bool) {
	f := newFakeStore()
	for range rng.IntN(50) {
		f.Commit(context.Background(), randomOps(rng)...)
	}
	o.Logger = quiet()
	c, tables := startCache(t, f, o, podSchema())
	table := tables[0]
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wait sync.WaitGroup
	var records []*record
	for range 400 {
		f.Commit(ctx, randomOps(rng)...)
		if breaks && rng.IntN(100) == 0 {
			f.breakStreams()
		}
		if rng.IntN(6) == 0 {
			if r := startWatcher(t, ctx, rng, table, c, &wait); r != nil {
				records = append(records, r)
			}
		}
		if rng.IntN(10) == 0 {
			checkReads(t, rng, f, table)
		}
	}
	settle(t, c)
	cancel()
	wait.Wait()
	if len(records) < 20 {
		t.Errorf("only %d watchers", len(records))
	}
	for _, r := range records {
		r.verify(t, f.history, f.rev)
	}
	table.mu.RLock()
	defer table.mu.RUnlock()
	checkIndexEmpty(t, &table.interest)
}

func checkIndexEmpty(t *testing.T, x *interest) {
	t.Helper()
	if got := len(x.watchers()); got != x.count {
		t.Errorf("the index holds %d watchers and counts %d", got, x.count)
	}
}

func startWatcher(t *testing.T, ctx context.Context, rng *rand.Rand, table *Table, c *Cache, wait *sync.WaitGroup) *record {
	r := &record{model: randomSelector(rng)}
	o := WatchOptions{Selector: r.model.selector}
	if o.Initial = rng.IntN(3) == 0; o.Initial {
		o.At.Consistency = []Consistency{Consistent, Any}[rng.IntN(2)]
	} else {
		r.after = max(0, c.Revision()-rng.Int64N(30)+3)
		o.After = r.after
	}
	// The watch itself must outlive ctx, which only ends the reading.
	w, err := patiently(func() (*Watcher, error) { return table.Watch(context.Background(), o) })
	var expired *ExpiredError
	if errors.As(err, &expired) && o.After < expired.Oldest {
		return nil
	}
	if err != nil {
		t.Error(err)
		return nil
	}
	pause := rng.IntN(3)
	wait.Go(func() {
		defer w.Stop()
		r.follow(ctx, w, o.Initial, func() { time.Sleep(time.Duration(pause*pause) * 200 * time.Microsecond) })
	})
	return r
}

// checkReads compares reads of the present and the past with the model.
func checkReads(t *testing.T, rng *rand.Rand, f *fakeStore, table *Table) {
	t.Helper()
	all := modelSelector{wants: func(_, value string) bool { return value != "" && value != "garbage" }}
	ctx := context.Background()
	s, err := patiently(func() (*Snapshot, error) { return table.Snapshot(ctx, At{Consistency: Consistent}) })
	if err != nil {
		t.Fatal(err)
	}
	if s.Revision() != f.rev {
		t.Errorf("a consistent snapshot at %d of %d", s.Revision(), f.rev)
	}
	if got, want := dump(s), all.stateAt(f.history, f.rev); !slices.Equal(got, want) {
		t.Errorf("at %d\n got %q\nwant %q", f.rev, got, want)
	}
	rev := max(0, f.rev-rng.Int64N(60))
	past, err := table.Snapshot(ctx, At{Consistency: Exact, Revision: rev})
	var expired *ExpiredError
	if errors.As(err, &expired) && rev < expired.Oldest {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if got, want := dump(past), all.stateAt(f.history, rev); !slices.Equal(got, want) || past.Revision() != rev {
		t.Errorf("in the past, at %d of %d\n got %q\nwant %q", rev, f.rev, got, want)
	}
}
