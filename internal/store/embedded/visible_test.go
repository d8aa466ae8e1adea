package embedded

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/proa-dev/proa/internal/store"
)

// TestNothingShowsBeforeItIsDurable holds the sync of a commit back and looks for traces of it.
func TestNothingShowsBeforeItIsDurable(t *testing.T) {
	var hold atomic.Pointer[chan struct{}]
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData {
			if c := hold.Load(); c != nil {
				<-*c
			}
		}
		return nil
	}))
	e := openTest(t, Options{Dir: "/store", FS: fs})
	ctx := context.Background()
	rev := mustCommit(t, e, store.Op{Key: "a", Value: []byte("1")})
	st, err := e.Events(ctx, rev)
	if err != nil {
		t.Fatal(err)
	}
	gate := make(chan struct{})
	hold.Store(&gate)

	committed := make(chan error, 1)
	go func() {
		_, err := e.Commit(ctx, store.Op{Key: "a", Value: []byte("2"), Expect: rev})
		committed <- err
	}()
	waitFor(t, "the write to be in the index", func() bool {
		var live liveRecord
		k := liveKey("a")
		_, err := get(e.db, k, func(record []byte) (err error) {
			live, err = decodeLive(k, record)
			return err
		})
		return err == nil && live.revision > rev
	})
	conflicted := make(chan error, 1)
	go func() {
		_, err := e.Commit(ctx, store.Op{Key: "a", Value: []byte("3"), Expect: rev})
		conflicted <- err
	}()
	time.Sleep(20 * time.Millisecond)

	if kv, err := e.Get(ctx, "a"); err != nil || string(kv.Value) != "1" {
		t.Errorf("get: %q, %v", kv.Value, err)
	}
	if now, _ := e.Revision(ctx); now != rev {
		t.Errorf("revision %d", now)
	}
	snap, err := e.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	if kv, _ := snap.Get("a"); snap.Revision() != rev || string(kv.Value) != "1" {
		t.Errorf("snapshot at %d: %q", snap.Revision(), kv.Value)
	}
	if n := len(e.tail.grownCommits(rev)); n != 0 {
		t.Errorf("%d commits in the tail", n)
	}
	select {
	case err := <-committed:
		t.Errorf("the commit was acknowledged: %v", err)
	case err := <-conflicted:
		t.Errorf("a conflict with the commit was reported: %v", err)
	default:
	}

	hold.Store(nil)
	close(gate)
	if err := <-committed; err != nil {
		t.Error(err)
	}
	var conflict *store.ConflictError
	if err := <-conflicted; !errors.As(err, &conflict) || string(conflict.Actual.Value) != "2" {
		t.Errorf("the second commit: %v", err)
	}
	if events, err := st.Next(ctx); err != nil || len(events) != 1 || string(events[0].Value) != "2" {
		t.Errorf("events: %v, %v", events, err)
	}
}

// grownCommits is what a stream that has reached the revision would get without waiting.
func (t *tail) grownCommits(rev store.Revision) [][]store.Event {
	commits, _, _, _ := t.after(rev)
	return commits
}
