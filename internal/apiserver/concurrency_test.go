package apiserver

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/proa-dev/proa/internal/client"
)

// bothDoors runs a test through HTTP and in process.
func bothDoors(t *testing.T, test func(t *testing.T, w *world, tr client.Transport)) {
	t.Run("http", func(t *testing.T) { w := newWorld(t); test(t, w, w.remote()) })
	t.Run("local", func(t *testing.T) { w := newWorld(t); test(t, w, w.local()) })
}

func configMap(name string, data ...string) *corev1.ConfigMap {
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "n"}, Data: map[string]string{}}
	for i := 0; i < len(data); i += 2 {
		m.Data[data[i]] = data[i+1]
	}
	return m
}

// Several writers count in one object, each by its own kind of write: no step may be lost.
func TestNoUpdateIsLost(t *testing.T) {
	const writers, steps = 6, 25
	bothDoors(t, func(t *testing.T, w *world, tr client.Transport) {
		ctx := context.Background()
		if _, err := client.ConfigMaps.Create(ctx, tr, configMap("a", "count", "0")); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for i := range writers {
			all.Go(func() {
				for step := range steps {
					if err := countOnce(ctx, tr, i%2 == 0); err != nil {
						t.Error(err)
						return
					}
					// A patch that names no revision never conflicts, and changes nothing else.
					own := fmt.Sprintf(`{"data":{"w%d":"%d"}}`, i, step+1)
					if _, err := client.ConfigMaps.Patch(ctx, tr, "n", "a", types.MergePatchType, []byte(own), ""); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		got, err := client.ConfigMaps.Get(ctx, tr, "n", "a")
		if err != nil {
			t.Fatal(err)
		}
		if got.Data["count"] != strconv.Itoa(writers*steps) {
			t.Errorf("counted to %s, want %d", got.Data["count"], writers*steps)
		}
		for i := range writers {
			if v := got.Data[fmt.Sprint("w", i)]; v != strconv.Itoa(steps) {
				t.Errorf("w%d is %s", i, v)
			}
		}
	})
}

// countOnce adds one, by an update at a revision or by a JSON patch with a test.
func countOnce(ctx context.Context, tr client.Transport, update bool) error {
	for {
		m, err := client.ConfigMaps.Get(ctx, tr, "n", "a")
		if err != nil {
			return err
		}
		n, _ := strconv.Atoi(m.Data["count"])
		if update {
			m = m.DeepCopy()
			m.Data["count"] = strconv.Itoa(n + 1)
			_, err = client.ConfigMaps.Update(ctx, tr, m)
		} else {
			p := fmt.Sprintf(`[{"op":"test","path":"/data/count","value":"%d"},{"op":"replace","path":"/data/count","value":"%d"}]`, n, n+1)
			_, err = client.ConfigMaps.Patch(ctx, tr, "n", "a", types.JSONPatchType, []byte(p), "")
		}
		if !apierrors.IsConflict(err) && !apierrors.IsInvalid(err) {
			return err
		}
	}
}

// Of several that create, or delete, the same object one succeeds.
func TestOneCreatesAndOneDeletes(t *testing.T) {
	bothDoors(t, func(t *testing.T, w *world, tr client.Transport) {
		ctx := context.Background()
		race := func(act func() error, benign func(error) bool) {
			t.Helper()
			var all sync.WaitGroup
			errs := make([]error, 8)
			for i := range errs {
				all.Go(func() { errs[i] = act() })
			}
			all.Wait()
			won := 0
			for _, err := range errs {
				switch {
				case err == nil:
					won++
				case !benign(err):
					t.Error(err)
				}
			}
			if won != 1 {
				t.Errorf("%d succeeded", won)
			}
		}
		for i := range 10 {
			name := fmt.Sprint("a", i)
			race(func() error {
				_, err := client.ConfigMaps.Create(ctx, tr, configMap(name))
				return err
			}, apierrors.IsAlreadyExists)
			race(func() error {
				return client.ConfigMaps.Delete(ctx, tr, "n", name, metav1.DeleteOptions{})
			}, apierrors.IsNotFound)
		}
	})
}

// watched is what a client that lists, then watches, believes.
type watched struct {
	t        *testing.T
	what     string
	state    map[string]*corev1.ConfigMap
	revision int64
	seen     []int64
	selector labels.Selector
	listed   chan bool // closed when it has listed, if it does
}

// TestHistory has writers make a random history while clients list and watch it in every way there is. Each
// must see every change that its selector selects once, in order, as what it is.
func TestHistory(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	bothDoors(t, func(t *testing.T, w *world, tr client.Transport) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		rnd := rand.New(rand.NewPCG(seed, 1))
		var watchers sync.WaitGroup
		stop := make(chan string, 100)
		begin := func(i int) *watched {
			v := &watched{t: t, what: fmt.Sprint("watcher ", i), state: map[string]*corev1.ConfigMap{}, selector: labels.Everything(), listed: make(chan bool)}
			if i%3 == 1 {
				v.selector = labels.SelectorFromSet(labels.Set{"side": "left"})
			}
			paged, initial := i%2 == 0, i%4 == 3
			watchers.Go(func() { v.follow(ctx, tr, paged, initial, stop) })
			return v
		}
		// A list of revision 0, of a store that was never written to, is not one that a watch goes on from.
		if _, err := client.ConfigMaps.Create(ctx, tr, configMap("first")); err != nil {
			t.Fatal(err)
		}
		full := begin(0)
		all := []*watched{full}
		<-full.listed // so it has to see all that follows
		var written []int64
		for i := range 400 {
			if i%50 == 25 {
				all = append(all, begin(len(all)))
			}
			if rv := randomWrite(ctx, t, tr, rnd); rv > 0 {
				written = append(written, rv)
			}
		}
		if _, err := client.ConfigMaps.Create(ctx, tr, configMap("last")); err != nil {
			t.Fatal(err)
		}
		if _, err := client.ConfigMaps.Patch(ctx, tr, "n", "last", types.MergePatchType, []byte(`{"metadata":{"labels":{"side":"left"}}}`), ""); err != nil {
			t.Fatal(err)
		}
		for range all {
			select {
			case <-stop:
			case <-time.After(patience):
				t.Fatal("a watcher did not get to the end")
			}
		}
		list, err := client.ConfigMaps.List(ctx, tr, "n", metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range all {
			v.compare(list.Items)
		}
		for _, rv := range written {
			if rv > full.seen[0] && !slices.Contains(full.seen, rv) {
				t.Errorf("the change at %d was not seen", rv)
			}
		}
		cancel()
		watchers.Wait()
	})
}

// randomWrite changes something, and returns the revision if it knows that.
func randomWrite(ctx context.Context, t *testing.T, tr client.Transport, rnd *rand.Rand) int64 {
	name := fmt.Sprint("m", rnd.IntN(12))
	m := configMap(name, "v", fmt.Sprint(rnd.IntN(3)))
	if rnd.IntN(2) == 0 {
		m.Labels = map[string]string{"side": []string{"left", "right"}[rnd.IntN(2)]}
	}
	var err error
	switch rnd.IntN(5) {
	case 0:
		err = client.ConfigMaps.Delete(ctx, tr, "n", name, metav1.DeleteOptions{})
		m = nil
	case 1, 2:
		m, err = client.ConfigMaps.Create(ctx, tr, m)
	default:
		m, err = client.ConfigMaps.Update(ctx, tr, m)
	}
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsAlreadyExists(err) {
		t.Error(err)
	}
	if err != nil || m == nil {
		return 0
	}
	return revisionOf(m)
}

func revisionOf(o metav1.Object) int64 {
	n, _ := strconv.ParseInt(o.GetResourceVersion(), 10, 64)
	return n
}

// follow lists, or asks for the initial events, and watches until it sees the object "last".
func (v *watched) follow(ctx context.Context, tr client.Transport, paged, initial bool, stop chan<- string) {
	o := metav1.ListOptions{LabelSelector: v.selector.String(), AllowWatchBookmarks: true}
	if initial {
		yes := true
		o.SendInitialEvents, o.ResourceVersionMatch = &yes, metav1.ResourceVersionMatchNotOlderThan
	} else {
		ok := v.list(ctx, tr, &o, paged)
		close(v.listed)
		if !ok {
			return
		}
	}
	defer func() { stop <- v.what }()
	for !isLast(v.state["last"]) {
		s, err := client.ConfigMaps.Watch(ctx, tr, "n", o)
		if err != nil {
			v.t.Errorf("%s: %v", v.what, err)
			return
		}
		done, err := v.read(s, initial)
		s.Stop()
		if done || err != io.EOF {
			if err != nil {
				v.t.Errorf("%s: %v", v.what, err)
			}
			return
		}
	}
}

// isLast tells whether the object is the last that is written.
func isLast(m *corev1.ConfigMap) bool {
	return m != nil && m.Name == "last" && m.Labels["side"] == "left"
}

func (v *watched) list(ctx context.Context, tr client.Transport, o *metav1.ListOptions, paged bool) bool {
	page := *o
	page.AllowWatchBookmarks = false
	if paged {
		page.Limit = 3
	}
	for {
		l, err := client.ConfigMaps.List(ctx, tr, "n", page)
		if err != nil {
			v.t.Errorf("%s: %v", v.what, err)
			return false
		}
		for _, m := range l.Items {
			v.state[m.Name] = m
		}
		if o.ResourceVersion != "" && o.ResourceVersion != l.Meta.ResourceVersion {
			v.t.Errorf("%s: pages of revisions %s and %s", v.what, o.ResourceVersion, l.Meta.ResourceVersion)
		}
		o.ResourceVersion = l.Meta.ResourceVersion
		if page.Continue = l.Meta.Continue; page.Continue == "" {
			v.revision, _ = strconv.ParseInt(o.ResourceVersion, 10, 64)
			v.seen = append(v.seen, v.revision)
			return true
		}
	}
}

func (v *watched) read(s client.Stream, initial bool) (done bool, err error) {
	for {
		events, err := s.Next()
		if err != nil {
			return false, err
		}
		for _, e := range events {
			o := e.Object.(*corev1.ConfigMap)
			if e.Type == watch.Bookmark {
				initial = false
			} else {
				v.apply(e.Type, o, initial)
			}
			if !initial && isLast(v.state["last"]) {
				return true, nil
			}
		}
	}
}

func (v *watched) apply(kind watch.EventType, o *corev1.ConfigMap, initial bool) {
	known, rv := v.state[o.Name], revisionOf(o)
	if !initial && rv <= v.revision {
		v.t.Errorf("%s: %s %s at %d after %d", v.what, kind, o.Name, rv, v.revision)
	}
	v.revision = max(v.revision, rv)
	v.seen = append(v.seen, rv)
	switch kind {
	case watch.Added:
		if known != nil {
			v.t.Errorf("%s: %s was added at %d, and is known", v.what, o.Name, rv)
		}
		v.state[o.Name] = o
	case watch.Modified:
		if known == nil {
			v.t.Errorf("%s: %s was modified at %d, and is not known", v.what, o.Name, rv)
		}
		v.state[o.Name] = o
	case watch.Deleted:
		if known == nil || known.UID != o.UID {
			v.t.Errorf("%s: %s was deleted at %d, and is not known", v.what, o.Name, rv)
		}
		delete(v.state, o.Name)
	default:
		v.t.Errorf("%s: %s", v.what, kind)
	}
}

func (v *watched) compare(items []*corev1.ConfigMap) {
	want := map[string]string{}
	for _, m := range items {
		if v.selector.Matches(labels.Set(m.Labels)) {
			want[m.Name] = m.ResourceVersion
		}
	}
	got := map[string]string{}
	for name, m := range v.state {
		got[name] = m.ResourceVersion
	}
	if !maps.Equal(got, want) {
		v.t.Errorf("%s believes %v, there is %v", v.what, got, want)
	}
}
