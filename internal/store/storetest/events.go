package storetest

import (
	"fmt"
	"testing"

	"github.com/proa-dev/proa/internal/store"
)

func testEvents(t *testing.T, s store.Store) {
	start := revision(t, s)
	commit(t, s, put("a", "1", store.MustNotExist))
	commit(t, s, put("a", "2", start+1))
	st := stream(t, s, start)
	expectList(t, describe(next(t, st, 2)),
		fmt.Sprintf("%d a nil@0>1", start+1), fmt.Sprintf("%d a 1@%d>2", start+2, start+1))
	if st.Reached() != start+2 {
		t.Fatalf("reached %d, want %d", st.Reached(), start+2)
	}
	commit(t, s, remove("a", start+2))
	commit(t, s, put("a", "4", store.MustNotExist))
	want := []string{fmt.Sprintf("%d a 2@%d>nil", start+3, start+2), fmt.Sprintf("%d a nil@0>4", start+4)}
	expectList(t, describe(next(t, st, 2)), want...)
	expectList(t, describe(next(t, stream(t, s, start+2), 2)), want...)
}

// testEventPrev keeps a model of the state and checks every event of a long past against it.
func testEventPrev(t *testing.T, s store.Store) {
	start := revision(t, s)
	state := map[string]store.KV{}
	var want []string
	for i := range 300 {
		key := fmt.Sprintf("k%d", i%7)
		old, exists := state[key]
		op := put(key, fmt.Sprintf("v%d", i), old.Revision)
		if exists && i%3 == 0 {
			op = remove(key, old.Revision)
		}
		rev := commit(t, s, op)
		want = append(want, describe([]store.Event{{Revision: rev, Key: key, Value: op.Value, Prev: old.Value, PrevRevision: old.Revision}})...)
		delete(state, key)
		if op.Value != nil {
			state[key] = store.KV{Value: op.Value, Revision: rev}
		}
	}
	expectList(t, describe(next(t, stream(t, s, start), len(want))), want...)
	expectList(t, describe(next(t, stream(t, s, start+150), 150)), want[150:]...)
}

func testEventsWholeCommits(t *testing.T, s store.Store) {
	start := revision(t, s)
	for i := range 100 {
		commit(t, s, put("a", fmt.Sprint(i), store.AnyRevision), put("b", fmt.Sprint(i), store.AnyRevision), put("c", fmt.Sprint(i), store.AnyRevision))
	}
	st := stream(t, s, start)
	for seen := store.Revision(0); seen < 100; {
		events, err := st.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(events)%3 != 0 {
			t.Fatalf("%d events in one Next: a commit was torn", len(events))
		}
		for i, e := range events {
			if want := start + 1 + seen + store.Revision(i/3); e.Revision != want || e.Key != string("abc"[i%3]) {
				t.Fatalf("event %d: %s at %d, want %c at %d", i, e.Key, e.Revision, "abc"[i%3], want)
			}
		}
		seen += store.Revision(len(events) / 3)
	}
}

func testEventsFuture(t *testing.T, s store.Store) {
	start := revision(t, s)
	st := stream(t, s, start+2)
	for i := range 4 {
		commit(t, s, put("a", fmt.Sprint(i), store.AnyRevision))
	}
	expectList(t, describe(next(t, st, 2)),
		fmt.Sprintf("%d a 1@%d>2", start+3, start+2), fmt.Sprintf("%d a 2@%d>3", start+4, start+3))
}

// testHint does not ask for hints, which are a favour, but that none is wrong.
func testHint(t *testing.T, s store.Store) {
	start := revision(t, s)
	st := stream(t, s, start)
	for i := range 10 {
		op := put("a", fmt.Sprint(i), store.AnyRevision)
		op.Hint = i
		commit(t, s, op)
	}
	for i, e := range next(t, st, 10) {
		if e.Hint != nil && e.Hint != i {
			t.Fatalf("event %d has the hint %v", i, e.Hint)
		}
	}
}

func testCompact(t *testing.T, s store.Store) {
	for i := range 10 {
		commit(t, s, put("a", fmt.Sprint(i), store.AnyRevision))
	}
	last := revision(t, s)
	if err := s.Compact(t.Context(), last-3); err != nil {
		t.Fatal(err)
	}
	if oldest, err := s.Oldest(t.Context()); err != nil || oldest != last-3 {
		t.Fatalf("oldest %d, %v; want %d", oldest, err, last-3)
	}
	_, err := s.Events(t.Context(), last-4)
	expectError(t, err, store.ErrCompacted)
	expectList(t, describe(next(t, stream(t, s, last-3), 3)),
		fmt.Sprintf("%d a 6@%d>7", last-2, last-3), fmt.Sprintf("%d a 7@%d>8", last-1, last-2), fmt.Sprintf("%d a 8@%d>9", last, last-1))
	if err := s.Compact(t.Context(), last-5); err != nil {
		t.Fatalf("compacting what is compacted: %v", err)
	}
	if oldest, _ := s.Oldest(t.Context()); oldest != last-3 {
		t.Fatalf("oldest went back to %d", oldest)
	}
	expectValue(t, s, "a", "9", last)
}

func testFallBehind(t *testing.T, s store.Store) {
	st := stream(t, s, revision(t, s))
	for i := range 10 {
		commit(t, s, put("a", fmt.Sprint(i), store.AnyRevision))
	}
	if err := s.Compact(t.Context(), revision(t, s)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := st.Next(t.Context())
		expectError(t, err, store.ErrCompacted)
	}
	rev := commit(t, s, put("b", "1", store.MustNotExist))
	expectList(t, describe(next(t, stream(t, s, rev-1), 1)), fmt.Sprintf("%d b nil@0>1", rev))
}
