package etcd

import (
	"bytes"
	"context"
	"fmt"

	"github.com/proa-dev/proa/internal/store"
)

// What NOSPACE means.
//
// A member looks at its quota twice: before it proposes a transaction, and when it carries it out. The second
// time it writes all the same, and answers that there is no space. So the answer does not tell whether the commit
// happened. But it comes when nothing is under way any more, and what was committed between the request and the
// answer can be read: a commit that is not among that did not happen. As a full etcd takes no more than deletions,
// that is little, and most often nothing.

// settle finds out what became of a commit that was answered with NOSPACE: it returns the commit's revision, or
// full, which is an ErrNoSpace, or ErrUncertain if etcd does not tell. before is a revision that etcd had before the
// commit was sent.
func (e *Engine) settle(ctx context.Context, ops []store.Op, before store.Revision, full error) (store.Revision, error) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.RequestTimeout)
	defer cancel()
	revision, err := e.find(ctx, ops, before)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: %v; then: %v", store.ErrUncertain, full, err)
	case revision == 0:
		return 0, full
	}
	e.log.Warn("etcd has carried out a commit for which it says that there is no space", "revision", revision)
	return revision, nil
}

// find looks for a commit of the ops after the revision; 0 is none.
func (e *Engine) find(ctx context.Context, ops []store.Op, after store.Revision) (store.Revision, error) {
	present, err := e.Revision(ctx)
	if err != nil || present == after {
		return 0, err
	}
	events, err := e.Events(ctx, after)
	if err != nil {
		return 0, err
	}
	defer events.Close()
	for events.Reached() < present {
		commits, err := events.Next(ctx)
		if err != nil {
			return 0, err
		}
		if revision := among(commits, ops); revision != 0 {
			return revision, nil
		}
	}
	return 0, nil
}

// among finds the ops in events of whole commits. Another's commit of the same bytes upon the same revisions is as
// good as this one.
func among(events []store.Event, ops []store.Op) store.Revision {
	writes := map[string]*store.Op{}
	for i := range ops {
		if !ops[i].Check {
			writes[ops[i].Key] = &ops[i]
		}
	}
	var at store.Revision
	matching := 0
	for _, event := range events {
		if event.Revision != at {
			at, matching = event.Revision, 0
		}
		op := writes[event.Key]
		if op == nil || !op.Holds(event.PrevRevision) || (op.Value == nil) != (event.Value == nil) || !bytes.Equal(op.Value, event.Value) {
			continue
		}
		if matching++; matching == len(writes) {
			return at
		}
	}
	return 0
}
