package load

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/proa-dev/proa/test/bench/server"
)

// Outcome is what was measured on one side in one round.
type Outcome struct {
	Ops      int64
	Failures int64
	Elapsed  time.Duration
	CPU      time.Duration // of the server's processes
	P50, P99 time.Duration
	// Value is for steps that measure something else than operations, Second for those that measure two such
	// things.
	Value, Second float64
	Err           error
}

// Micros is server CPU per operation in microseconds.
func (o Outcome) Micros() float64 {
	if o.Ops == 0 {
		return 0
	}
	return o.CPU.Seconds() * 1e6 / float64(o.Ops)
}

// PerSecond is how many operations went through in a second.
func (o Outcome) PerSecond() float64 {
	if o.Elapsed == 0 {
		return 0
	}
	return float64(o.Ops) / o.Elapsed.Seconds()
}

// Operation does the n-th operation of a row. worker numbers whoever does it.
type Operation func(ctx context.Context, c *Client, worker, n int, buf *bytes.Buffer) error

// Work says how operations are done.
type Work struct {
	Workers, Ops int
	// Pace is the time from one operation's start to the next; 0 is as fast as they are served.
	Pace time.Duration
}

const patience = 10 * time.Minute

// Drive does operations by some workers, each on a connection of its own, and accounts for them.
func Drive(s *server.Server, w Work, op Operation) (o Outcome) {
	clients, err := Dial(s, w.Workers)
	if err != nil {
		return Outcome{Err: err}
	}
	defer Close(clients)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, c := range clients { // connections and handshakes are not what is measured
		if err := c.Do(ctx, http.MethodGet, "/version", JSON, nil, new(bytes.Buffer)); err != nil {
			return Outcome{Err: err}
		}
	}
	before, err := s.CPU()
	if err != nil {
		return Outcome{Err: err}
	}
	var next, failures atomic.Int64
	var first atomic.Pointer[error]
	latencies := make([][]time.Duration, w.Workers)
	var wg sync.WaitGroup
	begin := time.Now()
	for worker, c := range clients {
		wg.Go(func() {
			var buf bytes.Buffer
			for {
				n := int(next.Add(1)) - 1
				if n >= w.Ops || ctx.Err() != nil {
					return
				}
				time.Sleep(time.Until(begin.Add(time.Duration(n) * w.Pace)))
				at := time.Now()
				if err := op(ctx, c, worker, n, &buf); err != nil {
					failures.Add(1)
					first.CompareAndSwap(nil, &err)
					continue
				}
				latencies[worker] = append(latencies[worker], time.Since(at))
			}
		})
	}
	wg.Wait()
	o.Elapsed = time.Since(begin)
	after, err := s.CPU()
	if err != nil {
		return Outcome{Err: err}
	}
	all := slices.Concat(latencies...)
	o.Ops, o.Failures, o.CPU = int64(len(all)), failures.Load(), after-before
	o.P50, o.P99 = percentiles(all)
	switch e := first.Load(); {
	case e != nil:
		o.Err = *e
	case ctx.Err() != nil:
		o.Err = ctx.Err()
	}
	return o
}

func percentiles(all []time.Duration) (p50, p99 time.Duration) {
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100]
}
