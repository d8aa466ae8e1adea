package field

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// TestPathsReadAsApimachinerys walks both kinds of path side by side.
func TestPathsReadAsApimachinerys(t *testing.T) {
	type walk struct {
		ours   *Path
		theirs *field.Path
	}
	ways := []func(walk) walk{
		func(w walk) walk { return walk{w.ours.Child("spec"), w.theirs.Child("spec")} },
		func(w walk) walk { return walk{w.ours.Child("a", "b", "c"), w.theirs.Child("a", "b", "c")} },
		func(w walk) walk { return walk{w.ours.Child(""), w.theirs.Child("")} },
		func(w walk) walk { return walk{w.ours.Index(12), w.theirs.Index(12)} },
		func(w walk) walk { return walk{w.ours.Key("k.io/x"), w.theirs.Key("k.io/x")} },
		func(w walk) walk { return walk{w.ours.Key(""), w.theirs.Key("")} },
	}
	var check func(w walk, depth int)
	check = func(w walk, depth int) {
		if got, want := w.ours.String(), w.theirs.String(); got != want {
			t.Errorf("%q instead of %q", got, want)
		}
		for got, want := range map[string]string{
			w.ours.Common().String():              w.theirs.String(),
			w.ours.Common().Child("end").String(): w.theirs.Child("end").String(),
			w.ours.Common().Key("end").String():   w.theirs.Key("end").String(),
		} {
			if got != want {
				t.Errorf("goes on as %q instead of %q", got, want)
			}
		}
		if depth == 0 {
			return
		}
		for _, way := range ways {
			check(way(w), depth-1)
		}
	}
	check(walk{NewPath("root"), field.NewPath("root")}, 3)
	check(walk{NewPath("root", "more"), field.NewPath("root", "more")}, 1)
	check(walk{NewPath(""), field.NewPath("")}, 1)
}

func TestNowhereDoesNotGrow(t *testing.T) {
	if n := testing.AllocsPerRun(1000, func() {
		if p := Nowhere.Child("a", "b").Index(123).Key("c"); p != Nowhere {
			t.Errorf("somewhere: %s", p)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if e := Required(Nowhere.Child("a"), ""); e == nil || e.Type != field.ErrorTypeRequired {
		t.Errorf("an error nowhere is none: %v", e)
	}
}
