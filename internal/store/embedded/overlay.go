package embedded

import (
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// overlay is a directory of the disk for one who must not write to it: what is made is in memory, and what is removed is only
// hidden. It is for a second Pebble in a directory that the engine has locked.
type overlay struct {
	vfs.FS // the disk
	made   vfs.FS

	mu     sync.Mutex
	hidden map[string]bool // guarded by mu
}

func newOverlay(disk vfs.FS) *overlay {
	return &overlay{FS: disk, made: vfs.NewMem(), hidden: make(map[string]bool)}
}

// holder is the file system that has the name. A name that was made hides the disk's.
func (o *overlay) holder(name string) (vfs.FS, error) {
	if _, err := o.made.Stat(name); err == nil {
		return o.made, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.hidden[name] {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return o.FS, nil
}

func (o *overlay) hide(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hidden[name] = true
}

func (o *overlay) make(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := o.made.MkdirAll(o.PathDir(name), 0o700); err != nil {
		return nil, err
	}
	return o.made.Create(name, category)
}

// Create implements vfs.FS.
func (o *overlay) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return o.make(name, category)
}

// OpenReadWrite implements vfs.FS. Pebble opens so only what it has made.
func (o *overlay) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return o.made.OpenReadWrite(name, category, opts...)
}

// Open implements vfs.FS.
func (o *overlay) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	holder, err := o.holder(name)
	if err != nil {
		return nil, err
	}
	return holder.Open(name, opts...)
}

// OpenDir implements vfs.FS. A directory is opened to be synced, for which there is no need.
func (o *overlay) OpenDir(string) (vfs.File, error) { return vfs.NewMemFile(nil), nil }

// Remove implements vfs.FS.
func (o *overlay) Remove(name string) error {
	holder, err := o.holder(name)
	if err != nil {
		return err
	}
	o.hide(name)
	if holder == o.made {
		return o.made.Remove(name)
	}
	return nil
}

// Rename implements vfs.FS, for files that were made.
func (o *overlay) Rename(oldname, newname string) error {
	o.hide(oldname)
	return o.made.Rename(oldname, newname)
}

// RemoveAll, Link and ReuseForWrite implement vfs.FS. Pebble does nothing of the kind here.
func (o *overlay) RemoveAll(name string) error { return readOnly("remove", name) }

func (o *overlay) Link(oldname, _ string) error { return readOnly("link", oldname) }

func (o *overlay) ReuseForWrite(oldname, _ string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, readOnly("reuse", oldname)
}

func readOnly(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrPermission}
}

// MkdirAll implements vfs.FS.
func (o *overlay) MkdirAll(dir string, perm os.FileMode) error { return o.made.MkdirAll(dir, perm) }

// Lock implements vfs.FS.
func (o *overlay) Lock(string) (io.Closer, error) {
	return closerFunc(func() error { return nil }), nil
}

// List implements vfs.FS.
func (o *overlay) List(dir string) (names []string, err error) {
	there, err := o.FS.List(dir)
	if err != nil {
		return nil, err
	}
	made, err := o.made.List(dir)
	if err != nil {
		made = nil // nothing was made yet
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	names = made
	known := make(map[string]bool)
	for _, name := range made {
		known[name] = true
	}
	for _, name := range there {
		if !known[name] && !o.hidden[o.PathJoin(dir, name)] {
			names = append(names, name)
		}
	}
	return names, nil
}

// Stat implements vfs.FS.
func (o *overlay) Stat(name string) (vfs.FileInfo, error) {
	holder, err := o.holder(name)
	if err != nil {
		return nil, err
	}
	return holder.Stat(name)
}

// Unwrap implements vfs.FS.
func (o *overlay) Unwrap() vfs.FS { return o.FS }
