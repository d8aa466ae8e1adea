package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// results are all outcomes, by row and side.
type results struct {
	outcomes map[string]map[string][]outcome
}

func newResults() *results { return &results{outcomes: map[string]map[string][]outcome{}} }

func (r *results) add(row, side string, o outcome) {
	if r.outcomes[row] == nil {
		r.outcomes[row] = map[string][]outcome{}
	}
	r.outcomes[row][side] = append(r.outcomes[row][side], o)
}

// figure is the row's main number in an outcome.
func (w row) figure(o outcome) float64 {
	if w.unit != "" {
		return o.value
	}
	return o.cpuPerOp()
}

func (o outcome) describe(w row) string {
	if o.err != nil {
		return "failed: " + o.err.Error()
	}
	if w.unit != "" {
		return fmt.Sprintf("%.1f %s", o.value, w.unit)
	}
	return fmt.Sprintf("%.1f µs CPU/op, %.0f/s, p50 %v, p99 %v, %d failed", o.cpuPerOp(),
		float64(o.ops)/o.elapsed.Seconds(), o.p50.Round(time.Microsecond), o.p99.Round(time.Microsecond), o.failures)
}

// spread is median, minimum and maximum of a row's figure on a side, and whether all rounds went well.
func (r *results) spread(w row, side string) (median, low, high float64, ok bool) {
	var all []float64
	for _, o := range r.outcomes[w.name][side] {
		if o.err == nil {
			all = append(all, w.figure(o))
		}
	}
	if len(all) == 0 || len(all) < len(r.outcomes[w.name][side]) {
		return math.NaN(), 0, 0, false
	}
	slices.Sort(all)
	return all[len(all)/2], all[0], all[len(all)-1], true
}

// print writes the table in Markdown.
func (r *results) print(w io.Writer, match *regexp.Regexp) {
	fmt.Fprintln(w, "| work | unit | peer (min-max) | Proa (min-max) | ratio | peer /s, p50, p99 | Proa /s, p50, p99 |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|")
	for _, row := range rows {
		if !match.MatchString(row.name) {
			continue
		}
		unit := row.unit
		if unit == "" {
			unit = "µs CPU/op"
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s |\n", row.name, unit, r.cell(row, "peer"), r.cell(row, "proa"),
			r.ratio(row), r.pace(row, "peer"), r.pace(row, "proa"))
	}
}

func (r *results) cell(w row, side string) string {
	all := r.outcomes[w.name][side]
	if len(all) == 0 {
		return "not run"
	}
	median, low, high, ok := r.spread(w, side)
	if !ok {
		return "failed"
	}
	return fmt.Sprintf("%.1f (%.1f-%.1f)", median, low, high)
}

func (r *results) ratio(w row) string {
	peer, _, _, ok1 := r.spread(w, "peer")
	proa, _, _, ok2 := r.spread(w, "proa")
	if !ok1 || !ok2 {
		return "-"
	}
	if proa == 0 {
		return "∞"
	}
	return fmt.Sprintf("**%.1f**", peer/proa)
}

func (r *results) pace(w row, side string) string {
	all := r.outcomes[w.name][side]
	if w.unit != "" || len(all) == 0 || all[len(all)-1].err != nil {
		return ""
	}
	o := all[len(all)-1]
	text := fmt.Sprintf("%.0f, %.1f ms, %.1f ms", float64(o.ops)/o.elapsed.Seconds(), ms(o.p50), ms(o.p99))
	if o.failures > 0 {
		text += fmt.Sprintf(", %d failed", o.failures)
	}
	return text
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// save writes every figure of every round.
func (r *results) save(path string) error {
	type line struct {
		Row, Side, Unit                string
		Round                          int
		Figure, Throughput, P50MS, P99 float64
		Failures                       int64
		Error                          string `json:",omitempty"`
	}
	var lines []line
	for _, w := range rows {
		for _, side := range []string{"peer", "proa"} {
			for i, o := range r.outcomes[w.name][side] {
				l := line{Row: w.name, Side: side, Unit: w.unit, Round: i + 1, Figure: w.figure(o), P50MS: ms(o.p50), P99: ms(o.p99), Failures: o.failures}
				if o.elapsed > 0 {
					l.Throughput = float64(o.ops) / o.elapsed.Seconds()
				}
				if o.err != nil {
					l.Error = o.err.Error()
				}
				lines = append(lines, l)
			}
		}
	}
	data, err := json.MarshalIndent(lines, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// draw makes a bar chart of the ratios, readable on light and dark pages.
func (r *results) draw(path string) error {
	const left, right, height, scale = 400, 90, 26, 6.0
	var b strings.Builder
	var bars []string
	widest := 10.0
	for _, w := range rows {
		peer, _, _, ok1 := r.spread(w, "peer")
		proa, _, _, ok2 := r.spread(w, "proa")
		if !ok1 || !ok2 || proa == 0 {
			continue
		}
		ratio := peer / proa
		shown := min(ratio, 60)
		widest = max(widest, shown)
		y := height * len(bars)
		bars = append(bars, fmt.Sprintf(`<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.0f" height="16" rx="3"/><text x="%.0f" y="%d">%.1f×</text>`,
			left-10, y+17, w.name, left, y+4, shown*scale, left+shown*scale+6, y+17, ratio))
	}
	width, total := left+int(widest*scale)+right, height*len(bars)+24
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`, width, total)
	b.WriteString(`<style>text{fill:#24292f}rect{fill:#1a7f64}line{stroke:#d0402b;stroke-dasharray:4 3}@media(prefers-color-scheme:dark){text{fill:#d0d7de}rect{fill:#3fb594}line{stroke:#ff8170}}</style>`)
	b.WriteString(strings.Join(bars, ""))
	fmt.Fprintf(&b, `<line x1="%.0f" y1="0" x2="%.0f" y2="%d"/><text x="%.0f" y="%d" text-anchor="middle">10×</text></svg>`,
		left+10*scale, left+10*scale, total-18, left+10*scale, total-4)
	b.WriteByte('\n')
	return os.WriteFile(path, []byte(b.String()), 0o644)
}
