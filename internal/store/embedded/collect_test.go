package embedded

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

const (
	testSegment  = 8 << 10
	testSegments = 24
)

// collecting has segments of which only the end of the test is dead: it cuts no history unasked.
func collecting(fs vfs.FS) Options {
	return Options{Dir: "/store", FS: fs, segmentBytes: testSegment, TailBytes: 1, WatchHistory: time.Hour}
}

// rubbish fills segments with values of which one in each stays, of one the history may be made to hold, and the others are
// replaced by the next.
func rubbish(t *testing.T, m *model, e *Engine) {
	t.Helper()
	for i := range testSegments {
		m.put(t, e, 0, fmt.Sprint("still", i), strings.Repeat(fmt.Sprint(i), 300))
		m.put(t, e, time.Hour, fmt.Sprint("lease", i), fmt.Sprint("holder ", i))
		m.put(t, e, 0, fmt.Sprint("held", i), strings.Repeat("h", 300))
		m.put(t, e, 0, "rubbish", strings.Repeat("r", testSegment))
	}
}

// chosen is what the collector would do next.
func chosen(t *testing.T, e *Engine) (unneeded []uint64, worst uint64) {
	t.Helper()
	must(t, e.do(func(w *writer, _ *group) error {
		unneeded, worst = e.collector.choose(w)
		return nil
	}))
	return unneeded, worst
}

func isIdle(t *testing.T, e *Engine) bool {
	t.Helper()
	unneeded, worst := chosen(t, e)
	return len(unneeded) == 0 && worst == 0
}

func liveOf(t *testing.T, e *Engine, key string) liveRecord {
	t.Helper()
	v, err := e.readers.acquire()
	must(t, err)
	defer e.readers.giveBack(v)
	live, err := v.live(key)
	must(t, err)
	return live
}

// openFS counts the files that are open for writing, as those of the log are.
type openFS struct {
	vfs.FS
	open atomic.Int64
}

func (o *openFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return o.count(o.FS.Create(name, category))
}

func (o *openFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return o.count(o.FS.OpenReadWrite(name, category, opts...))
}

func (o *openFS) count(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	o.open.Add(1)
	return &openFile{File: f, open: &o.open}, nil
}

type openFile struct {
	vfs.File
	open *atomic.Int64
}

func (f *openFile) Close() error {
	f.open.Add(-1)
	return f.File.Close()
}

// TestCollect collects under readers of all kinds, and writers. What is moved stays what it is: value, revision, expiry.
func TestCollect(t *testing.T) {
	ctx := context.Background()
	mem := &openFS{FS: vfs.NewMem()}
	e, err := Open(collecting(mem))
	must(t, err)
	m := newModel(rand.New(rand.NewPCG(1, 1)))
	rubbish(t, m, e)
	before := map[string]liveRecord{}
	for i := range testSegments {
		for _, key := range []string{fmt.Sprint("still", i), fmt.Sprint("lease", i)} {
			before[key] = liveOf(t, e, key)
		}
	}
	held, err := e.Snapshot(ctx)
	must(t, err)
	past, err := e.SnapshotAt(ctx, held.Revision()-4)
	must(t, err)
	watch, err := e.Events(ctx, held.Revision()-4)
	must(t, err)

	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for i := 0; ; i = (i + 1) % testSegments {
				select {
				case <-done:
					return
				default:
				}
				key, want := fmt.Sprint("still", i), strings.Repeat(fmt.Sprint(i), 300)
				if kv, err := e.Get(ctx, key); err != nil || string(kv.Value) != want || kv.Revision != before[key].revision {
					t.Errorf("%s: %.20q at %d, %v", key, kv.Value, kv.Revision, err)
					return
				}
			}
		})
	}
	moved := func() (n int) {
		for key, was := range before {
			now := liveOf(t, e, key)
			if now.at != was.at {
				n++
			}
			if now.at = was.at; now != was {
				t.Fatalf("%s was %+v and is %+v", key, was, now)
			}
		}
		return n
	}
	must(t, e.Compact(ctx, held.Revision()-4))
	waitFor(t, "values to be moved", func() bool {
		m.commit(t, e)
		m.put(t, e, 0, fmt.Sprint("held", m.r.IntN(testSegments)), fmt.Sprint("new ", len(m.states)))
		return moved() > testSegments/2
	})
	waitFor(t, "the collector to rest", func() bool { return isIdle(t, e) })
	close(done)
	readers.Wait()
	m.compare(t, held)
	m.compare(t, past)
	for at := past.Revision(); at < int64(len(m.states)-1); at = watch.Reached() {
		_, err := watch.Next(ctx)
		must(t, err)
	}
	m.check(t, e)

	// Nothing that is removed was needed, and what was needed is removed when it is not any more.
	must(t, past.Close())
	must(t, held.Close())
	must(t, e.Compact(ctx, int64(len(m.states))))
	waitFor(t, "the collector to rest", func() bool { return isIdle(t, e) })
	m.check(t, e)
	var live int64
	for key, value := range m.states[len(m.states)-1] {
		live += int64(len(key) + len(value) + 20)
	}
	waitFor(t, "the segments to go", func() bool {
		return int64(len(segmentFiles(t, mem))) <= 2*live/testSegment+collectSlack+4
	})
	must(t, e.Close())
	if n := mem.open.Load(); n != 0 {
		t.Errorf("%d files were left open", n)
	}
}

// TestCollectRests has the history hold something of each segment: when all else is moved, there is nothing to do for the
// collector until the history lets go.
func TestCollectRests(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewMem()
	e := openTest(t, collecting(mem))
	m := newModel(rand.New(rand.NewPCG(1, 1)))
	rubbish(t, m, e)
	at := int64(len(m.states) - 1)
	for i := range testSegments {
		m.put(t, e, 0, fmt.Sprint("held", i), "new")
	}
	must(t, e.Compact(ctx, at))
	waitFor(t, "the collector to rest", func() bool { return isIdle(t, e) })
	m.check(t, e)
	if n := len(segmentFiles(t, mem)); n < testSegments {
		t.Fatalf("there are %d segments, of %d that the history needs", n, testSegments)
	}
	must(t, e.Compact(ctx, int64(len(m.states))))
	waitFor(t, "the segments to go", func() bool { return len(segmentFiles(t, mem)) < testSegments/2 })
	m.check(t, e)
}

// TestCollectWaitsForTheCut has a cut begun, of which the index does not know yet. A crash may bring back what was to be
// cut, so that what it needs stays.
func TestCollectWaitsForTheCut(t *testing.T) {
	mem := vfs.NewMem()
	e := openTest(t, collecting(mem))
	m := newModel(rand.New(rand.NewPCG(1, 1)))
	rubbish(t, m, e)
	last := int64(len(m.states) - 1)
	must(t, e.Compact(context.Background(), last-1))
	waitFor(t, "the collector to rest", func() bool { return isIdle(t, e) })
	before := segmentFiles(t, mem)
	e.history.oldest.Store(last)
	idle := isIdle(t, e)
	e.history.oldest.Store(last - 1)
	if !idle {
		t.Fatal("the collector goes by a cut that is only begun")
	}
	must(t, e.Compact(context.Background(), last))
	waitFor(t, "segments to go", func() bool { return len(segmentFiles(t, mem)) < len(before) })
	m.check(t, e)
}

// TestCollectAndCrash loses power whenever a segment's file is removed, and just after that. The index must do without it.
func TestCollectAndCrash(t *testing.T) {
	mem := vfs.NewCrashableMem()
	type crash struct {
		fs   *vfs.MemFS
		path string
	}
	var mu sync.Mutex
	var crashes []crash
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpRemove && strings.Contains(op.Path, "/log-") {
			mu.Lock()
			defer mu.Unlock()
			crashes = append(crashes, crash{mem.CrashClone(vfs.CrashCloneCfg{}), op.Path})
		}
		return nil
	}))
	e, err := Open(collecting(fs))
	must(t, err)
	m := newModel(rand.New(rand.NewPCG(1, 1)))
	rubbish(t, m, e)
	must(t, e.Compact(context.Background(), int64(len(m.states)-20)))
	waitFor(t, "the collector to rest", func() bool { return isIdle(t, e) })
	must(t, e.Compact(context.Background(), int64(len(m.states))))
	waitFor(t, "the collector to rest", func() bool { return isIdle(t, e) })
	must(t, e.Close())
	if len(crashes) < testSegments/2 {
		t.Fatalf("only %d segments were removed", len(crashes))
	}
	for _, c := range crashes {
		kept, err := Open(Options{Dir: "/store", FS: copyOf(c.fs)})
		must(t, err)
		m.check(t, kept)
		if _, err := kept.disk.Stat(c.path); err == nil {
			t.Fatalf("%s is still there", c.path)
		}
		must(t, kept.Close())
		remove(t, c.fs, c.path)
		kept, err = Open(Options{Dir: "/store", FS: c.fs})
		must(t, err)
		m.check(t, kept)
		must(t, kept.Close())
	}
}

// lines is a log that may be written and read at the same time.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestCollectLeavesDamageAlone damages segments that are to be emptied: each is named once and left alone, others are
// emptied, and those that hold little that is dead are not written again and again for it.
func TestCollectLeavesDamageAlone(t *testing.T) {
	mem := vfs.NewMem()
	said := new(lines)
	opts := collecting(mem)
	opts.Logger = slog.New(slog.NewTextHandler(said, nil))
	e := openTest(t, opts)
	m := newModel(rand.New(rand.NewPCG(1, 1)))
	rubbish(t, m, e)
	damaged := segmentFiles(t, mem)[:8]
	for _, id := range damaged {
		f, err := mem.OpenReadWrite(segmentPath(id), vfs.WriteCategoryUnspecified)
		must(t, err)
		_, err = f.WriteAt([]byte{0}, 0) // of the first frame's magic: the entries are as they were
		must(t, err)
		must(t, f.Close())
	}
	must(t, e.Compact(context.Background(), int64(len(m.states))))
	waitFor(t, "the damage to be named", func() bool {
		return strings.Count(said.String(), "no frame in") == len(damaged) && isIdle(t, e)
	})
	must(t, e.Compact(context.Background(), int64(len(m.states))))
	m.check(t, e)
	left := segmentFiles(t, mem)
	for _, id := range damaged {
		if !slices.Contains(left, id) {
			t.Errorf("%s is gone", segmentName(id))
		}
		if n := strings.Count(said.String(), "in "+segmentName(id)); n != 1 {
			t.Errorf("%s is named %d times", segmentName(id), n)
		}
	}
	if len(left) > testSegments {
		t.Errorf("nothing was collected: there are segments %v", left)
	}
	t.Logf("said: %s", said)
}

// TestChoose decides what to collect of a few segments with a limit of 8 KB, the last of which is 9.
func TestChoose(t *testing.T) {
	e := openTest(t, collecting(vfs.NewMem()))
	type segments = map[uint64]*segmentRecord
	for name, test := range map[string]struct {
		segments segments
		done     uint64
		unneeded []uint64
		worst    uint64
	}{
		"nothing": {},
		"the history is cut up to 5": {
			segments: segments{1: {end: 10, movedAt: 4}, 2: {end: 10, movedAt: 5}, 3: {end: 10, movedAt: 6}, 9: {end: 10}},
			unneeded: []uint64{1, 2}},
		"the one with the least alive": {
			segments: segments{1: {live: 20, end: 50_000}, 2: {live: 10, end: 50_000}, 3: {live: 10, end: 40_000}}, worst: 2},
		"the last one stays":       {segments: segments{9: {live: 1, end: 50_000}}},
		"no more dead than alive":  {segments: segments{1: {live: 10, end: 50_000}, 9: {live: 50_000, end: 50_000}}},
		"no more dead than is fit": {segments: segments{1: {live: 10, end: 2 * testSegment}}},
		"what is done is not done again, nor is another for it": {
			segments: segments{1: {live: 10, end: 500_000}, 2: {live: 9_000, end: 9_000}}, done: 1},
	} {
		c := &collector{e: e, done: map[uint64]bool{test.done: true}}
		w := &writer{e: e, segments: test.segments, oldest: 5, state: stateRecord{log: place{segment: 9}}}
		unneeded, worst := c.choose(w)
		slices.Sort(unneeded)
		if !slices.Equal(unneeded, test.unneeded) || worst != test.worst {
			t.Errorf("%s: %v are unneeded and %d is the worst; want %v and %d", name, unneeded, worst, test.unneeded, test.worst)
		}
	}
}

// TestCollectLeavesRoom has room for a few bytes only beside the half of the reserve that is the index's.
func TestCollectLeavesRoom(t *testing.T) {
	const reserve = 1 << 20
	d, fs := newFullDisk(4 * reserve)
	opts := collecting(fs)
	opts.MinFreeBytes = reserve
	e := openTest(t, opts)
	d.room.Store(reserve/2 + 10)
	for live, want := range map[int64]uint64{10: 1, 11: 0} {
		w := &writer{e: e, segments: map[uint64]*segmentRecord{1: {live: live, end: 1 << 20}}, state: stateRecord{log: place{segment: 9}}}
		if _, worst := e.collector.choose(w); worst != want {
			t.Errorf("with %d bytes to move, %d is the worst; want %d", live, worst, want)
		}
	}
	d.room.Store(4 * reserve)
}

// TestMoveOfWhatChanged changes values in all ways after they were found and before they are moved.
func TestMoveOfWhatChanged(t *testing.T) {
	e := openTest(t, Options{Dir: "/store", FS: vfs.NewMem(), TailBytes: 1})
	m := newModel(rand.New(rand.NewPCG(1, 1)))
	for _, key := range []string{"same", "overwritten", "deleted", "made again"} {
		m.put(t, e, 0, key, "before")
	}
	v, err := e.readers.acquire()
	must(t, err)
	defer e.readers.giveBack(v)
	end := e.log.position()
	mv := mover{e: e, view: v}
	_, err = v.files.byID[end.segment].frames(0, end.offset, func(units []byte, offset, _ int64) error {
		return eachUnit(units, end.segment, offset, mv.add)
	})
	must(t, err)
	if len(mv.found) != 4 {
		t.Fatalf("found %d values", len(mv.found))
	}
	m.put(t, e, 0, "overwritten", "after")
	m.remove(t, e, "deleted")
	m.remove(t, e, "made again")
	m.put(t, e, 0, "made again", "after")
	same := liveOf(t, e, "same")
	must(t, mv.move())
	if at := liveOf(t, e, "same").at; at == same.at {
		t.Error("nothing was moved")
	}
	m.check(t, e)
}

// TestMovedStaysForTheHistory moves a value whose commit is in the history. Where it was is needed as long as the commit is.
func TestMovedStaysForTheHistory(t *testing.T) {
	opts := collecting(vfs.NewMem())
	opts.segmentBytes = 1 // a segment for each frame
	e := openTest(t, opts)
	m := newModel(rand.New(rand.NewPCG(1, 1)))
	m.put(t, e, 0, "a", "1")
	m.put(t, e, 0, "b", "2")
	v, err := e.readers.acquire()
	must(t, err)
	records, err := segmentRecords(v.snap)
	e.readers.giveBack(v)
	must(t, err)
	must(t, e.collector.empty(1, records[1].end))
	if at := liveOf(t, e, "a").at; at.segment == 1 {
		t.Fatal("nothing was moved")
	}
	m.put(t, e, 0, "a", "3")
	if unneeded, _ := chosen(t, e); slices.Contains(unneeded, 1) {
		t.Fatal("the collector would remove what the history needs")
	}
	m.check(t, e)
	must(t, e.Compact(context.Background(), 3))
	waitFor(t, "the segments to go", func() bool { return !slices.Contains(segmentFiles(t, opts.FS), 1) })
	m.check(t, e)
}

// TestFilesChangeWhileOpening has the collector, and commits that begin a segment each, change the log's files from the moment
// that a store is open. Who still reads those of before holds them from before that.
func TestFilesChangeWhileOpening(t *testing.T) {
	fs := vfs.NewMem()
	for round := range 200 {
		e, err := Open(Options{Dir: "/store", FS: fs, segmentBytes: 1, WatchHistoryBytes: 1})
		must(t, err)
		for i := range 5 {
			put(t, e, fmt.Sprint("k", (round+i)%7), "value")
		}
		recount(t, e) // and everything can be read
		must(t, e.Close())
	}
}
