package cache

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/proa-dev/proa/internal/store"
	"github.com/proa-dev/proa/internal/store/embedded"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func openEmbedded(t *testing.T, fs *vfs.MemFS) store.Store {
	t.Helper()
	s, err := embedded.Open(embedded.Options{Dir: "/data", FS: fs, Durability: embedded.Memory})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// history reads all of the store's past.
func history(t *testing.T, s store.Store) []store.Event {
	t.Helper()
	last, err := s.Revision(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	stream, err := s.Events(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var all []store.Event
	for len(all) == 0 || all[len(all)-1].Revision < last {
		events, err := stream.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, events...)
	}
	return all
}

// The same model over the real engine, with a restart in the middle.
func TestOverTheEmbeddedEngine(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	fs := vfs.NewCrashableMem()
	var left []store.Revision // where watchers were when the server stopped
	for life := range uint64(3) {
		s := openEmbedded(t, fs)
		left = append(left, embeddedLife(t, rand.New(rand.NewPCG(seed, life)), s, left))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(seed, life))})
	}
}

// embeddedLife is one run of a server: old watchers resume, new ones come, writers write.
func embeddedLife(t *testing.T, rng *rand.Rand, s store.Store, left []store.Revision) store.Revision {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c, tables := startCache(t, s, Options{Logger: quiet()}, podSchema())
	var wait sync.WaitGroup
	var records []*record
	for _, rev := range left {
		r := &record{model: randomSelector(rng), after: rev}
		w := watch(t, tables[0], WatchOptions{Selector: r.model.selector, After: rev})
		wait.Go(func() { r.follow(ctx, w, false, func() {}) })
		records = append(records, r)
	}
	for range 300 {
		if _, err := s.Commit(ctx, possible(s, randomOps(rng))...); err != nil {
			t.Fatal(err)
		}
		if rng.IntN(10) == 0 {
			if r := startWatcher(t, ctx, rng, tables[0], c, &wait); r != nil {
				records = append(records, r)
			}
		}
	}
	settle(t, c)
	cancel()
	wait.Wait()
	past, last := history(t, s), c.Revision()
	for _, r := range records {
		r.verify(t, past, last)
	}
	all := modelSelector{wants: func(_, value string) bool { return value != "" && value != "garbage" }}
	snap, err := tables[0].Snapshot(context.Background(), At{Consistency: Consistent})
	if err != nil || !slices.Equal(dump(snap), all.stateAt(past, last)) {
		t.Errorf("the state at %d is wrong: %v", last, err)
	}
	return last - rng.Int64N(100)
}

// possible makes deletions of what does not exist creations.
func possible(s store.Store, ops []store.Op) []store.Op {
	for n := range ops {
		if _, err := s.Get(context.Background(), ops[n].Key); errors.Is(err, store.ErrNotFound) && ops[n].Value == nil {
			ops[n].Value = []byte("app=a|node0,x|again")
		}
	}
	return ops
}
