package embedded

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/proa-dev/proa/internal/store"
)

// A store that is opened on a full device.
//
// To open its directory for writing, Pebble writes: a new manifest, and tables of what is replayed from the log. Where
// there is no room for that, what it writes stays in memory (overlay.go). Reads and watches are
// served, and commits are refused, as on any full device. When there is room the directory is opened once more, for
// writing, beside the first: the new one has the same state, so readers are given a view of it and notice nothing.
// Those who still read the old view finish with it. The files it may need stay until then.

// roomLook is how often a full device is looked at.
const roomLook = time.Second

// openingSpare is what opening writes at most beside the tables of what is replayed.
const openingSpare = 1 << 20

// roomToOpen says whether the store can be opened for writing: there is room for the memory tables that were lost, or all
// that commits have left alone.
func (e *Engine) roomToOpen() bool {
	free, reserve := e.disk.usage()
	return free >= min(openingSpare+memTables*e.opts.MemTableBytes, reserve)
}

// openToRead opens the directory without writing to it.
func (e *Engine) openToRead() (*pebble.DB, error) {
	e.opts.Logger.Warn("the device has no room: the store is read-only until there is some", "dir", e.opts.Dir)
	memory := newMemory(e.opts)
	defer memory.cache.Unref()
	o := e.pebbleOptions(memory)
	o.FS, o.Lock = newOverlay(e.disk), nil
	db, err := pebble.Open(e.opts.Dir, o)
	return db, openError(err)
}

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
func (e *Engine) awaitRoom() {
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
		if err := e.openToWrite(); err != nil {
			e.opts.Logger.Error("the store could not be opened for writing", "dir", e.opts.Dir, "err", err)
			e.failure.set(err)
		}
		return
	}
}

func (e *Engine) openToWrite() error {
	db, err := e.openPebble()
	if err != nil {
		return err
	}
	w, err := e.indexed(db)
	if err == nil {
		_, err = w.replay()
	}
	was := e.writer.state
	if err == nil && w.state != was {
		err = fmt.Errorf("%w: opened for reading it ended at revision %d, for writing at %d", store.ErrCorrupt, was.revision, w.state.revision)
	}
	if err != nil {
		return errors.Join(err, db.Close())
	}
	e.db, e.writer.db = db, db // used once full is false
	e.readers.install(newView(db, e.log.files.hold(), was.revision))
	e.full.Store(false)
	e.opts.Logger.Info("the device has room again: the store takes writes", "dir", e.opts.Dir)
	e.history.look()
	e.collector.look()
	return nil
}
