package embedded

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/proa-dev/proa/internal/store"
)

// rounds is how often a test of chance is repeated; PROA_STORE_ROUNDS asks for thousands.
func rounds(t *testing.T, usual int) int {
	if s := os.Getenv("PROA_STORE_ROUNDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("PROA_STORE_ROUNDS: %v", err)
		}
		return n
	}
	if testing.Short() {
		return usual / 4
	}
	return usual
}

// ledger is what writers know: each owns a pair of keys and writes the same number to both in one commit,
// one more each time. So after a crash a pair that differs is a torn commit, and a number below the last
// one acknowledged is a lost one.
type ledger struct {
	acked    []atomic.Int64 // by writer
	revision atomic.Int64   // the highest acknowledged
}

func pairKeys(w int) (string, string) { return fmt.Sprintf("w%d/left", w), fmt.Sprintf("w%d/right", w) }

// write goes on from where the store is until it fails or ctx ends.
func (l *ledger) write(ctx context.Context, e store.Store, w int, padding int) {
	left, right := pairKeys(w)
	for n := l.acked[w].Load() + 1; ctx.Err() == nil; n++ {
		value := fmt.Appendf(make([]byte, 0, 20+padding), "%d/", n)
		value = value[:len(value)+rand.IntN(padding+1)]
		rev, err := e.Commit(context.Background(),
			store.Op{Key: left, Value: value, Expect: store.AnyRevision},
			store.Op{Key: right, Value: value, Expect: store.AnyRevision})
		if err != nil {
			return
		}
		l.acked[w].Store(n)
		for old := l.revision.Load(); old < rev && !l.revision.CompareAndSwap(old, rev); old = l.revision.Load() {
		}
	}
}

// check compares a store after a crash with what was acknowledged before it.
func (l *ledger) check(t *testing.T, e store.Store, acked []int64, revision int64) {
	t.Helper()
	ctx := context.Background()
	if rev, err := e.Revision(ctx); err != nil || rev < revision {
		t.Fatalf("revision %d, %v; %d was acknowledged", rev, err, revision)
	}
	for w := range acked {
		leftKey, rightKey := pairKeys(w)
		left, right := number(t, e, leftKey), number(t, e, rightKey)
		if left != right {
			t.Fatalf("writer %d: %d and %d: half of a commit", w, left, right)
		}
		if left < acked[w] {
			t.Fatalf("writer %d: found %d, but %d was acknowledged", w, left, acked[w])
		}
		l.acked[w].Store(left)
	}
	checkHistory(t, e)
}

func number(t *testing.T, e store.Store, key string) (n int64) {
	t.Helper()
	kv, err := e.Get(context.Background(), key)
	if err != nil {
		return 0
	}
	if _, err := fmt.Sscanf(string(kv.Value), "%d/", &n); err != nil {
		t.Fatalf("%s: %q: %v", key, kv.Value, err)
	}
	return n
}

// checkHistory reads all events and checks that they are dense, whole, chain by value, and end in the
// present state. Nobody may write meanwhile.
func checkHistory(t *testing.T, e store.Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for !historyHolds(ctx, t, e) { // it was cut back meanwhile, which has an end
	}
}

func historyHolds(ctx context.Context, t *testing.T, e store.Store) bool {
	t.Helper()
	oldest, err := e.Oldest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	last, err := e.Revision(ctx)
	if err != nil {
		t.Fatal(err)
	}
	st, err := e.Events(ctx, oldest)
	if errors.Is(err, store.ErrCompacted) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	latest := map[string]store.Event{}
	at := oldest
	for at < last {
		events, err := st.Next(ctx)
		if errors.Is(err, store.ErrCompacted) {
			return false
		}
		if err != nil {
			t.Fatalf("events after %d of %d: %v", at, last, err)
		}
		for _, ev := range events {
			if ev.Revision != at && ev.Revision != at+1 {
				t.Fatalf("revision %d after %d", ev.Revision, at)
			}
			at = ev.Revision
			before, ok := latest[ev.Key]
			if ok && before.Value == nil {
				before.Revision = 0 // deleted
			}
			if ok && (string(before.Value) != string(ev.Prev) || before.Revision != ev.PrevRevision) {
				t.Fatalf("%s at %d: prev %.20q at %d, but %.20q was written at %d", ev.Key, at, ev.Prev, ev.PrevRevision, before.Value, before.Revision)
			}
			latest[ev.Key] = ev
		}
	}
	for key, ev := range latest {
		kv, err := e.Get(ctx, key)
		if ev.Value == nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("%s is %.20q at %d, %v; it was deleted at %d", key, kv.Value, kv.Revision, err, ev.Revision)
		}
		if ev.Value != nil && (err != nil || string(kv.Value) != string(ev.Value) || kv.Revision != ev.Revision) {
			t.Fatalf("%s is %.20q at %d, %v; its last event says %.20q at %d", key, kv.Value, kv.Revision, err, ev.Value, ev.Revision)
		}
	}
	return true
}

// stillKeys are written once and stay, so that a segment seldom empties by itself.
const stillKeys = 64

// writeStill writes one of the keys that stay, if it is not there yet.
func writeStill(t *testing.T, e store.Store, k int) {
	t.Helper()
	key := fmt.Sprint("still", k%stillKeys)
	_, err := e.Commit(context.Background(), store.Op{Key: key, Value: []byte(key)})
	if err != nil && !errors.Is(err, store.ErrConflict) {
		t.Fatal(err)
	}
}

// checkStill reads the keys that stay and returns how many there are.
func checkStill(t *testing.T, e store.Store) (n int) {
	t.Helper()
	for k := range stillKeys {
		key := fmt.Sprint("still", k)
		kv, err := e.Get(context.Background(), key)
		if err == nil && string(kv.Value) != key || err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("%s is %q, %v", key, kv.Value, err)
		}
		if err == nil {
			n++
		}
	}
	return n
}

// TestCrash cuts the power at random moments: what was synced is there, what was not may be there in part, but for Batch,
// too, nothing without what was before it.
func TestCrash(t *testing.T) {
	for _, durability := range []Durability{Sync, Batch} {
		t.Run(string(durability), func(t *testing.T) { crashes(t, durability) })
	}
}

func crashes(t *testing.T, durability Durability) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	const writers = 8
	l := &ledger{acked: make([]atomic.Int64, writers)}
	fs := vfs.NewCrashableMem()
	moved, still, segments := 0, 0, uint64(0)
	least := rounds(t, 40)
	for round := 0; round < least || moved == 0 || segments < 10; round++ { // on a slow machine it takes more
		// A small memtable, small segments and a short history, so that flushes, compactions, cuts and collecting are
		// under way too.
		e, err := Open(Options{Dir: "/store", FS: fs, MemTableBytes: 1 << 20, WatchHistoryBytes: 64 << 10, TailBytes: 1,
			segmentBytes: 32 << 10, Durability: durability, SyncInterval: time.Millisecond})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() { l.write(ctx, e, w, 8<<10) })
		}
		for n := r.IntN(4); n >= 0; n-- {
			writeStill(t, e, round+n)
			time.Sleep(time.Duration(r.IntN(8)) * time.Millisecond)
		}
		acked, revision := make([]int64, writers), int64(0)
		if durability == Sync {
			for w := range acked {
				acked[w] = l.acked[w].Load()
			}
			revision = l.revision.Load()
		}
		crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.IntN(101), RNG: r})
		cancel()
		wg.Wait()
		moved += movesIn(t, e)
		e.Close()

		fs = crashed
		e, err = Open(Options{Dir: "/store", FS: fs, TailBytes: 1})
		if err != nil {
			t.Fatalf("round %d: after the crash: %v", round, err)
		}
		l.check(t, e, acked, revision)
		recount(t, e)
		n := checkStill(t, e)
		if durability == Sync && n < still {
			t.Fatalf("round %d: %d keys that stay, of %d", round, n, still)
		}
		still = n
		// The next round may write what this one lost: start from what is there.
		rev, _ := e.Revision(context.Background())
		l.revision.Store(rev)
		segments = max(segments, e.log.position().segment)
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d segments, %d values moved", segments, moved)
}
