package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/proa-dev/proa/internal/store"
)

// How events come.
//
// A stream has a watch of its own, over a connection's stream of its own: only then do answers about
// progress speak of it alone. A goroutine, pump, passes what comes to Next. The client resumes a watch by
// itself when a connection breaks; when it gives up, because the member has lost its leader for instance,
// pump opens another after the last revision that was passed on.
//
// What Next does not take gathers in the client's memory: streams are for readers that keep up, as the cache
// does, which is the only one in a server.
//
// What has been passed on is never passed on again (take drops it), and whatever may have been lost ends the
// stream with ErrCompacted: an event whose previous value is gone, or one that Compact has given up.

// Pauses before another watch is opened.
const (
	shortestPause = 50 * time.Millisecond
	longestPause  = 2 * time.Second
)

// Events opens a watch after the revision.
func (e *Engine) Events(ctx context.Context, after store.Revision) (store.Stream, error) {
	ok, err := e.readable(ctx, max(after, 1))
	if err != nil && !errors.Is(err, store.ErrFuture) {
		return nil, err
	}
	if err == nil && !ok || after < e.compacted.Load() {
		return nil, store.ErrCompacted
	}
	if err := e.begin(); err != nil {
		return nil, err
	}
	s := &stream{engine: e, batches: make(chan batch), passed: after}
	s.reached.Store(after)
	s.open, s.end = context.WithCancel(clientv3.WithRequireLeader(e.closing))
	go func() {
		defer e.calls.Done()
		s.pump()
	}()
	return s, nil
}

type stream struct {
	engine  *Engine
	open    context.Context // ends with Close, and the engine's
	end     context.CancelFunc
	batches chan batch
	passed  store.Revision // up to where pump has passed on everything; pump's own

	reached atomic.Int64
	err     error // Next's own: what it returned, and will go on returning
}

// batch is what pump has for Next: events of whole commits, and how far the watch is, or why it ended.
type batch struct {
	events  []store.Event
	reached store.Revision
	err     error
}

func (s *stream) Reached() store.Revision { return s.reached.Load() }

func (s *stream) Close() error {
	s.end()
	return nil
}

// Next returns no events when the stream learned that there are none up to Reached.
func (s *stream) Next(ctx context.Context) ([]store.Event, error) {
	if s.err == nil && s.open.Err() != nil {
		s.err = store.ErrClosed
	}
	if s.err == nil {
		s.err = ctx.Err()
	}
	if s.err != nil {
		return nil, s.err
	}
	var b batch
	select {
	case b = <-s.batches:
	case <-ctx.Done():
		b.err = ctx.Err()
	case <-s.open.Done():
		b.err = store.ErrClosed
	}
	if b.err == nil && len(b.events) > 0 && b.events[0].Revision <= s.engine.compacted.Load() {
		b.err = store.ErrCompacted
	}
	if b.err != nil {
		s.err = b.err
		s.end()
		return nil, s.err
	}
	s.reached.Store(b.reached)
	return b.events, nil
}

// pump opens watches until the stream ends.
func (s *stream) pump() {
	pause := shortestPause
	for s.open.Err() == nil {
		before := s.passed
		err := s.follow()
		if errors.Is(err, store.ErrCompacted) {
			s.pass(batch{err: err})
			return
		}
		if s.open.Err() != nil {
			return
		}
		if s.passed > before {
			pause = shortestPause
		}
		s.engine.log.Warn("etcd's events are asked for anew", "after", s.passed, "pause", pause, "err", err)
		select {
		case <-time.After(pause):
		case <-s.open.Done():
		}
		pause = min(2*pause, longestPause)
	}
}

// pass waits for Next to take a batch. It is false when the stream has ended.
func (s *stream) pass(b batch) bool {
	select {
	case s.batches <- b:
		return true
	case <-s.open.Done():
		return false
	}
}

// follow opens a watch and passes on what it brings until it breaks.
func (s *stream) follow() error {
	ctx, cancel := context.WithCancel(s.open)
	defer cancel()
	watcher := clientv3.NewWatcher(s.engine.client)
	defer watcher.Close()
	start, end := s.engine.layout.all()
	answers := watcher.Watch(ctx, start, clientv3.WithRange(end), clientv3.WithRev(s.passed+1),
		clientv3.WithPrevKV(), clientv3.WithProgressNotify())
	ask := asking{stream: s, watcher: watcher}
	for {
		timer, raised := ask.next()
		select {
		case answer, ok := <-answers:
			if !ok {
				return errors.New("the watch ended")
			}
			b, err := s.take(ctx, answer)
			if err != nil {
				return err
			}
			if b.reached > s.passed {
				s.passed = b.reached
				s.pass(b)
			}
			ask.pause = 0
		case <-timer:
			ask.now(ctx)
		case <-raised:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take makes a batch of etcd's answer.
func (s *stream) take(ctx context.Context, answer clientv3.WatchResponse) (batch, error) {
	if answer.CompactRevision != 0 {
		s.engine.noteCompacted(answer.CompactRevision)
		return batch{}, store.ErrCompacted
	}
	if err := answer.Err(); err != nil {
		return batch{}, explain(err)
	}
	b := batch{reached: s.passed}
	if answer.IsProgressNotify() {
		b.reached = max(b.reached, answer.Header.Revision)
		return b, nil
	}
	for _, e := range answer.Events {
		if e.Kv.ModRevision <= s.passed {
			continue
		}
		event := s.engine.event(e)
		if !e.IsCreate() && e.PrevKv == nil {
			before, err := s.engine.before(ctx, event)
			if err != nil {
				return batch{}, err
			}
			event.Prev, event.PrevRevision = before.Value, before.Revision
		}
		b.events = append(b.events, event)
		b.reached = e.Kv.ModRevision
	}
	return b, nil
}

// before reads the value that an event of etcd lacks. It is gone, or etcd has left it out: it sends events of a watch that
// has just begun a moment before it knows that their previous values are wanted, too.
func (e *Engine) before(ctx context.Context, event store.Event) (store.KV, error) {
	kv, err := e.get(ctx, event.Key, clientv3.WithRev(event.Revision-1))
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCompacted) {
		err = fmt.Errorf("%w: the value before revision %d is gone", store.ErrCompacted, event.Revision)
	}
	return kv, err
}

func (e *Engine) event(from *clientv3.Event) store.Event {
	event := store.Event{Revision: from.Kv.ModRevision, Key: e.layout.fromEtcd(from.Kv.Key)}
	if from.Type == clientv3.EventTypePut {
		event.Value = present(from.Kv.Value)
		event.Hint = e.hints.of(from.Kv.Key, event.Value)
	}
	if from.PrevKv != nil {
		event.Prev, event.PrevRevision = present(from.PrevKv.Value), from.PrevKv.ModRevision
	}
	return event
}

// asking decides when a watch asks how far it is; see progress.go.
type asking struct {
	stream  *stream
	watcher clientv3.Watcher
	pause   time.Duration // before the next question; 0 if none was asked since the last answer
}

// next is when to ask, never if there is no need to, and when to think again.
func (a *asking) next() (timer <-chan time.Time, raised <-chan struct{}) {
	told, raised := a.stream.engine.asked.look()
	if a.stream.passed >= told {
		return nil, raised
	}
	if a.pause == 0 {
		a.pause = firstAsk
	}
	return time.After(a.pause), nil
}

// now asks. The question is lost if there is no connection at the moment.
func (a *asking) now(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastAsk)
	defer cancel()
	if err := a.watcher.RequestProgress(ctx); err != nil {
		a.stream.engine.log.Debug("etcd was not asked how far the events are", "err", err)
	}
	a.pause = min(4*a.pause, lastAsk)
}
