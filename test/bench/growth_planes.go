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
	mostNamespaces   = 10_000
	mostNodes        = 5000
	namespaceTimeout = 5 * time.Minute
)

// growNamespaces adds namespaces to a whole control plane, whose controllers put something into each.
func growNamespaces(g *growth) error {
	s, err := g.side.Start(server.Shape{Whole: true})
	if s != nil {
		defer s.Stop()
	}
	if err != nil {
		return err
	}
	name := func(n int) string { return fmt.Sprintf("tenant-%d", n) }
	have := 0
	for round, size := range g.upTo(1, mostNamespaces) {
		o := load.Drive(s, load.Work{Workers: workers, Ops: size - have}, func(ctx context.Context, c *load.Client, _, n int, buf *bytes.Buffer) error {
			return c.Do(ctx, http.MethodPost, "/api/v1/namespaces", load.JSON,
				fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"%s"}}`, name(have+n)), buf)
		})
		if o.Err != nil {
			return o.Err
		}
		have = size
		ctx, cancel := context.WithTimeout(context.Background(), namespaceTimeout)
		err := untilFurnished(ctx, s, name(size-1))
		cancel()
		if err != nil {
			return err
		}
		w := weigh(s)
		g.point("anonymous memory of the whole control plane", "namespaces", "MB", size, w.Value, w.Err)
		o = load.Drive(s, load.Work{Workers: workers, Ops: growCreates}, func(ctx context.Context, c *load.Client, _, n int, buf *bytes.Buffer) error {
			return c.Do(ctx, http.MethodPost, "/api/v1/namespaces/"+name(n%size)+"/configmaps", load.JSON, configMap(fmt.Sprintf("map-%d-%d", round, n)), buf)
		})
		g.cost("create a ConfigMap in one of many namespaces", "namespaces", size, o)
	}
	return nil
}

// growNodes has nodes that do nothing but live: a lease each ten seconds.
func growNodes(g *growth) error {
	for _, nodes := range g.upTo(1, mostNodes) {
		if err := g.nodes(nodes); err != nil {
			return fmt.Errorf("%d nodes: %w", nodes, err)
		}
	}
	return nil
}

func (g *growth) nodes(n int) error {
	s, err := g.side.Start(server.Shape{Whole: true, Nodes: n})
	if s != nil {
		defer s.Stop()
	}
	if err != nil {
		return err
	}
	if err := makeNodes(s); err != nil {
		return err
	}
	if err := untilNodesReady(s, n); err != nil {
		return err
	}
	w := weigh(s)
	g.point("anonymous memory with nodes", "simulated nodes", "MB", n, w.Value, w.Err)
	o := idle(s)
	g.point("idle CPU with nodes", "simulated nodes", "% of a core", n, o.Value, o.Err)
	return nil
}
