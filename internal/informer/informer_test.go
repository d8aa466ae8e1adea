package informer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/proa-dev/proa/internal/client"
)

// start runs an informer in the test's bubble until the test ends.
func start(t *testing.T, s *server, o Options) *Informer[corev1.ConfigMap] {
	o.Logger = quiet()
	i := New(ours{s}, client.ConfigMaps, o)
	go func() { _ = i.Run(t.Context()) }()
	return i
}

func TestSlowHandlerHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		k, gone := Key{Namespace: "a", Name: "busy"}, Key{Namespace: "a", Name: "gone"}
		s.put(k)
		i := start(t, s, Options{})
		slow, fast := newDiary(), newDiary()
		let := make(chan struct{})
		h := slow.handler()
		h.Add = func(o *corev1.ConfigMap, _ bool) { <-let; slow.add(o, "A") }
		i.Handle(h)
		i.Handle(fast.handler())
		synctest.Wait()
		if i.Synced() {
			t.Error("synced before a handler was told of the first list")
		}
		const updates = 5 * mergeFrom
		for range updates {
			s.put(k)
			synctest.Wait()
		}
		for range 3 {
			for range 4 {
				s.put(gone)
			}
			s.remove(gone)
		}
		s.put(gone)
		s.put(k)
		synctest.Wait()
		if got := len(fast.entries["a/busy"]); got != updates+2 {
			t.Errorf("the fast handler saw %d changes, want %d", got, updates+2)
		}
		close(let)
		synctest.Wait()
		if !i.Synced() {
			t.Error("not synced")
		}
		seen := slow.entries["a/busy"]
		if len(seen) > mergeFrom+2 || !within(seen, fast.entries["a/busy"]) || seen[len(seen)-1] != "U"+rv(s.revision) {
			t.Errorf("the slow handler saw %d changes, the last %v", len(seen), seen[len(seen)-1])
		}
		var kinds string
		for _, e := range slow.entries["a/gone"] {
			kinds += e[:1]
		}
		if kinds != "AUDAUDAUDA" || !within(slow.entries["a/gone"], fast.entries["a/gone"]) || !slow.consistent(i.List()) {
			t.Errorf("additions and deletions are not as they were: %s, %v", kinds, slow.broken)
		}
	})
}

func TestRelistRepeatsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.put(Key{Namespace: "a", Name: "x"})
		i := start(t, s, Options{})
		d := newDiary()
		i.Handle(d.handler())
		synctest.Wait()
		before, _ := i.Get("a", "x")
		s.put(Key{Namespace: "a", Name: "y"})
		s.cut(apierrors.NewResourceExpired("too old resource version"))
		pass(time.Minute)
		after, _ := i.Get("a", "x")
		if before != after || len(d.entries["a/x"]) != 1 || i.Len() != 2 {
			t.Errorf("an object that did not change was replaced or told again: %v", d.entries)
		}
	})
}

// What is trimmed is what users and handlers see, from the first list, the first watch and later events.
func TestTrim(t *testing.T) {
	for _, listFirst := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer()
			x, y := Key{Namespace: "a", Name: "x"}, Key{Namespace: "a", Name: "y"}
			s.put(x)
			trim := func(o client.Object) client.Object {
				few := o.(*corev1.ConfigMap).DeepCopy()
				few.Data = map[string]string{"trimmed": "yes"}
				return few
			}
			i := start(t, s, Options{ListFirst: listFirst, Trim: trim})
			told := 0
			check := func(o *corev1.ConfigMap) {
				told++
				if o.Data["trimmed"] != "yes" {
					t.Errorf("listing first is %v: %s is whole", listFirst, o.Name)
				}
			}
			i.Handle(Handler[corev1.ConfigMap]{
				Add: func(o *corev1.ConfigMap, _ bool) { check(o) }, Update: func(_, o *corev1.ConfigMap) { check(o) }, Delete: check,
			})
			synctest.Wait()
			s.put(x)
			s.put(y)
			s.remove(y)
			synctest.Wait()
			for _, o := range i.List() {
				check(o)
			}
			if told != 5 {
				t.Errorf("listing first is %v: %d objects were seen, want 5", listFirst, told)
			}
		})
	}
}

func TestBookmarksAreResumedFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		start(t, s, Options{})
		synctest.Wait()
		s.revision += 100 // by writes of other resources
		s.bookmark()
		synctest.Wait()
		s.compact()
		s.cut(io.EOF)
		pass(time.Minute)
		if s.complete != 1 || s.watches != 2 {
			t.Errorf("all objects were read %d times in %d watches, want once in 2", s.complete, s.watches)
		}
	})
}

// A server should not, but might, send what makes no sense after what it sent before.
func TestOddEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		x, y := Key{Namespace: "a", Name: "x"}, Key{Namespace: "a", Name: "y"}
		i := start(t, s, Options{})
		d := newDiary()
		i.Handle(d.handler())
		synctest.Wait()
		s.setRefuse(errRefused)
		s.cut(io.EOF)
		synctest.Wait()
		s.put(x) // 101
		s.record(watch.Added, s.objects[x])
		s.record(watch.Modified, s.objects[x])
		s.put(y) // 102
		s.history[len(s.history)-1].event.Type = watch.Modified
		s.remove(y) // 103
		s.record(watch.Deleted, s.history[len(s.history)-1].event.Object.(*corev1.ConfigMap))
		s.setRefuse(nil)
		pass(time.Minute)
		if got := fmt.Sprint(d.entries); got != "map[a/x:[A101] a/y:[A102 D103]]" || i.Len() != 1 {
			t.Errorf("handlers saw %v", got)
		}
	})
}

func TestHandlersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		k := Key{Namespace: "a", Name: "x"}
		s.put(k)
		i := start(t, s, Options{})
		if !i.WaitSynced(t.Context()) {
			t.Fatal("never synced")
		}
		var log []string
		remove := i.Handle(Handler[corev1.ConfigMap]{
			Add: func(o *corev1.ConfigMap, initial bool) {
				log = append(log, fmt.Sprint("add ", o.ResourceVersion, initial))
				panic("handlers may fail")
			},
			Update: func(old, new *corev1.ConfigMap) {
				log = append(log, "update "+old.ResourceVersion+" "+new.ResourceVersion)
			},
		})
		synctest.Wait()
		s.put(k)
		synctest.Wait()
		s.remove(k) // no Delete function
		synctest.Wait()
		s.put(k)
		synctest.Wait()
		remove()
		s.put(k)
		synctest.Wait()
		want := []string{"add 101true", "update 101 102", "add 104false"}
		if !slices.Equal(log, want) {
			t.Errorf("got %q, want %q", log, want)
		}
	})
}

func TestFailingServerIsNotHammered(t *testing.T) {
	for name, f := range map[string]func(*server){
		"refusing":          func(s *server) { s.setRefuse(errRefused) },
		"broken":            func(s *server) { s.setRefuse(apierrors.NewInternalError(errors.New("x"))) },
		"always expired":    func(s *server) { s.setRefuse(apierrors.NewResourceExpired("too old")) },
		"always restarting": func(s *server) { s.setRefuse(io.EOF) },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer()
			f(s)
			start(t, s, Options{})
			pass(10 * time.Minute)
			if n := s.watches + s.lists; n > 60 || n < 10 {
				t.Errorf("%s: %d requests in 10 minutes", name, n)
			}
			s.setRefuse(nil)
			pass(time.Minute)
			before := s.watches + s.lists
			pass(time.Minute)
			if n := s.watches + s.lists; n != before {
				t.Errorf("%s: %d requests while nothing happened", name, n-before)
			}
		})
	}
}

func TestServerThatAsksForPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.setRefuse(apierrors.NewTooManyRequests("later", 40))
		start(t, s, Options{})
		pass(39 * time.Second)
		if s.watches != 1 {
			t.Errorf("%d requests, want 1 until Retry-After has passed", s.watches)
		}
	})
}

func TestServerSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.put(Key{Namespace: "a", Name: "x"})
		i := start(t, s, Options{})
		synctest.Wait()
		tooLarge := apierrors.NewTimeoutError("Too large resource version: 101, current: 50", 1)
		tooLarge.ErrStatus.Details.Causes = append(tooLarge.ErrStatus.Details.Causes, cause("ResourceVersionTooLarge"))
		s.revision, s.objects, s.history = 50, map[Key]*corev1.ConfigMap{}, nil
		s.put(Key{Namespace: "a", Name: "y"})
		s.cut(tooLarge)
		pass(time.Minute)
		if _, ok := i.Get("a", "y"); !ok || i.Len() != 1 {
			t.Errorf("the copy is not the server's: %v", i.List())
		}
	})
}

func TestResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.put(Key{Namespace: "a", Name: "x"})
		i := start(t, s, Options{Resync: time.Minute})
		n := 0
		i.Handle(Handler[corev1.ConfigMap]{Update: func(old, new *corev1.ConfigMap) {
			if old == new {
				n++
			}
		}})
		pass(10*time.Minute + time.Second)
		if n != 10 {
			t.Errorf("%d resyncs, want 10", n)
		}
	})
}

func TestSetSharesInformers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.put(Key{Namespace: "a", Name: "x"})
		set := NewSet(ours{s}, SetOptions{Logger: quiet()})
		one := For(set, client.ConfigMaps)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- set.Run(ctx) }()
		if !set.WaitSynced(ctx) || one.Len() != 1 {
			t.Fatal("not synced")
		}
		if For(set, client.ConfigMaps) != one {
			t.Error("the same informer was made twice")
		}
		late := ForSelected(set, client.ConfigMaps, "a=b", "")
		if late == one || !set.WaitSynced(ctx) || late.Len() != 1 {
			t.Error("an informer that was asked for later does not run")
		}
		if s.watches != 2 {
			t.Errorf("%d watches, want 2", s.watches)
		}
		cancel()
		if err := <-ended; err != nil || len(s.streams) != 0 {
			t.Errorf("ended with %v and %d streams open", err, len(s.streams))
		}
		if For(set, client.ConfigMaps) != one {
			t.Error("a set that ended forgets")
		}
	})
}

func TestNoHandlerRunsAfterRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		for n := range 100 {
			s.put(Key{Namespace: "a", Name: fmt.Sprint(n)})
		}
		i := New(ours{s}, client.ConfigMaps, Options{Logger: quiet()})
		ctx, cancel := context.WithCancel(t.Context())
		calls, over := 0, false
		i.Handle(Handler[corev1.ConfigMap]{Add: func(*corev1.ConfigMap, bool) {
			if over {
				t.Error("called after Run")
			}
			calls++
			time.Sleep(time.Second)
		}})
		time.AfterFunc(5500*time.Millisecond, cancel)
		_ = i.Run(ctx)
		over = true
		i.Handle(Handler[corev1.ConfigMap]{Add: func(*corev1.ConfigMap, bool) { t.Error("told after Run") }})
		pass(time.Hour)
		if calls != 6 {
			t.Errorf("%d calls, want 6", calls)
		}
		if err := i.Run(t.Context()); err == nil {
			t.Error("ran twice")
		}
	})
}
