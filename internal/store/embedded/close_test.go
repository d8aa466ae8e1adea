package embedded

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/proa-dev/proa/internal/store"
)

// TestFailureWhileClosing fails each write of closing in turn. Close must not wait for what never returns.
func TestFailureWhileClosing(t *testing.T) {
	for after := range int64(20) {
		mem := vfs.NewCrashableMem()
		var left atomic.Int64
		left.Store(1 << 60)
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpLock && op.Kind != errorfs.OpRemove && left.Add(-1) < 0 {
				return fmt.Errorf("injected: %w", syscall.EIO)
			}
			return nil
		}))
		e, err := Open(Options{Dir: "/store", FS: fs, Durability: Batch, SyncInterval: time.Hour})
		must(t, err)
		put(t, e, "a", "1")
		left.Store(after)
		closed := make(chan error, 1)
		go func() { closed <- e.Close() }()
		select {
		case err = <-closed:
		case <-time.After(20 * time.Second):
			t.Fatalf("a failure after %d writes: Close does not return", after)
		}
		if failed := left.Load() < 0; failed != (err != nil) {
			t.Fatalf("a failure after %d writes: %v", after, err)
		}
		again, err := Open(Options{Dir: "/store", FS: mem})
		must(t, err)
		checkKeys(t, again, "a=1@1")
		must(t, again.Close())
	}
}

// TestCloseWhileIndexIsWritten holds the index's writing back until the engine closes the log, which nobody synced.
func TestCloseWhileIndexIsWritten(t *testing.T) {
	opts := Options{Dir: t.TempDir(), Durability: Memory}
	var writing atomic.Bool
	held := make(chan struct{})
	opts.FS = errorfs.Wrap(machine(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") {
			writing.Store(true)
			<-held
		}
		return nil
	}))
	e, err := Open(opts)
	must(t, err)
	put(t, e, "a", "1")
	_, err = e.db.AsyncFlush()
	must(t, err)
	waitFor(t, "the index to be written", writing.Load)
	closed := make(chan error, 1)
	go func() { closed <- e.Close() }()
	waitFor(t, "readers to be gone", func() bool {
		_, err := e.Revision(context.Background())
		return errors.Is(err, store.ErrClosed)
	})
	time.Sleep(10 * time.Millisecond) // for Close to do what it can
	close(held)
	select {
	case err := <-closed:
		must(t, err)
	case <-time.After(20 * time.Second):
		t.Fatal("Close does not return")
	}
}
