package load

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// Events are counted and timed wherever frames cut them.
func TestEventsInPieces(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const events = 100
	var all strings.Builder
	for range events {
		fmt.Fprintf(&all, `{"type":"MODIFIED","object":{"data":{"sent":"%d"}}}`+"\n", time.Now().Add(-time.Second).UnixNano())
	}
	var w Watchers
	var partial []byte
	for data := []byte(all.String()); len(data) > 0; {
		n := min(1+random.IntN(200), len(data))
		partial = w.take(0, partial, data[:n])
		data = data[n:]
	}
	if w.events.Load() != events || len(w.latencies) != events {
		t.Errorf("%d events, %d latencies of %d", w.events.Load(), len(w.latencies), events)
	}
	for _, took := range w.latencies {
		if took < time.Second {
			t.Errorf("an event took %v, was sent a second ago", took)
		}
	}
}
