package embedded

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/proa-dev/proa/internal/store"
)

// failures is how many engines one process lets fail: what each held stays in memory until the process ends (see
// disk.go), and all of them come to some 700 MB.
const failures = 40

// TestFailedWrite fails one write operation after another. Whatever fails: no commit is acknowledged that
// is not there after a restart, reads go on with what was acknowledged, and later commits say why not.
func TestFailedWrite(t *testing.T) {
	count := rounds(t, failures)
	if count > failures {
		failInChildren(t, count)
		return
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for round := range count {
		failOne(t, round, r)
	}
}

// failInChildren divides the rounds among processes, one after the other.
func failInChildren(t *testing.T, count int) {
	for done := 0; done < count; done += failures {
		child := exec.Command(os.Args[0], "-test.run=^TestFailedWrite$", "-test.v")
		child.Env = append(os.Environ(), fmt.Sprintf("PROA_STORE_ROUNDS=%d", min(failures, count-done)))
		if out, err := child.CombinedOutput(); err != nil {
			t.Fatalf("after %d rounds: %v\n%s", done, err, out)
		}
	}
}

func failOne(t *testing.T, round int, r *rand.Rand) {
	const writers = 4
	mem := vfs.NewCrashableMem()
	var left atomic.Int64
	left.Store(1 << 60)
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsRead || op.Kind == errorfs.OpLock || op.Kind == errorfs.OpFileClose ||
			op.Kind == errorfs.OpRemove || op.Kind == errorfs.OpFilePreallocate {
			return nil
		}
		if left.Add(-1) < 0 {
			return fmt.Errorf("injected: %w", syscall.EIO)
		}
		return nil
	}))
	e, err := Open(Options{Dir: "/store", FS: fs, MemTableBytes: 1 << 20, WatchHistoryBytes: 256 << 10,
		segmentBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	left.Store(1 + r.Int64N(300))
	l := &ledger{acked: make([]atomic.Int64, writers)}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() { l.write(context.Background(), e, w, 32<<10) })
	}
	wg.Wait()
	_, err = e.Commit(context.Background(), store.Op{Key: "late", Value: []byte("1")})
	if !errors.Is(err, syscall.EIO) && !strings.Contains(fmt.Sprint(err), "injected") {
		t.Fatalf("round %d: a commit after the failure: %v", round, err)
	}
	if e.Failure() == nil {
		t.Fatalf("round %d: the engine says that it is well", round)
	}
	acked := make([]int64, writers)
	for w := range acked {
		acked[w] = l.acked[w].Load()
		leftKey, _ := pairKeys(w)
		// A writer may have been told of the failure just when its last commit had become durable.
		if n := number(t, e, leftKey); n != acked[w] && n != acked[w]+1 {
			t.Fatalf("round %d: writer %d reads %d, acknowledged %d", round, w, n, acked[w])
		}
	}
	if rev, err := e.Revision(context.Background()); err != nil || rev < l.revision.Load() {
		t.Fatalf("round %d: revision %d, %v; acknowledged %d", round, rev, err, l.revision.Load())
	}
	if err := e.Close(); err == nil {
		t.Fatalf("round %d: Close does not tell of the failure", round)
	}
	again, err := Open(Options{Dir: "/store", FS: mem.CrashClone(vfs.CrashCloneCfg{}), TailBytes: 1})
	if err != nil {
		t.Fatalf("round %d: after the failure: %v", round, err)
	}
	l.check(t, again, acked, l.revision.Load())
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

// fullDisk is a file system with room for a number of bytes.
type fullDisk struct {
	vfs.FS
	room  atomic.Int64
	total uint64
}

func (d *fullDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	free := uint64(max(0, d.room.Load()))
	return vfs.DiskUsage{AvailBytes: free, TotalBytes: d.total, UsedBytes: d.total - free}, nil
}

func (d *fullDisk) take(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileWrite, errorfs.OpFileWriteAt:
		if d.room.Add(-4096) < 0 {
			d.room.Add(4096)
			return syscall.ENOSPC
		}
	case errorfs.OpRemove:
		if info, err := d.FS.Stat(op.Path); err == nil {
			d.room.Add(info.Size())
		}
	case errorfs.OpCreate, errorfs.OpReuseForWrite:
		if d.room.Load() <= 0 {
			return syscall.ENOSPC
		}
	}
	return nil
}

func newFullDisk(room int64) (*fullDisk, vfs.FS) {
	d := &fullDisk{FS: vfs.NewMem(), total: 1 << 30}
	d.room.Store(room)
	return d, &usageFS{FS: errorfs.Wrap(d.FS, errorfs.InjectorFunc(d.take)), disk: d}
}

// usageFS fails writes as errorfs does and tells the free space as fullDisk does.
type usageFS struct {
	vfs.FS
	disk *fullDisk
}

func (f *usageFS) GetDiskUsage(path string) (vfs.DiskUsage, error) { return f.disk.GetDiskUsage(path) }

// TestNoSpace fills the device: commits are refused before it is full, reads go on, and commits go on
// when there is room.
func TestNoSpace(t *testing.T) {
	const reserve = 8 << 20
	d, fs := newFullDisk(reserve + 2<<20)
	e := openTest(t, Options{Dir: "/store", FS: fs, MinFreeBytes: reserve})
	ctx := context.Background()
	var last store.Revision
	var err error
	for range 100_000 {
		var rev store.Revision
		rev, err = e.Commit(ctx, store.Op{Key: "a", Value: make([]byte, 2048), Expect: store.AnyRevision})
		if err != nil {
			break
		}
		last = rev
	}
	if !errors.Is(err, store.ErrNoSpace) || last == 0 {
		t.Fatalf("after revision %d: %v", last, err)
	}
	if kv, err := e.Get(ctx, "a"); err != nil || kv.Revision != last {
		t.Fatalf("get: %d, %v; want %d", kv.Revision, err, last)
	}
	d.room.Add(8 << 20)
	var rev store.Revision
	waitFor(t, "room to be noticed", func() bool {
		rev, err = e.Commit(ctx, store.Op{Key: "a", Value: []byte("1"), Expect: last})
		return !errors.Is(err, store.ErrNoSpace)
	})
	if err != nil || rev != last+1 {
		t.Fatalf("with room again: revision %d after %d, %v", rev, last, err)
	}
}

// TestNoSpaceMidway takes the room away under the writers: what is under way waits and is finished when
// there is room, and nothing is lost.
func TestNoSpaceMidway(t *testing.T) {
	d, fs := newFullDisk(1 << 40)
	e := openTest(t, Options{Dir: "/store", FS: fs, MinFreeBytes: 1, MemTableBytes: 1 << 20})
	l := &ledger{acked: make([]atomic.Int64, 4)}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for w := range l.acked {
		wg.Go(func() {
			for ctx.Err() == nil {
				l.write(ctx, e, w, 4096)
				time.Sleep(time.Millisecond)
			}
		})
	}
	waitFor(t, "writes to stall", func() bool {
		d.room.Store(1 << 40)
		time.Sleep(2 * roomCheck)
		d.room.Store(40_000)
		for range 100 { // then they were refused in time, on a slow machine, and once more with room
			if e.disk.stalled.Load() > 0 {
				return true
			}
			time.Sleep(time.Millisecond)
		}
		return false
	})
	if _, err := e.Commit(ctx, store.Op{Key: "x", Value: []byte("1")}); !errors.Is(err, store.ErrNoSpace) {
		t.Fatalf("commit on a full device: %v", err)
	}
	number(t, e, "w0/left")
	before := l.revision.Load()
	d.room.Store(1 << 40)
	waitFor(t, "writes to go on", func() bool { return l.revision.Load() > before+100 })
	cancel()
	wg.Wait()
	acked := make([]int64, len(l.acked))
	for w := range acked {
		acked[w] = l.acked[w].Load()
	}
	l.check(t, e, acked, l.revision.Load())
	if err := e.Failure(); err != nil {
		t.Fatal(err)
	}
}

// TestCloseWhileFull closes a store whose writes wait for room: it must not wait for ever.
func TestCloseWhileFull(t *testing.T) {
	d, fs := newFullDisk(1 << 40)
	e, err := Open(Options{Dir: "/store", FS: fs, MinFreeBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	l := &ledger{acked: make([]atomic.Int64, 1)}
	var wg sync.WaitGroup
	// On a slow machine the engine may see that the room ends before a write meets the end, and refuse: then
	// there is nothing to close on, and the next attempt begins with room.
	waitFor(t, "writes to stall", func() bool {
		d.room.Store(1 << 40)
		time.Sleep(2 * roomCheck)
		refused := make(chan struct{})
		wg.Go(func() {
			defer close(refused)
			l.write(context.Background(), e, 0, 4096)
		})
		d.room.Store(40_000)
		for e.disk.stalled.Load() == 0 {
			select {
			case <-refused:
				return false
			case <-time.After(time.Millisecond):
			}
		}
		return true
	})
	if err := e.Close(); err == nil {
		t.Fatal("Close says that all is well")
	}
	wg.Wait()
	d.room.Store(1 << 40)
	again := openTest(t, Options{Dir: "/store", FS: fs, MinFreeBytes: 1})
	l.check(t, again, []int64{l.acked[0].Load()}, l.revision.Load())
}

// TestNoSpaceInSync has a sync fail for want of room, as it does where room is allotted late. What it was to
// write may be gone, so it must not be tried again as a write is.
func TestNoSpaceInSync(t *testing.T) {
	var full atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData && full.CompareAndSwap(true, false) {
			return syscall.ENOSPC
		}
		return nil
	}))
	e, err := Open(Options{Dir: "/store", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	full.Store(true)
	if rev, err := e.Commit(context.Background(), store.Op{Key: "a", Value: []byte("1")}); err == nil {
		t.Fatalf("commit %d was acknowledged", rev)
	}
	if e.Failure() == nil {
		t.Fatal("the engine says that it is well")
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 60_000 {
		if done() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}
