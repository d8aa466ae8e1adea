package etcd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"go.etcd.io/raft/v3"

	"github.com/proa-dev/proa/internal/store"
	engine "github.com/proa-dev/proa/internal/store/etcd"
)

const patience = 3 * time.Minute

// storm is writers and readers that go on while things break. At the end every stream of every store has had every
// commit that was acknowledged exactly once, in order, each with the value that the key's last event wrote, and no
// commit that etcd refused; and what the writers were told is linearizable.
type storm struct {
	t     *testing.T
	start store.Revision
	begin time.Time

	mu      sync.Mutex
	acked   map[string]store.Revision // by value
	refused map[string]store.Revision
	history []porcupine.Operation
	unknown []porcupine.Operation // whose outcome no writer was told
}

// stormWriters is how many write, and stormReaders how many follow.
const stormWriters, stormReaders = 4, 3

func runStorm(t *testing.T, disturb func(), stores ...store.Store) {
	s := stores[0]
	start, err := s.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	m := &storm{t: t, start: start, begin: time.Now(), acked: map[string]store.Revision{}, refused: map[string]store.Revision{}}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	var writers, readers sync.WaitGroup
	calm := make(chan struct{})
	for w := range stormWriters {
		writers.Go(func() { m.write(ctx, stores[w%len(stores)], calm, w, rand.New(rand.NewPCG(seed, uint64(w)))) })
	}
	last := make(chan struct{})
	var end store.Revision
	seen := make([][]store.Event, stormReaders)
	for i := range seen {
		readers.Go(func() { seen[i] = m.follow(ctx, stores[i%len(stores)], last, &end) })
	}
	m.goesOn(ctx)
	disturb()
	m.goesOn(ctx)
	close(calm)
	writers.Wait()
	for end == 0 && ctx.Err() == nil {
		if end, err = s.Commit(ctx, store.Op{Key: "end", Value: []byte("end"), Expect: store.AnyRevision}); err != nil {
			t.Logf("the last commit: %v", err)
		}
	}
	close(last)
	readers.Wait()
	t.Logf("%d acknowledged, %d refused, %d unknown", len(m.acked), len(m.refused), len(m.unknown))
	for i := range seen {
		m.check(i, seen[i])
	}
	m.checkLinear(seen[0])
}

// goesOn waits until twenty more commits are acknowledged.
func (m *storm) goesOn(ctx context.Context) {
	acknowledged := func() int {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.acked)
	}
	for before := acknowledged(); acknowledged() < before+20; time.Sleep(10 * time.Millisecond) {
		if ctx.Err() != nil {
			m.t.Error("the storm writes too little to mean anything")
			return
		}
	}
}

func (m *storm) write(ctx context.Context, s store.Store, calm <-chan struct{}, w int, r *rand.Rand) {
	for i := 0; ; i++ {
		select {
		case <-calm:
			return
		case <-ctx.Done():
			return
		default:
		}
		key, value := fmt.Sprintf("key%d", r.IntN(5)), fmt.Sprintf("%d/%d", w, i)
		limited, cancel := context.WithTimeout(ctx, 3*time.Second)
		called := time.Since(m.begin)
		kv, err := s.Get(limited, key)
		if err == nil || errors.Is(err, store.ErrNotFound) {
			m.record(w, attempt{read: true, key: key}, result{value: string(kv.Value), revision: kv.Revision}, called)
			m.commit(limited, s, w, attempt{key: key, value: value, expect: kv.Revision})
		}
		cancel()
	}
}

func (m *storm) commit(ctx context.Context, s store.Store, writer int, a attempt) {
	called := time.Since(m.begin)
	rev, err := s.Commit(ctx, store.Op{Key: a.key, Value: []byte(a.value), Expect: a.expect})
	var conflict *store.ConflictError
	switch {
	case err == nil:
		m.record(writer, a, result{revision: rev}, called)
		m.note(m.acked, a.value, rev)
	case errors.As(err, &conflict):
		actual := conflict.Actual
		m.record(writer, a, result{conflict: true, value: string(actual.Value), revision: actual.Revision}, called)
		m.note(m.refused, a.value, rev)
	case errors.Is(err, store.ErrUncertain), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		m.pend(writer, a, called)
	default:
		m.t.Logf("commit: %v", err)
		m.note(m.refused, a.value, rev)
	}
}

func (m *storm) note(outcome map[string]store.Revision, value string, rev store.Revision) {
	m.mu.Lock()
	defer m.mu.Unlock()
	outcome[value] = rev
}

func (m *storm) follow(ctx context.Context, s store.Store, last <-chan struct{}, end *store.Revision) (events []store.Event) {
	st, err := s.Events(ctx, m.start)
	if err != nil {
		m.t.Error(err)
		return nil
	}
	defer st.Close()
	for {
		select {
		case <-last:
			if st.Reached() >= *end {
				return events
			}
		default:
		}
		if len(events) > 0 && events[len(events)-1].Key == "end" {
			return events
		}
		more, err := st.Next(ctx)
		if err != nil {
			m.t.Errorf("next: %v", err)
			return events
		}
		events = append(events, more...)
	}
}

func (m *storm) check(reader int, events []store.Event) {
	state := map[string]store.Event{}
	byValue := map[string]store.Revision{}
	at := m.start
	for _, e := range events {
		if e.Revision <= at {
			m.t.Fatalf("reader %d: revision %d after %d", reader, e.Revision, at)
		}
		at = e.Revision
		before := state[e.Key]
		if string(before.Value) != string(e.Prev) || before.Revision != e.PrevRevision {
			m.t.Fatalf("reader %d: %s at %d follows %q at %d, but the event before was %q at %d",
				reader, e.Key, e.Revision, e.Prev, e.PrevRevision, before.Value, before.Revision)
		}
		state[e.Key] = e
		if _, refused := m.refused[string(e.Value)]; refused {
			m.t.Fatalf("reader %d: commit %s was refused, and is there", reader, e.Value)
		}
		byValue[string(e.Value)] = e.Revision
	}
	for value, rev := range m.acked {
		if byValue[value] != rev {
			m.t.Fatalf("reader %d: commit %s was acknowledged at %d and seen at %d", reader, value, rev, byValue[value])
		}
	}
}

func TestMemberKilled(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	s := open(t, engine.Options{Endpoints: c.endpoints(), RequestTimeout: 3 * time.Second})
	runStorm(t, func() {
		for range 2 {
			leader := c.leader()
			c.stop(leader)
			time.Sleep(700 * time.Millisecond)
			c.restart(leader)
		}
	}, s)
}

func TestLeaderMoved(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	s := open(t, engine.Options{Endpoints: c.endpoints(), RequestTimeout: 3 * time.Second})
	runStorm(t, func() {
		for range 3 {
			leader := c.leader()
			to := c.members[(leader+1)%3].server.Server.MemberID()
			if err := c.members[leader].server.Server.MoveLeader(t.Context(), uint64(c.members[leader].server.Server.MemberID()), uint64(to)); err != nil && !errors.Is(err, raft.ErrProposalDropped) {
				t.Logf("move: %v", err)
			}
			time.Sleep(300 * time.Millisecond)
		}
	}, s)
}

func TestNetworkCut(t *testing.T) {
	t.Parallel()
	p := startProxy(t, startCluster(t, 1).members[0].client)
	s := open(t, engine.Options{Endpoints: []string{p.url}, RequestTimeout: 3 * time.Second})
	runStorm(t, func() {
		for i := range 6 {
			p.setCut(true)
			time.Sleep(time.Duration(i) * 50 * time.Millisecond)
			p.setCut(false)
			time.Sleep(200 * time.Millisecond)
		}
	}, s)
}

// One member cannot be reached, and then it can.
func TestMemberUnreachable(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	away := (c.leader() + 1) % 3
	var proxies []*proxy
	var endpoints []string
	for _, m := range c.members {
		p := startProxy(t, m.client)
		proxies, endpoints = append(proxies, p), append(endpoints, p.url)
	}
	s := open(t, engine.Options{Endpoints: endpoints, RequestTimeout: 3 * time.Second})
	runStorm(t, func() {
		proxies[away].setCut(true)
		time.Sleep(time.Second)
		proxies[away].setCut(false)
		time.Sleep(300 * time.Millisecond)
	}, s)
}

// A member that is left alone serves no watch and no consistent read. When the others are back all goes on.
func TestQuorumLost(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	s := open(t, engine.Options{Endpoints: c.endpoints(), RequestTimeout: 2 * time.Second})
	runStorm(t, func() {
		left := c.leader()
		c.stop((left + 1) % 3)
		c.stop((left + 2) % 3)
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if rev, err := s.Revision(ctx); err == nil {
			t.Errorf("a member alone says that the revision is %d", rev)
		}
		c.restart((left + 1) % 3)
		c.restart((left + 2) % 3)
	}, s)
}

// The answer to a commit is lost: the store must not say that nothing happened.
func TestUncertain(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	p := startProxy(t, c.members[0].client)
	s := open(t, engine.Options{Endpoints: []string{p.url}, RequestTimeout: 2 * time.Second})
	direct := open(t, engine.Options{Endpoints: c.endpoints()})
	deadline := time.Now().Add(patience)
	op := store.Op{Value: []byte("1"), Expect: store.MustNotExist}
	for happened, n := false, 0; !happened; n++ { // a commit may not be on its way when its time is over, and shows nothing
		op.Key = fmt.Sprint(n)
		p.setMute(true)
		_, err := s.Commit(t.Context(), op)
		p.setMute(false)
		kv, _ := direct.Get(t.Context(), op.Key)
		happened = string(kv.Value) == "1"
		if happened && !errors.Is(err, store.ErrUncertain) || !happened && time.Now().After(deadline) {
			t.Fatalf("a commit whose answer was lost, and which happened: %v, is told %v", happened, err)
		}
	}
	var conflict *store.ConflictError
	var err error
	for conflict == nil && time.Now().Before(deadline) {
		_, err = s.Commit(t.Context(), op)
		errors.As(err, &conflict)
	}
	if conflict == nil || string(conflict.Actual.Value) != "1" {
		t.Fatalf("the same commit again: %v", err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := engine.Open(ctx, engine.Options{Endpoints: []string{freeURL(t)}, DialTimeout: 500 * time.Millisecond})
	if err == nil || ctx.Err() != nil {
		t.Fatalf("open: %v, %v", err, ctx.Err())
	}
	t.Log(err)
}
