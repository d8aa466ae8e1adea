package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/proa-dev/proa/internal/store"
)

func snapshotAt(t *testing.T, s store.Store, at store.Revision) store.Snapshot {
	t.Helper()
	snap, err := s.SnapshotAt(t.Context(), at)
	if err != nil {
		t.Fatalf("snapshot at %d: %v", at, err)
	}
	t.Cleanup(func() { snap.Close() })
	if snap.Revision() != at {
		t.Fatalf("the snapshot at %d says %d", at, snap.Revision())
	}
	return snap
}

func testPast(t *testing.T, s store.Store) {
	start := revision(t, s)
	one := commit(t, s, put("a", "1", store.MustNotExist), put("b", "1", store.MustNotExist), put("c", "1", store.MustNotExist))
	two := commit(t, s, put("a", "2", one), remove("b", one))
	three := commit(t, s, put("b", "3", store.MustNotExist), put("d", "3", store.MustNotExist))
	four := commit(t, s, remove("a", two), remove("d", three), put("e", "", store.MustNotExist))
	state := map[store.Revision][]string{
		start: nil,
		one:   {fmt.Sprintf("a=1@%d", one), fmt.Sprintf("b=1@%d", one), fmt.Sprintf("c=1@%d", one)},
		two:   {fmt.Sprintf("a=2@%d", two), fmt.Sprintf("c=1@%d", one)},
		three: {fmt.Sprintf("a=2@%d", two), fmt.Sprintf("b=3@%d", three), fmt.Sprintf("c=1@%d", one), fmt.Sprintf("d=3@%d", three)},
		four:  {fmt.Sprintf("b=3@%d", three), fmt.Sprintf("c=1@%d", one), fmt.Sprintf("e=@%d", four)},
	}
	for at, want := range state {
		snap := snapshotAt(t, s, at)
		expectList(t, list(t, snap, store.Range{}), want...)
		expectList(t, list(t, snap, store.Range{Start: "b", Limit: 2}), between(want, "b", "", 2)...)
		expectList(t, list(t, snap, store.Range{Start: "a\x00", End: "d"}), between(want, "a\x00", "d", 0)...)
		for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
			kv, err := snap.Get(key)
			if is := between(want, key, key+"\x00", 0); len(is) == 0 {
				expectError(t, err, store.ErrNotFound)
			} else if got := fmt.Sprintf("%s=%s@%d", kv.Key, kv.Value, kv.Revision); err != nil || got != is[0] {
				t.Fatalf("%s at %d: %s, %v; want %s", key, at, got, err, is[0])
			}
		}
	}
	_, err := s.SnapshotAt(t.Context(), four+1)
	expectError(t, err, store.ErrFuture)

	// A commit after it does not change the past, and compaction takes it away.
	snap := snapshotAt(t, s, three)
	commit(t, s, put("c", "5", one), put("a", "5", store.MustNotExist))
	expectList(t, list(t, snap, store.Range{}), state[three]...)
	if err := s.Compact(t.Context(), three); err != nil {
		t.Fatal(err)
	}
	expectList(t, list(t, snapshotAt(t, s, three), store.Range{}), state[three]...)
	_, err = s.SnapshotAt(t.Context(), two)
	expectError(t, err, store.ErrCompacted)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.SnapshotAt(canceled, three)
	expectError(t, err, context.Canceled)
}

// between is the part of a list ("key=value@revision") from start to end, which is empty for all.
func between(all []string, start, end string, limit int) (part []string) {
	for _, text := range all {
		key := text[:slices.Index([]byte(text), '=')]
		if key >= start && (end == "" || key < end) && (limit == 0 || len(part) < limit) {
			part = append(part, text)
		}
	}
	return part
}

// history is random commits and the state after each of them.
type history struct {
	r      *rand.Rand
	states map[store.Revision]map[string]store.KV
	last   store.Revision
}

func newHistory(t *testing.T, s store.Store) *history {
	h := &history{r: rand.New(rand.NewPCG(newSeed(t), 0)), last: revision(t, s)}
	h.states = map[store.Revision]map[string]store.KV{h.last: {}}
	return h
}

// write makes n commits.
func (h *history) write(t *testing.T, s store.Store, n int) {
	t.Helper()
	for i := range n {
		state := maps.Clone(h.states[h.last])
		var ops []store.Op
		for len(ops) == 0 {
			for k := range 1 + h.r.IntN(3) {
				key := fmt.Sprintf("k%d", 10*k+h.r.IntN(10))
				if old, exists := state[key]; exists && h.r.IntN(3) == 0 {
					ops = append(ops, remove(key, old.Revision))
				} else {
					ops = append(ops, put(key, fmt.Sprint(i), old.Revision))
				}
			}
		}
		h.last = commit(t, s, ops...)
		for _, op := range ops {
			delete(state, op.Key)
			if op.Value != nil {
				state[op.Key] = store.KV{Key: op.Key, Value: op.Value, Revision: h.last}
			}
		}
		h.states[h.last] = state
	}
}

// check reads n random ranges of random revisions from the oldest on.
func (h *history) check(t *testing.T, s store.Store, oldest store.Revision, n int) {
	t.Helper()
	for range n {
		at := oldest + h.r.Int64N(h.last-oldest+1)
		want := describeState(h.states[at])
		snap := snapshotAt(t, s, at)
		r := store.Range{Start: fmt.Sprintf("k%d", h.r.IntN(30)), Limit: h.r.IntN(4)}
		if h.r.IntN(2) == 0 {
			r.End = fmt.Sprintf("k%d", h.r.IntN(30))
		}
		t.Logf("%+v at %d", r, at)
		expectList(t, list(t, snap, r), between(want, r.Start, r.End, r.Limit)...)
		expectList(t, list(t, snap, store.Range{}), want...)
		snap.Close()
	}
}

func describeState(state map[string]store.KV) (all []string) {
	for _, key := range slices.Sorted(maps.Keys(state)) {
		all = append(all, fmt.Sprintf("%s=%s@%d", key, state[key].Value, state[key].Revision))
	}
	return all
}

func testPastRandom(t *testing.T, s store.Store) {
	h := newHistory(t, s)
	start := h.last
	h.write(t, s, 100)
	h.check(t, s, start, 30)
	middle := start + 50
	if err := s.Compact(t.Context(), middle); err != nil {
		t.Fatal(err)
	}
	h.write(t, s, 30)
	h.check(t, s, middle, 30)
}

// testPastUnderWriters reads pages of one past revision, each from a snapshot of its own, while others
// write: together they are the state at that revision.
func testPastUnderWriters(t *testing.T, s store.Store) {
	h := newHistory(t, s)
	h.write(t, s, 60)
	at := h.last - 20
	want := describeState(h.states[at])
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			_, err := s.Commit(ctx, put(fmt.Sprintf("k%d", i%30), "later", store.AnyRevision))
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("commit: %v", err)
			}
		}
	}()
	for range 20 {
		var got []string
		page := store.Range{Limit: 3}
		for {
			part := list(t, snapshotAt(t, s, at), page)
			got = append(got, part...)
			if len(part) < page.Limit {
				break
			}
			last := part[len(part)-1]
			page.Start = last[:slices.Index([]byte(last), '=')] + "\x00"
		}
		expectList(t, got, want...)
	}
	stop()
	<-done
}

func testReopenPast(t *testing.T, reopen func(*testing.T) store.Store) {
	s := reopen(t)
	h := newHistory(t, s)
	start := h.last
	h.write(t, s, 60)
	closeStore(t, s)
	s = reopen(t)
	h.check(t, s, start, 10)
	if err := s.Compact(t.Context(), start+30); err != nil {
		t.Fatal(err)
	}
	h.write(t, s, 10)
	closeStore(t, s)
	s = reopen(t)
	h.check(t, s, start+30, 10)
	_, err := s.SnapshotAt(t.Context(), start+29)
	expectError(t, err, store.ErrCompacted)
}
