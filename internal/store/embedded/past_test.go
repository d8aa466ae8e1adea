package embedded

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/proa-dev/proa/internal/store"
)

// TestPastInParts reads past states while only very few changed keys may be held at a time.
func TestPastInParts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	e := openTest(t, Options{Dir: "/store", FS: vfs.NewMem()})
	states := []map[string]string{{}}
	for i := range 300 {
		key := fmt.Sprintf("k%02d", r.IntN(60))
		op := store.Op{Key: key, Expect: store.AnyRevision, Value: []byte(fmt.Sprint(i))}
		state := maps.Clone(states[i])
		if _, exists := state[key]; exists && r.IntN(2) == 0 {
			op.Value = nil
			delete(state, key)
		} else {
			state[key] = string(op.Value)
		}
		if _, err := e.Commit(context.Background(), op); err != nil {
			t.Fatal(err)
		}
		states = append(states, state)
	}
	for range rounds(t, 100) {
		at := r.IntN(len(states) - 1)
		s, err := e.SnapshotAt(context.Background(), store.Revision(at))
		if err != nil {
			t.Fatal(err)
		}
		s.(*past).undoKeys = 1 + r.IntN(8)
		rng := store.Range{Start: fmt.Sprintf("k%02d", r.IntN(60)), Limit: r.IntN(10)}
		var got, want []string
		err = s.Range(rng, func(kv store.KV) bool {
			got = append(got, fmt.Sprintf("%s=%s", kv.Key, kv.Value))
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range slices.Sorted(maps.Keys(states[at])) {
			if key >= rng.Start && (rng.Limit == 0 || len(want) < rng.Limit) {
				want = append(want, fmt.Sprintf("%s=%s", key, states[at][key]))
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%+v at %d, %d keys a part:\ngot  %v\nwant %v", rng, at, s.(*past).undoKeys, got, want)
		}
		s.Close()
	}
}
