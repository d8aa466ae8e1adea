package cache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/proa-dev/proa/internal/store"
)

// How events reach the tables.
//
// One feeder, Run, reads the store's events. It sorts a batch, which is made of whole commits, into the
// tables by their keys' prefix, lets every table take its part at once, and moves the cache's revision
// when all have. So a table that is at least as new as the cache's revision misses nothing, and one that
// has no events is as new as the cache without being touched.
//
// Who adds a table while the feeder runs registers it between two batches, when the cache is at revision
// r. From then on the table puts its events by. It is loaded from a snapshot of a revision not below r,
// takes over what was put by beyond that, and is live: no gap, no repeat.
//
// A table is loaded with its past, as far as the store still has it and the window's bounds allow: a
// watcher resumes across a restart of the server.

// Cache is all tables and what feeds them.
type Cache struct {
	store    store.Store
	options  Options
	memos    *memos
	progress progress
	start    time.Time

	ready  chan struct{} // closed when the tables added before Run are live
	loader chan struct{} // a token: who holds it loads tables

	reconnects atomic.Uint64
	reloads    atomic.Uint64

	mu      sync.RWMutex      // guards what follows; the feeder holds it for reading during a batch
	tables  map[string]*Table // by resource
	routes  map[string]*Table // by prefix
	running bool              // Run was called
	loaded  bool              // the feeder follows the stream
}

// New makes a cache without tables. Add some, then Run it.
func New(s store.Store, o Options) *Cache {
	o = o.withDefaults()
	return &Cache{
		store:   s,
		options: o,
		memos:   newMemos(o.EncodingBytes),
		start:   time.Now(),
		ready:   make(chan struct{}),
		loader:  make(chan struct{}, 1),
		tables:  map[string]*Table{},
		routes:  map[string]*Table{},
	}
}

// Pauses before the feeder tries again.
const (
	shortestPause = 50 * time.Millisecond
	longestPause  = 5 * time.Second
)

// Run loads the tables and follows the store until the context ends or the store closes, and returns
// why. When the stream breaks it begins another where that one ended; if that is not possible it loads
// all tables anew, and the watchers expire. It must be called once.
func (c *Cache) Run(ctx context.Context) error {
	c.mu.Lock()
	again := c.running
	c.running = true
	c.mu.Unlock()
	if again {
		panic("cache: Run is called twice")
	}
	pause := shortestPause
	for {
		before := c.progress.reached.Load()
		err := c.session(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, store.ErrClosed):
			return err
		case errors.Is(err, store.ErrCompacted):
			c.outdated()
		}
		if c.progress.reached.Load() > before {
			pause = shortestPause
		}
		c.reconnects.Add(1)
		c.options.Logger.Warn("cache: reading the store's events anew", "pause", pause, "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, longestPause)
	}
}

// Ready waits until the tables that were added before Run are live.
func (c *Cache) Ready(ctx context.Context) error {
	select {
	case <-c.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Revision is what the whole cache has reached.
func (c *Cache) Revision() store.Revision { return c.progress.reached.Load() }

// Cool lets go of derived encodings and objects that nobody has asked for since the last call. It returns how
// many bytes those were, and whether there are encodings left.
func (c *Cache) Cool() (freed int64, more bool) { return c.memos.cool() }

// Stats is a picture of the cache for metrics.
func (c *Cache) Stats() Stats {
	s := Stats{
		Revision:   c.progress.reached.Load(),
		Reconnects: c.reconnects.Load(),
		Reloads:    c.reloads.Load(),
	}
	s.Remembering, s.EncodingBytes = c.memos.stats()
	for _, t := range c.all() {
		s.Tables = append(s.Tables, t.stats())
	}
	return s
}

// session follows one stream until it breaks.
func (c *Cache) session(ctx context.Context) error {
	if err := c.load(ctx); err != nil {
		return err
	}
	stream, err := c.store.Events(ctx, c.progress.reached.Load())
	if err != nil {
		return err
	}
	defer stream.Close()
	for {
		events, err := stream.Next(ctx)
		if err != nil {
			return err
		}
		c.distribute(events, stream.Reached())
	}
}

// distribute lets the tables take a batch.
func (c *Cache) distribute(events []store.Event, reached store.Revision) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if len(events) > 0 {
		reached = max(reached, events[len(events)-1].Revision)
	}
	var touched []*Table
	for _, e := range events {
		t := c.route(e.Key)
		if t == nil {
			continue
		}
		if len(t.inbox) == 0 {
			touched = append(touched, t)
		}
		t.inbox = append(t.inbox, e)
	}
	for _, t := range touched {
		t.apply(t.inbox, reached)
		clear(t.inbox)
		t.inbox = t.inbox[:0]
	}
	c.progress.advance(reached)
}

// outdated makes the next session load everything anew.
func (c *Cache) outdated() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loaded {
		c.loaded = false
		c.reloads.Add(1)
	}
}

// await waits until the cache has reached a revision, within limits.
func (c *Cache) await(ctx context.Context, want store.Revision) error {
	if c.progress.reached.Load() >= want {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	if c.progress.wait(limited, want) == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return &FutureError{Requested: want, Current: c.progress.reached.Load()}
}

// clock is the time since the cache began.
func (c *Cache) clock() time.Duration { return time.Since(c.start) }
