package embedded

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/proa-dev/proa/internal/store"
)

func mustCommit(t *testing.T, e *Engine, ops ...store.Op) store.Revision {
	t.Helper()
	rev, err := e.Commit(context.Background(), ops...)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func oldest(t *testing.T, e *Engine) store.Revision {
	t.Helper()
	rev, err := e.Oldest(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// openVirtual opens a store for use in virtual time.
func openVirtual(t *testing.T, opts Options) *Engine {
	t.Helper()
	opts.Dir = "/store"
	e, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func closeVirtual(t *testing.T, e *Engine) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// TestExpiryIsPunctual lets keys of many lives expire, over a restart, and looks just before and just
// after each one's time.
func TestExpiryIsPunctual(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := Options{FS: vfs.NewMem()}
		e := openVirtual(t, opts)
		for i := 1; i <= 50; i++ {
			mustCommit(t, e, store.Op{Key: fmt.Sprintf("k%d", i), Value: []byte("v"), TTL: time.Duration(i) * time.Minute})
		}
		for i := 1; i <= 50; i++ {
			time.Sleep(time.Minute - 2*time.Second)
			if i == 25 {
				closeVirtual(t, e)
				e = openVirtual(t, opts)
			}
			key := fmt.Sprintf("k%d", i)
			if _, err := e.Get(context.Background(), key); err != nil {
				t.Fatalf("%s before its time: %v", key, err)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if i == 30 {
				continue
			}
			if _, err := e.Get(context.Background(), key); !errors.Is(err, store.ErrNotFound) {
				t.Fatalf("%s after its time: %v", key, err)
			}
		}
		closeVirtual(t, e)
	})
}

// TestExpiryOfMany has more keys due at once than are deleted in one go.
func TestExpiryOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := openVirtual(t, Options{FS: vfs.NewMem()})
		defer closeVirtual(t, e)
		ops := make([]store.Op, 3*expirePage+7)
		for i := range ops {
			ops[i] = store.Op{Key: fmt.Sprintf("k%d", i), Value: []byte("v"), TTL: time.Hour}
		}
		rev := mustCommit(t, e, ops...)
		time.Sleep(time.Hour + 5*time.Second)
		synctest.Wait()
		if now, _ := e.Revision(context.Background()); now != rev+int64(len(ops)) {
			t.Fatalf("%d of %d keys expired", now-rev, len(ops))
		}
	})
}

// TestHistoryByAge checks that the window holds at least what was asked for and not much more, and that
// an idle store's history ends too.
func TestHistoryByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const window = 10 * time.Minute
		opts := Options{FS: vfs.NewMem(), WatchHistory: window}
		e := openVirtual(t, opts)
		start := time.Now()
		at := map[store.Revision]time.Time{}
		for i := range 120 {
			at[mustCommit(t, e, store.Op{Key: "a", Value: []byte("v"), Expect: store.AnyRevision})] = time.Now()
			time.Sleep(15 * time.Second)
			synctest.Wait()
			if i == 60 {
				closeVirtual(t, e)
				e = openVirtual(t, opts)
			}
			old := oldest(t, e)
			if age := time.Since(at[old]); old > 0 && age < window {
				t.Fatalf("at %v: a commit was forgotten at the age of %v", time.Since(start), age)
			}
			if age := time.Since(at[old+1]); age > window+window/8 {
				t.Fatalf("at %v: a commit is remembered at the age of %v", time.Since(start), age)
			}
		}
		time.Sleep(2 * window)
		synctest.Wait()
		if last, _ := e.Revision(context.Background()); oldest(t, e) != last {
			t.Fatalf("idle at revision %d, history goes back to %d", last, oldest(t, e))
		}
		mustCommit(t, e, store.Op{Key: "a", Value: []byte("v"), Expect: store.AnyRevision})
		time.Sleep(2 * window)
		synctest.Wait()
		if last, _ := e.Revision(context.Background()); oldest(t, e) != last {
			t.Fatal("the first commit after a rest is never forgotten")
		}
		closeVirtual(t, e)
	})
}

// TestHistoryBySize checks that the log stays within its bound and no shorter than half of it.
func TestHistoryBySize(t *testing.T) {
	const limit = 1 << 20
	e := openTest(t, Options{Dir: t.TempDir(), WatchHistoryBytes: limit, TailBytes: 1})
	ctx := context.Background()
	value := make([]byte, 10_000)
	for range 1000 {
		mustCommit(t, e, store.Op{Key: "a", Value: value, Expect: store.AnyRevision})
	}
	waitFor(t, "the log to be cut", func() bool { last, _ := e.Revision(ctx); return last-oldest(t, e) <= limit/10_000*9/8+1 })
	if last, _ := e.Revision(ctx); last-oldest(t, e) < limit/10_000/2 {
		t.Fatalf("only %d commits are left", last-oldest(t, e))
	}
	checkHistory(t, e)
	if _, err := e.Events(ctx, 0); !errors.Is(err, store.ErrCompacted) {
		t.Fatalf("events from the beginning: %v", err)
	}
}

// TestBatchSyncs checks that with Batch a commit reaches the device within the interval.
func TestBatchSyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewCrashableMem()
		e := openVirtual(t, Options{FS: fs, Durability: Batch, SyncInterval: time.Second})
		rev := mustCommit(t, e, store.Op{Key: "a", Value: []byte("v")})
		time.Sleep(time.Second)
		synctest.Wait()
		crashed := openVirtual(t, Options{FS: fs.CrashClone(vfs.CrashCloneCfg{})})
		if kv, err := crashed.Get(context.Background(), "a"); err != nil || kv.Revision != rev {
			t.Fatalf("after a crash: %+v, %v", kv, err)
		}
		closeVirtual(t, crashed)
		closeVirtual(t, e)
	})
}
