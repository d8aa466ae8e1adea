package garbage

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// world is the oracle: objects and their owners, deleted and collected in the most naive way. In what
// survives, references to nobody are dropped.
type world map[string][]string

func (w world) owns(owner, dependent string) bool {
	_, there := w[owner]
	namespace, _, _ := strings.Cut(owner, "/")
	from, _, _ := strings.Cut(dependent, "/")
	return there && (namespace == "" || namespace == from)
}

// senseless objects are of the cluster and owned from within a namespace: they are left alone.
func senseless(id string, owners []string) bool {
	return strings.HasPrefix(id, "/") && slices.ContainsFunc(owners, func(o string) bool { return !strings.HasPrefix(o, "/") })
}

func (w world) collect() {
	for changed := true; changed; {
		changed = false
		for id, owners := range w {
			if senseless(id, owners) {
				continue
			}
			there := slices.DeleteFunc(slices.Clone(owners), func(o string) bool { return !w.owns(o, id) })
			switch {
			case len(there) == len(owners):
				continue
			case len(there) == 0:
				delete(w, id)
			default:
				w[id] = there
			}
			changed = true
		}
	}
}

// remove deletes some objects at once. A senseless object that they own stays as it is.
func (w world) remove(how metav1.DeletionPropagation, ids ...string) {
	for _, id := range ids {
		delete(w, id)
		if how != metav1.DeletePropagationOrphan {
			continue
		}
		for other, owners := range w {
			w[other] = slices.DeleteFunc(slices.Clone(owners), func(o string) bool { return o == id })
		}
	}
	w.collect()
}

func (w world) String() string {
	var lines []string
	for id, owners := range w {
		slices.Sort(owners)
		lines = append(lines, id+" < "+strings.Join(owners, ", "))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestRandomHistories(t *testing.T) {
	for range 60 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { history(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func history(t *testing.T, random *rand.Rand) {
	w := world{}
	var ids []string
	for n := range 5 + random.IntN(25) {
		ids = append(ids, fmt.Sprintf("%s/o%d", []string{"x", "x", "x", "y", ""}[random.IntN(5)], n))
	}
	var lines []string
	for _, id := range ids {
		owners := map[string]bool{}
		for range random.IntN(4) {
			owner := ids[random.IntN(len(ids))]
			if random.IntN(20) == 0 {
				owner = "x/nobody"
			}
			owners[owner] = true
		}
		w[id] = slices.Collect(maps.Keys(owners))
		line := id
		for n, o := range w[id] {
			line += []string{" < ", ", "}[min(n, 1)] + o
			// What is senseless is never deleted, so who it blocks is never done.
			if !senseless(id, w[id]) && random.IntN(2) == 0 {
				line += "!"
			}
		}
		lines = append(lines, line)
	}
	t.Log("at first:\n" + strings.Join(lines, "\n"))
	b := bench(t, lines...)
	w.collect()
	compare := func(when string) {
		t.Helper()
		got := world{}
		for _, line := range present(b) {
			id, owners, _ := strings.Cut(strings.ReplaceAll(line, "!", ""), " < ")
			got[id] = nil
			if owners != "" {
				got[id] = strings.Split(owners, ", ")
			}
		}
		if got.String() != w.String() {
			t.Fatalf("%s: left\n%s\nwant\n%s", when, got, w)
		}
	}
	compare("at first")
	for len(w) > 0 {
		left := slices.Sorted(maps.Keys(w))
		random.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
		// Whether an orphan is saved from the deletion of its other owner is a race, so it goes alone.
		if random.IntN(4) == 0 {
			remove(b, left[0], metav1.DeletePropagationOrphan)
			b.Settle()
			w.remove(metav1.DeletePropagationOrphan, left[0])
			compare("orphaned " + left[0])
			continue
		}
		some := left[:min(len(left), 1+random.IntN(3))]
		for _, id := range some {
			remove(b, id, []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground}[random.IntN(2)])
			if random.IntN(2) == 0 {
				b.Settle()
			}
		}
		b.Settle()
		w.remove("", some...)
		compare(fmt.Sprintf("deleted %q", some))
	}
}
