package cache

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/labels"
)

func TestLabelsAreLikeASet(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	words := []string{"", "a", "app", "app.kubernetes.io/name", "b", "z", "ä", "\x00", strings.Repeat("x", 127), strings.Repeat("y", 128), strings.Repeat("l", 20000)}
	word := func() string { return words[rng.IntN(len(words))] }
	for range 2000 {
		set := labels.Set{}
		for range rng.IntN(6) {
			set[word()] = word()
		}
		packed := MakeLabels(set)
		if packed.Len() != len(set) || !maps.Equal(maps.Collect(packed.All()), set) || !maps.Equal(packed.Map(), set) {
			t.Fatalf("%q became %q", set, packed.packed)
		}
		if packed != MakeLabels(maps.Clone(set)) {
			t.Fatalf("%q is packed in two ways", set)
		}
		for _, key := range append(words, "nowhere") {
			value, ok := set.Lookup(key)
			gotValue, gotOK := packed.Lookup(key)
			if value != gotValue || ok != gotOK || packed.Has(key) != ok || packed.Get(key) != value {
				t.Fatalf("%q of %q: got %q, %v", key, set, gotValue, gotOK)
			}
		}
	}
}

func TestSelectorsAgreeOnLabelsAndSets(t *testing.T) {
	for _, text := range []string{"", "a", "!a", "a=1", "a!=1", "a in (1,2)", "a notin (1,2)", "a=1,b", "a>0", "b<3"} {
		selector, err := labels.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 16 {
			set := labels.Set{}
			if n&1 != 0 {
				set["a"] = fmt.Sprint(n & 2)
			}
			if n&4 != 0 {
				set["b"] = fmt.Sprint(n & 8)
			}
			packed := MakeLabels(set)
			if selector.Matches(set) != selector.Matches(&packed) {
				t.Errorf("%q on %v", text, set)
			}
		}
	}
}

func TestMatchingLabelsDoesNotAllocate(t *testing.T) {
	i := &Item{Labels: MakeLabels(map[string]string{"app": "web", "tier": "front"})}
	s := &Selector{Labels: labels.SelectorFromSet(labels.Set{"app": "web"})}
	if n := testing.AllocsPerRun(100, func() { s.selectsItem(i) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
