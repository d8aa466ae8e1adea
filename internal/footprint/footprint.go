// Package footprint keeps the memory that a process has from the machine close to the memory that it uses.
//
// Go's collector lets the heap double before it runs, and returns little and late. For a server whose heap
// is mostly bytes at rest that is wrong twice: a small heap is collected too often, a large one leaves as
// much garbage as it has data, and after a burst nothing is collected for minutes. So:
//
//   - The collector gets headroom instead of a factor: the heap may grow by headroom, or by a quarter of
//     what is live if that is more. Marking bytes without pointers costs next to nothing, so that running
//     more often on a large heap is cheap.
//   - When a burst is over, the garbage is collected and free memory goes back to the machine.
//   - The pages of the binary that only the start or the burst needed are unmapped. They are in the machine's
//     page cache, from which what is needed again comes back by a minor fault.
//
// Nothing polls. The collector's own cycles say that there was work: one arms a timer, and the timer finds
// out whether the process is calm. In a process that does nothing the collector runs every two minutes.
package footprint

import (
	"context"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// headroom is by how many bytes the heap may at least grow between two collections.
	headroom = 24 << 20
	// share of the live heap that it may grow by, in percent.
	share = 25
	// calmAfter is how long the process must have allocated less than calmBytes.
	calmAfter = time.Second
	calmBytes = 4 << 20
	// worth is what must be gained to be worth a collection, in bytes and as a part of the live heap.
	worth     = 4 << 20
	worthPart = 16
	// effort bounds what giving back costs: after it took some time, it rests for so many times that.
	effort = 10
)

// Keeper gives memory back for a process. The zero value is ready.
type Keeper struct {
	// Cool is called when the process is calm, at most once in coolEvery, to let go of what nobody has used
	// since the last time. It returns how many bytes that was, and whether the next call may let go of more;
	// nil is nothing.
	Cool func() (freed int64, more bool)

	percent  int           // that the collector was last told; 0 before the first time
	cooled   time.Time     // when Cool was called
	notUntil time.Time     // when memory may be given back again; zero before the first time
	before   uint64        // bytes allocated when the timer was armed
	cycles   chan struct{} // a token: there was a collection
}

// coolEvery is the shortest time between two calls of Cool. What is asked for less often, while the process has
// little else to do, is cheaper made again than kept.
const coolEvery = 4 * time.Second

// Run keeps the footprint small until the context ends. A process has one keeper, and runs it once. Settings
// of the collector that the operator made (GOGC, GOMEMLIMIT) stay as they are.
func (k *Keeper) Run(ctx context.Context) {
	k.cycles = make(chan struct{}, 1)
	k.cooled = time.Now()
	k.listen()
	calm := time.NewTimer(calmAfter)
	defer calm.Stop()
	armed := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.cycles:
			k.pace()
			if !armed {
				k.before, armed = allocated(), true
				calm.Reset(calmAfter)
			}
		case <-calm.C:
			wait := k.look()
			armed = wait > 0
			if armed {
				calm.Reset(wait)
			}
		}
	}
}

// listen puts a token into cycles whenever the collector has run: the runtime tells that a thing without
// users is gone, and another one takes its place, which is there when the token is.
func (k *Keeper) listen() {
	sentinel := new([16]byte)
	runtime.AddCleanup(sentinel, func(k *Keeper) {
		k.listen() // first, so that whoever has the token hears of the next cycle too
		select {
		case k.cycles <- struct{}{}:
		default:
		}
	}, k)
}

// pace tells the collector when to run next.
func (k *Keeper) pace() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	percent := percentOf(sample().live)
	if k.percent == 0 || math.Abs(float64(percent-k.percent)) > float64(k.percent)/8 {
		k.percent = percent
		debug.SetGCPercent(percent)
	}
}

// percentOf is by how much a live heap may grow.
func percentOf(live uint64) int {
	return int(max(share, min(headroom*100/max(live, 1), 1000)))
}

// look gives memory back if the process is calm, and says when to look again; 0 is after the next collection.
func (k *Keeper) look() (again time.Duration) {
	now := allocated()
	busy := now-k.before > calmBytes
	k.before = now
	if busy {
		return calmAfter
	}
	if rest := time.Until(k.notUntil); rest > 0 {
		return rest
	}
	freed, again := k.cool()
	if afterStart := k.notUntil.IsZero(); !afterStart && !sample().worthwhile(freed) {
		return again
	}
	begin := time.Now()
	runtime.GC() // what pools keep survives one collection, and not the one that follows
	debug.FreeOSMemory()
	unmapBinary()
	k.notUntil = time.Now().Add(effort * time.Since(begin))
	return again
}

// cool calls Cool if it is time, and says when it will be the next time; 0 is when there was work.
func (k *Keeper) cool() (freed uint64, again time.Duration) {
	if k.Cool == nil {
		return 0, 0
	}
	if early := coolEvery - time.Since(k.cooled); early > 0 {
		return 0, early
	}
	k.cooled = time.Now()
	bytes, more := k.Cool()
	if more {
		again = coolEvery
	}
	return uint64(bytes), again
}

// heap is what the runtime knows of it, in bytes.
type heap struct {
	live uint64 // found by the last collection
	used uint64 // live, garbage and new
	free uint64 // kept from the machine without use
}

// worthwhile tells whether giving back would gain enough, if freed bytes became garbage just now.
func (h heap) worthwhile(freed uint64) bool {
	gain := h.free + freed
	if h.used > h.live {
		gain += h.used - h.live
	}
	return gain > max(worth, h.live/worthPart)
}

func sample() heap {
	s := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(s)
	return heap{live: s[0].Value.Uint64(), used: s[1].Value.Uint64(), free: s[2].Value.Uint64()}
}

func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
