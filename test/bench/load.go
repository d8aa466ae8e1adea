package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// outcome is what one row measured on one side in one round.
type outcome struct {
	ops      int64
	failures int64
	elapsed  time.Duration
	cpu      time.Duration
	p50, p99 time.Duration
	// value is for rows that measure something else than operations, in the row's unit.
	value float64
	err   error
}

// cpuPerOp is server CPU per operation in microseconds.
func (o outcome) cpuPerOp() float64 {
	if o.ops == 0 {
		return 0
	}
	return float64(o.cpu.Microseconds()) / float64(o.ops)
}

// client is one connection's worth of requests to a server.
type client struct {
	http *http.Client
	url  string
}

func newClients(s *server, n int) ([]*client, error) {
	clients := make([]*client, n)
	for i := range clients {
		t, err := s.transport()
		if err != nil {
			return nil, err
		}
		clients[i] = &client{http: &http.Client{Transport: t}, url: s.url}
	}
	return clients, nil
}

func closeAll(clients []*client) {
	for _, c := range clients {
		c.http.CloseIdleConnections()
	}
}

// do sends a request and reads the whole answer into buf. It fails on any code but 200 and 201.
func (c *client) do(ctx context.Context, method, path, accept string, body []byte, buf *bytes.Buffer) error {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "bench")
	req.Header.Set("Accept", accept)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		if method == http.MethodPatch {
			req.Header.Set("Content-Type", "application/merge-patch+json")
		}
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	buf.Reset()
	if _, err := buf.ReadFrom(res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s %s: %s: %.300s", method, path, res.Status, buf.Bytes())
	}
	return nil
}

// operation does the n-th operation of a row. worker numbers whoever does it.
type operation func(ctx context.Context, c *client, worker, n int, buf *bytes.Buffer) error

// drive does ops operations by some workers, each on a connection of its own, and accounts for them.
func drive(s *server, workers, ops int, op operation) (o outcome) {
	clients, err := newClients(s, workers)
	if err != nil {
		return outcome{err: err}
	}
	defer closeAll(clients)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for _, c := range clients { // connections and handshakes are not what is measured
		if err := c.do(ctx, http.MethodGet, "/version", "application/json", nil, new(bytes.Buffer)); err != nil {
			return outcome{err: err}
		}
	}
	before, err := s.cpu()
	if err != nil {
		return outcome{err: err}
	}
	var next, failures atomic.Int64
	var first atomic.Pointer[error]
	latencies := make([][]time.Duration, workers)
	var wg sync.WaitGroup
	begin := time.Now()
	for w, c := range clients {
		wg.Go(func() {
			var buf bytes.Buffer
			for {
				n := int(next.Add(1)) - 1
				if n >= ops || ctx.Err() != nil {
					return
				}
				at := time.Now()
				if err := op(ctx, c, w, n, &buf); err != nil {
					failures.Add(1)
					first.CompareAndSwap(nil, &err)
					continue
				}
				latencies[w] = append(latencies[w], time.Since(at))
			}
		})
	}
	wg.Wait()
	o.elapsed = time.Since(begin)
	after, err := s.cpu()
	if err != nil {
		return outcome{err: err}
	}
	all := slices.Concat(latencies...)
	o.ops, o.failures, o.cpu = int64(len(all)), failures.Load(), after-before
	o.p50, o.p99 = percentiles(all)
	if e := first.Load(); e != nil {
		o.err = *e
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
