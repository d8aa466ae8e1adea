package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/proa-dev/proa/test/bench/load"
	"github.com/proa-dev/proa/test/bench/server"
)

const (
	fillNamespace = "fill"
	fillWorkers   = 64
	// byAPI is how many objects are made as users do; the peer's others are put into its etcd.
	byAPI = 10_000
	// growCreates are measured at each size.
	growCreates = 2000
	// restartTimeout is how long a start over very many objects may take.
	restartTimeout = 15 * time.Minute
)

// growObjects fills a server with ConfigMaps of 1 KB, and starts it again over the most it had.
func growObjects(g *growth) error {
	s, err := g.side.Start(server.Shape{Patience: restartTimeout})
	if s != nil {
		defer s.Stop()
	}
	if err != nil {
		return err
	}
	if o := prepare(s); o.Err != nil {
		return o.Err
	}
	if err := makeNamespace(context.Background(), s, fillNamespace); err != nil {
		return err
	}
	have, made := 0, 0
	for _, size := range g.upTo(1000, 1_000_000) {
		if err := fill(s, have, size); err != nil {
			return err
		}
		have = size
		o := load.Drive(s, load.Work{Workers: workers, Ops: growCreates}, func(ctx context.Context, c *load.Client, _, n int, buf *bytes.Buffer) error {
			return c.Do(ctx, http.MethodPost, configMaps, load.JSON, configMap(fmt.Sprintf("map-%d-%d", made, n)), buf)
		})
		made++
		g.cost("create a ConfigMap", "ConfigMaps of 1 KB", size, o)
		w := weigh(s)
		g.point("anonymous memory", "ConfigMaps of 1 KB", "MB", size, w.Value, w.Err)
		g.point("resident memory", "ConfigMaps of 1 KB", "MB", size, w.Second, w.Err)
	}
	return g.restart(s, have)
}

// restart starts a server again over its objects.
func (g *growth) restart(s *server.Server, objects int) error {
	group := fmt.Sprintf("API server over %d ConfigMaps of 1 KB", objects)
	s.Halt()
	err := s.Restart()
	g.row(group, "start to /readyz", "s", s.Ready.Seconds(), err)
	if err != nil {
		return err
	}
	// Ready or not: what counts is that one can read.
	_, err = load.Once(context.Background(), s, http.MethodGet, fillPath(objects-1), nil)
	g.row(group, "start to a GET of the last object", "s", time.Since(s.Begun).Seconds(), err)
	w := weigh(s)
	g.row(group, "memory then, anonymous", "MB", w.Value, w.Err)
	g.row(group, "memory then, resident", "MB", w.Second, w.Err)
	return nil
}

func fillName(n int) string { return fmt.Sprintf("fill-%07d", n) }
func fillPath(n int) string {
	return "/api/v1/namespaces/" + fillNamespace + "/configmaps/" + fillName(n)
}

// fill makes objects from one number to another.
func fill(s *server.Server, from, to int) error {
	if s.Etcd != "" && from >= byAPI {
		return fillEtcd(s, from, to)
	}
	return load.Drive(s, load.Work{Workers: fillWorkers, Ops: to - from}, func(ctx context.Context, c *load.Client, _, n int, buf *bytes.Buffer) error {
		return c.Do(ctx, http.MethodPost, "/api/v1/namespaces/"+fillNamespace+"/configmaps", load.JSON, configMap(fillName(from+n)), buf)
	}).Err
}
