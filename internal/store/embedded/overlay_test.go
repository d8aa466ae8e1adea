package embedded

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/proa-dev/proa/internal/store"
)

// TestOverlayWritesNothing opens a crashed store on a full device, reads all of it, and closes it: no file is made, written,
// renamed or removed, however much has to be replayed.
func TestOverlayWritesNothing(t *testing.T) {
	mem := vfs.NewCrashableMem()
	e := openTest(t, Options{Dir: "/store", FS: mem, MemTableBytes: 1 << 20, segmentBytes: 64 << 10})
	for i := range 8000 { // several memory tables of the index
		put(t, e, fmt.Sprintf("key%d%s", i, strings.Repeat("k", 200)), "v")
	}
	last, err := e.Revision(context.Background())
	must(t, err)
	crashed := copyOf(mem)
	before := files(t, crashed)
	full := &fullDisk{FS: crashed, total: 1 << 30}
	var mu sync.Mutex
	var writes []string
	fs := errorfs.Wrap(full.FS, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch {
		case op.Kind.ReadOrWrite() == errorfs.OpIsRead, op.Kind == errorfs.OpLock:
		case op.Kind == errorfs.OpFileSyncData && strings.Contains(op.Path, "/log-"): // of what the process before wrote
		default:
			mu.Lock()
			defer mu.Unlock()
			writes = append(writes, fmt.Sprint(op.Kind, " ", op.Path))
		}
		return nil
	}))
	r, err := Open(Options{Dir: "/store", FS: &usageFS{FS: fs, disk: full}, MemTableBytes: 1 << 20, TailBytes: 1})
	must(t, err)
	if rev, err := r.Revision(context.Background()); err != nil || rev != last || !r.full.Load() {
		t.Fatalf("revision %d of %d, %v", rev, last, err)
	}
	checkHistory(t, r)
	recount(t, r)
	must(t, r.Close())
	mu.Lock()
	defer mu.Unlock()
	if len(writes) > 0 {
		t.Errorf("it wrote: %v", writes)
	}
	if after := files(t, crashed); after != before {
		t.Errorf("there was\n%s\nand there is\n%s", before, after)
	}
}

// files lists the directory's files with their sizes.
func files(t *testing.T, fs vfs.FS) string {
	t.Helper()
	names, err := fs.List("/store")
	must(t, err)
	sizes := map[string]int64{}
	for _, name := range names {
		info, err := fs.Stat("/store/" + name)
		must(t, err)
		sizes[name] = info.Size()
	}
	return fmt.Sprint(sizes)
}

// TestCollectOnFullDevice fills a device with what is dead later: commits are refused until the history is cut, and go on when
// the collector has made room with what commits leave alone.
func TestCollectOnFullDevice(t *testing.T) {
	const reserve = 4 << 20
	d, fs := newFullDisk(reserve + 4<<20)
	e := openTest(t, Options{Dir: "/store", FS: fs, MinFreeBytes: reserve, segmentBytes: 64 << 10, TailBytes: 1})
	ctx := context.Background()
	value := []byte(strings.Repeat("v", 4000))
	var last store.Revision
	var err error
	for i := 0; err == nil; i++ {
		last = store.Revision(i)
		_, err = e.Commit(ctx, store.Op{Key: fmt.Sprint("k", i%20), Value: value, Expect: store.AnyRevision})
		if err == nil && i%20 == 0 {
			_, err = e.Commit(ctx, store.Op{Key: fmt.Sprint("still", i), Value: value})
		}
	}
	if !strings.Contains(err.Error(), store.ErrNoSpace.Error()) || last < 100 {
		t.Fatalf("commit %d: %v", last, err)
	}
	free := d.room.Load()
	must(t, e.Compact(ctx, 1<<60))
	waitFor(t, "room", func() bool { return d.room.Load() > free+1<<20 })
	waitFor(t, "a commit", func() bool {
		_, err := e.Commit(ctx, store.Op{Key: "after", Value: value, Expect: store.AnyRevision})
		return err == nil
	})
	must(t, e.Failure())
	waitFor(t, "values to be moved", func() bool { return movesIn(t, e) > 0 })
	checkHistory(t, e)
	recount(t, e)
}
