package cache

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/proa-dev/proa/internal/store"
)

// progress is how far the cache has come, and who waits for it to come further.
type progress struct {
	reached atomic.Int64

	mu      sync.Mutex
	changed chan struct{} // guarded by mu; closed at the next advance; nil while nobody waits
}

func (p *progress) advance(to store.Revision) {
	if to <= p.reached.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reached.Store(to)
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// wait returns when the revision is reached, or the context's error.
func (p *progress) wait(ctx context.Context, want store.Revision) error {
	for p.reached.Load() < want {
		changed := p.next(want)
		if changed == nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// next is the channel that closes at the next advance; nil if the revision is reached already.
func (p *progress) next(want store.Revision) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reached.Load() >= want {
		return nil
	}
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}
