package apiserver

import (
	"net/http"
	"strings"
	"testing"
)

func TestWarningsAreBounded(t *testing.T) {
	for _, c := range []struct {
		name  string
		texts []string
		want  []int // runes of each header's text
	}{
		{"none", []string{""}, nil},
		{"each once", []string{"a", "bb", "a"}, []int{1, 2}},
		{"as long as allowed", []string{strings.Repeat("a", 4096)}, []int{4096}},
		{"too long", []string{strings.Repeat("a", 4097)}, []int{256}},
		{"runes count", []string{strings.Repeat("é", 4096)}, []int{4096}},
		{"all are cut once one is too much", []string{strings.Repeat("a", 4000), "b", strings.Repeat("c", 300)}, []int{256, 1, 256}},
	} {
		h := http.Header{}
		w := &warnings{header: h}
		for _, text := range c.texts {
			w.add(text)
		}
		got := h.Values("Warning")
		if len(got) != len(c.want) {
			t.Errorf("%s: %d warnings, want %d", c.name, len(got), len(c.want))
			continue
		}
		for i, line := range got {
			text := strings.TrimSuffix(strings.TrimPrefix(line, `299 - "`), `"`)
			if n := len([]rune(text)); n != c.want[i] {
				t.Errorf("%s: warning %d has %d runes, want %d", c.name, i, n, c.want[i])
			}
		}
	}
	h := http.Header{}
	w := &warnings{header: h}
	for i := range 200 {
		w.add(strings.Repeat("x", 100+i))
	}
	total := 0
	for _, line := range h.Values("Warning") {
		total += len(line)
	}
	if total > 2*maxWarnings {
		t.Errorf("%d bytes of warnings", total)
	}
}
