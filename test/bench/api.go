package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/proa-dev/proa/test/bench/load"
	"github.com/proa-dev/proa/test/bench/server"
)

// How much each row of the API server does. A row is some seconds of the peer's work.
const (
	workers      = 16
	creates      = 5000
	gets         = 20000
	leaseUpdates = 10000
	bigLists     = 30
	smallLists   = 600

	watchers     = 200
	watchWriters = 4
	watchWrites  = 2000
	pacedWrites  = 1000
	pace         = 10 * time.Millisecond
)

// apiServer is what single requests cost, the controllers, the scheduler and the nodes of both sides being off.
func apiServer() suite {
	return suite{group: "API server alone", steps: func() []step {
		var disk ledger
		return []step{
			{lines: single("start to /readyz", "ms"), run: ready, kine: true},
			{run: prepare, fills: true, kine: true},
			{run: disk.open, fills: true, kine: true},
			{lines: cost("create ConfigMap, 1 KB, JSON"), run: disk.counted(createConfigMaps), fills: true, kine: true},
			{lines: cost("create Pod, 1.2 KB, JSON"), run: disk.counted(createPods(false)), fills: true, kine: true},
			{lines: cost("update Lease, JSON"), run: disk.counted(updateLeases), fills: true, kine: true},
			{lines: single("written to disk per write (those three)", "KB"), run: disk.perWrite, kine: true},
			{lines: cost("GET one pod, JSON"), run: getPods, kine: true},
			{lines: cost("LIST 5,000 pods, JSON"), run: list(bigLists, "", load.JSON)},
			{lines: cost("LIST 5,000 pods, protobuf"), run: list(bigLists, "", load.Protobuf)},
			{lines: cost("LIST by label, 50 of 5,000"), run: list(smallLists, "?labelSelector=pick%3Dme", load.JSON)},
			{run: watched(watchers, load.Work{Workers: watchWriters, Ops: watchWrites}), kine: true, lines: []line{
				{name: "watch: one event to one of 200 watchers", unit: "µs"},
				{name: "write-to-watch latency under that load, p50", unit: "ms", figure: p50},
				{name: "write-to-watch latency under that load, p99", unit: "ms", figure: p99},
			}},
			{run: watched(watchers, load.Work{Workers: watchWriters, Ops: pacedWrites, Pace: pace}), kine: true, lines: []line{
				{name: "write-to-watch latency, 200 watchers, 100 writes a second, p50", unit: "ms", figure: p50},
				{name: "write-to-watch latency, 200 watchers, 100 writes a second, p99", unit: "ms", figure: p99},
			}},
		}
	}}
}

func ready(s *server.Server) load.Outcome { return load.Outcome{Value: ms(s.Ready)} }

// prepare makes the namespace and its service account, and does a little of everything, so that no row pays
// for what a server does but once.
func prepare(s *server.Server) load.Outcome {
	ctx := context.Background()
	if err := makeNamespace(ctx, s, namespace); err != nil {
		return load.Outcome{Err: err}
	}
	// Nothing else makes it where the API server is alone, and pods need it.
	if _, err := load.Once(ctx, s, http.MethodPost, "/api/v1/namespaces/"+namespace+"/serviceaccounts",
		[]byte(`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}}`)); err != nil {
		return load.Outcome{Err: err}
	}
	return load.Drive(s, load.Work{Workers: workers, Ops: 500}, func(ctx context.Context, c *load.Client, _, n int, buf *bytes.Buffer) error {
		return errors.Join(
			c.Do(ctx, http.MethodPost, pods, load.JSON, pod(creates+n, false), buf),
			c.Do(ctx, http.MethodGet, fmt.Sprintf("%s/pod-%d", pods, creates+n), load.JSON, nil, buf),
			c.Do(ctx, http.MethodGet, pods+"?limit=100", load.Protobuf, nil, buf),
			c.Do(ctx, http.MethodDelete, fmt.Sprintf("%s/pod-%d?gracePeriodSeconds=0", pods, creates+n), load.JSON, nil, buf),
		)
	})
}

func makeNamespace(ctx context.Context, s *server.Server, name string) error {
	_, err := load.Once(ctx, s, http.MethodPost, "/api/v1/namespaces", []byte(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"`+name+`"}}`))
	return err
}

func createConfigMaps(s *server.Server) load.Outcome {
	return load.Drive(s, load.Work{Workers: workers, Ops: creates}, func(ctx context.Context, c *load.Client, _, n int, buf *bytes.Buffer) error {
		return c.Do(ctx, http.MethodPost, configMaps, load.JSON, configMap(fmt.Sprint("map-", n)), buf)
	})
}

func createPods(gated bool) func(*server.Server) load.Outcome {
	return func(s *server.Server) load.Outcome {
		return load.Drive(s, load.Work{Workers: workers, Ops: creates}, func(ctx context.Context, c *load.Client, _, n int, buf *bytes.Buffer) error {
			return c.Do(ctx, http.MethodPost, pods, load.JSON, pod(n, gated), buf)
		})
	}
}

func getPods(s *server.Server) load.Outcome {
	return load.Drive(s, load.Work{Workers: workers, Ops: gets}, func(ctx context.Context, c *load.Client, _, n int, buf *bytes.Buffer) error {
		return c.Do(ctx, http.MethodGet, fmt.Sprintf("%s/pod-%d", pods, n%creates), load.JSON, nil, buf)
	})
}

func list(times int, query, accept string) func(*server.Server) load.Outcome {
	return func(s *server.Server) load.Outcome {
		return load.Drive(s, load.Work{Workers: 2, Ops: times}, func(ctx context.Context, c *load.Client, _, _ int, buf *bytes.Buffer) error {
			return c.Do(ctx, http.MethodGet, pods+query, accept, nil, buf)
		})
	}
}

var revision = regexp.MustCompile(`"resourceVersion":"(\d+)"`)

func revisionOf(object []byte) (string, error) {
	m := revision.FindSubmatch(object)
	if m == nil {
		return "", fmt.Errorf("no resourceVersion in %.200s", object)
	}
	return string(m[1]), nil
}

// updateLeases is heartbeats: each worker renews a lease of its own.
func updateLeases(s *server.Server) load.Outcome {
	revisions := make([]string, workers)
	for w := range workers {
		made, err := load.Once(context.Background(), s, http.MethodPost, leases, lease(w, "", 0))
		if err == nil {
			revisions[w], err = revisionOf(made)
		}
		if err != nil {
			return load.Outcome{Err: err}
		}
	}
	return load.Drive(s, load.Work{Workers: workers, Ops: leaseUpdates}, func(ctx context.Context, c *load.Client, worker, n int, buf *bytes.Buffer) (err error) {
		if err = c.Do(ctx, http.MethodPut, fmt.Sprintf("%s/lease-%d", leases, worker), load.JSON, lease(worker, revisions[worker], n+1), buf); err != nil {
			return err
		}
		revisions[worker], err = revisionOf(buf.Bytes())
		return err
	})
}

// ledger accounts for what writes cost the disk.
type ledger struct{ before, writes int64 }

func (l *ledger) open(s *server.Server) (o load.Outcome) {
	l.before, o.Err = s.Written()
	return o
}

// counted is a step whose operations are writes.
func (l *ledger) counted(run func(*server.Server) load.Outcome) func(*server.Server) load.Outcome {
	return func(s *server.Server) load.Outcome {
		o := run(s)
		l.writes += o.Ops
		return o
	}
}

// perWrite is in KB, of all writes that were counted, with what the server wrote beside them.
func (l *ledger) perWrite(s *server.Server) load.Outcome {
	after, err := s.Written()
	if err == nil && l.writes == 0 {
		err = errors.New("nothing was written")
	}
	if err != nil {
		return load.Outcome{Err: err}
	}
	return load.Outcome{Value: float64(after-l.before) / 1000 / float64(l.writes)}
}
