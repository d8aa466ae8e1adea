package embedded

import (
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/proa-dev/proa/internal/store"
)

// A cut that has begun and is lost in a crash leaves the whole history, with what was committed meanwhile.
func TestLostCut(t *testing.T) {
	mem := vfs.NewCrashableMem()
	e, err := Open(Options{Dir: "/store", FS: mem})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for _, value := range []string{"first", "second", "third"} {
		rev, err := e.Commit(ctx, store.Op{Key: "k", Value: []byte(value), Expect: store.AnyRevision})
		if err != nil {
			t.Fatal(err)
		}
		e.history.oldest.Store(rev) // what a cut up to here does first
	}
	crashed := mem.CrashClone(vfs.CrashCloneCfg{})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(Options{Dir: "/store", FS: crashed, TailBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if oldest, err := again.Oldest(ctx); err != nil || oldest != 0 {
		t.Errorf("the history begins after %d, %v", oldest, err)
	}
	checkHistory(t, again)
}
