package clientgo_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/pager"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/proa-dev/proa/test/clients/cluster"
)

func makeMaps(t *testing.T, k kubernetes.Interface, from, to int) (last *corev1.ConfigMap) {
	t.Helper()
	for i := from; i < to; i++ {
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("m%03d", i), Labels: map[string]string{"test": "watch"}}}
		last = must(k.CoreV1().ConfigMaps("default").Create(t.Context(), m, metav1.CreateOptions{}))(t)
	}
	return last
}

func next(t *testing.T, w watch.Interface) watch.Event {
	t.Helper()
	select {
	case e, open := <-w.ResultChan():
		if !open {
			t.Fatal("the watch has ended")
		}
		return e
	case <-time.After(cluster.Patience):
		t.Fatal("nothing is told")
	}
	return watch.Event{}
}

// TestWatchList begins with what there is, then a bookmark that says so, then what happens.
func TestWatchList(t *testing.T) {
	k := clientset(t, quiet(t).Config(t))
	makeMaps(t, k, 0, 3)
	w := must(k.CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{
		LabelSelector: "test=watch", SendInitialEvents: pointer(true), AllowWatchBookmarks: true,
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	}))(t)
	defer w.Stop()
	for i := range 3 {
		if e := next(t, w); e.Type != watch.Added || e.Object.(*corev1.ConfigMap).Name != fmt.Sprintf("m%03d", i) {
			t.Errorf("at first %v", e)
		}
	}
	e := next(t, w)
	mark, is := e.Object.(*corev1.ConfigMap)
	if e.Type != watch.Bookmark || !is || mark.Annotations[metav1.InitialEventsAnnotationKey] != "true" || mark.ResourceVersion == "" {
		t.Errorf("then %v", e)
	}
	made := makeMaps(t, k, 3, 4)
	if e := next(t, w); e.Type != watch.Added || e.Object.(*corev1.ConfigMap).ResourceVersion != made.ResourceVersion {
		t.Errorf("at last %v", e)
	}
}

// TestWatchEnds asks for a watch of a few seconds: it ends by itself, after a bookmark that says how far it came.
func TestWatchEnds(t *testing.T) {
	k := clientset(t, quiet(t).Config(t))
	list := must(k.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{}))(t)
	made := revision(t, makeMaps(t, k, 0, 2).ResourceVersion)
	ctx, cancel := context.WithTimeout(t.Context(), 2*cluster.Patience)
	defer cancel()
	seconds, mark := int64(3), int64(0)
	// The bookmark comes two seconds before the end, unless the machine is busy until then.
	for ; mark < made && ctx.Err() == nil; seconds *= 2 {
		w := must(k.CoreV1().ConfigMaps("default").Watch(ctx, metav1.ListOptions{
			LabelSelector: "test=nothing", ResourceVersion: list.ResourceVersion, AllowWatchBookmarks: true, TimeoutSeconds: &seconds,
		}))(t)
		for e := range w.ResultChan() {
			if e.Type != watch.Bookmark {
				t.Fatalf("told %v", e)
			}
			mark = revision(t, e.Object.(*corev1.ConfigMap).ResourceVersion)
		}
	}
	if ctx.Err() != nil {
		t.Errorf("the last bookmark of a watch that should end is of %d, the last write of %d", mark, made)
	}
}

func revision(t *testing.T, text string) int64 {
	t.Helper()
	return must(strconv.ParseInt(text, 10, 64))(t)
}

// TestRetryWatcher resumes through a restart of the server: nothing is lost or told twice.
func TestRetryWatcher(t *testing.T) {
	c := quiet(t)
	k := clientset(t, c.Config(t))
	list := must(k.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{}))(t)
	w := must(watchtools.NewRetryWatcherWithContext(t.Context(), list.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = "test=watch"
			return k.CoreV1().ConfigMaps("default").Watch(ctx, o)
		},
	}))(t)
	defer w.Stop()
	for part := range 2 {
		makeMaps(t, k, part*10, part*10+10)
		for i := range 10 {
			if e := next(t, w); e.Type != watch.Added || e.Object.(*corev1.ConfigMap).Name != fmt.Sprintf("m%03d", part*10+i) {
				t.Errorf("event %d of part %d: %v", i, part, e)
			}
		}
		if err := c.Restart(); err != nil {
			t.Fatal(err)
		}
		answers(t, k)
	}
}

// TestWatchFromNowhere asks for what never was, and for what is no more: a server keeps its history for a
// while only, and what it has forgotten is gone for good after a restart.
func TestWatchFromNowhere(t *testing.T) {
	c := cluster.Start(t, "--disable", "controllers,scheduler,nodes", "--watch-history", "100ms")
	k := clientset(t, c.Config(t))
	maps := k.CoreV1().ConfigMaps("default")
	if _, err := maps.Watch(t.Context(), metav1.ListOptions{ResourceVersion: "nonsense"}); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("watch from nonsense: %v", err)
	}
	makeMaps(t, k, 0, 10)
	cluster.Eventually(t, "history ends", func() error {
		time.Sleep(time.Second)
		if err := c.Restart(); err != nil {
			return err
		}
		w, err := maps.Watch(t.Context(), metav1.ListOptions{ResourceVersion: "1"})
		if err != nil {
			return refused(err)
		}
		defer w.Stop()
		e, open := <-w.ResultChan()
		if !open || e.Type != watch.Error {
			return fmt.Errorf("history is still there: %v", e)
		}
		return refused(apierrors.FromObject(e.Object))
	})
}

// refused is nil if the error tells a client to list anew.
func refused(err error) error {
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return nil
	}
	return err
}

// TestPager lists in pages, all of one revision, and all at once when the pages' revision is gone.
func TestPager(t *testing.T) {
	k := clientset(t, quiet(t).Config(t))
	makeMaps(t, k, 0, 25)
	var pages []int
	first := ""
	p := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		o.LabelSelector = "test=watch"
		list, err := k.CoreV1().ConfigMaps("default").List(ctx, o)
		if err != nil {
			return nil, err
		}
		pages = append(pages, len(list.Items))
		if first == "" {
			first = list.ResourceVersion
			// What happens between pages is not of the list.
			if err := k.CoreV1().ConfigMaps("default").Delete(ctx, "m024", metav1.DeleteOptions{}); err != nil {
				return nil, err
			}
			makeMaps(t, k, 30, 31)
		}
		if list.ResourceVersion != first {
			t.Errorf("a page of revision %s, the first was of %s", list.ResourceVersion, first)
		}
		return list, nil
	})
	p.PageSize = 10
	var names []string
	err := p.EachListItem(t.Context(), metav1.ListOptions{}, func(o runtime.Object) error {
		names = append(names, o.(*corev1.ConfigMap).Name)
		return nil
	})
	if err != nil || !slices.Equal(pages, []int{10, 10, 5}) || len(names) != 25 || names[24] != "m024" {
		t.Errorf("pages %v of %v, %v", pages, names, err)
	}
	if _, err := k.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{Continue: "nonsense", Limit: 1}); !apierrors.IsBadRequest(err) {
		t.Errorf("nonsense to continue: %v", err)
	}
}
