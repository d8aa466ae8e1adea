package main

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/proa-dev/proa/test/bench/load"
	"github.com/proa-dev/proa/test/bench/report"
	"github.com/proa-dev/proa/test/bench/server"
)

// suite is steps that are taken on servers of one shape.
type suite struct {
	group string
	shape server.Shape
	// steps makes the steps anew for each server, in the order in which they run: later ones find what earlier
	// ones have left.
	steps func() []step
}

// step does something to a server, and measures it.
type step struct {
	run func(s *server.Server) load.Outcome
	// lines of the table that it gives: none if it only prepares others.
	lines []line
	// fills says that later steps stand on what this one leaves.
	fills bool
	// kine says that it is taken over kine too.
	kine bool
}

// line is a line of the table.
type line struct {
	name string
	// unit is that of figure. A line without is server CPU per operation.
	unit   string
	figure func(load.Outcome) float64
}

// cost is a line of server CPU per operation.
func cost(name string) []line { return []line{{name: name, unit: "µs"}} }

// single is the line of a step that measures one value.
func single(name, unit string) []line { return []line{{name: name, unit: unit, figure: value}} }

func value(o load.Outcome) float64 { return o.Value }
func p50(o load.Outcome) float64   { return ms(o.P50) }
func p99(o load.Outcome) float64   { return ms(o.P99) }

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// measurement is one round.
type measurement struct {
	round  int
	sides  []server.Side
	match  *regexp.Regexp
	report *report.Report
}

// suite measures a suite on all sides, in turn.
func (m *measurement) suite(u suite) {
	for _, side := range m.sides {
		if steps := m.wanted(u, side); len(steps) > 0 {
			m.measure(u, steps, side)
		}
	}
}

// wanted are the steps to take on a side: those with lines that match, and what they stand on.
func (m *measurement) wanted(u suite, side server.Side) []step {
	var steps []step
	end := 0
	for _, t := range u.steps() {
		if side.Name == report.Kine && !t.kine {
			continue
		}
		matches := slices.ContainsFunc(t.lines, func(l line) bool { return m.matches(u, l) })
		if matches || t.fills {
			steps = append(steps, t)
		}
		if matches {
			end = len(steps)
		}
	}
	return steps[:end]
}

func (m *measurement) matches(u suite, l line) bool {
	return m.match.MatchString(u.group + ": " + l.name)
}

// measure takes steps on a fresh server.
func (m *measurement) measure(u suite, steps []step, side server.Side) {
	s, err := side.Start(u.shape)
	if s != nil {
		defer s.Stop()
	}
	for _, t := range steps {
		o := load.Outcome{Err: err}
		if err == nil {
			o = t.run(s)
			o.Err = cmp.Or(o.Err, s.Check())
		}
		if t.fills {
			err = o.Err // what stands on it cannot be measured
		}
		for _, l := range t.lines {
			if !m.matches(u, l) {
				continue
			}
			sample := l.sample(o)
			fmt.Fprintf(os.Stderr, "round %d, %s, %s, %s: %s\n", m.round+1, u.group, side.Name, l.name, l.describe(sample))
			r := m.report.Row(u.group, l.name, l.unit)
			r.Samples[side.Name] = append(r.Samples[side.Name], sample)
		}
	}
}

func (l line) sample(o load.Outcome) report.Sample {
	s := report.Sample{Failures: o.Failures}
	switch {
	case o.Err != nil:
		s.Error = o.Err.Error()
	case l.figure != nil:
		s.Figure = l.figure(o)
	default:
		s.Figure, s.PerSecond, s.P50MS, s.P99MS = o.Micros(), o.PerSecond(), ms(o.P50), ms(o.P99)
	}
	return s
}

func (l line) describe(s report.Sample) string {
	text := fmt.Sprintf("%.4g %s", s.Figure, l.unit)
	switch {
	case s.Error != "":
		return "failed: " + s.Error
	case s.PerSecond != 0:
		text += fmt.Sprintf(", %.0f a second, p50 %.3g ms, p99 %.3g ms", s.PerSecond, s.P50MS, s.P99MS)
	}
	return text
}
