package main

import (
	"context"
	"fmt"

	"github.com/proa-dev/proa/test/bench/load"
	"github.com/proa-dev/proa/test/bench/server"
)

const (
	mostWatchers = 10_000
	// growWrites are measured beside watchers that want other things; with those that want the same, as many
	// as make growEvents, within bounds.
	growWrites = 2000
	growEvents = 200_000
	leastWrite = 20
)

// growWatchers adds watchers that a write does not concern, by what they select, and then such that it does.
func growWatchers(g *growth) error {
	s, err := g.side.Start(server.Shape{})
	if s != nil {
		defer s.Stop()
	}
	if err != nil {
		return err
	}
	if o := prepare(s); o.Err != nil {
		return o.Err
	}
	for _, kind := range []struct {
		curve    string
		selector func(i int) string
	}{
		{"a write beside watchers of other names", func(i int) string { return fmt.Sprintf("fieldSelector=metadata.name%%3Dother-%d", i) }},
		{"a write beside watchers of other labels", func(i int) string { return fmt.Sprintf("labelSelector=of%%3Dother-%d", i) }},
	} {
		for _, n := range g.upTo(1, mostWatchers) {
			o := beside(s, n, kind.selector)
			g.cost(kind.curve, "watchers", n, o)
		}
	}
	for _, n := range g.upTo(1, mostWatchers) {
		work := load.Work{Workers: watchWriters, Ops: min(growWrites, max(leastWrite, growEvents/n))}
		g.cost("an event that every watcher gets, and its write", "watchers", n, watched(n, work)(s))
	}
	return nil
}

// beside is what writes cost while n watchers look at something else.
func beside(s *server.Server, n int, selector func(i int) string) load.Outcome {
	ctx := context.Background()
	work := load.Work{Workers: watchWriters, Ops: growWrites}
	names, from, err := makeWatched(ctx, s, work.Workers)
	if err != nil {
		return load.Outcome{Err: err}
	}
	paths := make([]string, n)
	for i := range paths {
		paths[i] = configMaps + "?watch=1&resourceVersion=" + from + "&" + selector(i)
	}
	w, err := load.Watch(ctx, s, paths)
	if err != nil {
		return load.Outcome{Err: err}
	}
	defer w.Close()
	return load.Drive(s, work, touch(names))
}
