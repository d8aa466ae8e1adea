package embedded

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/proa-dev/proa/internal/store"
)

// TestLogGrowsAhead: most writes to the log are within its file, and behind them are zeros.
func TestLogGrowsAhead(t *testing.T) {
	mem := vfs.NewMem()
	e := openTest(t, Options{Dir: "/store", FS: mem})
	grown, last := 0, int64(0)
	for range 1000 {
		put(t, e, "a", strings.Repeat("v", 900))
		info, err := mem.Stat(segmentPath(1))
		must(t, err)
		if size := info.Size(); size != last {
			grown, last = grown+1, size
		}
	}
	end := e.log.position()
	if end.segment != 1 {
		t.Fatalf("the log is in %v", end)
	}
	if want := int(end.offset/logStep) + 1; grown != want {
		t.Errorf("the file grew %d times, want %d", grown, want)
	}
	if ahead := readFile(t, mem, segmentPath(1))[end.offset:]; len(ahead) == 0 || len(bytes.Trim(ahead, "\x00")) != 0 {
		t.Errorf("%d bytes ahead of the end are not zeros", len(ahead))
	}
}

// TestLogWithoutRoomAhead: commits do without room ahead of them.
func TestLogWithoutRoomAhead(t *testing.T) {
	mem := vfs.NewMem()
	var full atomic.Bool
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && op.Kind == errorfs.OpFileWriteAt && op.Offset > 0 && op.Offset%logPage == 0 {
			return syscall.ENOSPC
		}
		return nil
	}))
	e, err := Open(Options{Dir: "/store", FS: fs})
	must(t, err)
	full.Store(true)
	put(t, e, "a", strings.Repeat("v", logPage))
	put(t, e, "b", "2")
	full.Store(false)
	must(t, e.Failure())
	info, err := mem.Stat(segmentPath(1))
	must(t, err)
	if end := e.log.position(); info.Size() > end.offset+logPage {
		t.Errorf("the file has %d bytes, of %d written", info.Size(), end.offset)
	}
	must(t, e.Close())
	again := openTest(t, Options{Dir: "/store", FS: mem})
	checkKeys(t, again, "a="+strings.Repeat("v", logPage)+"@1 b=2@2")
}

// TestSegmentAhead: the next segment is made before it is needed, and is none of the log's if it was not begun.
func TestSegmentAhead(t *testing.T) {
	mem := vfs.NewCrashableMem()
	opts := Options{Dir: "/store", FS: mem, segmentBytes: testSegment}
	e, err := Open(opts)
	must(t, err)
	put(t, e, "a", strings.Repeat("v", testSegment*2/3))
	waitFor(t, "the next segment to be made", func() bool { return len(segmentFiles(t, mem)) == 2 })
	crashed := copyOf(mem)
	put(t, e, "b", strings.Repeat("v", testSegment*2/3))
	put(t, e, "c", "in the next one")
	if at := liveOf(t, e, "c").at; at.segment != 2 {
		t.Fatalf("c is in %v", at)
	}
	must(t, e.Close())

	opts.FS = crashed
	e = openTest(t, opts)
	if files := segmentFiles(t, crashed); len(files) != 1 {
		t.Errorf("there are segments %v", files)
	}
	put(t, e, "b", strings.Repeat("v", testSegment*2/3))
	put(t, e, "c", "in the next one")
	if at := liveOf(t, e, "c").at; at.segment != 2 {
		t.Fatalf("c is in %v", at)
	}
	recount(t, e)
}

// TestHugeValues are larger than a segment, and than a group.
func TestHugeValues(t *testing.T) {
	mem := vfs.NewCrashableMem()
	e := openTest(t, Options{Dir: "/store", FS: mem, TailBytes: 1, segmentBytes: 1 << 20})
	huge := func(b byte) string { return strings.Repeat(string(b), 10<<20) }
	ops := []store.Op{{Key: "small", Value: []byte{}}}
	for _, key := range []string{"a", "b", "c"} {
		ops = append(ops, store.Op{Key: key, Value: []byte(huge(key[0]))})
	}
	mustCommit(t, e, ops...)
	put(t, e, "a", huge('n'))
	again := openTest(t, Options{Dir: "/store", FS: copyOf(mem), TailBytes: 1})
	for _, e := range []*Engine{e, again} {
		for key, want := range map[string]string{"a": huge('n'), "b": huge('b'), "c": huge('c'), "small": ""} {
			if kv, err := e.Get(context.Background(), key); err != nil || string(kv.Value) != want {
				t.Errorf("%s has %d bytes, %v", key, len(kv.Value), err)
			}
		}
		checkHistory(t, e)
		recount(t, e)
	}
}

// TestCommitTooLarge refuses what a frame could not say the length of.
func TestCommitTooLarge(t *testing.T) {
	e := openTest(t, Options{Durability: Memory})
	part := make([]byte, 64<<20)
	ops := make([]store.Op, 16)
	for i := range ops {
		ops[i] = store.Op{Key: strings.Repeat("k", i), Value: part}
	}
	if rev, err := e.Commit(context.Background(), ops...); err == nil || errors.Is(err, store.ErrNoSpace) {
		t.Fatalf("revision %d, %v", rev, err)
	}
	put(t, e, "a", "1")
}
