package informer

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/proa-dev/proa/internal/client"
)

// events is a transport whose only watch hands out what it is sent.
type events struct {
	client.Transport
	next chan []client.Event
}

func (e events) Watch(context.Context, *client.Request) (client.Stream, error) { return e, nil }
func (e events) Stop()                                                         {}
func (e events) Next() ([]client.Event, error) {
	if next, ok := <-e.next; ok {
		return next, nil
	}
	return nil, io.EOF
}

// From the stream to five handlers, which enqueue, in batches as they come under load.
func BenchmarkInformer(b *testing.B) {
	const objects, batch, handlers = 10_000, 16, 5
	e := events{next: make(chan []client.Event)}
	var first []client.Event
	versions := [2][]client.Event{}
	for n := range objects {
		for v := range versions {
			o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
				Namespace: fmt.Sprint("namespace-", n%50), Name: fmt.Sprint("name-", n), ResourceVersion: fmt.Sprint(v),
			}}
			versions[v] = append(versions[v], client.Event{Type: watch.Modified, Object: o})
		}
		first = append(first, client.Event{Type: watch.Added, Object: versions[0][n].Object})
	}
	end := mark(1)
	end.Object.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})

	i := New(e, client.ConfigMaps, Options{Logger: quiet()})
	var seen sync.WaitGroup
	for range handlers {
		q := NewQueue[Key](QueueOptions{})
		i.Handle(Handler[corev1.ConfigMap]{Update: func(_, o *corev1.ConfigMap) {
			q.Add(KeyOf(o))
			seen.Done()
		}})
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	go func() { _ = i.Run(ctx) }()
	e.next <- append(first, end)
	i.WaitSynced(ctx)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		from := n * batch % objects
		version := 1 - n*batch/objects%2
		send := versions[version][from:min(from+batch, objects)]
		seen.Add(handlers * len(send))
		e.next <- send
		seen.Wait()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/event")
}

func BenchmarkGet(b *testing.B) {
	x := newIndex[corev1.ConfigMap]()
	for n := range 10_000 {
		k := Key{Namespace: fmt.Sprint("namespace-", n%50), Name: fmt.Sprint("name-", n)}
		x.put(k, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: k.Namespace, Name: k.Name}})
	}
	k := Key{Namespace: "namespace-7", Name: "name-57"}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, ok := x.get(k); !ok {
				b.Fatal("not there")
			}
		}
	})
}
