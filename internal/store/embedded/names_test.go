package embedded

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// namesWorld is a disk under the rules, and its directory as Pebble has it.
type namesWorld struct {
	*disk
	own vfs.File
	// syncs counts those of the directory. While held is true they wait for release.
	syncs   atomic.Int32
	held    atomic.Bool
	release chan struct{}
}

func newNamesWorld(t *testing.T) *namesWorld {
	t.Helper()
	w := &namesWorld{release: make(chan struct{})}
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync && op.Path == "/store" {
			w.syncs.Add(1)
			if w.held.Load() {
				<-w.release
			}
		}
		return nil
	}))
	must(t, fs.MkdirAll("/store", 0o700))
	w.disk = newDisk(fs, "/store", 0, func(err error) { t.Error(err) }, func() {})
	must(t, w.arm())
	own, err := w.OpenDir("/store")
	must(t, err)
	w.own = own
	must(t, own.Sync()) // for what was there before
	w.syncs.Store(0)
	return w
}

func (w *namesWorld) create(t *testing.T, name string) vfs.File {
	t.Helper()
	f, err := w.Create("/store/"+name, vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = f.Write([]byte("content"))
	must(t, err)
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestNames: a file's sync makes its name durable, once, and then the directory's has nothing to do.
func TestNames(t *testing.T) {
	tests := []struct {
		name  string
		do    func(t *testing.T, w *namesWorld)
		syncs int32 // that the directory has had then
		after int32 // that it has had when Pebble has synced it too
	}{
		{"nothing", func(*testing.T, *namesWorld) {}, 0, 0},
		{"a file that is synced", func(t *testing.T, w *namesWorld) {
			f := w.create(t, "1.sst")
			must(t, f.Sync())
			must(t, f.SyncData())
			must(t, f.Close())
		}, 1, 1},
		{"a file that will be synced", func(t *testing.T, w *namesWorld) { w.create(t, "1.sst") }, 0, 0},
		{"a file that is closed unsynced", func(t *testing.T, w *namesWorld) { must(t, w.create(t, "1.sst").Close()) }, 0, 1},
		{"a renamed file", func(t *testing.T, w *namesWorld) {
			must(t, w.create(t, "1.sst").Sync())
			must(t, w.Rename("/store/1.sst", "/store/2.sst"))
		}, 1, 2},
		{"a linked file", func(t *testing.T, w *namesWorld) {
			must(t, w.create(t, "1.sst").Sync())
			must(t, w.Link("/store/1.sst", "/store/2.sst"))
		}, 1, 2},
		{"a log that is used again", func(t *testing.T, w *namesWorld) {
			must(t, w.create(t, "1.log").Sync())
			f, err := w.ReuseForWrite("/store/1.log", "/store/2.log", vfs.WriteCategoryUnspecified)
			must(t, err)
			must(t, f.SyncData())
		}, 2, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newNamesWorld(t)
			test.do(t, w)
			if n := w.syncs.Load(); n != test.syncs {
				t.Errorf("%d syncs of the directory, want %d", n, test.syncs)
			}
			must(t, w.own.Sync())
			if n := w.syncs.Load(); n != test.after {
				t.Errorf("after Pebble's: %d syncs of the directory, want %d", n, test.after)
			}
			must(t, w.own.Sync())
			if n := w.syncs.Load(); n != test.after {
				t.Errorf("after one more: %d syncs of the directory, want %d", n, test.after)
			}
		})
	}
}

// TestNameOfALog: a new log can be written while its name is on its way, and its sync waits for it.
func TestNameOfALog(t *testing.T) {
	w := newNamesWorld(t)
	w.held.Store(true)
	f := w.create(t, "1.log")
	pebbles := make(chan error, 1)
	go func() { pebbles <- w.own.Sync() }()
	select {
	case err := <-pebbles:
		must(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("the log cannot be written before its name is durable")
	}
	synced := make(chan error, 1)
	go func() { synced <- f.SyncData() }()
	select {
	case <-synced:
		t.Fatal("the log was synced and its name was not")
	case <-time.After(20 * time.Millisecond):
	}
	close(w.release)
	must(t, <-synced)
	if n := w.syncs.Load(); n != 1 {
		t.Errorf("%d syncs of the directory", n)
	}
}

// TestNameThatFails: a log whose name cannot be made durable is not synced.
func TestNameThatFails(t *testing.T) {
	broken := errors.New("injected")
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync && op.Path == "/store" {
			return broken
		}
		return nil
	}))
	must(t, fs.MkdirAll("/store", 0o700))
	failed := make(chan error, 1)
	d := newDisk(fs, "/store", 0, func(err error) { failed <- err }, func() {})
	must(t, d.arm())
	f, err := d.Create("/store/1.log", vfs.WriteCategoryUnspecified)
	must(t, err)
	go f.SyncData() // which does not return
	if err := <-failed; err == nil || err.Error() != "sync: injected" {
		t.Fatal(err)
	}
}
