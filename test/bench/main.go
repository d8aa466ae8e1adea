package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"

	"github.com/proa-dev/proa/test/bench/report"
	"github.com/proa-dev/proa/test/bench/server"
)

// options are the command's flags.
type options struct {
	rounds      int
	rows        string
	proa, tools string
	alone       bool
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
	flag.BoolVar(&o.alone, "alone", false, "measure Proa without the peers")
	flag.StringVar(&o.out, "out", "", "save all figures as FILE.json and the picture as FILE.svg")
	flag.StringVar(&o.doc, "doc", "", "document in which to put the table")
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
	var tables bytes.Buffer
	r.Tables(&tables)
	os.Stdout.Write(tables.Bytes())
	if o.doc != "" {
		if err := report.Insert(o.doc, map[bool]string{false: "figures", true: "growth"}[o.growth], tables.String()); err != nil {
			return err
		}
	}
	if o.out == "" {
		return nil
	}
	if err := r.Save(o.out + ".json"); err != nil {
		return err
	}
	if o.growth {
		return r.DrawCurves(o.out + ".svg")
	}
	return r.DrawRatios(o.out + ".svg")
}

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
	if o.growth {
		grow(r, sides, match, o.rounds, o.most)
		return r, nil
	}
	m := measurement{sides: sides, match: match, report: r}
	suites := []suite{apiServer(), wholePlane(), rollout()}
	for n := range o.rounds {
		m.round(n, suites)
	}
	return r, nil
}

// sides are those whose binaries are there.
func (o options) sides() ([]server.Side, error) {
	all := []server.Side{server.Peer(o.tools), server.Proa(o.proa), server.Kine(o.tools)}
	if o.alone {
		all = all[1:2]
	}
	for _, side := range all {
		for _, file := range side.Needs {
			if _, err := os.Stat(file); err != nil {
				return nil, fmt.Errorf("%w: `make build peer` builds what is needed, -alone measures Proa without the peers", err)
			}
		}
	}
	return all, nil
}
