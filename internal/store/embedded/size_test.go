package embedded

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/proa-dev/proa/internal/store"
)

// TestSizeIsBounded overwrites few keys for long: what was replaced does not stay on the device, whatever the size of
// values, and whether or not some keys stay as they are among those that do not.
func TestSizeIsBounded(t *testing.T) {
	const live = 1 << 20
	for _, test := range []struct {
		name      string
		valueSize int
		still     int // of a hundred keys, how many are written but once
	}{
		{"values of 255 bytes", 255, 0},
		{"values of 2 KB", 2 << 10, 0},
		{"values of 2 KB, some of them still", 2 << 10, 10},
		{"values of 2 KB, most of them still", 2 << 10, 60},
		{"values of 100 KB", 100 << 10, 0},
	} {
		t.Run(test.name, func(t *testing.T) { overwrite(t, live, test.valueSize, test.still) })
	}
}

func overwrite(t *testing.T, live, valueSize, still int) {
	e := openTest(t, Options{Dir: t.TempDir(), Durability: Batch, MemTableBytes: 1 << 20, WatchHistoryBytes: 1 << 20})
	r := rand.NewChaCha8([32]byte{1})
	keys := live / valueSize
	stillKeys, stillWritten := keys*still/100, 0
	written := 0
	for written < 32*live {
		var ops []store.Op
		add := func(key string) {
			value := make([]byte, valueSize)
			r.Read(value)
			ops = append(ops, store.Op{Key: key, Value: value, Expect: store.AnyRevision})
			written += valueSize
		}
		for _, k := range rand.Perm(keys)[:min(keys, 200_000/valueSize)] {
			add(fmt.Sprint(k))
		}
		if stillWritten < stillKeys && written > 32*live/stillKeys*stillWritten {
			add(fmt.Sprint("still", stillWritten))
			stillWritten++
		}
		mustCommit(t, e, ops...)
	}
	// Beside what is alive and the history there are a few memory tables, their logs, and L0.
	bound := int64(24 * live)
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
