package embedded

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/proa-dev/proa/internal/store"
)

// TestSizeIsBounded overwrites few keys for long: what was replaced does not stay on the device, although values lie in
// files of their own, which go when nothing in them is wanted.
func TestSizeIsBounded(t *testing.T) {
	const keys, perCommit, live = 1000, 50, 2 << 20
	e := openTest(t, Options{Dir: t.TempDir(), Durability: Batch, MemTableBytes: 1 << 20, WatchHistoryBytes: 1 << 20})
	r := rand.NewChaCha8([32]byte{1})
	written := 0
	for written < 64*live {
		ops := make([]store.Op, 0, perCommit)
		for _, k := range rand.Perm(keys)[:perCommit] {
			value := make([]byte, live/keys)
			r.Read(value)
			ops = append(ops, store.Op{Key: fmt.Sprint(k), Value: value, Expect: store.AnyRevision})
			written += len(value)
		}
		mustCommit(t, e, ops...)
	}
	// Beside what is alive and the history there are a few memory tables, their logs, and L0.
	const bound = 16 * live
	var size int64
	waitFor(t, "the directory to be small", func() bool {
		var err error
		if size, err = e.Size(context.Background()); err != nil {
			t.Fatal(err)
		}
		return size < bound
	})
	t.Logf("%d bytes for %d alive, after %d written", size, live, written)
}
