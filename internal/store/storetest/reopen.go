package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/proa-dev/proa/internal/store"
)

// RunReopen tests stores that survive Close. The function that newStore returns opens the same store
// again and again; the store before is closed by then.
func RunReopen(t *testing.T, newStore func(t *testing.T) (reopen func(t *testing.T) store.Store)) {
	for name, test := range map[string]func(*testing.T, func(*testing.T) store.Store){
		"revisions go on":                   testReopenRevision,
		"history goes on":                   testReopenHistory,
		"what was compacted stays so":       testReopenCompacted,
		"time to live goes on":              testReopenTTL,
		"an empty store stays an empty one": testReopenEmpty,
		"past states stay":                  testReopenPast,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newStore(t))
		})
	}
}

func closeStore(t *testing.T, s store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func testReopenEmpty(t *testing.T, reopen func(*testing.T) store.Store) {
	s := reopen(t)
	first := revision(t, s)
	for range 3 {
		closeStore(t, s)
		s = reopen(t)
		if rev := revision(t, s); rev != first {
			t.Fatalf("revision %d became %d", first, rev)
		}
	}
	commit(t, s, put("a", "1", store.MustNotExist))
}

func testReopenRevision(t *testing.T, reopen func(*testing.T) store.Store) {
	s := reopen(t)
	last := revision(t, s)
	for i := range 5 {
		for range 10 {
			rev := commit(t, s, put("a", fmt.Sprint(i), store.AnyRevision))
			if rev != last+1 {
				t.Fatalf("revision %d after %d", rev, last)
			}
			last = rev
		}
		if i%2 == 1 {
			last = commit(t, s, remove("a", last)) // the last revision is no key's
		}
		closeStore(t, s)
		s = reopen(t)
		if rev := revision(t, s); rev != last {
			t.Fatalf("revision %d became %d", last, rev)
		}
	}
	expectValue(t, s, "a", "4", last)
}

func testReopenHistory(t *testing.T, reopen func(*testing.T) store.Store) {
	s := reopen(t)
	start := revision(t, s)
	for i := range 50 {
		commit(t, s, put(fmt.Sprintf("k%d", i%3), fmt.Sprint(i), store.AnyRevision))
		if i%10 == 9 {
			commit(t, s, remove(fmt.Sprintf("k%d", i%3), store.AnyRevision))
		}
	}
	want := describe(next(t, stream(t, s, start), 55))
	for range 2 {
		closeStore(t, s)
		s = reopen(t)
		expectList(t, describe(next(t, stream(t, s, start), 55)), want...)
	}
	st := stream(t, s, start+50)
	expectList(t, describe(next(t, st, 5)), want[50:]...)
	rev := commit(t, s, put("new", "1", store.MustNotExist))
	expectList(t, describe(next(t, st, 1)), fmt.Sprintf("%d new nil@0>1", rev))
}

func testReopenCompacted(t *testing.T, reopen func(*testing.T) store.Store) {
	s := reopen(t)
	for i := range 10 {
		commit(t, s, put("a", fmt.Sprint(i), store.AnyRevision))
	}
	last := revision(t, s)
	if err := s.Compact(t.Context(), last-2); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	s = reopen(t)
	if oldest, err := s.Oldest(t.Context()); err != nil || oldest != last-2 {
		t.Fatalf("oldest %d, %v; want %d", oldest, err, last-2)
	}
	_, err := s.Events(t.Context(), last-3)
	expectError(t, err, store.ErrCompacted)
	next(t, stream(t, s, last-2), 2)
}

func testReopenTTL(t *testing.T, reopen func(*testing.T) store.Store) {
	s := reopen(t)
	rev := commit(t, s, store.Op{Key: "a", Value: []byte("1"), TTL: time.Second}, put("b", "1", store.MustNotExist))
	closeStore(t, s)
	s = reopen(t)
	expectList(t, describe(next(t, stream(t, s, rev), 1)), fmt.Sprintf("%d a 1@%d>nil", rev+1, rev))
	expectValue(t, s, "b", "1", rev)
}
