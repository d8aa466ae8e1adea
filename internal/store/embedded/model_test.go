package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/proa-dev/proa/internal/store"
)

// model knows what the store was at each of its revisions.
type model struct {
	r      *rand.Rand
	states []map[string]string
	keys   []string
}

func newModel(r *rand.Rand) *model {
	m := &model{r: r, states: []map[string]string{{}}, keys: []string{"", "\x00", "a\x00", "a\x00b", "\xff\xff"}}
	for i := range 40 {
		m.keys = append(m.keys, fmt.Sprintf("k%02d", i))
	}
	return m
}

// commit changes a few keys at once, with values of all sizes and with none.
func (m *model) commit(t *testing.T, e *Engine) {
	t.Helper()
	state := maps.Clone(m.states[len(m.states)-1])
	var ops []store.Op
	for _, k := range m.r.Perm(len(m.keys))[:1+m.r.IntN(3)] {
		op := store.Op{Key: m.keys[k], Expect: store.AnyRevision}
		if _, there := state[op.Key]; there && m.r.IntN(4) == 0 {
			delete(state, op.Key)
		} else {
			op.Value = m.value()
			state[op.Key] = string(op.Value)
		}
		ops = append(ops, op)
	}
	rev := mustCommit(t, e, ops...)
	if m.states = append(m.states, state); rev != int64(len(m.states)-1) {
		t.Fatalf("revision %d after %d", rev, len(m.states)-2)
	}
}

// put sets one key.
func (m *model) put(t *testing.T, e *Engine, ttl time.Duration, key, value string) {
	t.Helper()
	mustCommit(t, e, store.Op{Key: key, Value: []byte(value), TTL: ttl, Expect: store.AnyRevision})
	state := maps.Clone(m.states[len(m.states)-1])
	state[key] = value
	m.states = append(m.states, state)
}

func (m *model) remove(t *testing.T, e *Engine, key string) {
	t.Helper()
	mustCommit(t, e, store.Op{Key: key, Expect: store.AnyRevision})
	state := maps.Clone(m.states[len(m.states)-1])
	delete(state, key)
	m.states = append(m.states, state)
}

func (m *model) value() []byte {
	sizes := []int{0, 1, 300, 3000}
	size := sizes[m.r.IntN(len(sizes))]
	if m.r.IntN(100) == 0 {
		size = 100_000
	}
	return bytes.Repeat(fmt.Append(nil, len(m.states), "."), size)[:size]
}

// check compares all of a store with the model. The store's last commits may be missing.
func (m *model) check(t *testing.T, e *Engine) {
	t.Helper()
	ctx := context.Background()
	rev, err := e.Revision(ctx)
	if err != nil || rev >= int64(len(m.states)) {
		t.Fatalf("revision %d of %d, %v", rev, len(m.states)-1, err)
	}
	now, err := e.Snapshot(ctx)
	must(t, err)
	defer now.Close()
	m.compare(t, now)
	for at := oldest(t, e); at < rev; at += 1 + m.r.Int64N(1+rev/8) {
		past, err := e.SnapshotAt(ctx, at)
		must(t, err)
		m.compare(t, past)
		must(t, past.Close())
	}
	checkHistory(t, e)
	recount(t, e)
}

func (m *model) compare(t *testing.T, s store.Snapshot) {
	t.Helper()
	want := m.states[s.Revision()]
	got := map[string]string{}
	must(t, s.Range(store.Range{Lent: true}, func(kv store.KV) bool { got[kv.Key] = string(kv.Value); return true }))
	if !maps.Equal(got, want) {
		t.Fatalf("at %d the store has %d keys that are not the model's %d", s.Revision(), len(got), len(want))
	}
	for _, key := range m.keys {
		kv, err := s.Get(key)
		if value, there := want[key]; there != (err == nil) || string(kv.Value) != value {
			t.Fatalf("at %d: %q is %.20q, %v", s.Revision(), key, kv.Value, err)
		}
	}
}

// recount sums up what the index leads to in each segment of the log, and compares it with what the segments' records say.
// All that it leads to must be there.
func recount(t *testing.T, e *Engine) {
	t.Helper()
	v, err := e.readers.acquire()
	must(t, err)
	defer e.readers.giveBack(v)
	live := map[uint64]int64{}
	c, err := v.cursor("", "")
	must(t, err)
	defer c.close()
	for c.next() {
		live[c.live.at.segment] += c.live.at.size
		if _, err := c.kv(true); err != nil {
			t.Fatalf("%q: %v", c.key, err)
		}
	}
	must(t, c.err)
	eachCommit(t, v, func(rev store.Revision, ch change) {
		if ch.prevRevision != 0 {
			live[ch.prev.segment] += ch.prev.size
			_, err := v.value(ch.key, ch.prevRevision, ch.prev)
			must(t, err)
		}
		if !ch.deleted {
			_, err := v.value(ch.key, rev, ch.at)
			must(t, err)
		}
	})
	records, err := segmentRecords(v.snap)
	must(t, err)
	for id, s := range records {
		if s.live != live[id] {
			t.Errorf("%s should have %d bytes that live, by its record %d", segmentName(id), live[id], s.live)
		}
		delete(live, id)
	}
	if len(live) > 0 {
		t.Errorf("segments without a record: %v", live)
	}
}

// eachCommit goes through the changes in the history that a view has.
func eachCommit(t *testing.T, v *view, use func(rev store.Revision, ch change)) {
	t.Helper()
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: logKey(0), UpperBound: logKey(v.revision + 1)})
	must(t, err)
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		commit, err := decodeCommit(it.Key(), it.Value())
		must(t, err)
		rev := store.Revision(binary.BigEndian.Uint64(it.Key()[1:]))
		for _, ch := range commit.changes {
			use(rev, ch)
		}
	}
	must(t, it.Error())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// segmentFiles are the files of the log, by their numbers.
func segmentFiles(t *testing.T, fs vfs.FS) (ids []uint64) {
	t.Helper()
	names, err := fs.List("/store")
	must(t, err)
	for _, name := range names {
		var id uint64
		if n, _ := fmt.Sscanf(name, segmentFormat, &id); n == 1 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func segmentPath(id uint64) string { return "/store/" + segmentName(id) }

func readFile(t *testing.T, fs vfs.FS, path string) []byte {
	t.Helper()
	f, err := fs.Open(path)
	must(t, err)
	defer f.Close()
	data, err := io.ReadAll(f)
	must(t, err)
	return data
}

// edit changes a file, durably.
func edit(t *testing.T, fs vfs.FS, path string, change func(data []byte) []byte) {
	t.Helper()
	data := change(readFile(t, fs, path))
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = f.Write(data)
	must(t, err)
	must(t, f.Sync())
	must(t, f.Close())
	syncDir(t, fs)
}

func syncDir(t *testing.T, fs vfs.FS) {
	t.Helper()
	d, err := fs.OpenDir("/store")
	must(t, err)
	must(t, d.Sync())
	must(t, d.Close())
}
