package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/proa-dev/proa/internal/store"
)

// TestReplay ends a store in all ways, with as much in the index as chance wants, and compares what comes up with a model.
func TestReplay(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	fs := vfs.NewCrashableMem()
	m := newModel(r)
	moved := 0
	least := rounds(t, 60)
	for round := 0; round < least || moved == 0; round++ {
		opts := Options{Dir: "/store", FS: fs, MemTableBytes: 1 << 20, segmentBytes: 1 + r.Int64N(64<<10),
			WatchHistoryBytes: 1 + r.Int64N(256<<10), Durability: []Durability{Sync, Batch}[r.IntN(2)]}
		kept, err := Open(Options{Dir: "/store", FS: copyOf(fs)}) // which cuts nothing
		must(t, err)
		m.check(t, kept)
		rev, err := kept.Revision(context.Background())
		must(t, err)
		m.states = m.states[:rev+1]
		must(t, kept.Close())
		e, err := Open(opts)
		must(t, err)
		for range r.IntN(100) {
			m.commit(t, e)
			switch r.IntN(40) {
			case 0:
				must(t, e.db.Flush())
			case 1:
				must(t, e.Compact(context.Background(), r.Int64N(int64(len(m.states)))))
			}
		}
		moved += movesIn(t, e)
		crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[r.IntN(3)], RNG: r})
		recount(t, e)
		must(t, e.Close())
		if r.IntN(3) == 0 {
			continue
		}
		fs = crashed
		if opts.Durability == Sync {
			kept, err := Open(Options{Dir: "/store", FS: fs.CrashClone(vfs.CrashCloneCfg{})})
			must(t, err)
			if rev, _ := kept.Revision(context.Background()); rev != int64(len(m.states)-1) {
				t.Fatalf("revision %d after a crash at %d", rev, len(m.states)-1)
			}
			must(t, kept.Close())
		}
	}
}

// movesIn counts the values that were moved, and are in the log.
func movesIn(t *testing.T, e *Engine) (n int) {
	t.Helper()
	v, err := e.readers.acquire()
	must(t, err)
	defer e.readers.giveBack(v)
	records, err := segmentRecords(v.snap)
	must(t, err)
	for id, s := range records {
		_, err := v.files.byID[id].frames(0, s.end, func(units []byte, offset, _ int64) error {
			return eachUnit(units, id, offset, func(u *unit) error {
				if u.kind == unitMoves {
					n += len(u.entries)
				}
				return nil
			})
		})
		must(t, err)
	}
	return n
}

// threeFrames is a crashed store of three commits, a, b and c, of which nothing is in the index, with the offsets at which
// the frames of b and c begin, and where that of c ends.
func threeFrames(t *testing.T, durability Durability) (fs *vfs.MemFS, b, c, end int64) {
	t.Helper()
	mem := vfs.NewCrashableMem()
	e := openTest(t, Options{Dir: "/store", FS: mem, Durability: durability, SyncInterval: time.Hour})
	put(t, e, "a", "1")
	b = e.log.position().offset
	put(t, e, "b", "2")
	c = e.log.position().offset
	put(t, e, "c", "3")
	return mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(0, 0))}), b, c, e.log.position().offset
}

func copyOf(fs *vfs.MemFS) *vfs.MemFS {
	return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(0, 0))})
}

func checkKeys(t *testing.T, e *Engine, want string) {
	t.Helper()
	s, err := e.Snapshot(context.Background())
	must(t, err)
	defer s.Close()
	var got []string
	must(t, s.Range(store.Range{}, func(kv store.KV) bool {
		got = append(got, fmt.Sprintf("%s=%s@%d", kv.Key, kv.Value, kv.Revision))
		return true
	}))
	if strings.Join(got, " ") != want {
		t.Fatalf("the store has %v, want %s", got, want)
	}
}

// TestTornEnd tears the last frame everywhere: what is before it stays, the store goes on, and neither what was torn nor
// what goes on is lost or comes back with the next crash.
func TestTornEnd(t *testing.T) {
	made, _, c, end := threeFrames(t, Sync)
	for torn := c; torn < end; torn++ {
		for _, how := range []func([]byte) []byte{
			func(data []byte) []byte { return data[:torn] },
			func(data []byte) []byte { clear(data[torn:end]); return data },
			func(data []byte) []byte { data[torn] ^= 1; return data },
		} {
			fs := copyOf(made)
			edit(t, fs, segmentPath(1), how)
			e, err := Open(Options{Dir: "/store", FS: fs})
			must(t, err)
			checkKeys(t, e, "a=1@1 b=2@2")
			put(t, e, "d", "4")
			crashed := copyOf(fs)
			must(t, e.Close())
			again, err := Open(Options{Dir: "/store", FS: crashed})
			must(t, err)
			checkKeys(t, again, "a=1@1 b=2@2 d=4@3")
			recount(t, again)
			must(t, again.Close())
		}
	}
}

// TestStaleFrame leaves a whole frame behind a torn one. It is never believed, not even when the log has gone on.
func TestStaleFrame(t *testing.T) {
	fs, b, c, _ := threeFrames(t, Batch)
	edit(t, fs, segmentPath(1), func(data []byte) []byte { clear(data[b:c]); return data })
	opts := Options{Dir: "/store", FS: fs}
	want := "a=1@1"
	for i := range 3 {
		e, err := Open(opts)
		must(t, err)
		checkKeys(t, e, want)
		want += fmt.Sprintf(" n%d=x@%d", i, i+2)
		put(t, e, fmt.Sprint("n", i), "x")
		opts.FS = copyOf(opts.FS.(*vfs.MemFS))
		must(t, e.Close())
	}
}

// TestForgedFrame has a crash tear the frame of a value that is made to look like frames: all that chance keeps from whoever
// makes it is the salt.
func TestForgedFrame(t *testing.T) {
	for forger, known := range map[string]bool{"who knows the salt": true, "who does not": false} {
		mem := vfs.NewCrashableMem()
		e := openTest(t, Options{Dir: "/store", FS: mem})
		put(t, e, "a", "1")
		at := e.log.position().offset
		of := mark{segment: 1}
		if known {
			of.salt = e.log.last.salt
		}
		// Where the forged frame will be: behind the header, the unit, and what an entry of that key and revision begins with.
		value := make([]byte, 200)
		prefix := int64(len(frameOf(1, 0, 0, unitCommit, entry{key: "b", revision: 2, value: value})) - len(value))
		forged := appendUnit(make([]byte, frameHeader), unitCommit, 0, 0)
		sealFrame(forged, of, at+prefix, at+prefix)
		copy(value, forged)
		put(t, e, "b", string(value))
		fs := copyOf(mem)
		edit(t, fs, segmentPath(1), func(data []byte) []byte {
			if !bytes.Equal(data[at+prefix:][:len(forged)], forged) {
				t.Fatal("the forged frame is not in its place")
			}
			data[at] ^= 1
			return data
		})
		again, err := Open(Options{Dir: "/store", FS: fs})
		if known {
			if !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("by %s: %v", forger, err)
			}
			continue
		}
		must(t, err)
		checkKeys(t, again, "a=1@1")
		must(t, again.Close())
	}
}

// refuses makes sure that a damaged store does not open, and says what is damaged.
func refuses(t *testing.T, damage string, fs vfs.FS, named string) {
	t.Helper()
	e, err := Open(Options{Dir: "/store", FS: fs})
	if err == nil {
		rev, _ := e.Revision(context.Background())
		must(t, e.Close())
		t.Fatalf("%s: it opened at revision %d", damage, rev)
	}
	if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), named) {
		t.Fatalf("%s: %v", damage, err)
	}
}

// TestDamagedFrame damages a frame that a later one knows to be durable: that is no torn end.
func TestDamagedFrame(t *testing.T) {
	made, b, c, _ := threeFrames(t, Sync)
	for at := b; at < c; at++ {
		fs := copyOf(made)
		edit(t, fs, segmentPath(1), func(data []byte) []byte { data[at] ^= 0x10; return data })
		refuses(t, fmt.Sprintf("damage at %d", at), fs, segmentName(1))
	}
}

// manySegments is a store of many small segments, all of which the index needs if it was closed, and none if it crashed.
func manySegments(t *testing.T) (closed, crashed *vfs.MemFS) {
	t.Helper()
	closed = vfs.NewCrashableMem()
	e, err := Open(Options{Dir: "/store", FS: closed, segmentBytes: 1})
	must(t, err)
	for i := range 5 {
		put(t, e, fmt.Sprint("k", i), "v")
	}
	crashed = copyOf(closed)
	must(t, e.Close())
	return closed, crashed
}

// TestMissingSegment takes segments away, or their ends. The store names them, and leaves all as it is.
func TestMissingSegment(t *testing.T) {
	closed, crashed := manySegments(t)
	for name, c := range map[string]struct {
		made   *vfs.MemFS
		losing []uint64 // each by itself
		change func(t *testing.T, fs vfs.FS, path string)
	}{
		"missing": {closed, []uint64{1, 2, 3, 4, 5}, remove},
		// The last one may not have been begun.
		"missing, not in the index":   {crashed, []uint64{1, 2, 3, 4}, remove},
		"shortened":                   {closed, []uint64{1, 2, 3, 4, 5}, shorten},
		"shortened, not in the index": {crashed, []uint64{1, 2, 3, 4}, shorten},
	} {
		for _, id := range c.losing {
			fs := copyOf(c.made)
			c.change(t, fs, segmentPath(id))
			files := segmentFiles(t, fs)
			refuses(t, segmentName(id)+" "+name, fs, segmentName(id))
			if after := segmentFiles(t, fs); !slices.Equal(after, files) {
				t.Fatalf("%s: %s: there were segments %v, and there are %v", segmentName(id), name, files, after)
			}
		}
	}
}

func remove(t *testing.T, fs vfs.FS, path string) {
	t.Helper()
	must(t, fs.Remove(path))
	syncDir(t, fs)
}

// shorten cuts a byte of the file's only frame off.
func shorten(t *testing.T, fs vfs.FS, path string) {
	t.Helper()
	edit(t, fs, path, func(data []byte) []byte { return data[:frameLength(data)-1] })
}

// TestLostIndex takes all of the index away. The log has everything, unless it has been collected.
func TestLostIndex(t *testing.T) {
	closed, _ := manySegments(t)
	loseIndex := func(fs vfs.FS) {
		names, err := fs.List("/store")
		must(t, err)
		for _, name := range names {
			if !strings.HasPrefix(name, "log-") && name != markerName {
				must(t, fs.Remove("/store/"+name))
			}
		}
	}
	loseIndex(closed)
	e := openTest(t, Options{Dir: "/store", FS: closed})
	checkKeys(t, e, "k0=v@1 k1=v@2 k2=v@3 k3=v@4 k4=v@5")

	_, crashed := manySegments(t)
	loseIndex(crashed)
	remove(t, crashed, segmentPath(1))
	refuses(t, "without an index and the log's beginning", crashed, segmentName(1))
}

// TestOrderlyEnd has nothing to replay: opening reads nothing of the log before its end.
func TestOrderlyEnd(t *testing.T) {
	closed, _ := manySegments(t)
	e, err := Open(Options{Dir: "/store", FS: closed})
	must(t, err)
	put(t, e, "last", "v")
	end := e.log.position()
	must(t, e.Close())
	var early atomic.Int64
	fs := errorfs.Wrap(closed, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileReadAt && strings.Contains(op.Path, "/log-") &&
			(!strings.HasSuffix(op.Path, segmentName(end.segment)) || op.Offset < end.offset) {
			early.Add(1)
		}
		return nil
	}))
	openTest(t, Options{Dir: "/store", FS: fs})
	if n := early.Load(); n != 0 {
		t.Errorf("opening read the log %d times", n)
	}
}
