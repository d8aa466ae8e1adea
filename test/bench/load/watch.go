package load

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/proa-dev/proa/test/bench/server"
)

// Watchers are watches that are open, and what they have seen.
type Watchers struct {
	connections []*streams
	events      atomic.Int64
	mu          sync.Mutex
	latencies   []time.Duration // guarded by mu
}

const (
	// perConnection is how many watches share a connection while few connections suffice, and maxStreams
	// the most that every server takes.
	perConnection, fewConnections, maxStreams = 25, 8, 100
	// sampled is which of the watchers look at an event's time: one of so many.
	sampled = 10
	// drain is how long events may take to come after the last write.
	drain = time.Minute
)

// Watch opens a watch on each of paths. Events are told by the lines that end them; the time that an object's
// "sent":"NANOSECONDS" says is when its write began.
func Watch(ctx context.Context, s *server.Server, paths []string) (*Watchers, error) {
	w := &Watchers{}
	size := min(max(perConnection, (len(paths)+fewConnections-1)/fewConnections), maxStreams)
	for part := range slices.Chunk(paths, size) {
		partial := make([][]byte, len(part))
		c, err := openStreams(ctx, s, part, func(stream int, data []byte) {
			partial[stream] = w.take(stream, partial[stream], data)
		})
		if err != nil {
			w.Close()
			return nil, err
		}
		w.connections = append(w.connections, c)
	}
	return w, nil
}

// take counts the events that data completes, and returns what is left of the last.
func (w *Watchers) take(stream int, partial, data []byte) []byte {
	for {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			return append(partial, data...)
		}
		line := data[:end]
		if len(partial) > 0 {
			line = append(partial, line...)
			partial = partial[:0]
		}
		if stream%sampled == 0 {
			w.sample(line)
		}
		data = data[end+1:]
		w.events.Add(1)
	}
}

var sent = []byte(`"sent":"`)

func (w *Watchers) sample(line []byte) {
	at := bytes.Index(line, sent)
	if at < 0 {
		return
	}
	digits, _, _ := bytes.Cut(line[at+len(sent):], []byte{'"'})
	nanos, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil || nanos == 0 {
		return
	}
	took := time.Since(time.Unix(0, nanos))
	w.mu.Lock()
	w.latencies = append(w.latencies, took)
	w.mu.Unlock()
}

// Close ends all watches.
func (w *Watchers) Close() {
	for _, c := range w.connections {
		c.close()
	}
}

// Measure does work whose writes should each reach fanout watchers, and counts an operation for each event
// that a watcher got. The CPU includes that of the writes; latencies are from before a write to a watcher's eyes.
func (w *Watchers) Measure(s *server.Server, work Work, fanout int, op Operation) Outcome {
	seen := w.events.Load()
	w.mu.Lock()
	w.latencies = nil
	w.mu.Unlock()
	o := Drive(s, work, op)
	if o.Err != nil {
		return o
	}
	begin := time.Now()
	start, err := s.CPU()
	if err != nil {
		return Outcome{Err: err}
	}
	want := int64(fanout) * o.Ops
	for w.events.Load()-seen < want && time.Since(begin) < drain {
		time.Sleep(2 * time.Millisecond)
	}
	end, err := s.CPU()
	if err != nil {
		return Outcome{Err: err}
	}
	o.CPU += end - start
	o.Elapsed += time.Since(begin)
	o.Ops = w.events.Load() - seen
	if o.Failures = want - o.Ops; o.Failures != 0 {
		o.Err = fmt.Errorf("%d events of %d came", o.Ops, want)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	o.P50, o.P99 = percentiles(w.latencies)
	return o
}
