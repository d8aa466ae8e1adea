package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/proa-dev/proa/internal/store"
)

// Write writes a snapshot.
func Write(ctx context.Context, out io.Writer, snap store.Snapshot, server string) error {
	w, err := newWriter(out, Header{Revision: snap.Revision(), Time: time.Now().UTC(), Server: server})
	if err != nil {
		return err
	}
	keys := 0
	var failed error
	err = snap.Range(store.Range{}, func(kv store.KV) bool {
		if failed = ctx.Err(); failed == nil {
			failed = w.key(kv)
		}
		keys++
		return failed == nil
	})
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	return w.trailer(keys)
}

// Verify reads a whole backup. The Reader says what was in it.
func Verify(in io.Reader) (*Reader, error) {
	r, err := NewReader(in)
	for err == nil {
		_, err = r.Next()
	}
	if err == io.EOF {
		return r, nil
	}
	return nil, err
}

// Marker is in a store into which a restore was begun and not finished. Such a store must not be served.
const Marker = "/registry/proa/restore"

// DefaultAhead is how far above the backup's revision a restored store begins, if nothing else is asked for.
const DefaultAhead = 1_000_000

// Options of a restore.
type Options struct {
	// Ahead is how many revisions the lost store may have given out after the backup; 0 is DefaultAhead.
	// Clients that have seen them, and come back with one, must find it in the new store's past.
	Ahead int64
	// TTL is how long a key has to live from now on; 0 is for ever. Backups do not have it.
	TTL func(key string) time.Duration
	// Progress is told, now and then, what is being done and how much of it is done; nil is nobody.
	Progress func(what string, done, all int64)
}

// ErrNotEmpty means that a store has keys already.
var ErrNotEmpty = errors.New("the store is not empty: a backup is restored into a new one only")

// Restore writes a backup into an empty store, after it has read the whole of it and found it in order.
//
// Revisions go on above the backup's, and what the store can tell of its past begins at the end of the
// restore: clients that come with a resourceVersion of the time before are told that it is too old, and list
// anew. To get there the store makes a commit for every revision that it is behind, because a revision cannot
// be set from outside; a store that is ahead already (etcd's can be made so) is spared that.
func Restore(ctx context.Context, s store.Store, file io.ReadSeeker, o Options) (*Reader, error) {
	if o.Ahead == 0 {
		o.Ahead = DefaultAhead
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	found, err := Verify(file)
	if err != nil {
		return nil, err
	}
	if err := empty(ctx, s); err != nil {
		return nil, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if err := advance(ctx, s, found.Header.Revision+o.Ahead, o.Progress); err != nil {
		return nil, err
	}
	if err := fill(ctx, s, file, found, o); err != nil {
		return nil, err
	}
	last, err := s.Commit(ctx, store.Op{Key: Marker, Expect: store.AnyRevision})
	if err != nil {
		return nil, err
	}
	return found, s.Compact(ctx, last)
}

func empty(ctx context.Context, s store.Store) error {
	snap, err := s.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer snap.Close()
	first := ""
	if err := snap.Range(store.Range{Limit: 1}, func(kv store.KV) bool { first = kv.Key; return false }); err != nil {
		return err
	}
	if first != "" {
		return fmt.Errorf("%w (it has %s)", ErrNotEmpty, first)
	}
	return nil
}

// advancers is how many commits are under way at a time: as many as make full groups of them.
const advancers = 256

// advance marks the store as being restored, and commits until its revision is the one wanted.
func advance(ctx context.Context, s store.Store, to store.Revision, progress func(string, int64, int64)) error {
	mark := store.Op{Key: Marker, Value: []byte("unfinished"), Expect: store.MustNotExist}
	from, err := s.Commit(ctx, mark)
	if err != nil {
		return err
	}
	var made atomic.Int64
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	mark.Expect = store.AnyRevision
	var workers sync.WaitGroup
	for range advancers {
		workers.Go(func() {
			for ctx.Err() == nil {
				n := made.Add(1)
				if from+n > to {
					return
				}
				if _, err := s.Commit(ctx, mark); err != nil {
					cancel(err)
				}
				if n%10_000 == 0 {
					progress("revisions", n, to-from)
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// Bounds of one commit of a restore.
const (
	batchKeys  = 100 // etcd takes 128 operations
	batchBytes = 512 << 10
)

func fill(ctx context.Context, s store.Store, file io.Reader, found *Reader, o Options) error {
	r, err := NewReader(file)
	if err != nil {
		return err
	}
	var batch []store.Op
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		_, err := s.Commit(ctx, batch...)
		batch, size = nil, 0
		o.Progress("keys", int64(r.Keys), int64(found.Keys))
		return err
	}
	for {
		kv, err := r.Next()
		if err == io.EOF {
			return flush()
		}
		if err != nil {
			return err
		}
		if kv.Key == Marker {
			continue
		}
		op := store.Op{Key: kv.Key, Value: kv.Value, Expect: store.MustNotExist}
		if o.TTL != nil {
			op.TTL = o.TTL(kv.Key)
		}
		if size += len(kv.Value); len(batch) == batchKeys || len(batch) > 0 && size > batchBytes {
			if err := flush(); err != nil {
				return err
			}
			size = len(kv.Value)
		}
		batch = append(batch, op)
	}
}
