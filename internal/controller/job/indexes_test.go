package job

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestIndexesText(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "0": "0", "0,1": "0,1", "0-1": "0,1", "0,1,2": "0-2", "0-2,5,7-9": "0-2,5,7-9", "5,0": "0,5",
		"8-12": "8,9", "10": "", "x,3,4-y": "3", "0-3,2-5": "0-5", "-1": "", "3-1,5": "5",
	} {
		if got := parseIndexes(text, 10).String(); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// The oracle is a set of bits.
func TestIndexesAreSets(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const size = 40
	for range 3000 {
		var sets [2][size]bool
		var x [2]indexes
		for side := range sets {
			for range random.IntN(5) {
				var some []int
				for range random.IntN(8) {
					some = append(some, random.IntN(size))
				}
				for _, n := range some {
					sets[side][n] = true
				}
				x[side] = x[side].with(some...)
			}
		}
		both := x[0].union(x[1])
		var missing []int
		common, all := 0, 0
		for n := range size {
			if got, want := both.has(n), sets[0][n] || sets[1][n]; got != want {
				t.Fatalf("%s has %d: %v", both, n, got)
			}
			if both.has(n) {
				all++
			} else if len(missing) < 7 {
				missing = append(missing, n)
			}
			if sets[0][n] && sets[1][n] {
				common++
			}
		}
		if both.len() != all || x[0].common(x[1]) != common || x[1].common(x[0]) != common {
			t.Fatalf("%s and %s: %d in all, want %d; %d in both, want %d", x[0], x[1], both.len(), all, x[0].common(x[1]), common)
		}
		if got := both.firstMissing(7, size); !slices.Equal(got, missing) {
			t.Fatalf("%s lacks %v, want %v", both, got, missing)
		}
		if again := parseIndexes(both.String(), size); !slices.Equal(again, both) {
			t.Fatalf("%v reads back as %v", both, again)
		}
		for n := range both {
			if n > 0 && both[n].first <= both[n-1].last+1 {
				t.Fatalf("%v touch", both)
			}
		}
	}
}

func FuzzIndexes(f *testing.F) {
	for _, s := range []string{"", "0", "0-2,5,7-9", "3-1", "-5", "1-2-3", "9223372036854775807", "0-9223372036854775807", ",,", "5,0", " 1"} {
		f.Add(s, 10)
	}
	f.Fuzz(func(t *testing.T, text string, below int) {
		x := parseIndexes(text, below)
		next := 0
		for i, s := range x {
			if s.first < next || s.last < s.first || s.last >= below {
				t.Fatalf("%q below %d: span %d is %v", text, below, i, s)
			}
			next = s.last + 2 // spans that touch are one
		}
		if again := parseIndexes(x.String(), below); !slices.Equal(again, x) {
			t.Errorf("%q below %d: %v became %v", text, below, x, again)
		}
	})
}
