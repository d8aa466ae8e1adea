package main

import (
	"fmt"
	"os"

	"github.com/proa-dev/proa/test/bench/load"
	"github.com/proa-dev/proa/test/bench/report"
	"github.com/proa-dev/proa/test/bench/server"
)

// study measures how cost grows with something, on one side.
type study struct {
	name string
	run  func(g *growth) error
}

var studies = []study{
	{"objects", growObjects},
	{"watchers", growWatchers},
	{"namespaces", growNamespaces},
	{"nodes", growNodes},
}

// growth is one round of studies; side is the one that is measured now.
type growth struct {
	report *report.Report
	sides  []server.Side
	side   server.Side
	most   int // of anything
}

// study measures one thing on all sides, in turn. What a side does not get to is missing in its curves, and a
// table says why.
func (g *growth) study(t study) {
	for _, g.side = range g.sides {
		if g.side.Name == report.Kine {
			continue
		}
		if err := t.run(g); err != nil {
			g.row("what ended early", t.name, "", 0, err)
		}
	}
}

// upTo are the powers of ten from one number to another, and that: no more than is asked for of anything.
func (g *growth) upTo(least, most int) (sizes []int) {
	most = min(most, g.most)
	for n := 1; n < most; n *= 10 {
		if n >= least {
			sizes = append(sizes, n)
		}
	}
	return append(sizes, most)
}

// point adds a figure to a curve.
func (g *growth) point(name, of, unit string, size int, figure float64, err error) {
	sample := report.Sample{Figure: figure}
	if err != nil {
		sample = report.Sample{Error: err.Error()}
	}
	fmt.Fprintf(os.Stderr, "growth, %s, %s, %d %s: %.4g %s %s\n", name, g.side.Name, size, of, figure, unit, sample.Error)
	p := g.report.Curve(name, of, unit).Point(float64(size))
	p.Samples[g.side.Name] = append(p.Samples[g.side.Name], sample)
}

// cost adds the server CPU per operation to a curve.
func (g *growth) cost(name, of string, size int, o load.Outcome) {
	g.point(name, of, "µs", size, o.Micros(), o.Err)
}

// row adds a figure to a table.
func (g *growth) row(group, name, unit string, figure float64, err error) {
	sample := report.Sample{Figure: figure}
	if err != nil {
		sample = report.Sample{Error: err.Error()}
	}
	fmt.Fprintf(os.Stderr, "growth, %s, %s: %.4g %s %s\n", name, g.side.Name, figure, unit, sample.Error)
	r := g.report.Row(group, name, unit)
	r.Samples[g.side.Name] = append(r.Samples[g.side.Name], sample)
}
