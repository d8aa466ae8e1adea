package embedded

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/proa-dev/proa/internal/store"
)

// fullStart leaves a store that a crash ended, with something in its log and in its tables, on a device without
// any room.
func fullStart(t *testing.T) (d *fullDisk, fs vfs.FS, last store.Revision) {
	t.Helper()
	mem := vfs.NewCrashableMem()
	e := openTest(t, Options{Dir: "/store", FS: mem, MemTableBytes: 1 << 20})
	for range 200 {
		last = put(t, e, "a", string(make([]byte, 4096)))
	}
	last = put(t, e, "b", "left")
	d = &fullDisk{FS: mem.CrashClone(vfs.CrashCloneCfg{}), total: 1 << 30}
	return d, &usageFS{FS: errorfs.Wrap(d.FS, errorfs.InjectorFunc(d.take)), disk: d}, last
}

func put(t *testing.T, e *Engine, key, value string) store.Revision {
	t.Helper()
	rev, err := e.Commit(context.Background(), store.Op{Key: key, Value: []byte(value), Expect: store.AnyRevision})
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// TestOpenOnFullDevice starts on a device without room: reads, the past and watches are there, commits are refused,
// and go on when there is room, and nothing is lost, for those neither who hold what they were given before.
func TestOpenOnFullDevice(t *testing.T) {
	d, fs, last := fullStart(t)
	ctx := context.Background()
	e := openTest(t, Options{Dir: "/store", FS: fs})
	if kv, err := e.Get(ctx, "b"); err != nil || string(kv.Value) != "left" || kv.Revision != last {
		t.Fatalf("get: %v, %v; want revision %d", kv, err, last)
	}
	if _, err := e.Commit(ctx, store.Op{Key: "b", Value: []byte("no")}); !errors.Is(err, store.ErrNoSpace) {
		t.Fatalf("commit: %v", err)
	}
	if err := e.Compact(ctx, last); !errors.Is(err, store.ErrNoSpace) {
		t.Fatalf("compact: %v", err)
	}
	if err := e.Failure(); err != nil {
		t.Fatal(err)
	}
	before, err := e.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	stream, err := e.Events(ctx, last-1)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	d.room.Store(1 << 30)
	var now store.Revision
	waitFor(t, "commits to go on", func() bool {
		now, err = e.Commit(ctx, store.Op{Key: "b", Value: []byte("more"), Expect: store.AnyRevision})
		return !errors.Is(err, store.ErrNoSpace)
	})
	if err != nil || now != last+1 {
		t.Fatalf("commit with room again: revision %d after %d, %v", now, last, err)
	}
	for range 400 { // so that flushes and compactions take the place of the files of before
		now = put(t, e, "a", string(make([]byte, 4096)))
	}
	if kv, err := before.Get("b"); err != nil || string(kv.Value) != "left" {
		t.Fatalf("the snapshot of before: %v, %v", kv, err)
	}
	var got []store.Event
	for len(got) < 2 {
		events, err := stream.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, events...)
	}
	if string(got[0].Value) != "left" || string(got[1].Value) != "more" || string(got[1].Prev) != "left" {
		t.Fatalf("the stream of before goes on with %q, then %q", got[0].Value, got[1].Value)
	}
	before.Close()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	again := openTest(t, Options{Dir: "/store", FS: fs})
	if rev, err := again.Revision(ctx); err != nil || rev != now {
		t.Fatalf("opened again: revision %d, %v; want %d", rev, err, now)
	}
}

// TestCloseWithoutRoom closes a store that never had room: it is as it was.
func TestCloseWithoutRoom(t *testing.T) {
	d, fs, last := fullStart(t)
	names, err := d.List("/store")
	if err != nil {
		t.Fatal(err)
	}
	e := openTest(t, Options{Dir: "/store", FS: fs})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := d.List("/store")
	if err != nil || len(after) != len(names) {
		t.Fatalf("the directory had %v, and has %v, %v", names, after, err)
	}
	d.room.Store(1 << 30)
	again := openTest(t, Options{Dir: "/store", FS: fs})
	if rev, err := again.Revision(context.Background()); err != nil || rev != last {
		t.Fatalf("revision %d, %v; want %d", rev, err, last)
	}
}

// TestRoomEndsWhileOpening has room for the beginning of opening only: opening waits, and is finished when there is
// room.
func TestRoomEndsWhileOpening(t *testing.T) {
	d, fs, last := fullStart(t)
	d.room.Store(5000)
	opened := make(chan *Engine)
	go func() {
		e, err := Open(Options{Dir: "/store", FS: fs, MinFreeBytes: 1})
		if err != nil {
			t.Error(err)
		}
		opened <- e
	}()
	select {
	case <-opened:
		t.Fatal("it opened without room")
	case <-time.After(3 * roomRetry):
	}
	d.room.Store(1 << 30)
	e := <-opened
	defer e.Close()
	if rev, err := e.Revision(context.Background()); err != nil || rev != last {
		t.Fatalf("revision %d, %v; want %d", rev, err, last)
	}
}

// TestNewOnFullDevice makes a new store where there is no room for it: that is an error.
func TestNewOnFullDevice(t *testing.T) {
	_, fs := newFullDisk(0)
	if e, err := Open(Options{Dir: "/store", FS: fs}); !noRoom(err) {
		e.Close()
		t.Fatalf("it opened: %v", err)
	}
}
