package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
)

func main() {
	rounds := flag.Int("rounds", 3, "rounds, each of them peer and Proa")
	only := flag.String("rows", "", "run only rows whose name matches, and those that they need")
	proa := flag.String("proa", "../../bin/proa", "Proa's binary")
	tools := flag.String("tools", "../../.tools", "directory of the peer's binaries")
	out := flag.String("out", "", "file to save all figures in, as JSON")
	picture := flag.String("svg", "", "file to draw the ratios in")
	alone := flag.Bool("alone", false, "measure Proa without the peer")
	flag.Parse()
	if err := run(*rounds, *only, *proa, *tools, *out, *picture, *alone); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(rounds int, only, proa, tools, out, picture string, alone bool) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	r := newResults()
	sides := []func() (*server, error){
		func() (*server, error) { return startPeer(tools) },
		func() (*server, error) { return startProa(proa) },
	}
	if alone {
		sides = sides[1:]
	}
	for round := range rounds {
		for _, start := range sides {
			s, err := start()
			if s != nil {
				defer s.stop()
			}
			if err != nil {
				return err
			}
			for _, row := range rows {
				o := row.run(s)
				fmt.Fprintf(os.Stderr, "round %d %s: %s: %s\n", round+1, s.name, row.name, o.describe(row))
				if match.MatchString(row.name) {
					r.add(row.name, s.name, o)
				}
			}
			s.stop()
		}
	}
	r.print(os.Stdout, match)
	if picture != "" {
		if err := r.draw(picture); err != nil {
			return err
		}
	}
	if out == "" {
		return nil
	}
	return r.save(out)
}
