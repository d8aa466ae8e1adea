package informer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/proa-dev/proa/internal/client"
)

// A random history goes through our informer and client-go's at once. Between steps both come to rest, so
// that each step hides the same from both.
func TestInformerAgreesWithClientGo(t *testing.T) {
	for _, mode := range []struct {
		name        string
		noWatchList bool
	}{{"watch list", false}, {"list", true}} {
		t.Run(mode.name, func(t *testing.T) {
			for range 30 {
				seed := rand.Uint64()
				synctest.Test(t, func(t *testing.T) { playHistory(t, seed, mode.noWatchList) })
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

func playHistory(t *testing.T, seed uint64, noWatchList bool) {
	h := &history{random: rand.New(rand.NewPCG(seed, 0)), server: newServer(), truth: newDiary(), faults: seed%2 == 0}
	h.server.noWatchList = noWatchList
	h.server.goneEarly = seed%4 < 2
	h.write(20)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()

	mine, theirs := newDiary(), newDiary()
	i := New(ours{h.server}, client.ConfigMaps, Options{Logger: quiet()})
	i.AddIndex("even", func(o *corev1.ConfigMap) []string { return []string{parity(o)} })
	i.Handle(mine.handler())
	wg.Go(func() { _ = i.Run(ctx) })
	reference := clientGo(ctx, t, h.server, theirs, &wg)
	rest()

	late := newDiary()
	for step := range 25 {
		h.step()
		rest()
		if step == 12 {
			i.Handle(late.handler())
			rest()
		}
		if err := agree(i, reference, h.server); err != "" {
			t.Errorf("step %d (%s): %s", step, h.what, err)
			return
		}
		if diff := cmp.Diff(theirs.entries, mine.entries); diff != "" && !h.unequal {
			t.Errorf("step %d (%s): what handlers saw, -client-go +ours:\n%s", step, h.what, diff)
			return
		}
		for k := range h.truth.entries {
			if !within(mine.entries[k], h.truth.entries[k]) || !within(theirs.entries[k], mine.entries[k]) {
				t.Errorf("step %d (%s): %s: truth %v, ours %v, client-go %v", step, h.what, k, h.truth.entries[k], mine.entries[k], theirs.entries[k])
				return
			}
		}
		if !mine.consistent(i.List()) || step >= 12 && !late.consistent(i.List()) {
			t.Errorf("step %d (%s): handlers do not add up to the copy", step, h.what)
			return
		}
	}
}

// rest lets all recover from what happened, with all the backoff that takes.
func rest() { pass(2 * time.Minute) }

// pass lets time pass, and all that happens in it come to an end.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

type history struct {
	random  *rand.Rand
	server  *server
	truth   *diary
	what    string
	faults  bool // the server may answer with errors that make client-go relist
	unequal bool // client-go relisted where we could resume, and so saw less
}

func (h *history) write(n int) {
	for range n {
		k := Key{Namespace: fmt.Sprint("ns", h.random.IntN(2)), Name: fmt.Sprint("o", h.random.IntN(6))}
		_, exists := h.server.objects[k]
		switch {
		case !exists:
			h.server.put(k)
			h.truth.add(h.server.objects[k], "A")
		case h.random.IntN(3) == 0:
			h.server.remove(k)
			h.truth.add(h.server.history[len(h.server.history)-1].event.Object.(*corev1.ConfigMap), "D")
		default:
			h.server.put(k)
			h.truth.add(h.server.objects[k], "U")
		}
	}
}

func (h *history) step() {
	n := 1 + h.random.IntN(12)
	kinds := 9
	if h.faults {
		kinds = 10
	}
	switch h.random.IntN(kinds) {
	case 0, 1:
		h.what = "write"
		h.write(n)
	case 2:
		h.what = "cut in good order"
		h.server.cut(io.EOF)
		h.write(n)
	case 3:
		h.what = "forget while disconnected"
		h.server.setRefuse(errRefused)
		h.server.cut(io.EOF)
		synctest.Wait()
		h.write(n)
		h.server.compact()
		h.server.setRefuse(nil)
	case 4:
		h.what = "restart"
		h.server.setRefuse(errRefused)
		h.server.cut(io.EOF)
		h.write(n)
		time.Sleep(time.Duration(h.random.IntN(60)) * time.Second)
		h.server.setRefuse(nil)
		h.write(n)
	case 5:
		h.what = "expire"
		h.server.cut(apierrors.NewResourceExpired("too old resource version"))
		h.write(n)
	case 6:
		h.what = "bookmark, then forget"
		h.server.bookmark()
		synctest.Wait()
		h.server.compact()
		h.server.cut(io.EOF)
	case 7:
		h.what = "expire twice, with nothing new"
		for range 2 {
			h.server.cut(apierrors.NewResourceExpired("too old resource version"))
			rest()
		}
	case 8:
		h.what = "break off amid the first objects"
		h.server.breakOff()
		h.write(n)
	case 9:
		h.what = "fail"
		h.unequal = true
		h.server.setRefuse(apierrors.NewInternalError(errors.New("fault")))
		h.server.cut(io.ErrUnexpectedEOF)
		synctest.Wait()
		h.write(n)
		h.server.setRefuse(nil)
	}
}

// diary is what a handler saw of each object.
type diary struct {
	mu      sync.Mutex
	entries map[string][]string
	present map[Key]*corev1.ConfigMap
	broken  []string // updates from another state than the last that was told
}

func newDiary() *diary {
	return &diary{entries: map[string][]string{}, present: map[Key]*corev1.ConfigMap{}}
}

func (d *diary) add(o *corev1.ConfigMap, what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := KeyOf(o)
	d.entries[k.String()] = append(d.entries[k.String()], what+o.ResourceVersion)
	if what == "D" {
		delete(d.present, k)
	} else {
		d.present[k] = o
	}
}

func (d *diary) handler() Handler[corev1.ConfigMap] {
	return Handler[corev1.ConfigMap]{
		Add: func(o *corev1.ConfigMap, _ bool) { d.add(o, "A") },
		Update: func(old, o *corev1.ConfigMap) {
			d.mu.Lock()
			if d.present[KeyOf(o)] != old {
				d.broken = append(d.broken, line(old)+" to "+line(o))
			}
			d.mu.Unlock()
			d.add(o, "U")
		},
		Delete: func(o *corev1.ConfigMap) { d.add(o, "D") },
	}
}

func (d *diary) consistent(all []*corev1.ConfigMap) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(all) != len(d.present) || len(d.broken) != 0 {
		return false
	}
	for _, o := range all {
		if p := d.present[KeyOf(o)]; p == nil || p.ResourceVersion != o.ResourceVersion {
			return false
		}
	}
	return true
}

// within tells whether the revisions in some are in all, in the same order. What happened at a revision may
// look different to one who was not there.
func within(some, all []string) bool {
	n := 0
	for _, e := range some {
		if e[0] == 'D' {
			continue // one that was inferred bears the last revision that was seen
		}
		for n < len(all) && all[n][1:] != e[1:] {
			n++
		}
		if n == len(all) {
			return false
		}
		n++
	}
	return true
}

func clientGo(ctx context.Context, t *testing.T, s *server, d *diary, wg *sync.WaitGroup) toolscache.Store {
	lw := &toolscache.ListWatch{
		ListWithContextFunc: func(_ context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return theirs{s}.List(o)
		},
		WatchFuncWithContext: func(_ context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return theirs{s}.Watch(ctx, o)
		},
	}
	i := toolscache.NewSharedIndexInformer(lw, &corev1.ConfigMap{}, 0, toolscache.Indexers{})
	// The default sleeps by a clock that it shares between tests, whose virtual times differ.
	if err := i.SetWatchErrorHandler(func(*toolscache.Reflector, error) {}); err != nil {
		t.Fatal(err)
	}
	_, err := i.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { d.add(o.(*corev1.ConfigMap), "A") },
		UpdateFunc: func(old, o any) {
			before, after := old.(*corev1.ConfigMap), o.(*corev1.ConfigMap)
			if before.ResourceVersion == after.ResourceVersion {
				return // a relist repeats what it knows; ours does not
			}
			if before.UID != after.UID {
				d.add(before, "D")
				d.add(after, "A")
				return
			}
			d.add(after, "U")
		},
		DeleteFunc: func(o any) {
			if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			d.add(o.(*corev1.ConfigMap), "D")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	wg.Go(func() { i.RunWithContext(ctx) })
	return i.GetStore()
}

// agree says how our copy differs from client-go's or the server's, or is empty.
func agree(i *Informer[corev1.ConfigMap], reference toolscache.Store, s *server) string {
	var theirs, mine, even, odd []string
	for _, o := range reference.List() {
		theirs = append(theirs, line(o.(*corev1.ConfigMap)))
	}
	for _, o := range i.List() {
		mine = append(mine, line(o))
	}
	for _, o := range i.ByIndex("even", "true") {
		even = append(even, line(o))
	}
	for _, o := range i.ByIndex("even", "false") {
		odd = append(odd, line(o))
	}
	var real []string
	for _, o := range s.objects {
		real = append(real, line(o))
	}
	indexed := append(even, odd...)
	byNamespace := len(i.InNamespace("ns0")) + len(i.InNamespace("ns1"))
	for _, l := range [][]string{theirs, mine, real, indexed} {
		slices.Sort(l)
	}
	switch {
	case !slices.Equal(mine, real):
		return fmt.Sprintf("ours %v, server %v", mine, real)
	case !slices.Equal(mine, theirs):
		return fmt.Sprintf("ours %v, client-go %v", mine, theirs)
	case !slices.Equal(mine, indexed):
		return fmt.Sprintf("ours %v, by index %v", mine, indexed)
	case byNamespace != len(mine) || i.Len() != len(mine):
		return fmt.Sprintf("%d objects, %d by namespace, Len %d", len(mine), byNamespace, i.Len())
	}
	return ""
}

func line(o *corev1.ConfigMap) string { return KeyOf(o).String() + "@" + o.ResourceVersion }

func parity(o *corev1.ConfigMap) string {
	return fmt.Sprint(strings.ContainsAny(o.ResourceVersion[len(o.ResourceVersion)-1:], "02468"))
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
