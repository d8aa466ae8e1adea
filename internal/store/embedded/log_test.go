package embedded

import (
	"bytes"
	"io"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

func fileSize(t *testing.T, f vfs.File) int64 {
	t.Helper()
	info, err := f.Stat()
	must(t, err)
	return info.Size()
}

// TestLogGrowsAhead: most writes to a log are within its file, behind them are zeros, and what is used again is not
// written over before its time.
func TestLogGrowsAhead(t *testing.T) {
	w := newNamesWorld(t)
	f, err := w.Create("/store/1.log", vfs.WriteCategoryUnspecified)
	must(t, err)
	record := bytes.Repeat([]byte("r"), 1000)
	grown, last := 0, int64(0)
	const records = 1000
	for range records {
		_, err := f.Write(bytes.Clone(record)) // the file system may spoil it
		must(t, err)
		if size := fileSize(t, f); size != last {
			grown, last = grown+1, size
		}
	}
	if want := records*1000/logStep + 1; grown != want {
		t.Errorf("the file grew %d times, want %d", grown, want)
	}
	must(t, f.Close())
	used, err := w.ReuseForWrite("/store/1.log", "/store/2.log", vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = used.Write(bytes.Repeat([]byte("n"), 1000))
	must(t, err)
	if size := fileSize(t, used); size != last {
		t.Errorf("the used file grew from %d to %d", last, size)
	}
	must(t, used.Close())
	data := read(t, w, "/store/2.log")
	want := append(bytes.Repeat([]byte("n"), 1000), bytes.Repeat(record, records-1)...)
	want = append(want, make([]byte, int(last)-len(want))...)
	if !bytes.Equal(data, want) {
		t.Error("the file is not what was written, and zeros")
	}
}

func read(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	must(t, err)
	defer f.Close()
	data, err := io.ReadAll(f)
	must(t, err)
	return data
}

// TestLogWithoutRoomAhead: what was written to the log is there, even if there is no room for more.
func TestLogWithoutRoomAhead(t *testing.T) {
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWriteAt {
			return syscall.ENOSPC
		}
		return nil
	}))
	must(t, fs.MkdirAll("/store", 0o700))
	d := newDisk(fs, "/store", 0, func(err error) { t.Error(err) }, func() {})
	must(t, d.arm())
	f, err := d.Create("/store/1.log", vfs.WriteCategoryUnspecified)
	must(t, err)
	for range 2 {
		_, err = f.Write([]byte("record"))
		must(t, err)
	}
	must(t, f.SyncData())
	if data := read(t, d, "/store/1.log"); string(data) != "recordrecord" {
		t.Errorf("the log is %q", data)
	}
}
