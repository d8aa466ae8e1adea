package etcd

import (
	"sync"
	"time"

	"github.com/proa-dev/proa/internal/store"
)

// Why streams ask how far they are.
//
// Whoever was told a revision may wait until a stream has reached it. The revision may be of a write outside
// this store's keys, for which there will never be an event, and etcd tells by itself once in ten minutes.
// So every revision that is given out is noted here, and a stream that is behind it asks: not at once, since
// the event is most often on its way, and again and again, since etcd does not answer a stream that has not
// had all its events.
const (
	firstAsk = 2 * time.Millisecond
	lastAsk  = 100 * time.Millisecond
)

// progress is the highest revision that somebody was told.
type progress struct {
	mu     sync.Mutex
	told   store.Revision // guarded by mu
	raised chan struct{}  // guarded by mu; closed when told grows; nil if nobody looks
}

func (p *progress) expect(rev store.Revision) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if rev <= p.told {
		return
	}
	p.told = rev
	if p.raised != nil {
		close(p.raised)
		p.raised = nil
	}
}

// look returns the revision, and a channel that closes when it grows.
func (p *progress) look() (store.Revision, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.raised == nil {
		p.raised = make(chan struct{})
	}
	return p.told, p.raised
}
