package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
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
// The index must not know what the log has not: before anything is written to a manifest of Pebble, which is what makes
// tables part of it, beforeManifest makes the log durable.
//
// While a new store is being made, an error is just an error. While one that exists is being opened, only
// writes that meet a full device wait (see await); all of it holds from arm on.
type disk struct {
	vfs.FS
	dir     string
	minFree int64
	// onFailure hears of the first failure, onStall of every time that writes begin to wait for room.
	onFailure func(error)
	onStall   func()

	awaiting, armed atomic.Bool
	// beforeManifest is set by arm.
	beforeManifest func() error
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
	// keeping is whether files stay until keep ends, removals are those then due; guarded by mu.
	keeping  bool
	removals []string
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

func newDisk(fs vfs.FS, dir string, minFree int64, onFailure func(error), onStall func()) *disk {
	return &disk{FS: fs, dir: dir, minFree: minFree, onFailure: onFailure, onStall: onStall, released: make(chan struct{})}
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

// hasRoomToCollect says whether n bytes may be written for the sake of more that will be free later. Half of what commits
// leave alone stays for the index.
func (d *disk) hasRoomToCollect(n int64) bool {
	free, reserve := d.usage()
	return free-n >= reserve/2
}

// spare is how much may be written before only minFree is left.
func (d *disk) spare() int64 {
	free, reserve := d.usage()
	return free - reserve
}

// usage is what the device has free, and how much of that commits leave alone.
func (d *disk) usage() (free, reserve int64) {
	usage, err := d.FS.GetDiskUsage(d.dir)
	if err != nil || usage.TotalBytes == 0 {
		return 1 << 62, 0 // a file system that does not say: its own errors have to do
	}
	if d.minFree > 0 {
		return int64(usage.AvailBytes), d.minFree
	}
	return int64(usage.AvailBytes), min(defaultMinFree, int64(usage.TotalBytes/20))
}

// await makes writes wait for room; what they are about to change exists already.
func (d *disk) await() { d.awaiting.Store(true) }

// arm begins the rules; the store is open.
func (d *disk) arm(beforeManifest func() error) {
	d.beforeManifest = beforeManifest
	d.armed.Store(true)
}

// keep puts off the removal of files until end is called.
func (d *disk) keep() (end func() error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keeping = true
	return d.removeKept
}

func (d *disk) removeKept() (err error) {
	d.mu.Lock()
	due := d.removals
	d.keeping, d.removals = false, nil
	d.mu.Unlock()
	for _, name := range due {
		err = errors.Join(err, d.FS.Remove(name))
	}
	return err
}

func (d *disk) Remove(name string) error {
	d.mu.Lock()
	keeping := d.keeping
	if keeping {
		d.removals = append(d.removals, name)
	}
	d.mu.Unlock()
	if keeping {
		return nil
	}
	return d.FS.Remove(name)
}

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
	if d.failed.Load() {
		select {}
	}
	err := op()
	if noRoom(err) && (d.awaiting.Load() || d.armed.Load()) {
		err = d.awaitRoom(op, err)
	}
	if err == nil || !d.armed.Load() {
		return err
	}
	if d.failed.CompareAndSwap(false, true) {
		d.onFailure(err)
	}
	select {}
}

// awaitRoom tries until there is room; if the store is being closed, the operation has failed for good.
func (d *disk) awaitRoom(op func() error, err error) error {
	if d.stalled.Add(1) == 1 {
		d.onStall()
	}
	defer d.stalled.Add(-1)
	retry := time.NewTicker(roomRetry)
	defer retry.Stop()
	for noRoom(err) {
		select {
		case <-retry.C:
			err = op()
		case <-d.released:
			return fmt.Errorf("closing while waiting for room: %v", err)
		}
	}
	return err
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
	return d.attemptNew(name, func() (vfs.File, error) { return d.FS.Create(name, category) })
}

func (d *disk) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.attemptNew(name, func() (vfs.File, error) { return d.FS.OpenReadWrite(name, category, opts...) })
}

func (d *disk) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return d.attemptNew(newname, func() (vfs.File, error) { return d.FS.ReuseForWrite(oldname, newname, category) })
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

// attemptNew makes a file, or opens one that may be new.
func (d *disk) attemptNew(name string, open func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	err := d.attempt(func() (err error) { f, err = open(); return err })
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(d.PathBase(name), "MANIFEST-") {
		return &manifest{diskFile{File: f, disk: d}}, nil
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

func (f *diskFile) WriteAt(p []byte, at int64) (int, error) {
	written := 0
	err := f.disk.attempt(func() error {
		n, err := f.File.WriteAt(p[written:], at+int64(written))
		written += n
		return err
	})
	return written, err
}

// fill writes what need not be there. It waits for no room.
func (f *diskFile) fill(p []byte, at int64) (fits bool, err error) {
	err = f.disk.attempt(func() error {
		_, err := f.File.WriteAt(p, at)
		if noRoom(err) {
			return nil
		}
		fits = err == nil
		return err
	})
	return fits, err
}

func (f *diskFile) Sync() error     { return f.disk.attemptSync(f.File.Sync) }
func (f *diskFile) SyncData() error { return f.disk.attemptSync(f.File.SyncData) }

func (f *diskFile) SyncTo(length int64) (full bool, err error) {
	err = f.disk.attemptSync(func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, err
}

// manifest is Pebble's list of its tables.
type manifest struct{ diskFile }

func (f *manifest) Write(p []byte) (int, error) {
	if f.disk.armed.Load() {
		if err := f.disk.beforeManifest(); err != nil {
			return 0, err
		}
	}
	return f.diskFile.Write(p)
}

// attemptSync runs a sync operation. It is never tried twice, not even when it failed for want of room: what a
// failed sync was to write may be gone, and the next sync would succeed without it.
func (d *disk) attemptSync(op func() error) error {
	return d.attempt(func() error {
		if err := op(); err != nil {
			return syncError{err.Error()}
		}
		return nil
	})
}

// syncError hides the kind of the error within, so that want of room is as final as all else.
type syncError struct{ reason string }

func (e syncError) Error() string { return "sync: " + e.reason }
