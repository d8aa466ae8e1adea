package embedded

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/proa-dev/proa/internal/store"
)

// A marker file says that a directory is ours and in which format, so that nothing of Pebble touches a
// directory that is not, or that a later version has written. It also has the revision at the last orderly
// end: damage in the last frame of the log looks like the torn end that a crash leaves, and what follows is
// dropped; a store that comes up below that revision has lost commits that way.
const (
	markerName    = "PROA-STORE"
	markerText    = "proa store, format %d, closed at revision %d\n"
	formatVersion = 2
	// Before oldestFormat, Pebble had the values.
	oldestFormat = 2
)

// Open opens the store in the directory, or makes a new one if the directory is empty or missing. An
// error leaves what is there as it was.
func Open(opts Options) (*Engine, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	e := &Engine{opts: opts, failure: newFailure()}
	e.disk = newDisk(opts.FS, opts.Dir, opts.MinFreeBytes, func(err error) {
		opts.Logger.Error("writing to the store's directory failed; the store is read-only now", "dir", opts.Dir, "err", err)
		e.failure.set(err)
	}, func() {
		opts.Logger.Warn("the device is full: what is being written to the store's directory waits for room", "dir", opts.Dir)
	})
	if err := e.openDirectory(); err != nil {
		return nil, fmt.Errorf("store in %s: %w", opts.Dir, err)
	}
	db := e.db
	if db == nil {
		var err error
		if db, err = e.openToRead(); err != nil {
			return nil, errors.Join(fmt.Errorf("store in %s: %w", opts.Dir, err), e.disk.unlock())
		}
	}
	e.log = newLog(e.disk, opts)
	if err := e.recover(db); err != nil {
		e.log.close(nil)
		return nil, errors.Join(fmt.Errorf("store in %s: %w", opts.Dir, err), db.Close(), e.disk.unlock())
	}
	e.disk.arm(e.log.sync)
	first := newView(db, e.log.files.hold(), e.writer.state.revision)
	if e.full.Load() {
		first.unread = e.closer(db)
	}
	e.start(first, e.writer.oldest)
	return e, nil
}

// openDirectory leaves db nil, and full true, if the store exists and there is no room to open it for writing.
func (e *Engine) openDirectory() error {
	isNew, closedAt, err := inspect(e.opts.FS, e.opts.Dir)
	if err != nil {
		return err
	}
	if isNew {
		if err := e.opts.FS.MkdirAll(e.opts.Dir, 0o700); err != nil {
			return err
		}
	}
	e.closedAt = closedAt
	if e.lock, err = pebble.LockDirectory(e.opts.Dir, e.disk); err != nil {
		return lockError(err)
	}
	switch {
	case isNew:
		err = writeMarker(e.opts.FS, e.opts.Dir, 0)
	case !e.roomToOpen():
		e.full.Store(true)
		return nil
	default:
		e.disk.await()
	}
	if err == nil {
		e.db, err = e.openPebble()
	}
	if err != nil {
		return errors.Join(err, e.disk.unlock())
	}
	return nil
}

func (e *Engine) openPebble() (*pebble.DB, error) {
	memory := newMemory(e.opts)
	defer memory.cache.Unref() // Pebble has its own reference
	db, err := pebble.Open(e.opts.Dir, e.pebbleOptions(memory))
	if err == nil {
		err = e.failure.get()
	}
	return db, openError(err)
}

func openError(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %v", store.ErrCorrupt, err)
	}
	return err
}

// lockError tells the one case that a user can understand from the others.
func lockError(err error) error {
	held := errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) ||
		strings.Contains(err.Error(), "lock held by current process")
	if held {
		return fmt.Errorf("the directory is in use by another server")
	}
	return err
}

// inspect looks at the directory without changing it. It is new if a store may be made in it.
func inspect(files vfs.FS, dir string) (isNew bool, closedAt store.Revision, err error) {
	names, err := files.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, 0, nil
	}
	if err != nil {
		return false, 0, err
	}
	if slices.Contains(names, markerName) {
		closedAt, err = readMarker(files, files.PathJoin(dir, markerName))
		return false, closedAt, err
	}
	slices.Sort(names)
	for _, name := range names {
		if name != "LOCK" && name != "lost+found" && name != markerName+".new" {
			return false, 0, fmt.Errorf("the directory holds %s but no store; a new store needs an empty directory", name)
		}
	}
	return true, 0, nil
}

func readMarker(files vfs.FS, path string) (closedAt store.Revision, err error) {
	f, err := files.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return 0, err
	}
	var version int
	n, _ := fmt.Sscanf(string(text), markerText, &version, &closedAt)
	if n > 0 && version < oldestFormat {
		return 0, fmt.Errorf("it has format %d, and this version knows %d at least; `proa backup` of the version that wrote it, "+
			"and `proa restore` of this one, bring it over", version, oldestFormat)
	}
	if n > 0 && version > formatVersion {
		return 0, fmt.Errorf("it has format %d, and this version knows %d at most; a newer version wrote it", version, formatVersion)
	}
	if string(text) != fmt.Sprintf(markerText, version, closedAt) {
		return 0, fmt.Errorf("%w: %s says %q", store.ErrCorrupt, markerName, text)
	}
	return closedAt, nil
}

func writeMarker(files vfs.FS, dir string, closedAt store.Revision) error {
	path := files.PathJoin(dir, markerName)
	f, err := files.Create(path+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, markerText, formatVersion, closedAt)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := files.Rename(path+".new", path); err != nil {
		return err
	}
	d, err := files.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// recover goes on where the last run ended.
func (e *Engine) recover(db *pebble.DB) error {
	w, err := e.indexed(db)
	if err != nil {
		return err
	}
	if err := e.log.open(w.segments, w.state.log); err != nil {
		return err
	}
	end, err := w.replay()
	if err != nil {
		return err
	}
	if w.state.revision < e.closedAt {
		return fmt.Errorf("%w: it was closed at revision %d, but what is left ends at %d", store.ErrCorrupt, e.closedAt, w.state.revision)
	}
	e.writer = w
	if err := e.log.endAt(end); err != nil {
		return err
	}
	ids, err := e.log.leftovers(end)
	if err != nil || e.full.Load() {
		return err
	}
	return e.log.removeFiles(ids)
}

// indexed is a writer that knows what the index knows. It reads few records, however large the store is.
func (e *Engine) indexed(db *pebble.DB) (*writer, error) {
	segments, err := segmentRecords(db)
	if err != nil {
		return nil, err
	}
	w := newWriter(e, db, segments)
	_, err = get(db, stateKey, func(record []byte) (err error) {
		w.state, err = decodeState(stateKey, record)
		return err
	})
	if err != nil {
		return nil, err
	}
	_, err = get(db, oldestKey, func(record []byte) (err error) {
		w.oldest, err = decodeNumber(oldestKey, record)
		return err
	})
	return w, err
}

func segmentRecords(db pebble.Reader) (segments map[uint64]*segmentRecord, err error) {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: segmentKey(0), UpperBound: []byte{segmentSpace + 1}})
	if err != nil {
		return nil, readError(segmentKey(0), err)
	}
	defer it.Close()
	segments = make(map[uint64]*segmentRecord)
	for ok := it.First(); ok; ok = it.Next() {
		record, err := it.ValueAndErr()
		if err != nil {
			return nil, readError(it.Key(), err)
		}
		s, err := decodeSegment(it.Key(), record)
		if err != nil {
			return nil, err
		}
		segments[parseSegmentKey(it.Key())] = &s
	}
	if err := it.Error(); err != nil {
		return nil, readError(segmentKey(0), err)
	}
	return segments, nil
}
