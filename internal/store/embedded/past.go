package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/proa-dev/proa/internal/store"
)

// The key space at a past revision R is the present one with the commits after R undone. What a commit
// replaced stands in the log, so what a key was at R is in the first commit after R that changed it; a key
// that none of them changed is as it was. A range is therefore read in two steps:
//
//  1. undoing reads the log from R on and notes, for each changed key of the range, that first commit. Of
//     keys it holds undoKeys at most, the smallest: if there are more, the range is read in several parts.
//  2. merge goes through the live records of that part and puts, in the place of the noted keys, what the
//     log says, whether they still exist or not.
//
// All of it is read from one view, so that writers, and the cutting of the log, do not matter. The price
// of a range is the log after R once a part, and what is in the range.

// undoKeys is how many changed keys are held at a time.
const undoKeys = 1 << 16

// SnapshotAt implements store.Store.
func (e *Engine) SnapshotAt(ctx context.Context, at store.Revision) (store.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := e.readers.snapshot()
	if err != nil {
		return nil, err
	}
	// The view first, then the oldest revision: so the log of the view begins there or before.
	switch oldest := e.history.oldest.Load(); {
	case at > s.view.revision:
		err = fmt.Errorf("the state at %d, the present is %d: %w", at, s.view.revision, store.ErrFuture)
	case at < oldest:
		err = fmt.Errorf("the state at %d, the oldest is %d: %w", at, oldest, store.ErrCompacted)
	case at == s.view.revision:
		return s, nil
	default:
		return &past{snapshot: s, at: at, undoKeys: undoKeys}, nil
	}
	return nil, errors.Join(err, s.Close())
}

// past is a snapshot at a revision before its view's.
type past struct {
	*snapshot
	at       store.Revision
	undoKeys int
}

var _ store.Snapshot = (*past)(nil)

func (p *past) Revision() store.Revision { return p.at }

func (p *past) Get(key string) (found store.KV, err error) {
	err = p.Range(store.Range{Start: key, End: key + "\x00"}, func(kv store.KV) bool { found = kv; return true })
	if err == nil && found.Revision == 0 {
		err = fmt.Errorf("%s: %w", key, store.ErrNotFound)
	}
	return found, err
}

func (p *past) Range(r store.Range, yield func(store.KV) bool) error {
	if err := p.readers.enter(); err != nil {
		return err
	}
	defer p.readers.leave()
	given := 0
	count := func(kv store.KV) bool {
		given++
		return yield(kv) && given != r.Limit
	}
	for start := r.Start; r.End == "" || start < r.End; {
		u, err := p.undoing(start, r.End)
		if err != nil {
			return err
		}
		more, err := p.merge(u, start, count)
		if err != nil || !more || u.end == r.End {
			return err
		}
		start = u.end
	}
	return nil
}

// undo is what was noted of a part of a range.
type undo struct {
	// end is where the part ends; empty is after the last key.
	end string
	// first is the first commit after the revision that changed a key.
	first map[string]store.Revision
}

// undoing notes what to undo from start on, up to end or to as many keys as may be held.
func (p *past) undoing(start, end string) (*undo, error) {
	u := &undo{end: end, first: map[string]store.Revision{}}
	next := p.at + 1
	it, err := p.view.snap.NewIter(&pebble.IterOptions{LowerBound: logKey(next), UpperBound: logKey(p.view.revision + 1)})
	if err != nil {
		return nil, readError(logKey(next), err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		record, err := it.ValueAndErr()
		if err != nil {
			return nil, readError(it.Key(), err)
		}
		if want := logKey(next); string(it.Key()) != string(want) {
			return nil, damaged(want, "missing")
		}
		_, _, err = eachChange(it.Key(), record, func(_ change, key []byte) {
			if string(key) < start || u.end != "" && string(key) >= u.end {
				return
			}
			if _, noted := u.first[string(key)]; !noted {
				u.first[string(key)] = next
			}
		})
		if err != nil {
			return nil, err
		}
		if len(u.first) > 2*p.undoKeys {
			u.shorten(p.undoKeys)
		}
		next++
	}
	if err := it.Error(); err != nil {
		return nil, readError(logKey(next), err)
	}
	if next <= p.view.revision {
		return nil, damaged(logKey(next), "missing")
	}
	return u, nil
}

// shorten keeps the n smallest keys and lets the part end after them.
func (u *undo) shorten(n int) {
	keys := u.keys()
	u.end = keys[n]
	for _, key := range keys[n:] {
		delete(u.first, key)
	}
}

func (u *undo) keys() []string {
	keys := make([]string, 0, len(u.first))
	for key := range u.first {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// merge yields a part of the range; more is false if yield wants no more.
func (p *past) merge(u *undo, start string, yield func(store.KV) bool) (more bool, err error) {
	c, err := p.view.cursor(start, u.end)
	if err != nil {
		return false, err
	}
	defer c.close()
	changed := u.keys()
	for ok := c.next(); ok || len(changed) > 0; {
		order := -1
		if ok && len(changed) > 0 {
			order = strings.Compare(c.key, changed[0])
		} else if !ok {
			order = 1
		}
		var kv store.KV
		if order < 0 {
			kv, err = c.kv(false)
			if err == nil && kv.Revision > p.at {
				err = damaged(logKey(kv.Revision), "a change is missing")
			}
		} else {
			kv, err = p.before(u.first[changed[0]], changed[0])
			changed = changed[1:]
		}
		if err != nil {
			return false, err
		}
		if order <= 0 {
			ok = c.next()
		}
		if kv.Revision > 0 && !yield(kv) {
			return false, nil
		}
	}
	return c.err == nil, c.err
}

// before is what the key was before the commit; its revision is 0 if it did not exist.
func (p *past) before(commit store.Revision, key string) (kv store.KV, err error) {
	k := logKey(commit)
	var was change
	found := false
	_, err = p.view.get(k, func(record []byte) error {
		_, _, err := eachChange(k, record, func(ch change, changed []byte) {
			if string(changed) == key {
				was, found = ch, true
			}
		})
		return err
	})
	if err == nil && (!found || was.prevRevision > p.at) {
		err = damaged(k, "missing")
	}
	if err != nil || was.prevRevision == 0 {
		return store.KV{}, err
	}
	value, err := p.view.value(key, was.prevRevision, was.prev)
	return store.KV{Key: key, Revision: was.prevRevision, Value: value}, err
}
