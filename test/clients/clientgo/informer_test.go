package clientgo_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	clientfeatures "k8s.io/client-go/features"
	featuretesting "k8s.io/client-go/features/testing"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/proa-dev/proa/test/clients/cluster"
)

// TestInformers lets client-go's informers, by WatchList and by list and watch, follow a random history
// through a restart of the server.
func TestInformers(t *testing.T) {
	for _, watchList := range []bool{true, false} {
		t.Run(fmt.Sprintf("WatchList=%v", watchList), func(t *testing.T) {
			featuretesting.SetFeatureDuringTest(t, clientfeatures.WatchListClient, watchList)
			var streamed, listed atomic.Int32
			c := quiet(t)
			config := cluster.Spy(c.Config(t), func(r *http.Request) {
				q := r.URL.Query()
				switch {
				case q.Get("sendInitialEvents") == "true":
					streamed.Add(1)
				case q.Get("watch") == "":
					listed.Add(1)
				}
			})
			writer := clientset(t, c.Config(t))
			want := map[string]string{} // name → data
			random := newHistory(t, writer, want)
			random.steps(50)

			factory := informers.NewSharedInformerFactory(clientset(t, config), 0)
			configMaps := factory.Core().V1().ConfigMaps()
			seen := map[string]string{} // what the handlers were told; theirs until the informer has stopped
			informer := configMaps.Informer()
			told := make(chan struct{}, 1)
			handle := func(o any, f func(*corev1.ConfigMap)) {
				if gone, is := o.(cache.DeletedFinalStateUnknown); is {
					o = gone.Obj
				}
				if m := o.(*corev1.ConfigMap); m.Labels["test"] == "informer" {
					f(m)
				}
			}
			must(informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
				AddFunc: func(o any) {
					handle(o, func(m *corev1.ConfigMap) {
						if _, there := seen[m.Name]; there {
							t.Errorf("%s added twice", m.Name)
						}
						seen[m.Name] = m.Data["v"]
					})
				},
				UpdateFunc: func(_, o any) { handle(o, func(m *corev1.ConfigMap) { seen[m.Name] = m.Data["v"] }) },
				DeleteFunc: func(o any) {
					handle(o, func(m *corev1.ConfigMap) {
						delete(seen, m.Name)
						if m.Name == "last" {
							told <- struct{}{}
						}
					})
				},
			}))(t)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			factory.Start(ctx.Done())
			if !cache.WaitForNamedCacheSync("test", timeout(t), informer.HasSynced) {
				t.Fatal("never in sync")
			}
			if watchList && (streamed.Load() == 0 || listed.Load() != 0) || !watchList && (streamed.Load() != 0 || listed.Load() == 0) {
				t.Errorf("%d streams and %d lists", streamed.Load(), listed.Load())
			}
			random.steps(100)
			listed.Store(0)
			if err := c.Restart(); err != nil {
				t.Fatal(err)
			}
			answers(t, writer)
			random.steps(100)
			random.mark()
			select {
			case <-told:
			case <-time.After(cluster.Patience):
				t.Fatal("the last event never came")
			}
			stop()
			factory.Shutdown()
			compare(t, "handlers", seen, want)
			stored := map[string]string{}
			for _, m := range must(configMaps.Lister().List(labels.SelectorFromSet(labels.Set{"test": "informer"})))(t) {
				stored[m.Name] = m.Data["v"]
			}
			compare(t, "lister", stored, want)
			if n := listed.Load(); n != 0 {
				t.Errorf("a restart of the server made the informer list %d times", n)
			}
		})
	}
}

func compare(t *testing.T, who string, got, want map[string]string) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("%s: %v, want %v", who, got, want)
	}
}

func timeout(t *testing.T) <-chan struct{} {
	c := make(chan struct{})
	timer := time.AfterFunc(cluster.Patience, func() { close(c) })
	t.Cleanup(func() { timer.Stop() })
	return c
}

// history makes, changes and deletes ConfigMaps at random.
type history struct {
	*testing.T
	random *rand.Rand
	client kubernetes.Interface
	now    map[string]string
	step   int
}

func newHistory(t *testing.T, client kubernetes.Interface, now map[string]string) *history {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return &history{t, rand.New(rand.NewPCG(seed, 0)), client, now, 0}
}

func (h *history) steps(n int) {
	h.Helper()
	c := h.client.CoreV1().ConfigMaps("default")
	for range n {
		h.step++
		m := &corev1.ConfigMap{Data: map[string]string{"v": fmt.Sprint(h.step)}}
		m.Name, m.Labels = fmt.Sprintf("m%d", h.random.IntN(20)), map[string]string{"test": "informer"}
		var err error
		switch _, there := h.now[m.Name]; {
		case !there:
			_, err = c.Create(h.Context(), m, metav1.CreateOptions{})
			h.now[m.Name] = m.Data["v"]
		case h.random.IntN(3) == 0:
			err = c.Delete(h.Context(), m.Name, metav1.DeleteOptions{})
			delete(h.now, m.Name)
		default:
			_, err = c.Update(h.Context(), m, metav1.UpdateOptions{})
			h.now[m.Name] = m.Data["v"]
		}
		if err != nil {
			h.Fatal(err)
		}
	}
}

// mark makes and deletes an object that tells a watcher that there is no more.
func (h *history) mark() {
	h.Helper()
	c := h.client.CoreV1().ConfigMaps("default")
	last := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "last", Labels: map[string]string{"test": "informer"}}}
	must(c.Create(h.Context(), last, metav1.CreateOptions{}))(h)
	if err := c.Delete(h.Context(), "last", metav1.DeleteOptions{}); err != nil {
		h.Fatal(err)
	}
}
