package cache

import (
	"context"
	"slices"

	"github.com/proa-dev/proa/internal/store"
)

// A past state is made by undoing changes: a copy of the tree, which costs nothing, takes back the
// window's changes from the newest to the first one beyond the revision. The last few are kept, so that
// the pages of one list, which all ask for the same revision, undo once, and a later list undoes less.

// pastState is the table before a change.
type pastState struct {
	before uint64 // the number of the first change that is not in it
	tree   *tree
}

// keptStates is how many past states a table keeps.
const keptStates = 4

// frozenNow is freeze when nothing was changed since the last one; nil otherwise.
func (t *Table) frozenNow() *Snapshot {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.frozen == nil || t.phase != live {
		return nil
	}
	return &Snapshot{tree: t.frozen, rev: t.now()}
}

// freeze is the present state. The table's mu is held for writing.
func (t *Table) freeze() (*Snapshot, error) {
	if err := t.usable(); err != nil {
		return nil, err
	}
	if t.frozen == nil {
		t.frozen = t.tree.Copy()
	}
	return &Snapshot{tree: t.frozen, rev: t.now()}, nil
}

// exact is the state at a revision that the cache has reached.
func (t *Table) exact(ctx context.Context, rev store.Revision) (*Snapshot, error) {
	base, undo, err := t.plan(rev)
	if expired, ok := err.(*ExpiredError); ok {
		return t.beyondWindow(ctx, rev, expired)
	}
	if err != nil {
		return nil, err
	}
	if len(undo) == 0 {
		return &Snapshot{tree: base.tree, rev: rev}, nil
	}
	for _, c := range slices.Backward(undo) {
		if c.prev != nil {
			base.tree.Set(c.prev)
			continue
		}
		base.tree.Delete(c.item)
	}
	t.keep(base)
	return &Snapshot{tree: base.tree, rev: rev}, nil
}

// plan says how to get to the state at a revision: from a tree, which the caller may change if there is
// anything to undo, and the changes to undo in it.
func (t *Table) plan(rev store.Revision) (base pastState, undo []*change, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, err := t.freeze()
	if err != nil {
		return pastState{}, nil, err
	}
	if rev < t.window.floor {
		return pastState{}, nil, &ExpiredError{Requested: rev, Oldest: t.window.floor}
	}
	first := t.window.after(rev)
	from := pastState{t.window.end, now.tree}
	for _, p := range t.past {
		if p.before >= first && p.before < from.before {
			from = p
		}
	}
	if from.before == first {
		return from, nil, nil
	}
	undo = make([]*change, 0, from.before-first)
	for n := first; n < from.before; n++ {
		undo = append(undo, t.window.at(n))
	}
	return pastState{first, from.tree.Copy()}, undo, nil
}

// keep remembers a past state, in place of the oldest kept one if there are too many.
func (t *Table) keep(p pastState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.before < t.window.base || slices.ContainsFunc(t.past, func(q pastState) bool { return q.before == p.before }) {
		return
	}
	if len(t.past) == keptStates {
		t.past = slices.Delete(t.past, 0, 1)
	}
	t.past = append(t.past, p)
}

// forgetPast gives up the states that are out of the window. The table's mu is held for writing.
func (t *Table) forgetPast() {
	if len(t.past) > 0 {
		t.past = slices.DeleteFunc(t.past, func(p pastState) bool { return p.before < t.window.base })
	}
}
