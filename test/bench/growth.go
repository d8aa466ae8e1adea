package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"

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

// growth is a study under way.
type growth struct {
	side   server.Side
	report *report.Report
	sizes  []int
}

// grow does all studies that match, on all sides in turn, up to a number of what grows. What a side does not
// get to is missing in its curve, and the log says why.
func grow(r *report.Report, sides []server.Side, match *regexp.Regexp, rounds, limit int) {
	for n := range rounds {
		for _, t := range studies {
			if !match.MatchString(t.name) {
				continue
			}
			order := slices.Clone(sides)
			if n%2 == 1 {
				slices.Reverse(order)
			}
			for _, side := range order {
				if side.Name == report.Kine {
					continue
				}
				if err := t.run(&growth{side: side, report: r, sizes: sizes(limit)}); err != nil {
					fmt.Fprintf(os.Stderr, "growth, %s, %s: ended: %v\n", t.name, side.Name, err)
				}
			}
		}
	}
}

// sizes are the powers of ten up to a limit, and the limit.
func sizes(limit int) []int {
	var all []int
	for n := 1; n < limit; n *= 10 {
		all = append(all, n)
	}
	return append(all, limit)
}

// upTo are the sizes of a study that are within its own bounds.
func (g *growth) upTo(least, most int) []int {
	bounded := sizes(min(most, g.sizes[len(g.sizes)-1]))
	return slices.DeleteFunc(bounded, func(n int) bool { return n < least })
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
