package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk stands between Pebble and the file system, because Pebble's answer to a failed write is to end
// the process, or to try again at once and for ever.
//
// No room: a write that meets a full device waits here and goes on where it stopped when there is room,
// so that Pebble never learns of it. Meanwhile hasRoom is false and the engine refuses commits. That
// state is rare: hasRoom is false already while MinFreeBytes are left, which is what flushes and
// compactions under way can still use.
//
// Any other failure of a write or a sync is final, because after it nobody knows what is on the device:
// onFailure is told, and neither the failed operation nor any later one ever returns. So Pebble never
// learns of that either, can do no more harm, and goes on serving reads. What it held stays in memory
// until the process ends.
//
// None of this holds before arm: while the store is being opened, an error is just an error.
type disk struct {
	vfs.FS
	dir     string
	minFree int64
	// onFailure hears of the first failure.
	onFailure func(error)

	armed atomic.Bool
	// stalled is how many operations wait for room.
	stalled atomic.Int32
	failed  atomic.Bool
	// released is closed when nothing may wait for room any more.
	released  chan struct{}
	releasing sync.Once

	mu sync.Mutex
	// free is what the device had to spare at checked, and spent what commits took since; guarded by mu.
	free, spent int64
	checked     time.Time
	// lock is the directory's lock while Pebble holds it; guarded by mu.
	lock io.Closer
}

const (
	// roomRetry is how often a stalled write tries again.
	roomRetry = 100 * time.Millisecond
	// A look at the device's free space is good for so long and for so many bytes of commits.
	roomCheck      = 100 * time.Millisecond
	roomCheckBytes = 1 << 20
	// defaultMinFree, or a twentieth of a device on which that is less.
	defaultMinFree = 64 << 20
)

func newDisk(fs vfs.FS, dir string, minFree int64, onFailure func(error)) *disk {
	return &disk{FS: fs, dir: dir, minFree: minFree, onFailure: onFailure, released: make(chan struct{})}
}

// hasRoom says whether a commit of n bytes may be written. It looks at the device now and then only.
func (d *disk) hasRoom(n int64) bool {
	if d.stalled.Load() > 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.Sub(d.checked) >= roomCheck || d.spent+n > roomCheckBytes {
		d.free, d.spent, d.checked = d.spare(), 0, now
	}
	d.spent += n
	return d.spent <= d.free
}

// spare is how much may be written before only minFree is left.
func (d *disk) spare() int64 {
	usage, err := d.FS.GetDiskUsage(d.dir)
	if err != nil || usage.TotalBytes == 0 {
		return 1 << 62 // a file system that does not say: its own errors have to do
	}
	keep := d.minFree
	if keep == 0 {
		keep = min(defaultMinFree, int64(usage.TotalBytes/20))
	}
	return int64(usage.AvailBytes) - keep
}

// arm begins the rules; the store is open.
func (d *disk) arm() { d.armed.Store(true) }

// release ends the waiting for room.
func (d *disk) release() {
	d.releasing.Do(func() { close(d.released) })
}

// unlock gives up the directory's lock if Pebble did not.
func (d *disk) unlock() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return nil
	}
	err := d.lock.Close()
	d.lock = nil
	return err
}

// attempt runs a write operation under the rules above.
func (d *disk) attempt(op func() error) error {
	if !d.armed.Load() {
		return op()
	}
	if d.failed.Load() {
		select {}
	}
	err := op()
	for noRoom(err) {
		err = d.awaitRoom(op, err)
	}
	if err == nil {
		return nil
	}
	if d.failed.CompareAndSwap(false, true) {
		d.onFailure(err)
	}
	select {}
}

// awaitRoom tries once more, later; if the store is being closed, the operation has failed for good.
func (d *disk) awaitRoom(op func() error, err error) error {
	d.stalled.Add(1)
	defer d.stalled.Add(-1)
	retry := time.NewTimer(roomRetry)
	defer retry.Stop()
	select {
	case <-retry.C:
		return op()
	case <-d.released:
		return fmt.Errorf("closing while waiting for room: %v", err)
	}
}

func noRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func (d *disk) Lock(name string) (io.Closer, error) {
	lock, err := d.FS.Lock(name)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lock = lock
	return closerFunc(d.unlock), nil
}

type closerFunc func() error

func (f closerFunc) Close() error { return f() }

func (d *disk) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return d.attemptFile(func() (vfs.File, error) { return d.FS.Create(name, category) })
}

func (d *disk) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.attemptFile(func() (vfs.File, error) { return d.FS.OpenReadWrite(name, category, opts...) })
}

func (d *disk) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return d.attemptFile(func() (vfs.File, error) { return d.FS.ReuseForWrite(oldname, newname, category) })
}

// OpenDir opens a directory for syncing.
func (d *disk) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &diskFile{File: f, disk: d}, nil
}

func (d *disk) Rename(oldname, newname string) error {
	return d.attempt(func() error { return d.FS.Rename(oldname, newname) })
}

func (d *disk) Link(oldname, newname string) error {
	return d.attempt(func() error { return d.FS.Link(oldname, newname) })
}

func (d *disk) MkdirAll(dir string, perm os.FileMode) error {
	return d.attempt(func() error { return d.FS.MkdirAll(dir, perm) })
}

func (d *disk) Unwrap() vfs.FS { return d.FS }

func (d *disk) attemptFile(open func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	err := d.attempt(func() (err error) { f, err = open(); return err })
	if err != nil {
		return nil, err
	}
	return &diskFile{File: f, disk: d}, nil
}

// diskFile is a file that is written under the disk's rules.
type diskFile struct {
	vfs.File
	disk *disk
}

func (f *diskFile) Write(p []byte) (int, error) {
	written := 0
	err := f.disk.attempt(func() error {
		n, err := f.File.Write(p[written:])
		written += n
		return err
	})
	return written, err
}

func (f *diskFile) Sync() error     { return f.sync(f.File.Sync) }
func (f *diskFile) SyncData() error { return f.sync(f.File.SyncData) }

func (f *diskFile) SyncTo(length int64) (full bool, err error) {
	err = f.sync(func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, err
}

// sync runs a sync operation. It is never tried twice, not even when it failed for want of room: what a
// failed sync was to write may be gone, and the next sync would succeed without it.
func (f *diskFile) sync(op func() error) error {
	return f.disk.attempt(func() error {
		if err := op(); err != nil {
			return syncError{err.Error()}
		}
		return nil
	})
}

// syncError hides the kind of the error within, so that want of room is as final as all else.
type syncError struct{ reason string }

func (e syncError) Error() string { return "sync: " + e.reason }
