package apiserver

import (
	"bytes"
	"hash/maphash"
	"runtime"
	"slices"
	"sync"

	"github.com/proa-dev/proa/internal/cache"
	"github.com/proa-dev/proa/internal/registry"
)

// How one event reaches hundreds of watches without waking any of them.
//
// A watch's handler sleeps until there is something for it. To wake a goroutine, have it take one event, append a
// few hundred bytes to its connection's output and put it to sleep again costs several times what the appending
// costs. So while a watch is asleep somebody else does its work: a pump, which has the watches of many connections.
// The cache tells the pump of each watch that has something (cache.Sharing). One goroutine, which exists while there
// is work, takes their events, encodes them once for all that have the same to take in one form, appends them to the
// outputs, and has each connection written once when it has been through all of them.
//
//   - Whoever takes and writes a watch's events holds its turn. The handler holds it but while it sleeps, so that it
//     alone writes the initial events and bookmarks.
//   - A pump never waits. A watch whose turn somebody else has is left to its handler. One whose connection has enough
//     to write stays in its place, and the pump comes by again when that is written: by then there may be more to take
//     at once. One whose client makes no room for what was taken goes on in a goroutine of its own, which keeps the turn
//     until that is written.
//   - The handler's end is the watch's: once it has the turn for the last time, nobody writes any more.
//   - What panics over a watch ends that watch, as it would in its handler.

// pump delivers events for the watches of many connections.
type pump struct {
	// panicked reports what panicked over a watch, and returns what that ends with.
	panicked func(p any, watch ...any) error

	mu      sync.Mutex
	waiting []ready // guarded by mu
	running bool    // guarded by mu

	// What follows belongs to the goroutine that runs.
	wrote  []*watchStream // since the last flush
	room   []cache.Event  // what the watch at hand has taken
	frames []byte         // what the last one got
	events []cache.Event  // that frames are of
	form   frameForm      // that frames have; zero if they are of nothing
}

// ready is a watch that has something to take.
type ready struct {
	stream  *watchStream
	watcher *cache.Watcher
}

// frameForm is what events' bytes depend on beside the events.
type frameForm struct {
	version *registry.TypeVersion
	media   string
}

const (
	// flushAfter is after how many watches outputs are written, though there are more to come.
	flushAfter = 1024
	// keptFrames is the largest buffer that a pump keeps while it does nothing: room for what is taken at a time.
	keptFrames = 2 * watchChunk
)

// add has the pump take what a watch has.
func (p *pump) add(st *watchStream, w *cache.Watcher) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = append(p.waiting, ready{st, w})
	if !p.running {
		p.running = true
		go p.run()
	}
}

// run delivers until nothing is left.
func (p *pump) run() {
	var some []ready
	for {
		clear(some)
		if some = p.next(some[:0]); len(some) == 0 {
			return
		}
		for _, r := range some {
			if r.stream.advance(p, r.watcher) {
				p.wrote = append(p.wrote, r.stream)
			}
			if len(p.wrote) == flushAfter {
				p.flush()
			}
		}
	}
}

// next returns the watches that wait, with an empty list for those to come. When there are none it has what was
// delivered written, and if there still are none it ends the pump's work.
func (p *pump) next(empty []ready) []ready {
	for {
		p.mu.Lock()
		if len(p.waiting) > 0 || len(p.wrote) == 0 {
			break
		}
		p.mu.Unlock()
		p.flush()
	}
	defer p.mu.Unlock()
	some := p.waiting
	p.waiting = empty
	if len(some) > 0 {
		return some
	}
	p.running, p.form, p.events, p.room = false, frameForm{}, nil, nil
	if cap(p.frames) > keptFrames {
		p.frames = nil
	}
	if cap(p.waiting) > flushAfter {
		p.waiting = nil
	}
	return nil
}

// flush has outputs written. Of the watches of a connection the first does it for all.
func (p *pump) flush() {
	for _, st := range p.wrote {
		// Without the turn: who has it may have nothing to write, and an answer that is over wants nothing.
		_ = st.aside.FlushAside() // the next write fails as well
	}
	clear(p.wrote)
	p.wrote = p.wrote[:0]
}

// advance delivers what a watch has, and tells whether something is to be flushed.
func (st *watchStream) advance(p *pump, w *cache.Watcher) (wrote bool) {
	if !st.turn.TryLock() {
		w.Wake()
		return false
	}
	kept := false
	defer func() {
		if r := recover(); r != nil {
			st.breakOff(p.panicked(r, "path", st.path))
		}
		if !kept {
			st.turn.Unlock()
		}
	}()
	if st.over || st.broken != nil {
		return false
	}
	if st.again == nil {
		st.again = func() { p.add(st, w) }
	}
	if !st.aside.HasRoom(st.again) {
		return false
	}
	batch, again, err := w.Take(p.room[:0], watchChunk)
	if err != nil {
		w.Wake() // the handler finds the same error
	}
	if again {
		st.again()
	}
	if len(batch.Events) == 0 {
		return false
	}
	p.room = batch.Events
	wrote, err = p.deliver(st)
	if err != nil {
		st.breakOff(err)
	} else if !wrote {
		kept = true
		go st.rest(p, bytes.Clone(p.frames))
	}
	return wrote
}

// deliver appends the events in room to a watch's output, if its client makes room for them.
func (p *pump) deliver(st *watchStream) (taken bool, err error) {
	form := frameForm{st.call.version, st.format.media}
	if form != p.form || !slices.Equal(p.room, p.events) {
		p.form, p.frames = frameForm{}, p.frames[:0]
		for _, e := range p.room {
			if p.frames, err = st.appendEvent(p.frames, eventNames[e.Type], e.Item); err != nil {
				return false, err
			}
		}
		p.form, p.events, p.room = form, p.room, p.events
	}
	return st.aside.TryWrite(p.frames)
}

// rest delivers events to a client that makes no room for them, at its pace. It has the turn.
func (st *watchStream) rest(p *pump, frames []byte) {
	defer func() {
		if r := recover(); r != nil {
			st.breakOff(p.panicked(r, "path", st.path))
		}
		st.turn.Unlock()
	}()
	err := st.write(frames)
	if err == nil {
		err = st.flush()
	}
	if err != nil {
		st.breakOff(err)
	}
}

// breakOff ends the watch because of an error that others than its handler met. The caller has the turn.
func (st *watchStream) breakOff(err error) {
	st.broken = err
	st.end()
}

// share lets a pump deliver a watch's events; it returns nil where events differ from watch to watch or the
// transport cannot.
func (s *Server) share(st *watchStream, connection string) *cache.Sharing {
	if st.aside == nil || st.format.as != "" {
		return nil
	}
	p := s.pumps.of(connection)
	return &cache.Sharing{Turn: &st.turn, Ready: func(w *cache.Watcher) { p.add(st, w) }}
}

// pumps are a server's: as many as can run at once. All watches of a connection are in one.
type pumps struct {
	seed maphash.Seed
	all  []pump
}

func newPumps(panicked func(p any, watch ...any) error) pumps {
	ps := pumps{seed: maphash.MakeSeed(), all: make([]pump, runtime.GOMAXPROCS(0))}
	for i := range ps.all {
		ps.all[i].panicked = panicked
	}
	return ps
}

func (ps *pumps) of(connection string) *pump {
	return &ps.all[maphash.String(ps.seed, connection)%uint64(len(ps.all))]
}
