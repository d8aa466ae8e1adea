package twin

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var (
	record = flag.Bool("record", false, "refresh testdata/golden from a live kube-apiserver")
	tell   = flag.Bool("document", false, "write the differences that the scripts accept into docs/COMPATIBILITY.md")
	got    = flag.String("got", "", "directory to write Proa's answers to, for comparing them by other means")
	proa   = flag.String("proa", "../../bin/proa", "the binary to test")
	tools  = flag.String("tools", "../../.tools", "where etcd and kube-apiserver are")
	only   = flag.String("only", "", "run the scripts whose names contain one of these, separated by commas")
)

func scripts(t *testing.T) []string {
	all, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(all) == 0 {
		t.Fatal("no scripts", err)
	}
	var chosen []string
	for _, s := range all {
		if slices.ContainsFunc(strings.Split(*only, ","), func(part string) bool { return strings.Contains(s, part) }) {
			chosen = append(chosen, s)
		}
	}
	return chosen
}

func goldenFile(script string) string { return filepath.Join("testdata/golden", filepath.Base(script)) }

func absolute(t *testing.T, path string) string {
	a, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(a); err != nil {
		t.Skipf("%v: build it first", err)
	}
	return a
}

// TestRecord asks kube-apiserver.
func TestRecord(t *testing.T) {
	if !*record {
		t.Skip("only with -record")
	}
	s, err := startPeer(absolute(t, *tools), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	requests := 0
	for _, script := range scripts(t) {
		answers, err := play(t.Context(), s, script, nil)
		if err != nil {
			t.Error(err)
			continue
		}
		requests += len(answers)
		if err := writeGolden(goldenFile(script), answers); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d requests", requests)
}

// TestProa asks Proa, and compares.
func TestProa(t *testing.T) {
	if *record {
		t.Skip("recording")
	}
	s, err := startProa(absolute(t, *proa), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	for _, script := range scripts(t) {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txt"), func(t *testing.T) {
			t.Parallel() // most of the time is spent waiting for watches to end
			titles, texts, err := readGolden(goldenFile(script))
			if err != nil {
				t.Fatal(err)
			}
			answers, err := play(t.Context(), s, script, texts)
			if err != nil {
				t.Fatal(err)
			}
			if *got != "" {
				if err := writeGolden(filepath.Join(*got, filepath.Base(script)), answers); err != nil {
					t.Fatal(err)
				}
			}
			compare(t, script, answers, titles, texts)
		})
	}
}

func compare(t *testing.T, script string, answers []answer, titles, texts []string) {
	if len(titles) != len(answers) {
		t.Fatalf("%d requests, but %d recorded answers: run go test -record", len(answers), len(titles))
	}
	for i, a := range answers {
		want := texts[i]
		if titles[i] != a.step.title {
			t.Fatalf("%s:%d: recorded was %q: run go test -record", script, a.step.line, titles[i])
		}
		if a.step.subset {
			var err error
			if want, a.text, err = common(want, a.text); err != nil {
				t.Fatal(err)
			}
		}
		switch {
		case a.step.differs != "" && a.text == want:
			t.Errorf("%s:%d: the answers are the same now: take away @differs (%s)", script, a.step.line, a.step.differs)
		case a.step.differs == "" && a.text != want:
			t.Errorf("%s:%d: %s\n(- kube-apiserver, + Proa)\n%s", script, a.step.line, a.step.title, diff(strings.Split(want, "\n"), strings.Split(a.text, "\n")))
		}
	}
}
