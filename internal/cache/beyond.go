package cache

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/proa-dev/proa/internal/store"
)

// A state from before the window is read from the store, for as long as the store has it: so that a list
// can be continued where the cache has let go, or has begun anew. Objects that have not changed since are
// the present state's own items. The last such state is kept for a while, for the pages that follow.

// beyond is the last state that was read from the store.
type beyond struct {
	mu    sync.Mutex // held while one is read
	state *Snapshot  // nil if there is none
}

// keepBeyond is how long a state from before the window is kept.
const keepBeyond = 30 * time.Second

// beyondWindow is the state at a revision that has left the window; expired says so if it has left the
// store too.
func (t *Table) beyondWindow(ctx context.Context, rev store.Revision, expired *ExpiredError) (*Snapshot, error) {
	b := &t.beyond
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state != nil && b.state.rev == rev {
		return b.state, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	snap, err := t.cache.store.SnapshotAt(ctx, rev)
	if errors.Is(err, store.ErrCompacted) {
		return nil, expired
	}
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	s, err := t.readBeyond(ctx, snap)
	if errors.Is(err, store.ErrCompacted) {
		return nil, expired
	}
	if err != nil {
		return nil, err
	}
	b.keep(s)
	return s, nil
}

// readBeyond is the table as the store's snapshot has it.
func (t *Table) readBeyond(ctx context.Context, snap store.Snapshot) (*Snapshot, error) {
	t.mu.Lock()
	now, err := t.freeze()
	t.mu.Unlock()
	if err != nil {
		return nil, err
	}
	past := newTree()
	err = snap.Range(store.Prefix(t.schema.Prefix), func(kv store.KV) bool {
		i, same := now.Get(t.key(kv.Key))
		if !same || i.Revision != kv.Revision {
			i = t.describe(kv, nil)
		}
		if i != nil {
			past.Load(i)
		}
		return ctx.Err() == nil
	})
	return &Snapshot{tree: past, rev: snap.Revision()}, errors.Join(err, ctx.Err())
}

// keep remembers a state in place of the last one. The mu is held.
func (b *beyond) keep(s *Snapshot) {
	b.state = s
	time.AfterFunc(keepBeyond, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.state == s {
			b.state = nil
		}
	})
}
