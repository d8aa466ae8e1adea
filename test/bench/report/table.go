package report

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Tables writes everything in Markdown: the rows a table for each group, the curves a table each.
func (r *Report) Tables(w io.Writer) {
	fmt.Fprintf(w, "%s; %s.\n", r.Machine, r.Machine.Peers)
	group := ""
	for _, row := range r.Rows {
		if row.Group != group {
			group = row.Group
			fmt.Fprintf(w, "\n**%s**\n\n", group)
			fmt.Fprintln(w, "| work | peer (min-max) | Proa (min-max) | ratio | peer: a second, p50, p99 | Proa: a second, p50, p99 | ratio of p50, p99 |")
			fmt.Fprintln(w, "|---|---|---|---|---|---|---|")
		}
		peer, proa := summarize(row.Samples[Peer]), summarize(row.Samples[Proa])
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s |\n", row.Name, peer.cell(row.Unit), proa.cell(row.Unit),
			bold(ratio(peer, proa)), peer.pace(), proa.pace(), latencies(peer, proa))
	}
	r.kine(w)
	for _, c := range r.Curves {
		c.table(w)
	}
}

// kine is the table of what k3s does: SQLite in etcd's place.
func (r *Report) kine(w io.Writer) {
	head := false
	for _, row := range r.Rows {
		kine, proa := summarize(row.Samples[Kine]), summarize(row.Samples[Proa])
		if kine.rounds == 0 {
			continue
		}
		if !head {
			head = true
			fmt.Fprint(w, "\n**kube-apiserver over kine with SQLite, synced as etcd is**\n\n")
			fmt.Fprintln(w, "| work | kine (min-max) | Proa (min-max) | ratio | kine: a second, p50, p99 |")
			fmt.Fprintln(w, "|---|---|---|---|---|")
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", row.Name, kine.cell(row.Unit), proa.cell(row.Unit), bold(ratio(kine, proa)), kine.pace())
	}
}

func (c *Curve) table(w io.Writer) {
	fmt.Fprintf(w, "\n**%s**\n\n| %s | peer | Proa | ratio |\n|---|---|---|---|\n", c.Name, c.X)
	for _, p := range c.Points {
		peer, proa := summarize(p.Samples[Peer]), summarize(p.Samples[Proa])
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", grouped(p.X), peer.cell(c.Unit), proa.cell(c.Unit), bold(ratio(peer, proa)))
	}
}

func (s summary) cell(unit string) string {
	switch {
	case s.rounds == 0:
		return "not run"
	case s.failed > 0:
		return fmt.Sprintf("failed %d of %d: %s", s.failed, s.rounds, strings.NewReplacer("|", "/", "\n", " ").Replace(s.why[:min(len(s.why), 120)]))
	}
	unit, per := scale(unit, s.median)
	if s.rounds == 1 {
		return short(s.median/per) + " " + unit
	}
	return fmt.Sprintf("%s (%s-%s) %s", short(s.median/per), short(s.low/per), short(s.high/per), unit)
}

func (s summary) pace() string {
	if s.perSecond == 0 {
		return ""
	}
	return fmt.Sprintf("%s, %s ms, %s ms", short(s.perSecond), short(s.p50), short(s.p99))
}

func latencies(peer, proa summary) string {
	if peer.p50 == 0 || proa.p50 == 0 {
		return ""
	}
	return times(peer.p50/proa.p50) + ", " + times(peer.p99/proa.p99)
}

func times(ratio float64) string {
	switch {
	case ratio == 0:
		return "-"
	case math.IsInf(ratio, 1):
		return "∞"
	}
	return strconv.FormatFloat(ratio, 'f', 1, 64)
}

func bold(ratio float64) string {
	if ratio == 0 {
		return "-"
	}
	return "**" + times(ratio) + "**"
}

// scale is the unit in which a figure is best read, and how much of the row's own it has.
func scale(unit string, figure float64) (string, float64) {
	switch {
	case unit == "µs" && figure >= 10_000:
		return "ms", 1000
	case unit == "ms" && figure >= 10_000:
		return "s", 1000
	}
	return unit, 1
}

// short is a figure in three digits, or all of them before the point.
func short(x float64) string {
	switch {
	case x == 0:
		return "0"
	case math.Abs(x) >= 100:
		return grouped(math.Round(x))
	}
	decimals := max(0, 2-int(math.Floor(math.Log10(math.Abs(x)))))
	return strconv.FormatFloat(x, 'f', min(decimals, 4), 64)
}

// grouped is a whole number with commas between thousands.
func grouped(x float64) string {
	text := strconv.FormatFloat(x, 'f', 0, 64)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
