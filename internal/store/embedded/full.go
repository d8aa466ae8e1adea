package embedded

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/proa-dev/proa/internal/store"
)

// A store that is opened on a full device.
//
// To open its directory for writing, Pebble writes: tables of what its log holds, a new log, a new manifest. Where
// there is no room for that, the directory is opened for reading only, which writes nothing. Reads and watches are
// served, and commits are refused, as on any full device. When there is room the directory is opened once more, for
// writing, beside the first: the new one has the same state, so readers are given a view of it and notice nothing.
// Those who still read the old view finish with it. The files it may need stay until then.

// roomLook is how often a full device is looked at.
const roomLook = time.Second

// openingSpare is what opening writes at most beside the tables of the log.
const openingSpare = 1 << 20

// roomToOpen says whether the store can be opened for writing: there is room for the log once more, or all that
// commits have left alone.
func (e *Engine) roomToOpen() bool {
	needed := int64(openingSpare)
	names, err := e.opts.FS.List(e.opts.Dir)
	if err != nil {
		return true // which opening will find out about
	}
	for _, name := range names {
		if info, err := e.opts.FS.Stat(e.opts.FS.PathJoin(e.opts.Dir, name)); err == nil && strings.HasSuffix(name, ".log") {
			needed += info.Size()
		}
	}
	free, reserve := e.disk.usage()
	return free >= min(needed, reserve)
}

// openToRead opens the directory without writing to it.
func (e *Engine) openToRead() (*pebble.DB, error) {
	e.opts.Logger.Warn("the device has no room: the store is read-only until there is some", "dir", e.opts.Dir)
	memory := newMemory(e.opts)
	defer memory.cache.Unref()
	o := e.pebbleOptions(memory)
	o.ReadOnly, o.FS, o.Lock = true, lockless{e.disk}, nil
	db, err := pebble.Open(e.opts.Dir, o)
	return db, openError(err)
}

// lockless is the disk for a second Pebble in a directory that the engine has locked already.
type lockless struct{ *disk }

func (lockless) Lock(string) (io.Closer, error) { return closerFunc(func() error { return nil }), nil }

// closer keeps the files that db may need, until what it returns closes db.
func (e *Engine) closer(db *pebble.DB) func() {
	end := e.disk.keep()
	return func() {
		if err := db.Close(); err != nil {
			e.opts.Logger.Error("closing what was open for reading only", "dir", e.opts.Dir, "err", err)
		}
		if err := end(); err != nil {
			e.opts.Logger.Warn("files of the store that nobody needs could not be removed", "dir", e.opts.Dir, "err", err)
		}
	}
}

// awaitRoom opens the directory for writing when there is room, or ends with the engine.
func (e *Engine) awaitRoom(state stateRecord) {
	look := time.NewTicker(roomLook)
	defer look.Stop()
	for {
		select {
		case <-e.stop:
			return
		case <-look.C:
		}
		if !e.roomToOpen() {
			continue
		}
		if err := e.openToWrite(state); err != nil {
			e.opts.Logger.Error("the store could not be opened for writing", "dir", e.opts.Dir, "err", err)
			e.failure.set(err)
		}
		return
	}
}

func (e *Engine) openToWrite(state stateRecord) error {
	db, err := e.openPebble()
	if err != nil {
		return err
	}
	now, _, err := e.recover(db)
	if err == nil && now != state {
		err = fmt.Errorf("%w: opened for reading it ended at revision %d, for writing at %d", store.ErrCorrupt, state.revision, now.revision)
	}
	if err != nil {
		return errors.Join(err, db.Close())
	}
	e.db = db
	e.readers.install(newView(db, state.revision))
	e.full.Store(false)
	e.opts.Logger.Info("the device has room again: the store takes writes", "dir", e.opts.Dir)
	e.history.look()
	return nil
}
