package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/proa-dev/proa/internal/store"
)

// A state that has left the window, or was before a restart, is the store's to show.
func TestBeyondTheWindow(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	states := map[int64][]string{}
	want := func(table *Table, rev int64) {
		t.Helper()
		s, err := table.Snapshot(ctx, At{Consistency: Exact, Revision: rev})
		if err != nil {
			t.Fatalf("at %d: %v", rev, err)
		}
		if got := dump(s); !slices.Equal(got, states[rev]) || s.Revision() != rev {
			t.Errorf("at %d\n got %q\nwant %q", rev, got, states[rev])
		}
	}
	for life := range 2 {
		s := openEmbedded(t, fs)
		run, stop := context.WithCancel(ctx)
		c := New(s, Options{WindowEvents: 3, Logger: quiet()})
		tables, err := c.AddAll(ctx, []Schema{podSchema()})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- c.Run(run) }()
		if err := c.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			rev, err := s.Commit(ctx, store.Op{Key: fmt.Sprintf("%s%d", podPrefix, i%4), Value: fmt.Appendf(nil, "||%d/%d", life, i), Expect: store.AnyRevision})
			if err != nil {
				t.Fatal(err)
			}
			settle(t, c)
			now, err := tables[0].Snapshot(ctx, At{})
			if err != nil {
				t.Fatal(err)
			}
			states[rev] = dump(now)
		}
		for rev := range states {
			want(tables[0], rev)
		}
		if life == 1 {
			if err := s.Compact(ctx, 5); err != nil {
				t.Fatal(err)
			}
			want(tables[0], 5)
			var expired *ExpiredError
			if _, err := tables[0].Snapshot(ctx, At{Consistency: Exact, Revision: 4}); !errors.As(err, &expired) {
				t.Errorf("below what the store has: %v", err)
			}
		}
		stop()
		<-done
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What was read is kept for the pages that follow, shares what has not changed, and goes after a while.
func TestBeyondIsKeptForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		f.put(podPrefix+"a", "||1")
		f.put(podPrefix+"b", "||1")
		c, tables := startCache(t, f, Options{WindowEvents: 1}, podSchema())
		table := tables[0]
		for i := range 4 {
			f.put(podPrefix+"b", fmt.Sprintf("||%d", i+2))
		}
		settle(t, c)
		read := func() *Snapshot {
			t.Helper()
			s, err := table.Snapshot(t.Context(), At{Consistency: Exact, Revision: 3})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		first := read()
		if read() != first {
			t.Error("it was read twice")
		}
		now, _ := table.Snapshot(t.Context(), At{})
		present, _ := now.Get("a")
		if past, _ := first.Get("a"); past != present {
			t.Error("an object that has not changed is there twice")
		}
		time.Sleep(keepBeyond)
		synctest.Wait()
		if read() == first {
			t.Error("it is kept for ever")
		}
		f.Compact(t.Context(), 5)
		time.Sleep(keepBeyond)
		synctest.Wait()
		var expired *ExpiredError
		if _, err := table.Snapshot(t.Context(), At{Consistency: Exact, Revision: 3}); !errors.As(err, &expired) {
			t.Errorf("below what the store has: %v", err)
		}
	})
}
