package report

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func samples(figures ...float64) (all []Sample) {
	for _, f := range figures {
		all = append(all, Sample{Figure: f})
	}
	return all
}

func TestSummary(t *testing.T) {
	for _, tt := range []struct {
		name    string
		samples []Sample
		unit    string
		want    string
	}{
		{"nothing", nil, "µs", "not run"},
		{"one", samples(12.345), "µs", "12.3 µs"},
		{"odd", samples(3, 1, 2), "ms", "2.00 (1.00-3.00) ms"},
		{"even", samples(4, 1, 2, 3), "ms", "2.50 (1.00-4.00) ms"},
		{"large", samples(1234567, 1234567), "B", "1,234,567 (1,234,567-1,234,567) B"},
		{"in a larger unit", samples(231000, 99000), "µs", "165 (99.0-231) ms"},
		{"zero", samples(0, 0), "%", "0 (0-0) %"},
		{"small", samples(0.01234), "%", "0.0123 %"},
		{"partly failed", append(samples(1), Sample{Error: "no|way\nout"}), "µs", "failed 1 of 2: no/way out"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := summarize(tt.samples).cell(tt.unit); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestRatio(t *testing.T) {
	for _, tt := range []struct {
		name       string
		peer, proa []Sample
		want       string
	}{
		{"ten", samples(100), samples(10), "10.0"},
		{"of medians", samples(10, 1000, 30), samples(3, 1, 30), "10.0"},
		{"nothing is needed", samples(1), samples(0), "∞"},
		{"one side", samples(1), nil, "-"},
		{"a failure", append(samples(1), Sample{Error: "x"}), samples(1, 1), "-"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := times(ratio(summarize(tt.peer), summarize(tt.proa))); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// full is a report that has some of everything.
func full() *Report {
	r := &Report{}
	w := r.Row("group & co", "create <thing>", "µs")
	w.Samples[Peer], w.Samples[Proa] = []Sample{{Figure: 1000, PerSecond: 100, P50MS: 4, P99MS: 30}}, []Sample{{Figure: 10, PerSecond: 900, P50MS: 1, P99MS: 3}}
	w.Samples[Kine] = samples(2000)
	r.Row("group & co", "failed", "µs").Samples[Proa] = []Sample{{Error: "went wrong"}}
	c := r.Curve("memory", "objects", "MB")
	for _, x := range []float64{1000, 10, 100} {
		p := c.Point(x)
		p.Samples[Peer], p.Samples[Proa] = samples(x), samples(x/10)
	}
	return r
}

func TestTables(t *testing.T) {
	var b strings.Builder
	full().Tables(&b)
	for _, want := range []string{
		"| create <thing> | 1,000 µs | 10.0 µs | **100.0** | 100, 4.00 ms, 30.0 ms | 900, 1.00 ms, 3.00 ms | 4.0, 10.0 |\n",
		"| failed | not run | failed 1 of 1: went wrong | - |  |  |  |\n",
		"| create <thing> | 2,000 µs | 10.0 µs | **200.0** |  |\n",
		"| 10 | 10.0 MB | 1.00 MB | **10.0** |\n| 100 | 100 MB | 10.0 MB | **10.0** |\n| 1,000 | 1,000 MB | 100 MB | **10.0** |\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no line %q in\n%s", want, b.String())
		}
	}
}

func TestPicturesAreWellFormed(t *testing.T) {
	for name, draw := range map[string]func(*Report, string) error{"ratios": (*Report).DrawRatios, "curves": (*Report).DrawCurves} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "p.svg")
			if err := draw(full(), path); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			shapes := 0
			for d := xml.NewDecoder(f); ; {
				token, err := d.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if e, ok := token.(xml.StartElement); ok && (e.Name.Local == "rect" || e.Name.Local == "polyline") {
					shapes++
				}
			}
			if shapes == 0 {
				t.Error("nothing is drawn")
			}
		})
	}
}

func TestReportsComeBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.json")
	r := full()
	if err := r.Save(path); err != nil {
		t.Fatal(err)
	}
	again, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	var a, b strings.Builder
	r.Tables(&a)
	again.Tables(&b)
	if a.String() != b.String() {
		t.Errorf("got\n%s\nwant\n%s", b.String(), a.String())
	}
}

func TestInsert(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doc.md")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("head\n<!-- a -->\nold\n<!-- end -->\nmiddle\n<!-- b -->\n<!-- end -->\ntail\n")
	for _, name := range []string{"a", "b", "b"} {
		if err := Insert(path, name, "new "+name+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := "head\n<!-- a -->\n\nnew a\n\n<!-- end -->\nmiddle\n<!-- b -->\n\nnew b\n\n<!-- end -->\ntail\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := Insert(path, "c", "x"); err == nil {
		t.Error("a document without the place was changed")
	}
}
