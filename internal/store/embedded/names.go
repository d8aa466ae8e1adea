package embedded

import (
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A file's name becomes durable with its content.
//
// Pebble syncs the directory after it has made a file and before it writes to it. For the log that is once a
// memory table, which under load is every few dozen groups, and then a whole group of commits waits for the
// directory first and for its own sync next: these are the slowest commits of all. So:
//
//   - Whoever syncs a file that was made under these rules has its name durable too when the sync returns. A log's name
//     is on its way from the moment that the log is made, beside the first group's writing and sync; other files'
//     follows their content.
//   - Therefore a sync of the store's directory has nothing to do, unless something was renamed or linked, or a file was
//     closed unsynced, since the last one.
//
// Pebble relies on a name in two ways, and both are kept: a record in the log is durable only where the log is found
// again, and a table is referred to only when it was synced. A log before the last must have its end, and a recycled one
// takes its new name when the end of the one before is durable; that order is Pebble's and stays.
type names struct {
	dir vfs.File // there once opened is true
	// opened is true from when the rules hold.
	opened atomic.Bool
	// unsure is true when there is a name that no file's sync makes durable.
	unsure atomic.Bool
	// syncing is held while the directory is synced for one of those, so that whoever finds unsure false has it durable.
	syncing sync.Mutex
	// settling are the names that are on their way without anybody who waits.
	settling sync.WaitGroup
}

// open begins the rules. Files that are there or being made already are left to the directory's sync.
func (n *names) open(fs vfs.FS, dir string) (err error) {
	if n.dir, err = fs.OpenDir(dir); err != nil {
		return err
	}
	n.unsure.Store(true)
	n.opened.Store(true)
	return nil
}

func (n *names) close() error {
	if !n.opened.Load() {
		return nil
	}
	n.settling.Wait()
	return n.dir.Close()
}

// changed is told of what only a sync of the directory makes durable, after it is done.
func (n *names) changed() { n.unsure.Store(true) }

// sync runs the sync of the directory if it has something to do.
func (n *names) sync(directory func() error) error {
	if !n.opened.Load() {
		return directory()
	}
	n.syncing.Lock()
	defer n.syncing.Unlock()
	if !n.unsure.Swap(false) {
		return nil
	}
	return directory()
}

// add is told of a file after it was made.
func (n *names) add() *name {
	if !n.opened.Load() {
		return nil
	}
	return &name{names: n, done: make(chan struct{})}
}

// name is that of a file that was made under the rules; nil is one that was not.
type name struct {
	names *names
	begun atomic.Bool
	err   error         // of the sync, there when done is closed
	done  chan struct{} // closed when the name is durable, or cannot be made so
}

// settle makes the name durable, or waits for who is at it.
func (n *name) settle() error {
	if n == nil {
		return nil
	}
	if n.begun.CompareAndSwap(false, true) {
		n.err = n.names.dir.Sync()
		close(n.done)
	}
	<-n.done
	return n.err
}

// abandon is told that the file is closed.
func (n *name) abandon() {
	if n != nil && !n.begun.Load() {
		n.names.changed()
	}
}

// ownDir is the store's directory, opened to be synced.
type ownDir struct{ diskFile }

func (d *ownDir) Sync() error     { return d.disk.names.sync(d.diskFile.Sync) }
func (d *ownDir) SyncData() error { return d.Sync() }
