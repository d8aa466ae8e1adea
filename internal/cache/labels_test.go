package cache

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/labels"
)

func packInOrder(keys []string, set labels.Set) (Labels, bool) {
	var p LabelPacker
	for _, key := range keys {
		p.Add([]byte(key), []byte(set[key]))
	}
	return p.Labels()
}

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
		if got, ordered := packInOrder(slices.Sorted(maps.Keys(set)), set); got != packed || !ordered {
			t.Fatalf("%q is packed as %q from what is in order: %v", set, got.packed, ordered)
		}
		if keys := slices.Sorted(maps.Keys(set)); len(keys) > 1 {
			slices.Reverse(keys)
			if _, ordered := packInOrder(keys, set); ordered {
				t.Fatalf("%q is said to be in order", keys)
			}
			if _, ordered := packInOrder(append(keys[:1], keys[0]), set); ordered {
				t.Fatalf("%q twice is said to be in order", keys[0])
			}
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
	for _, text := range []string{
		"", "a", "!a", "a=", "a=0", "a=2", "a!=2", "a in (1,2)", "a in (2)", "a notin (1,2)", "a=2,b", "b,a=2", "a>0", "b<3", "b=8,a",
	} {
		selector, err := labels.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		prepared := Selector{Labels: selector}
		prepared.Prepare()
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
			if prepared.Selects(&Item{Labels: packed}) != selector.Matches(set) {
				t.Errorf("%q, prepared, on %v", text, set)
			}
		}
	}
}

// What a selector is prepared for can be found where it is no label.
func TestPreparedSelectorIsNotFooled(t *testing.T) {
	s := Selector{Labels: labels.SelectorFromSet(labels.Set{"a": "b"})}
	s.Prepare()
	i := &Item{Labels: MakeLabels(labels.Set{"c": "\x01a\x01b"})}
	if !strings.Contains(i.Labels.packed, s.mark) {
		t.Fatal("the test finds nothing that looks alike")
	}
	if s.Selects(i) {
		t.Error("selected")
	}
}

func BenchmarkSelects(b *testing.B) {
	items := make([]*Item, 5000)
	for n := range items {
		items[n] = &Item{
			Key:    fmt.Sprintf("namespace/pod-%d", n),
			Labels: MakeLabels(labels.Set{"app": "web", "group": fmt.Sprint(n % 100), "pod-template-hash": fmt.Sprintf("%010x", n/50)}),
		}
		items[n].pack()
	}
	for name, prepare := range map[string]func(*Selector){"plain": func(*Selector) {}, "prepared": (*Selector).Prepare} {
		b.Run(name, func(b *testing.B) {
			s := Selector{Namespace: "namespace", Labels: labels.SelectorFromSet(labels.Set{"group": "7"})}
			prepare(&s)
			b.ReportAllocs()
			for b.Loop() {
				found := 0
				for _, i := range items {
					if s.Selects(i) {
						found++
					}
				}
				if found != 50 {
					b.Fatal(found)
				}
			}
		})
	}
}

func TestMatchingLabelsDoesNotAllocate(t *testing.T) {
	i := &Item{Labels: MakeLabels(map[string]string{"app": "web", "tier": "front"})}
	s := &Selector{Labels: labels.SelectorFromSet(labels.Set{"app": "web"})}
	if n := testing.AllocsPerRun(100, func() { s.selectsItem(i) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
