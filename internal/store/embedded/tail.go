package embedded

import (
	"sync"

	"github.com/proa-dev/proa/internal/store"
)

// tail is the latest part of the history, in memory and shared by all streams: each pulls from it at
// its own pace, by revision, and keeps nothing of its own. A stream that has fallen behind it reads from
// disk until it has caught up. Revisions are dense, so a revision's place is a subtraction.
type tail struct {
	mu sync.Mutex
	// commits holds the events of the revisions up to last, without gaps; guarded by mu.
	commits [][]store.Event
	// last is the last durable revision, oldest the oldest that streams may start after; guarded by mu.
	last, oldest store.Revision
	// bytes is about what commits holds, limit what it may hold.
	bytes, limit int64
	// grown is closed when there is more than last; nil while nobody waits.
	grown  chan struct{}
	closed bool
}

// eventOverhead is what an event is counted for beside its bytes.
const eventOverhead = 128

func eventBytes(events []store.Event) (n int64) {
	for i := range events {
		n += int64(eventOverhead + len(events[i].Key) + len(events[i].Value) + len(events[i].Prev))
	}
	return n
}

// publish appends a durable group's commits.
func (t *tail) publish(g *group) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range g.requests {
		if r.err == nil && r.task == nil {
			t.commits = append(t.commits, r.events)
			t.bytes += eventBytes(r.events)
		}
	}
	t.last = g.state.revision
	drop := 0
	for t.bytes > t.limit && drop < len(t.commits) {
		t.bytes -= eventBytes(t.commits[drop])
		drop++
	}
	t.drop(drop)
	t.wake()
}

// drop forgets the first n commits. The slice's dead beginning goes when append next grows it.
func (t *tail) drop(n int) {
	clear(t.commits[:n])
	t.commits = t.commits[n:]
}

// forget gives up all commits, and returns what they held. They are on disk for whoever has not had them yet.
func (t *tail) forget() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	held := t.bytes
	t.commits, t.bytes = nil, 0
	return held
}

func (t *tail) wake() {
	if t.grown != nil {
		close(t.grown)
		t.grown = nil
	}
}

// after returns the commits after the revision, and the last one's revision. If there are none yet,
// grown is closed when there are; if they are on disk only, both are nil.
func (t *tail) after(rev store.Revision) (commits [][]store.Event, last store.Revision, grown <-chan struct{}, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := t.last - store.Revision(len(t.commits)) + 1
	switch {
	case t.closed:
		return nil, 0, nil, store.ErrClosed
	case rev < t.oldest:
		return nil, 0, nil, store.ErrCompacted
	case rev >= t.last:
		if t.grown == nil {
			t.grown = make(chan struct{})
		}
		return nil, 0, t.grown, nil
	case rev+1 < first:
		return nil, 0, nil, nil
	}
	return append([][]store.Event(nil), t.commits[rev+1-first:]...), t.last, nil, nil
}

// compact makes the revision the oldest.
func (t *tail) compact(oldest store.Revision) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.oldest = max(t.oldest, oldest)
	first := t.last - store.Revision(len(t.commits)) + 1
	drop := int(min(max(0, t.oldest-first+1), store.Revision(len(t.commits))))
	t.bytes -= bytesOf(t.commits[:drop])
	t.drop(drop)
	t.wake()
}

func bytesOf(commits [][]store.Event) (n int64) {
	for _, c := range commits {
		n += eventBytes(c)
	}
	return n
}

func (t *tail) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.wake()
}
