package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/proa-dev/proa/internal/store"
)

func testPreconditions(t *testing.T, s store.Store) {
	one := commit(t, s, put("a", "1", store.MustNotExist))
	expectValue(t, s, "a", "1", one)
	_, err := s.Commit(t.Context(), put("a", "x", store.MustNotExist))
	expectError(t, err, store.ErrConflict)
	two := commit(t, s, put("a", "2", one))
	if two != one+1 {
		t.Fatalf("revision %d after %d: not the next one", two, one)
	}
	_, err = s.Commit(t.Context(), put("a", "x", one))
	expectError(t, err, store.ErrConflict)
	_, err = s.Commit(t.Context(), remove("a", one))
	expectError(t, err, store.ErrConflict)
	expectValue(t, s, "a", "2", two)
	commit(t, s, remove("a", two))
	expectValue(t, s, "a", "", 0)
	_, err = s.Commit(t.Context(), put("a", "x", two))
	expectError(t, err, store.ErrConflict)
	four := commit(t, s, put("a", "4", store.MustNotExist))
	if four != two+2 || revision(t, s) != four {
		t.Fatalf("revisions %d, %d: failed commits took revisions", four, revision(t, s))
	}
}

func testConflictError(t *testing.T, s store.Store) {
	rev := commit(t, s, put("a", "1", store.MustNotExist))
	for _, c := range []struct {
		op     store.Op
		actual store.KV
	}{
		{put("a", "x", store.MustNotExist), store.KV{Key: "a", Value: []byte("1"), Revision: rev}},
		{put("a", "x", rev+7), store.KV{Key: "a", Value: []byte("1"), Revision: rev}},
		{remove("a", rev+7), store.KV{Key: "a", Value: []byte("1"), Revision: rev}},
		{put("b", "x", rev), store.KV{Key: "b"}},
		{remove("b", rev), store.KV{Key: "b"}},
		{remove("b", store.AnyRevision), store.KV{Key: "b"}},
	} {
		_, err := s.Commit(t.Context(), c.op)
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) {
			t.Fatalf("%v: error %v is no ConflictError", c.op, err)
		}
		got := conflict.Actual
		if conflict.Key != c.op.Key || conflict.Expect != c.op.Expect || got.Key != c.actual.Key ||
			string(got.Value) != string(c.actual.Value) || got.Revision != c.actual.Revision {
			t.Fatalf("%v: conflict %+v; want actual %+v", c.op, conflict, c.actual)
		}
	}
}

func testAnyRevision(t *testing.T, s store.Store) {
	commit(t, s, put("a", "1", store.AnyRevision))
	rev := commit(t, s, put("a", "2", store.AnyRevision))
	expectValue(t, s, "a", "2", rev)
	commit(t, s, remove("a", store.AnyRevision))
	expectValue(t, s, "a", "", 0)
}

func testAtomicity(t *testing.T, s store.Store) {
	rev := commit(t, s, put("a", "1", store.MustNotExist), put("b", "1", store.MustNotExist), put("c", "1", store.AnyRevision))
	for _, key := range []string{"a", "b", "c"} {
		expectValue(t, s, key, "1", rev)
	}
	_, err := s.Commit(t.Context(), put("a", "2", rev), remove("b", rev), put("c", "2", rev+1), put("d", "2", store.MustNotExist))
	expectError(t, err, store.ErrConflict)
	for _, key := range []string{"a", "b", "c"} {
		expectValue(t, s, key, "1", rev)
	}
	expectValue(t, s, "d", "", 0)
	two := commit(t, s, put("a", "2", rev), remove("b", rev), put("d", "2", store.MustNotExist))
	expectValue(t, s, "a", "2", two)
	expectValue(t, s, "b", "", 0)
	expectValue(t, s, "c", "1", rev)
	expectValue(t, s, "d", "2", two)
}

// What is only checked decides, and is left as it is: it has no event, and keeps its revision.
func testChecks(t *testing.T, s store.Store) {
	rev := commit(t, s, put("a", "1", store.MustNotExist))
	two := commit(t, s, check("a", rev), put("b", "2", store.MustNotExist), check("c", store.MustNotExist))
	expectValue(t, s, "a", "1", rev)
	expectValue(t, s, "b", "2", two)
	expectValue(t, s, "c", "", 0)
	for _, c := range []struct {
		op     store.Op
		actual store.Revision
	}{{check("a", two), rev}, {check("a", store.MustNotExist), rev}, {check("c", two), 0}} {
		_, err := s.Commit(t.Context(), put("b", "x", two), c.op)
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) || conflict.Key != c.op.Key || conflict.Actual.Revision != c.actual {
			t.Fatalf("%v: error %v; want a conflict with revision %d", c.op, err, c.actual)
		}
	}
	expectValue(t, s, "b", "2", two)
	three := commit(t, s, remove("b", two), check("a", rev))
	expectList(t, describe(next(t, stream(t, s, rev), 2)), fmt.Sprintf("%d b nil@0>2", two), fmt.Sprintf("%d b 2@%d>nil", three, two))
	past := snapshotAt(t, s, two)
	expectList(t, list(t, past, store.Range{}), fmt.Sprintf("a=1@%d", rev), fmt.Sprintf("b=2@%d", two))
}

func testBadCommit(t *testing.T, s store.Store) {
	for name, ops := range map[string][]store.Op{
		"nothing":           {},
		"a key twice":       {put("a", "1", store.AnyRevision), put("b", "1", store.AnyRevision), put("a", "2", store.AnyRevision)},
		"negative revision": {put("a", "1", -2)},
		"negative TTL":      {{Key: "a", Value: []byte("1"), TTL: -time.Second}},
		"only checks":       {check("a", store.MustNotExist)},
		"check of nothing":  {check("a", store.AnyRevision), put("b", "1", store.AnyRevision)},
		"check that writes": {{Key: "a", Value: []byte("1"), Check: true}, put("b", "1", store.AnyRevision)},
	} {
		if rev, err := s.Commit(t.Context(), ops...); err == nil {
			t.Fatalf("%s: committed at %d", name, rev)
		}
	}
	expectValue(t, s, "a", "", 0)
}

func testEmptyValue(t *testing.T, s store.Store) {
	rev := commit(t, s, store.Op{Key: "a", Value: []byte{}, Expect: store.MustNotExist})
	kv, err := s.Get(t.Context(), "a")
	if err != nil || kv.Value == nil || len(kv.Value) != 0 || kv.Revision != rev {
		t.Fatalf("get: %+v, %v", kv, err)
	}
	two := commit(t, s, put("a", "2", rev))
	for _, e := range [][]store.Event{next(t, stream(t, s, rev), 1)} {
		if e[0].Prev == nil || len(e[0].Prev) != 0 {
			t.Fatalf("prev of an update of an empty value: %#v", e[0].Prev)
		}
	}
	commit(t, s, store.Op{Key: "a", Value: []byte{}, Expect: two})
	if e := next(t, stream(t, s, two), 1)[0]; e.Value == nil || len(e.Value) != 0 {
		t.Fatalf("value of an update to an empty value: %#v", e.Value)
	}
}

func testTTL(t *testing.T, s store.Store) {
	keep := commit(t, s, put("keep", "1", store.MustNotExist))
	rev := commit(t, s, store.Op{Key: "a", Value: []byte("1"), TTL: time.Second},
		store.Op{Key: "b", Value: []byte("1"), TTL: time.Hour})
	gone := next(t, stream(t, s, rev), 1)
	expectList(t, describe(gone), fmt.Sprintf("%d a 1@%d>nil", rev+1, rev))
	expectValue(t, s, "a", "", 0)
	expectValue(t, s, "b", "1", rev)
	expectValue(t, s, "keep", "1", keep)
}

func testTTLRenewed(t *testing.T, s store.Store) {
	for ttl := time.Second; ; ttl *= 2 {
		rev := commit(t, s, store.Op{Key: "a", Value: []byte("1"), TTL: ttl}, store.Op{Key: "b", Value: []byte("1"), TTL: ttl},
			store.Op{Key: "z", Value: []byte("1"), TTL: 2 * ttl})
		renewed, err := s.Commit(t.Context(), store.Op{Key: "a", Value: []byte("2"), Expect: rev, TTL: time.Hour}, put("b", "2", rev))
		if errors.Is(err, store.ErrConflict) && ttl < patience {
			next(t, stream(t, s, rev), 3) // it was too late for that
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		gone := next(t, stream(t, s, renewed), 1)
		expectList(t, describe(gone), fmt.Sprintf("%d z 1@%d>nil", renewed+1, rev))
		expectValue(t, s, "a", "2", renewed)
		expectValue(t, s, "b", "2", renewed)
		return
	}
}

func testContext(t *testing.T, s store.Store) {
	rev := commit(t, s, put("a", "1", store.MustNotExist))
	st := stream(t, s, rev)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	_, err := st.Next(ctx)
	expectError(t, err, context.Canceled)
	commit(t, s, put("a", "2", rev))
	_, err = st.Next(t.Context())
	expectError(t, err, context.Canceled)
	_, err = s.Commit(ctx, put("b", "1", store.MustNotExist))
	expectError(t, err, context.Canceled)
	_, err = s.Get(ctx, "a")
	expectError(t, err, context.Canceled)
	_, err = s.Snapshot(ctx)
	expectError(t, err, context.Canceled)
	_, err = s.Events(ctx, rev)
	expectError(t, err, context.Canceled)
}

func testClose(t *testing.T, s store.Store) {
	rev := commit(t, s, put("a", "1", store.MustNotExist))
	snap := snapshot(t, s)
	st := stream(t, s, rev)
	waiting := make(chan error)
	go func() {
		_, err := st.Next(context.Background())
		waiting <- err
	}()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	expectError(t, <-waiting, store.ErrClosed)
	_, err := st.Next(t.Context())
	expectError(t, err, store.ErrClosed)
	_, err = s.Commit(t.Context(), put("b", "1", store.MustNotExist))
	expectError(t, err, store.ErrClosed)
	_, err = s.Get(t.Context(), "a")
	expectError(t, err, store.ErrClosed)
	_, err = s.Revision(t.Context())
	expectError(t, err, store.ErrClosed)
	_, err = s.Snapshot(t.Context())
	expectError(t, err, store.ErrClosed)
	_, err = s.SnapshotAt(t.Context(), rev)
	expectError(t, err, store.ErrClosed)
	_, err = s.Events(t.Context(), rev)
	expectError(t, err, store.ErrClosed)
	_, err = snap.Get("a")
	expectError(t, err, store.ErrClosed)
	expectError(t, snap.Range(store.Range{}, func(store.KV) bool { return true }), store.ErrClosed)
}
