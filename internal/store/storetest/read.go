package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/proa-dev/proa/internal/store"
)

func testRange(t *testing.T, s store.Store) {
	var all []string
	for _, key := range []string{"a", "a/1", "a/2", "a0", "b/1", "\xff", "\xff\xff"} {
		rev := commit(t, s, put(key, "v", store.MustNotExist))
		all = append(all, fmt.Sprintf("%s=v@%d", key, rev))
	}
	commit(t, s, put("a/3", "v", store.MustNotExist))
	commit(t, s, remove("a/3", store.AnyRevision))
	snap := snapshot(t, s)
	for _, c := range []struct {
		r    store.Range
		want []string
	}{
		{store.Range{}, all},
		{store.Prefix(""), all},
		{store.Prefix("a/"), all[1:3]},
		{store.Prefix("\xff"), all[5:]},
		{store.Prefix("c"), nil},
		{store.Range{Start: "a/1", End: "b/1"}, all[1:4]},
		{store.Range{Start: "a/1\x00", End: "b/1\x00"}, all[2:5]},
		{store.Range{Start: "a/1", Limit: 2}, all[1:3]},
		{store.Range{Start: "b", End: "a"}, nil},
		{store.Range{Start: "a", End: "a"}, nil},
	} {
		t.Logf("range %+v", c.r)
		expectList(t, list(t, snap, c.r), c.want...)
		c.r.Lent = true
		expectList(t, list(t, snap, c.r), c.want...)
	}
	n := 0
	if err := snap.Range(store.Range{}, func(store.KV) bool { n++; return n < 3 }); err != nil || n != 3 {
		t.Fatalf("stopped after %d: %v", n, err)
	}
}

func testSnapshotIsolation(t *testing.T, s store.Store) {
	one := commit(t, s, put("a", "1", store.MustNotExist), put("b", "1", store.MustNotExist))
	snap := snapshot(t, s)
	if snap.Revision() != one {
		t.Fatalf("snapshot at %d, want %d", snap.Revision(), one)
	}
	want := list(t, snap, store.Range{})
	for i := range 200 {
		commit(t, s, put("a", fmt.Sprint(i), store.AnyRevision), put(fmt.Sprintf("c%d", i), "1", store.MustNotExist))
	}
	commit(t, s, remove("b", one))
	expectList(t, list(t, snap, store.Range{}), want...)
	kv, err := snap.Get("b")
	if err != nil || string(kv.Value) != "1" || kv.Revision != one {
		t.Fatalf("get b: %+v, %v", kv, err)
	}
	_, err = snap.Get("c1")
	expectError(t, err, store.ErrNotFound)
}

// testSnapshotsAgree moves money between accounts: its sum is the same in every snapshot, and every page
// of one snapshot comes from the same state.
func testSnapshotsAgree(t *testing.T, s store.Store) {
	const accounts, total = 20, 2000
	seed := newSeed(t)
	ops := make([]store.Op, accounts)
	for i := range ops {
		ops[i] = put(fmt.Sprintf("account/%02d", i), fmt.Sprint(total/accounts), store.MustNotExist)
	}
	commit(t, s, ops...)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() { transfer(ctx, t, s, rand.New(rand.NewPCG(seed, uint64(w))), ops) })
	}
	for range 200 {
		snap := snapshot(t, s)
		if sum := sumPages(t, snap, 7); sum != total {
			t.Errorf("snapshot at %d: the accounts hold %d, want %d", snap.Revision(), sum, total)
			break
		}
		snap.Close()
	}
	cancel()
	wg.Wait()
}

func transfer(ctx context.Context, t *testing.T, s store.Store, r *rand.Rand, accounts []store.Op) {
	for ctx.Err() == nil {
		i, j := r.IntN(len(accounts)), r.IntN(len(accounts))
		if i == j {
			continue
		}
		from, err1 := s.Get(ctx, accounts[i].Key)
		to, err2 := s.Get(ctx, accounts[j].Key)
		if err1 != nil || err2 != nil {
			break
		}
		var a, b int
		fmt.Sscan(string(from.Value), &a)
		fmt.Sscan(string(to.Value), &b)
		_, err := s.Commit(ctx, put(from.Key, fmt.Sprint(a-1), from.Revision), put(to.Key, fmt.Sprint(b+1), to.Revision))
		if err != nil && !errors.Is(err, store.ErrConflict) && ctx.Err() == nil {
			t.Errorf("transfer: %v", err)
			return
		}
	}
}

func sumPages(t *testing.T, snap store.Snapshot, limit int) (sum int) {
	page := store.Prefix("account/")
	page.Limit = limit
	for {
		n := 0
		err := snap.Range(page, func(kv store.KV) bool {
			var v int
			fmt.Sscan(string(kv.Value), &v)
			sum += v
			page.Start = kv.Key + "\x00"
			n++
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		if n < limit {
			return sum
		}
	}
}
