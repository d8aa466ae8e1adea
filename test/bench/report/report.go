// Package report holds what was measured, and shows it: as JSON, as tables and as pictures.
package report

import (
	"cmp"
	"encoding/json"
	"math"
	"os"
	"slices"
)

// The sides, as they are named in a report.
const (
	Peer = "peer"
	Kine = "kine"
	Proa = "Proa"
)

// Report is all that was measured, with what it was measured on.
type Report struct {
	Machine Machine
	Rows    []*Row   `json:",omitempty"`
	Curves  []*Curve `json:",omitempty"`
}

// Row is one line of the tables.
type Row struct {
	Group string
	Name  string
	Unit  string
	// Samples are by side, one a round.
	Samples map[string][]Sample
}

// Sample is what a row measured on one side in one round.
type Sample struct {
	Figure    float64
	PerSecond float64 `json:",omitempty"`
	P50MS     float64 `json:",omitempty"`
	P99MS     float64 `json:",omitempty"`
	Failures  int64   `json:",omitempty"`
	Error     string  `json:",omitempty"`
}

// Curve is how a figure grows with something.
type Curve struct {
	Name   string
	X      string // what grows
	Unit   string
	Points []*Point
}

// Point is a curve's figures at one size.
type Point struct {
	X       float64
	Samples map[string][]Sample
}

// Load reads a report.
func Load(path string) (*Report, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &Report{}
	return r, json.Unmarshal(data, r)
}

// Save writes a report.
func (r *Report) Save(path string) error {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// Row finds a row, and makes it if there is none.
func (r *Report) Row(group, name, unit string) *Row {
	for _, w := range r.Rows {
		if w.Name == name && w.Group == group {
			return w
		}
	}
	w := &Row{Group: group, Name: name, Unit: unit, Samples: map[string][]Sample{}}
	r.Rows = append(r.Rows, w)
	return w
}

// Curve finds a curve, and makes it if there is none.
func (r *Report) Curve(name, x, unit string) *Curve {
	for _, c := range r.Curves {
		if c.Name == name {
			return c
		}
	}
	c := &Curve{Name: name, X: x, Unit: unit}
	r.Curves = append(r.Curves, c)
	return c
}

// Point finds the point of a size, and makes it if there is none. Points are in order.
func (c *Curve) Point(x float64) *Point {
	i, found := slices.BinarySearchFunc(c.Points, x, func(p *Point, x float64) int { return cmp.Compare(p.X, x) })
	if !found {
		c.Points = slices.Insert(c.Points, i, &Point{X: x, Samples: map[string][]Sample{}})
	}
	return c.Points[i]
}

// summary is a side's figures over all rounds.
type summary struct {
	median, low, high float64
	perSecond         float64
	p50, p99          float64 // milliseconds; 0 where there are none
	rounds, failed    int
	failures          int64
	why               string
}

// ok tells whether every round has a figure.
func (s summary) ok() bool { return s.rounds > 0 && s.failed == 0 }

func summarize(samples []Sample) summary {
	s := summary{rounds: len(samples)}
	var figures, paces, p50s, p99s []float64
	for _, x := range samples {
		if x.Error != "" {
			s.failed++
			s.failures += x.Failures
			s.why = x.Error
			continue
		}
		figures = append(figures, x.Figure)
		paces, p50s, p99s = append(paces, x.PerSecond), append(p50s, x.P50MS), append(p99s, x.P99MS)
	}
	if len(figures) == 0 {
		return s
	}
	s.median, s.low, s.high = median(figures), slices.Min(figures), slices.Max(figures)
	s.perSecond, s.p50, s.p99 = median(paces), median(p50s), median(p99s)
	return s
}

// median of an even number of figures is between the two in the middle.
func median(all []float64) float64 {
	slices.Sort(all)
	n := len(all)
	if n%2 == 1 {
		return all[n/2]
	}
	return (all[n/2-1] + all[n/2]) / 2
}

// ratio is how many times less the second has, 0 if that cannot be said.
func ratio(peer, proa summary) float64 {
	switch {
	case !peer.ok() || !proa.ok() || peer.median == 0:
		return 0
	case proa.median == 0:
		return math.Inf(1)
	}
	return peer.median / proa.median
}
