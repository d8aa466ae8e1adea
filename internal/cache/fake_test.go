package cache

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/proa-dev/proa/internal/store"
)

// fakeStore keeps the store's contract in the plainest way, with faults on demand.
type fakeStore struct {
	mu      sync.Mutex
	rev     store.Revision
	oldest  store.Revision
	state   map[string]store.KV
	history []store.Event
	changed chan struct{}
	broken  int  // streams opened before this many breaks fail
	mute    bool // streams say nothing, and do not report how far they are

	beforeSnapshot func() // called without mu
}

var _ store.Store = (*fakeStore)(nil)

var errBroken = errors.New("the stream broke")

func newFakeStore() *fakeStore {
	return &fakeStore{state: map[string]store.KV{}, changed: make(chan struct{})}
}

func (f *fakeStore) Commit(_ context.Context, ops ...store.Op) (store.Revision, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rev++
	for _, op := range ops {
		prev := f.state[op.Key]
		f.history = append(f.history, store.Event{Revision: f.rev, Key: op.Key, Value: op.Value,
			Prev: prev.Value, PrevRevision: prev.Revision, Hint: op.Hint})
		if op.Value == nil {
			delete(f.state, op.Key)
			continue
		}
		f.state[op.Key] = store.KV{Key: op.Key, Value: op.Value, Revision: f.rev}
	}
	f.wake()
	return f.rev, nil
}

func (f *fakeStore) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// put commits one key; "" deletes it.
func (f *fakeStore) put(key, value string) store.Revision {
	op := store.Op{Key: key, Expect: store.AnyRevision}
	if value != "" {
		op.Value = []byte(value)
	}
	rev, _ := f.Commit(context.Background(), op)
	return rev
}

func (f *fakeStore) breakStreams() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken++
	f.wake()
}

func (f *fakeStore) setMute(mute bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mute = mute
	f.wake()
}

func (f *fakeStore) Get(_ context.Context, key string) (store.KV, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kv, ok := f.state[key]
	if !ok {
		return kv, store.ErrNotFound
	}
	return kv, nil
}

func (f *fakeStore) Revision(context.Context) (store.Revision, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rev, nil
}

func (f *fakeStore) Snapshot(context.Context) (store.Snapshot, error) {
	if f.beforeSnapshot != nil {
		f.beforeSnapshot()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return newFakeSnapshot(f.rev, f.state), nil
}

func (f *fakeStore) SnapshotAt(_ context.Context, at store.Revision) (store.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at < f.oldest {
		return nil, store.ErrCompacted
	}
	state := map[string]store.KV{}
	for _, e := range f.history {
		if e.Revision > at {
			break
		}
		delete(state, e.Key)
		if e.Value != nil {
			state[e.Key] = store.KV{Key: e.Key, Value: e.Value, Revision: e.Revision}
		}
	}
	return newFakeSnapshot(at, state), nil
}

func newFakeSnapshot(rev store.Revision, state map[string]store.KV) *fakeSnapshot {
	s := &fakeSnapshot{rev: rev}
	for _, kv := range state {
		s.kvs = append(s.kvs, kv)
	}
	sort.Slice(s.kvs, func(a, b int) bool { return s.kvs[a].Key < s.kvs[b].Key })
	return s
}

func (f *fakeStore) Events(_ context.Context, after store.Revision) (store.Stream, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if after < f.oldest {
		return nil, store.ErrCompacted
	}
	return &fakeStream{f: f, reached: after, born: f.broken}, nil
}

func (f *fakeStore) Oldest(context.Context) (store.Revision, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.oldest, nil
}

func (f *fakeStore) Compact(_ context.Context, upTo store.Revision) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.oldest = max(f.oldest, upTo)
	return nil
}

func (f *fakeStore) Size(context.Context) (int64, error) { return 0, nil }
func (f *fakeStore) Cool() int64                         { return 0 }
func (f *fakeStore) Close() error                        { return nil }

type fakeSnapshot struct {
	rev store.Revision
	kvs []store.KV
}

func (s *fakeSnapshot) Revision() store.Revision         { return s.rev }
func (s *fakeSnapshot) Get(key string) (store.KV, error) { return store.KV{}, store.ErrNotFound }
func (s *fakeSnapshot) Close() error                     { return nil }
func (s *fakeSnapshot) Range(r store.Range, yield func(store.KV) bool) error {
	from := sort.Search(len(s.kvs), func(n int) bool { return s.kvs[n].Key >= r.Start })
	for _, kv := range s.kvs[from:] {
		if r.End != "" && kv.Key >= r.End || !yield(kv) {
			break
		}
	}
	return nil
}

type fakeStream struct {
	f       *fakeStore
	reached store.Revision
	born    int
}

func (s *fakeStream) Reached() store.Revision { return s.reached }
func (s *fakeStream) Close() error            { return nil }

func (s *fakeStream) Next(ctx context.Context) ([]store.Event, error) {
	for {
		events, changed, err := s.ready()
		if err != nil || len(events) > 0 {
			return events, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *fakeStream) ready() ([]store.Event, <-chan struct{}, error) {
	f := s.f
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case s.born < f.broken:
		return nil, nil, errBroken
	case s.reached < f.oldest:
		return nil, nil, store.ErrCompacted
	case f.mute:
		return nil, f.changed, nil
	}
	from := sort.Search(len(f.history), func(n int) bool { return f.history[n].Revision > s.reached })
	s.reached = f.rev
	return f.history[from:len(f.history):len(f.history)], f.changed, nil
}

// Test values are "k=v,k=v|field,field|data". The item's value has "@revision" after it.

var errDamaged = errors.New("damaged")

func describeTest(kv store.KV, hint any) (*Item, error) {
	parts := strings.Split(string(kv.Value), "|")
	if len(parts) != 3 {
		return nil, errDamaged
	}
	value, _, _ := strings.Cut(string(kv.Value), "@")
	i := &Item{Labels: MakeLabels(parseLabels(parts[0])), Value: fmt.Appendf(nil, "%s@%d", value, kv.Revision)}
	if parts[1] != "" {
		i.Fields = MakeFields(strings.Split(parts[1], ",")...)
	}
	if hint != nil {
		i.Share(hint)
	}
	return i, nil
}

func parseLabels(s string) map[string]string {
	m := map[string]string{}
	for pair := range strings.SplitSeq(s, ",") {
		if k, v, ok := strings.Cut(pair, "="); ok {
			m[k] = v
		}
	}
	return m
}

const podPrefix = "/registry/pods/"

func podSchema() Schema {
	return Schema{Resource: "pods", Prefix: podPrefix, Describe: describeTest, Indexed: []int{0}}
}

// startCache runs a cache with the schemas over the store until the test ends.
func startCache(t testing.TB, s store.Store, o Options, schemas ...Schema) (*Cache, []*Table) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := New(s, o)
	tables, err := c.AddAll(ctx, schemas)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return c, tables
}

// patience is how long a test waits for what comes at once, unless the machine is very busy.
const patience = 2 * time.Minute

// patiently reads until the cache has what is asked for, which it waits for itself, but not that long.
func patiently[T any](read func() (T, error)) (T, error) {
	for deadline := time.Now().Add(patience); ; {
		v, err := read()
		var future *FutureError
		if !errors.As(err, &future) || time.Now().After(deadline) {
			return v, err
		}
	}
}

// settle waits until the cache has all that the store has.
func settle(t testing.TB, c *Cache) {
	t.Helper()
	rev, err := c.store.Revision(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	limited, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.progress.wait(limited, rev); err != nil {
		t.Fatalf("the cache has reached %d of %d: %v", c.progress.reached.Load(), rev, err)
	}
}

// dump is a snapshot as text.
func dump(s *Snapshot) []string {
	var all []string
	s.Range("", "", func(i *Item) bool {
		all = append(all, i.Key+" "+string(i.Value))
		return true
	})
	return all
}
