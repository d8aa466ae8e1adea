package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/proa-dev/proa/internal/store"
	engine "github.com/proa-dev/proa/internal/store/etcd"
)

func rawClient(t *testing.T, c *cluster) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: c.endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// Others write to the cluster: there is no event, and yet readers get to the revision.
func TestReachedMovesWithoutEvents(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	s, raw := open(t, engine.Options{Endpoints: c.endpoints()}), rawClient(t, c)
	rev, err := s.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.Events(t.Context(), rev)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for i := range 5 {
		if _, err := raw.Put(t.Context(), "/elsewhere", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		told, err := s.Revision(t.Context())
		if err != nil || told != rev+int64(i)+1 {
			t.Fatalf("revision %d, %v; want %d", told, err, rev+int64(i)+1)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		begin := time.Now()
		events, err := st.Next(ctx)
		cancel()
		if err != nil || len(events) != 0 || st.Reached() != told {
			t.Fatalf("%d events, %v, reached %d; want %d", len(events), err, st.Reached(), told)
		}
		t.Logf("reached after %v", time.Since(begin))
	}
}

func TestLayout(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	raw := rawClient(t, c)
	for _, key := range []string{"/cluster/pods/default/a", "/cluster-b/pods/default/a", "/cluster", "/clustes", "/a", "/z"} {
		if _, err := raw.Put(t.Context(), key, key); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, engine.Options{Endpoints: c.endpoints(), Prefix: "/cluster", Strip: "/registry"})
	if _, err := s.Commit(t.Context(), store.Op{Key: "/registry/pods/default/b", Value: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	if kv, err := raw.Get(t.Context(), "/cluster/pods/default/b"); err != nil || len(kv.Kvs) != 1 {
		t.Fatalf("in etcd: %v, %v", kv, err)
	}
	if _, err := s.Commit(t.Context(), store.Op{Key: "/elsewhere", Value: []byte("1")}); err == nil {
		t.Fatal("a key outside of the layout was written")
	}
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	a, b := "/registry/pods/default/a", "/registry/pods/default/b"
	for _, test := range []struct {
		r    store.Range
		want []string
	}{
		{store.Range{}, []string{a, b}},
		{store.Prefix("/registry/"), []string{a, b}},
		{store.Prefix("/registry/pods/"), []string{a, b}},
		{store.Prefix("/registry/secrets/"), nil},
		{store.Prefix("/r"), []string{a, b}},
		{store.Range{Start: b}, []string{b}},
		{store.Range{End: b}, []string{a}},
		{store.Range{Start: "/registry0"}, nil},
		{store.Range{Start: "/s", End: "/t"}, nil},
		{store.Range{Start: "/a", End: "/b"}, nil},
		{store.Range{Start: "/a", End: "/registry/"}, nil},
		{store.Range{Start: a, End: "/z", Limit: 1}, []string{a}},
	} {
		var got []string
		if err := snap.Range(test.r, func(kv store.KV) bool { got = append(got, kv.Key); return true }); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%+v: %v, want %v", test.r, got, test.want)
		}
	}
}

// A range of several pages is whole.
func TestPages(t *testing.T) {
	t.Parallel()
	s := open(t, engine.Options{Endpoints: startCluster(t, 1).endpoints()})
	const keys = 2500
	for i := 0; i < keys; i += 100 {
		var ops []store.Op
		for n := i; n < i+100; n++ {
			ops = append(ops, store.Op{Key: fmt.Sprintf("k%05d", n), Value: []byte("v")})
		}
		if _, err := s.Commit(t.Context(), ops...); err != nil {
			t.Fatal(err)
		}
	}
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	for _, limit := range []int{0, 999, 1000, 1001, 2000, 2499, 2500, 9999} {
		n := 0
		err := snap.Range(store.Range{Limit: limit}, func(kv store.KV) bool {
			if kv.Key != fmt.Sprintf("k%05d", n) {
				t.Fatalf("key %d is %s", n, kv.Key)
			}
			n++
			return true
		})
		want := keys
		if limit > 0 {
			want = min(limit, keys)
		}
		if err != nil || n != want {
			t.Fatalf("limit %d: %d keys, %v", limit, n, err)
		}
	}
}

func TestLeasesAreShared(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	s, raw := open(t, engine.Options{Endpoints: c.endpoints()}), rawClient(t, c)
	for i := range 50 {
		if _, err := s.Commit(t.Context(), store.Op{Key: fmt.Sprint(i), Value: []byte("1"), TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := raw.Leases(t.Context())
	if err != nil || len(all.Leases) != 1 {
		t.Fatalf("%d leases for 50 keys, %v", len(all.Leases), err)
	}
	lease, err := raw.TimeToLive(t.Context(), all.Leases[0].ID)
	if err != nil || lease.GrantedTTL < 3600 || lease.GrantedTTL > 3660 {
		t.Fatalf("granted %d s, %v", lease.GrantedTTL, err)
	}
	// The lease ends by another's hand: the next key gets a new one.
	if _, err := raw.Revoke(t.Context(), all.Leases[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), store.Op{Key: "more", Value: []byte("1"), TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "more"); err != nil {
		t.Fatal(err)
	}
}

// Two servers share a cluster: history is given up by age, by one of them at a time, and streams that are
// at rest do not notice.
func TestCompactionByAge(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	const interval = 300 * time.Millisecond
	one := open(t, engine.Options{Endpoints: c.endpoints(), CompactInterval: interval})
	open(t, engine.Options{Endpoints: c.endpoints(), CompactInterval: interval})
	start, err := one.Commit(t.Context(), store.Op{Key: "a", Value: []byte("0")})
	if err != nil {
		t.Fatal(err)
	}
	st, err := one.Events(t.Context(), start)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	oldest := store.Revision(0)
	for deadline := time.Now().Add(patience); oldest <= start; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("oldest is still %d, a was written at %d", oldest, start)
		}
		if oldest, err = one.Oldest(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := one.Events(t.Context(), oldest-1); !errors.Is(err, store.ErrCompacted) {
		t.Fatalf("events after %d, where %d is the oldest: %v", oldest-1, oldest, err)
	}
	rev, err := one.Commit(t.Context(), store.Op{Key: "a", Value: []byte("1"), Expect: start})
	if err != nil {
		t.Fatal(err)
	}
	for st.Reached() < rev {
		events, err := st.Next(t.Context())
		if err != nil {
			t.Fatalf("a stream at rest: %v", err)
		}
		for _, e := range events {
			if e.Revision != rev || string(e.Prev) != "0" {
				t.Fatalf("event %+v", e)
			}
		}
	}
	raw := rawClient(t, c)
	kv, err := raw.Get(t.Context(), "compact_rev_key")
	if err != nil || len(kv.Kvs) != 1 {
		t.Fatalf("compact_rev_key: %v, %v", kv, err)
	}
}

// etcd leaves out the previous values of the first events of a watch, if it is slow to note that they are wanted.
func TestEventsWithoutPreviousValues(t *testing.T) {
	t.Parallel()
	between := startCalls(t, startCluster(t, 1).endpoints()[0])
	between.forgets = true
	s := open(t, engine.Options{Endpoints: []string{between.url}})
	var last store.Revision
	for _, op := range []store.Op{{Value: []byte("1")}, {Value: []byte("2")}, {}} {
		op.Key, op.Expect = "a", last
		rev, err := s.Commit(t.Context(), op)
		if err != nil {
			t.Fatal(err)
		}
		last = rev
	}
	st, err := s.Events(t.Context(), last-3)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var got []string
	for st.Reached() < last {
		events, err := st.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			got = append(got, fmt.Sprintf("%q@%d was %q@%d", e.Value, e.Revision, e.Prev, e.PrevRevision))
		}
	}
	want := []string{
		fmt.Sprintf(`"1"@%d was ""@0`, last-2), fmt.Sprintf(`"2"@%d was "1"@%d`, last-1, last-2), fmt.Sprintf(`""@%d was "2"@%d`, last, last-1),
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestHintsOfOwnWrites(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	one, two := open(t, engine.Options{Endpoints: c.endpoints()}), open(t, engine.Options{Endpoints: c.endpoints()})
	rev, err := one.Commit(t.Context(), store.Op{Key: "a", Value: []byte("1"), Hint: "hint"})
	if err != nil {
		t.Fatal(err)
	}
	for s, want := range map[*engine.Engine]any{one: "hint", two: nil} {
		st, err := s.Events(t.Context(), rev-1)
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		events, err := st.Next(t.Context())
		if err != nil || len(events) != 1 || events[0].Hint != want {
			t.Fatalf("%v, %v; want hint %v", events, err, want)
		}
	}
}
