package embedded

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/proa-dev/proa/internal/store"
)

// stream reads the history forward: from the tail if that reaches back far enough, from disk otherwise.
type stream struct {
	e       *Engine
	reached store.Revision
	// err is the first error; Next goes on returning it.
	err error
}

var _ store.Stream = (*stream)(nil)

// pageBytes bounds what a stream reads from disk at a time; one commit may be larger.
const pageBytes = 1 << 20

// Events implements store.Store.
func (e *Engine) Events(ctx context.Context, after store.Revision) (store.Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.tail.mu.Lock()
	defer e.tail.mu.Unlock()
	if e.tail.closed {
		return nil, store.ErrClosed
	}
	if after < e.tail.oldest {
		return nil, fmt.Errorf("events after %d, the oldest is %d: %w", after, e.tail.oldest, store.ErrCompacted)
	}
	return &stream{e: e, reached: after}, nil
}

func (s *stream) Reached() store.Revision { return s.reached }

func (s *stream) Close() error {
	if s.err == nil {
		s.err = store.ErrClosed
	}
	return nil
}

func (s *stream) Next(ctx context.Context) ([]store.Event, error) {
	if s.err == nil {
		s.err = ctx.Err()
	}
	for s.err == nil {
		commits, last, grown, err := s.e.tail.after(s.reached)
		switch {
		case err != nil:
			s.err = err
		case commits != nil:
			s.reached = last
			return flatten(commits), nil
		case grown == nil:
			events, err := s.fromDisk()
			if err == nil {
				return events, nil
			}
			s.err = err
		default:
			s.err = wait(ctx, grown)
		}
	}
	return nil, s.err
}

func wait(ctx context.Context, grown <-chan struct{}) error {
	select {
	case <-grown:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func flatten(commits [][]store.Event) []store.Event {
	if len(commits) == 1 {
		return commits[0][:len(commits[0]):len(commits[0])]
	}
	n := 0
	for _, c := range commits {
		n += len(c)
	}
	events := make([]store.Event, 0, n)
	for _, c := range commits {
		events = append(events, c...)
	}
	return events
}

// fromDisk reads the next page. There is one: the tail has a later revision.
func (s *stream) fromDisk() ([]store.Event, error) {
	v, err := s.e.readers.acquire()
	if err != nil {
		return nil, err
	}
	defer s.e.readers.giveBack(v)
	page := historyPage{view: v, next: s.reached + 1}
	if err := page.read(); err != nil {
		if s.e.history.oldest.Load() > s.reached {
			return nil, store.ErrCompacted // the log was cut back under our feet
		}
		return nil, err
	}
	s.reached = page.next - 1
	return page.events, nil
}

// historyPage gathers the events of commits from next on.
type historyPage struct {
	view   *view
	next   store.Revision
	events []store.Event
	bytes  int64
}

func (p *historyPage) read() error {
	it, err := p.view.snap.NewIter(&pebble.IterOptions{
		LowerBound: logKey(p.next), UpperBound: logKey(p.view.revision + 1),
	})
	if err != nil {
		return readError(logKey(p.next), err)
	}
	defer it.Close()
	for ok := it.First(); ok && p.bytes < pageBytes; ok = it.Next() {
		if err := p.add(it); err != nil {
			return err
		}
	}
	if err := it.Error(); err != nil {
		return readError(logKey(p.next), err)
	}
	if len(p.events) == 0 {
		return damaged(logKey(p.next), "missing")
	}
	return nil
}

// add takes the commit that the iterator stands on.
func (p *historyPage) add(it *pebble.Iterator) error {
	k := logKey(p.next)
	if string(it.Key()) != string(k) {
		return damaged(k, "missing")
	}
	record, err := it.ValueAndErr()
	if err != nil {
		return readError(k, err)
	}
	commit, err := decodeCommit(k, record)
	if err != nil {
		return err
	}
	for i := range commit.changes {
		event, err := p.event(&commit.changes[i])
		if err != nil {
			return err
		}
		p.bytes += int64(eventOverhead + len(event.Value) + len(event.Prev))
		p.events = append(p.events, event)
	}
	p.next++
	return nil
}

// event reads the values of a change in the commit at next.
func (p *historyPage) event(ch *change) (event store.Event, err error) {
	event = store.Event{Revision: p.next, Key: ch.key, PrevRevision: ch.prevRevision}
	if !ch.deleted {
		if event.Value, err = p.view.value(ch.key, p.next, ch.at); err != nil {
			return event, err
		}
	}
	if ch.prevRevision != 0 {
		event.Prev, err = p.view.value(ch.key, ch.prevRevision, ch.prev)
	}
	return event, err
}
