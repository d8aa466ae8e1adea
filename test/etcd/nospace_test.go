package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa"
	"github.com/proa-dev/proa/internal/store"
	engine "github.com/proa-dev/proa/internal/store/etcd"
)

func startSmall(t *testing.T, size int, quota int64) *cluster {
	t.Helper()
	c := newCluster(t, size)
	for _, m := range c.members {
		m.config.QuotaBackendBytes = quota
	}
	c.begin()
	return c
}

// Many write until etcd is full. etcd carries out some of what it refuses; what the store says is so all the same:
// each commit that was acknowledged is there, and none that was refused.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	c := startSmall(t, 1, 2<<20)
	s := open(t, engine.Options{Endpoints: c.endpoints()})
	const writers = 16
	acked := make([]map[string]store.Revision, writers)
	var all sync.WaitGroup
	for w := range writers {
		acked[w] = map[string]store.Revision{}
		all.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d/%d", w, i)
				rev, err := s.Commit(t.Context(), store.Op{Key: key, Value: slices.Repeat([]byte("x"), 20<<10)}, store.Op{Key: key + "+", Value: []byte(key)})
				if err == nil {
					acked[w][key] = rev
					continue
				}
				if !errors.Is(err, store.ErrNoSpace) || errors.Is(err, store.ErrUncertain) {
					t.Errorf("a full etcd: %v", err)
				}
				return
			}
		})
	}
	all.Wait()
	there := map[string]store.Revision{}
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	last := store.Revision(0)
	err = snap.Range(store.Range{}, func(kv store.KV) bool {
		if !strings.HasSuffix(kv.Key, "+") {
			there[kv.Key] = kv.Revision
		}
		last = max(last, kv.Revision)
		return true
	})
	if err != nil {
		t.Fatalf("a read of a full etcd: %v", err)
	}
	n := 0
	for _, mine := range acked {
		for key, rev := range mine {
			n++
			if there[key] != rev {
				t.Errorf("%s was acknowledged at %d and is there at %d", key, rev, there[key])
			}
		}
	}
	if n != len(there) {
		t.Errorf("%d commits were acknowledged, %d are there", n, len(there))
	}
	if snap.Revision() != last {
		t.Errorf("revision %d, but the last key has %d", snap.Revision(), last)
	}
	if size, err := s.Size(t.Context()); err != nil || size < 1<<20 {
		t.Fatalf("size %d, %v", size, err)
	}
	// What makes room is done.
	if _, err := s.Commit(t.Context(), store.Op{Key: "0/0", Expect: acked[0]["0/0"]}); err != nil {
		t.Errorf("a deletion in a full etcd: %v", err)
	}
	t.Logf("%d commits", n)
}

// etcd says that there is no space, and nobody can say what became of the commit.
func TestNoSpaceAndNobodyKnows(t *testing.T) {
	t.Parallel()
	c := startSmall(t, 1, 2<<20)
	s := open(t, engine.Options{Endpoints: c.endpoints()})
	value := slices.Repeat([]byte("x"), 200<<10)
	var err error
	for i := 0; err == nil; i++ {
		_, err = s.Commit(t.Context(), store.Op{Key: fmt.Sprint(i), Value: value})
	}
	// Others' deletions go on, and what was between is compacted.
	raw := rawClient(t, c)
	if _, err := raw.Delete(t.Context(), "/registry/0"); err != nil {
		t.Fatal(err)
	}
	deleted, err := raw.Delete(t.Context(), "/registry/1")
	if err == nil {
		_, err = raw.Compact(t.Context(), deleted.Header.Revision)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), store.Op{Key: "new", Value: value}); !errors.Is(err, store.ErrUncertain) || errors.Is(err, store.ErrNoSpace) {
		t.Fatalf("a commit of which nothing can be known: %v", err)
	}
	if _, err := s.Commit(t.Context(), store.Op{Key: "new", Value: value}); !errors.Is(err, store.ErrNoSpace) {
		t.Fatalf("the next one: %v", err)
	}
}

// A client of a server whose etcd is full is told so; reads and deletions go on; and when there is room again, what
// was refused can be written, for it is not there.
func TestServerOfAFullEtcd(t *testing.T) {
	t.Parallel()
	c := startSmall(t, 1, 4<<20)
	_, client := startServer(t, t.TempDir(), c.endpoints(), proa.Parts...)
	maps := client.CoreV1().ConfigMaps("default")
	write := func(n int) error {
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(n)}, Data: map[string]string{"x": strings.Repeat("x", 200<<10)}}
		_, err := maps.Create(t.Context(), m, metav1.CreateOptions{})
		return err
	}
	n, err := 0, error(nil)
	for ; err == nil; n++ {
		err = write(n)
	}
	refused := n - 1
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Code != http.StatusInsufficientStorage || !strings.Contains(err.Error(), "space") {
		t.Fatalf("the server of a full etcd: %v", err)
	}
	if list, err := maps.List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) != refused {
		t.Fatalf("%d objects, %v; want %d", len(list.Items), err, refused)
	}
	for i := range refused {
		if err := maps.Delete(t.Context(), fmt.Sprint(i), metav1.DeleteOptions{}); err != nil {
			t.Fatalf("a deletion: %v", err)
		}
	}
	makeRoom(t, c)
	if err := write(refused); err != nil {
		t.Fatalf("with room again: %v", err)
	}
}

// makeRoom is what an operator does.
func makeRoom(t *testing.T, c *cluster) {
	t.Helper()
	raw := rawClient(t, c)
	now, err := raw.Get(t.Context(), "/")
	if err == nil {
		_, err = raw.Compact(t.Context(), now.Header.Revision, clientv3.WithCompactPhysical())
	}
	if err == nil {
		_, err = raw.Defragment(context.Background(), c.endpoints()[0])
	}
	if err == nil {
		_, err = raw.AlarmDisarm(t.Context(), &clientv3.AlarmMember{})
	}
	if err != nil {
		t.Fatal(err)
	}
}
