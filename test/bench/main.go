package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/proa-dev/proa/test/bench/report"
	"github.com/proa-dev/proa/test/bench/server"
)

// options are the command's flags.
type options struct {
	rounds      int
	rows        string
	proa, tools string
	only        string
	out, doc    string
	again       bool
	growth      bool
	most        int
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "rounds, each of them all sides")
	flag.StringVar(&o.rows, "rows", "", "run only rows whose group or name match this regular expression, and what they stand on")
	flag.StringVar(&o.proa, "proa", "../../bin/proa", "Proa's binary")
	flag.StringVar(&o.tools, "tools", "../../.tools", "directory of the peers' binaries")
	flag.StringVar(&o.only, "sides", "peer,Proa,kine", "sides to measure")
	flag.StringVar(&o.out, "out", "", "save all figures as FILE.json and the picture as FILE.svg")
	flag.StringVar(&o.doc, "doc", "", "document in which to put the tables, with the picture of -out")
	flag.BoolVar(&o.again, "again", false, "measure nothing: show again what FILE.json of -out has")
	flag.BoolVar(&o.growth, "growth", false, "measure how cost grows instead: -rows chooses among objects, watchers, namespaces and nodes")
	flag.IntVar(&o.most, "most", 1_000_000, "the most of anything that -growth goes to")
	flag.Parse()
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (o options) run() error {
	r, err := o.figures()
	if err != nil {
		return err
	}
	place, draw := "figures", r.DrawRatios
	if o.growth {
		place, draw = "growth", r.DrawCurves
	}
	var tables bytes.Buffer
	r.Tables(&tables)
	os.Stdout.Write(tables.Bytes())
	if o.out == "" {
		return nil
	}
	if err := draw(o.out + ".svg"); err != nil || o.doc == "" {
		return err
	}
	picture, err := filepath.Rel(filepath.Dir(o.doc), o.out+".svg")
	if err != nil {
		return err
	}
	fmt.Fprintf(&tables, "\n![%s](%s)\n", place, picture)
	return report.Insert(o.doc, place, tables.String())
}

// figures measures, or reads what was measured.
func (o options) figures() (*report.Report, error) {
	if o.again {
		return report.Load(o.out + ".json")
	}
	match, err := regexp.Compile(o.rows)
	if err != nil {
		return nil, err
	}
	sides, err := o.sides()
	if err != nil {
		return nil, err
	}
	r := &report.Report{Machine: report.ThisMachine()}
	r.Machine.Rounds, r.Machine.Peers = o.rounds, server.Versions
	for n := range o.rounds {
		if err := o.round(n, r, sides, match); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// round measures everything once on all sides, in turn. Who is first alternates. What was measured is saved
// after each part, so that a run that is interrupted is not lost.
func (o options) round(n int, r *report.Report, sides []server.Side, match *regexp.Regexp) error {
	sides = slices.Clone(sides)
	if n%2 == 1 {
		slices.Reverse(sides)
	}
	var parts []func()
	if o.growth {
		g := growth{report: r, sides: sides, most: o.most}
		for _, t := range studies {
			if match.MatchString(t.name) {
				parts = append(parts, func() { g.study(t) })
			}
		}
	} else {
		m := measurement{round: n, sides: sides, match: match, report: r}
		for _, u := range []suite{apiServer(), wholePlane(), rollout()} {
			parts = append(parts, func() { m.suite(u) })
		}
	}
	for _, part := range parts {
		part()
		if o.out == "" {
			continue
		}
		if err := r.Save(o.out + ".json"); err != nil {
			return err
		}
	}
	return nil
}

// sides are those that were asked for.
func (o options) sides() (chosen []server.Side, err error) {
	all := []server.Side{server.Peer(o.tools), server.Proa(o.proa), server.Kine(o.tools)}
	for name := range strings.SplitSeq(o.only, ",") {
		i := slices.IndexFunc(all, func(s server.Side) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no side %q", name)
		}
		for _, file := range all[i].Needs {
			if _, err := os.Stat(file); err != nil {
				return nil, fmt.Errorf("%w (`make build peer` builds what is needed; -sides Proa measures without peers)", err)
			}
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
