package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/proa-dev/proa/internal/store"
)

// newSeed prints the seed, so that a failure can be looked into.
func newSeed(t *testing.T) uint64 {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return seed
}

// call is what a client asked, and answer what it got.
type call struct {
	// read is a Get; the rest is a commit of one op.
	read   bool
	key    string
	value  string // "" deletes
	expect store.Revision
}

type answer struct {
	revision store.Revision // of the commit, or of the value that was read; 0 if there is none
	value    string
	conflict bool
}

// register is a key in the model.
type register struct {
	value    string
	revision store.Revision
}

// registers is the contract as a state machine for one key. Revisions are part of it: a commit's
// revision becomes the key's, and must be above the key's last one.
func registers() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byKey := map[string][]porcupine.Operation{}
			for _, op := range history {
				key := op.Input.(call).key
				byKey[key] = append(byKey[key], op)
			}
			var parts [][]porcupine.Operation
			for _, part := range byKey {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() any { return register{} },
		Step: func(state, input, output any) (bool, any) {
			ok, next := step(state.(register), input.(call), output.(answer))
			return ok, next
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
	}
}

// step says whether the answer is right in the state, and what the state is then.
func step(s register, c call, a answer) (bool, register) {
	if c.read {
		return s.revision == a.revision && s.value == a.value, s
	}
	holds := c.expect == store.AnyRevision || c.expect == s.revision
	if c.value == "" && s.revision == 0 {
		holds = false
	}
	switch {
	case a.conflict:
		return !holds && s.revision == a.revision && s.value == a.value, s
	case !holds || a.revision <= s.revision:
		return false, s
	case c.value == "":
		return true, register{}
	}
	return true, register{value: c.value, revision: a.revision}
}

// client makes random calls and records them.
type client struct {
	id      int
	s       store.Store
	r       *rand.Rand
	known   map[string]store.Revision
	history []porcupine.Operation
}

func (c *client) run(t *testing.T, calls int, start time.Time) {
	for range calls {
		in := c.choose()
		begin := time.Since(start)
		out, err := c.do(t.Context(), in)
		if err != nil {
			t.Errorf("%+v: %v", in, err)
			return
		}
		c.history = append(c.history, porcupine.Operation{
			ClientId: c.id, Input: in, Output: out, Call: int64(begin), Return: int64(time.Since(start)),
		})
	}
}

func (c *client) choose() call {
	key := fmt.Sprintf("key%d", c.r.IntN(3))
	in := call{key: key, expect: c.known[key]}
	switch c.r.IntN(10) {
	case 0, 1, 2:
		in.read = true
	case 3:
		in.expect = store.AnyRevision
	case 4:
		in.expect = store.MustNotExist
	}
	if c.r.IntN(4) != 0 {
		in.value = fmt.Sprintf("%d/%d", c.id, c.r.IntN(1_000_000))
	}
	return in
}

func (c *client) do(ctx context.Context, in call) (answer, error) {
	if in.read {
		kv, err := c.s.Get(ctx, in.key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return answer{}, err
		}
		c.known[in.key] = kv.Revision
		return answer{revision: kv.Revision, value: string(kv.Value)}, nil
	}
	op := store.Op{Key: in.key, Expect: in.expect}
	if in.value != "" {
		op.Value = []byte(in.value)
	}
	rev, err := c.s.Commit(ctx, op)
	var conflict *store.ConflictError
	if errors.As(err, &conflict) {
		c.known[in.key] = conflict.Actual.Revision
		return answer{conflict: true, revision: conflict.Actual.Revision, value: string(conflict.Actual.Value)}, nil
	}
	if err != nil {
		return answer{}, err
	}
	c.known[in.key] = rev
	if in.value == "" {
		c.known[in.key] = 0
	}
	return answer{revision: rev}, nil
}

func testLinearizable(t *testing.T, s store.Store) {
	seed, start := newSeed(t), time.Now()
	clients := make([]*client, 8)
	var wg sync.WaitGroup
	for i := range clients {
		c := &client{id: i, s: s, r: rand.New(rand.NewPCG(seed, uint64(i))), known: map[string]store.Revision{}}
		clients[i] = c
		wg.Go(func() { c.run(t, 150, start) })
	}
	wg.Wait()
	var history []porcupine.Operation
	for _, c := range clients {
		history = append(history, c.history...)
	}
	switch porcupine.CheckOperationsTimeout(registers(), history, patience) {
	case porcupine.Illegal:
		t.Fatal("the history is not linearizable")
	case porcupine.Unknown:
		t.Log("the check did not finish in time")
	}
}

// testWatchCompleteness has streams that start anywhere and stop anywhere follow random writers, and
// compares each with the commits that were acknowledged.
func testWatchCompleteness(t *testing.T, s store.Store) {
	const writers, commits, readers = 6, 80, 6
	seed := newSeed(t)
	start := revision(t, s)
	var mu sync.Mutex
	acked := map[store.Revision]int{} // events of each commit
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(w)))
			for i := range commits {
				ops := make([]store.Op, 1+r.IntN(3))
				for k := range ops {
					ops[k] = put(fmt.Sprintf("key%d", k*10+r.IntN(10)), fmt.Sprintf("%d/%d", w, i), store.AnyRevision)
				}
				rev, err := s.Commit(t.Context(), ops...)
				if err != nil {
					t.Errorf("commit: %v", err)
					return
				}
				mu.Lock()
				acked[rev] = len(ops)
				mu.Unlock()
			}
		})
	}
	seen := make([][]store.Event, readers)
	for i := range seen {
		wg.Go(func() {
			seen[i] = follow(t, s, rand.New(rand.NewPCG(seed, uint64(100+i))), start, start+writers*commits)
		})
	}
	wg.Go(func() {
		for range commits { // whoever has not had what it lets go of yet still gets it
			s.Cool()
			time.Sleep(time.Millisecond)
		}
	})
	wg.Wait()
	for i := range seen {
		compare(t, i, seen[i], acked, start)
	}
}

// follow reads all events up to the last revision, with a new stream and a pause now and then.
func follow(t *testing.T, s store.Store, r *rand.Rand, after, last store.Revision) (events []store.Event) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for after < last {
		st, err := s.Events(ctx, after)
		if err != nil {
			t.Errorf("events after %d: %v", after, err)
			return nil
		}
		for n := 1 + r.IntN(20); n > 0 && after < last; n-- {
			more, err := st.Next(ctx)
			if err != nil {
				t.Errorf("next after %d: %v", after, err)
				return nil
			}
			events = append(events, more...)
			after = st.Reached()
			if r.IntN(5) == 0 {
				time.Sleep(time.Duration(r.IntN(3)) * time.Millisecond)
			}
		}
		st.Close()
	}
	return events
}

// compare checks one reader's events: dense revisions in order, each commit whole, and values that chain:
// an event's prev is the value that the key's last event wrote.
func compare(t *testing.T, reader int, events []store.Event, acked map[store.Revision]int, start store.Revision) {
	t.Helper()
	last := map[string]store.Event{}
	counts := map[store.Revision]int{}
	at := start
	for _, e := range events {
		if e.Revision != at && e.Revision != at+1 {
			t.Fatalf("reader %d: revision %d after %d", reader, e.Revision, at)
		}
		at = e.Revision
		counts[at]++
		if before := last[e.Key]; string(before.Value) != string(e.Prev) || before.Revision != e.PrevRevision {
			t.Fatalf("reader %d: event %v follows %v", reader, describe([]store.Event{e}), describe([]store.Event{before}))
		}
		last[e.Key] = e
	}
	for rev, n := range acked {
		if counts[rev] != n {
			t.Fatalf("reader %d: commit %d has %d events, want %d", reader, rev, counts[rev], n)
		}
	}
}
