package embedded

import (
	"os"
	"runtime"
	"syscall"
	_ "unsafe" // for names of the runtime

	"github.com/cockroachdb/pebble/v2/vfs"
)

// machine is the machine's own file system, with files whose syncs give the processor away before they wait.
//
// Go would leave the processor with a thread that waits for the device until its monitor takes it away, some 20 µs
// later at best. Everybody else waits so long, and the monitor goes on looking every 20 µs for milliseconds, which
// with one sync after the other is for ever.
func machine() vfs.FS { return machineFS{vfs.Default} }

type machineFS struct{ vfs.FS }

// Create implements vfs.FS.
func (fs machineFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return machineFileOf(fs.FS.Create(name, category))
}

// OpenReadWrite implements vfs.FS.
func (fs machineFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return machineFileOf(fs.FS.OpenReadWrite(name, category, opts...))
}

// ReuseForWrite implements vfs.FS.
func (fs machineFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return machineFileOf(fs.FS.ReuseForWrite(oldname, newname, category))
}

// Unwrap implements vfs.FS.
func (fs machineFS) Unwrap() vfs.FS { return fs.FS }

func machineFileOf(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return machineFile{f}, nil
}

type machineFile struct{ vfs.File }

// Sync implements vfs.File.
func (f machineFile) Sync() error { return f.sync("fsync", syscall.SYS_FSYNC) }

// SyncData implements vfs.File.
func (f machineFile) SyncData() error { return f.sync("fdatasync", syscall.SYS_FDATASYNC) }

func (f machineFile) sync(name string, call uintptr) error {
	for {
		errno := blockIn(call, f.Fd())
		runtime.KeepAlive(f.File)
		switch errno {
		case 0:
			return nil
		case syscall.EINTR:
		default:
			return os.NewSyscallError(name, errno)
		}
	}
}

// blockIn carries out a system call on a file that blocks, and that needs no arguments. Between the two calls of the
// runtime there is no processor, so that neither may the stack grow nor anything be allocated.
//
//go:nosplit
//go:norace
func blockIn(call, fd uintptr) syscall.Errno {
	entersyscallblock()
	_, _, errno := syscall.RawSyscall(call, fd, 0, 0)
	exitsyscall()
	return errno
}

//go:linkname entersyscallblock runtime.entersyscallblock
func entersyscallblock()

//go:linkname exitsyscall runtime.exitsyscall
func exitsyscall()
