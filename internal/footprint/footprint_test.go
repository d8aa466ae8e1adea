package footprint

import (
	"context"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheHeapMayGrowByHeadroomOrAQuarter(t *testing.T) {
	for _, test := range []struct {
		live    uint64
		percent int
	}{
		{0, 1000}, {1 << 20, 1000}, {12 << 20, 200}, {24 << 20, 100}, {48 << 20, 50}, {96 << 20, 25}, {1 << 40, 25},
	} {
		if got := percentOf(test.live); got != test.percent {
			t.Errorf("with %d live bytes: %d %%, not %d %%", test.live, got, test.percent)
		}
	}
}

func TestWhatIsWorthACollection(t *testing.T) {
	for _, test := range []struct {
		heap heap
		want bool
	}{
		{heap{live: 10 << 20, used: 11 << 20, free: 1 << 20}, false},
		{heap{live: 10 << 20, used: 15 << 20}, true},
		{heap{live: 10 << 20, used: 10 << 20, free: 5 << 20}, true},
		{heap{live: 10 << 20, used: 9 << 20}, false},
		{heap{live: 1 << 30, used: 1<<30 + 32<<20}, false},
		{heap{live: 1 << 30, used: 1<<30 + 65<<20}, true},
	} {
		if got := test.heap.worthwhile(0); got != test.want {
			t.Errorf("%+v: %v", test.heap, got)
		}
	}
}

func TestACalmProcessGivesGarbageBack(t *testing.T) {
	previous := debug.SetGCPercent(-1) // nobody else collects what this test leaves
	defer debug.SetGCPercent(previous)
	runtime.GC()
	leave(32 << 20)
	k := &Keeper{before: allocated()}
	begin := time.Now()
	if again := k.look(); again != 0 {
		t.Fatalf("calm, but it looks again in %v", again)
	}
	if end := time.Now(); !k.notUntil.After(begin) || k.notUntil.After(end.Add(effort*end.Sub(begin))) {
		t.Errorf("after %v it may do so again in %v", end.Sub(begin), k.notUntil.Sub(end))
	}
	if h := sample(); h.used > h.live+worth || h.free > worth {
		t.Errorf("kept: %+v", h)
	}
	leave(32 << 20)
	if k.look() != calmAfter {
		t.Error("a busy process is not calm")
	}
	k.notUntil = time.Now().Add(time.Hour) // more than a busy machine needs from here to there
	if again := k.look(); again <= 0 || again > time.Hour {
		t.Errorf("gave back again at once, or later than it may: in %v", again)
	}
}

var sink []byte

// leave makes garbage.
func leave(bytes int) {
	for range bytes >> 20 {
		sink = make([]byte, 1<<20)
	}
	sink = nil
}

func TestCoolIsCalledAgainWhileThereIsMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var calls []time.Duration
		k := &Keeper{cooled: begin, Cool: func() (int64, bool) {
			calls = append(calls, time.Since(begin))
			return 0, len(calls) < 3
		}}
		time.Sleep(time.Second)
		for _, again := k.cool(); again > 0; _, again = k.cool() {
			time.Sleep(again)
		}
		if want := []time.Duration{coolEvery, 2 * coolEvery, 3 * coolEvery}; !slices.Equal(calls, want) {
			t.Errorf("called after %v, not %v", calls, want)
		}
	})
}

func TestWhatCoolLetGoOfIsCollected(t *testing.T) {
	previous := debug.SetGCPercent(-1) // nobody else collects what this test leaves
	defer debug.SetGCPercent(previous)
	kept := make([]byte, 2*worth)
	runtime.GC() // the heap is known with it
	k := &Keeper{notUntil: time.Now(), Cool: func() (int64, bool) {
		freed := int64(len(kept))
		kept = nil
		return freed, false
	}}
	live := sample().live
	k.before = allocated()
	if again := k.look(); again != 0 {
		t.Fatalf("looks again in %v", again)
	}
	if now := sample().live; now+worth > live {
		t.Errorf("%d bytes live before, %d after", live, now)
	}
}

func TestCollectionsAreHeardOfAgainAndAgain(t *testing.T) {
	k := &Keeper{cycles: make(chan struct{}, 1)}
	k.listen()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for range 3 {
		runtime.GC()
		select {
		case <-k.cycles:
		case <-ctx.Done():
			t.Fatal("a collection was not heard of")
		}
	}
}
