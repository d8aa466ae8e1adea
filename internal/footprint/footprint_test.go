package footprint

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
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
		if got := test.heap.worthwhile(); got != test.want {
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
	if again := k.look(); again != 0 {
		t.Fatalf("calm, but it looks again in %v", again)
	}
	if h := sample(); h.used > h.live+worth || h.free > worth {
		t.Errorf("kept: %+v", h)
	}
	leave(32 << 20)
	if k.look() != calmAfter {
		t.Error("a busy process is not calm")
	}
	if again := k.look(); again <= 0 || again > time.Minute {
		t.Errorf("gave back again at once, or never: in %v", again)
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

func TestCoolIsCalledOnceAMinute(t *testing.T) {
	calls := 0
	k := &Keeper{Cool: func() { calls++ }}
	for since, want := range map[time.Duration]int{time.Second: 0, 59 * time.Second: 0, 61 * time.Second: 1, time.Hour: 1} {
		calls, k.before, k.notUntil, k.cooled = 0, allocated(), time.Time{}, time.Now().Add(-since)
		k.look()
		k.before, k.notUntil = allocated(), time.Time{}
		k.look()
		if calls != want {
			t.Errorf("%v after the last time: called %d times", since, calls)
		}
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
