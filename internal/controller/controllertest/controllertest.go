// Package controllertest runs controllers against an API server in memory, in virtual time.
package controllertest

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/clock"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/informer"
)

// Bench is a server and what controllers need. It lives in a bubble of testing/synctest.
type Bench struct {
	Server *clienttest.Server
	Events *clienttest.Events
	Deps   controller.Deps

	ctx context.Context
}

// New makes a bench whose server holds some objects, and runs controllers until the test is over.
func New(t *testing.T, objects []client.Object, start ...func(controller.Deps) controller.Runner) *Bench {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	b := &Bench{Server: clienttest.New(objects...), Events: &clienttest.Events{}, ctx: ctx}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	b.Deps = controller.Deps{
		Client: b.Server, Informers: informer.NewSet(b.Server, informer.SetOptions{Logger: log}),
		Events: b.Events, Clock: clock.RealClock{}, Logger: log, Tally: controller.NewTally(),
	}
	for _, f := range start {
		r := f(b.Deps)
		go r.Run(ctx)
	}
	go b.Deps.Informers.Run(ctx)
	b.Settle()
	return b
}

// Settle waits until nothing moves any more at this time.
func (b *Bench) Settle() { synctest.Wait() }

// Pass lets time pass, and waits until nothing moves.
func (b *Bench) Pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Each calls f for every object of a kind and stores what it has changed, as another client would. f changes
// a copy, and returns false to leave the object alone.
func Each[T any](b *Bench, k client.Kind[T], f func(o *T) bool) {
	for _, o := range clienttest.List(b.Server, k) {
		changed := any(o).(client.Object).DeepCopyObject().(client.Object)
		if f(any(changed).(*T)) {
			b.Server.Put(changed)
		}
	}
	b.Settle()
}
