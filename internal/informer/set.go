package informer

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/client"
)

// SetOptions hold for every informer of a set.
type SetOptions struct {
	Namespace string // all if empty
	Resync    time.Duration
	ListFirst bool
	Logger    *slog.Logger // slog.Default() if nil
	Metrics   *Metrics     // nil for none
}

// Set shares informers between those who ask for the same resource, and runs them together.
type Set struct {
	transport client.Transport
	options   SetOptions

	mu        sync.Mutex
	informers map[setKey]running
	run       func(running) // starts an informer; nil until Run, and a no-op after it
	wg        sync.WaitGroup
}

type running interface {
	Syncer
	Run(ctx context.Context) error
}

type setKey struct {
	resource     schema.GroupVersionResource
	object       reflect.Type
	label, field string
}

// NewSet makes an empty set over a transport.
func NewSet(t client.Transport, o SetOptions) *Set {
	return &Set{transport: t, options: o, informers: map[setKey]running{}}
}

// For is the set's informer of a resource. It is made when it is first asked for, and started when the
// set is.
func For[T any](s *Set, k client.Kind[T]) *Informer[T] {
	return ForSelected(s, k, "", "")
}

// ForSelected is For, of the objects that label and field selectors match.
func ForSelected[T any](s *Set, k client.Kind[T], labels, fields string) *Informer[T] {
	o := s.options
	key := setKey{
		resource: k.Resource, object: reflect.TypeFor[T](), label: labels, field: fields,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.informers[key]; ok {
		return i.(*Informer[T])
	}
	i := New(s.transport, k, Options{
		Namespace: o.Namespace, LabelSelector: labels, FieldSelector: fields,
		Resync: o.Resync, ListFirst: o.ListFirst, Logger: o.Logger, Metrics: o.Metrics,
	})
	s.informers[key] = i
	if s.run != nil {
		s.run(i)
	}
	return i
}

// Run runs the informers that were asked for, and those that will be, until the context ends. It runs once.
func (s *Set) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.run != nil {
		s.mu.Unlock()
		return errors.New("informer: set run twice")
	}
	s.run = func(i running) { s.wg.Go(func() { _ = i.Run(ctx) }) }
	for _, i := range s.informers {
		s.run(i)
	}
	s.mu.Unlock()

	<-ctx.Done()
	s.mu.Lock()
	s.run = func(running) {}
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}

// Synced tells whether all informers that were asked for so far are.
func (s *Set) Synced() bool {
	done, cancel := context.WithCancel(context.Background())
	cancel()
	return s.WaitSynced(done)
}

// WaitSynced waits for all informers that were asked for so far, and is false if the context ended first.
func (s *Set) WaitSynced(ctx context.Context) bool {
	s.mu.Lock()
	informers := make([]running, 0, len(s.informers))
	for _, i := range s.informers {
		informers = append(informers, i)
	}
	s.mu.Unlock()
	for _, i := range informers {
		if !i.WaitSynced(ctx) {
			return false
		}
	}
	return true
}
