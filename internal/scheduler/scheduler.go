// Package scheduler finds a node for each pod that has none and binds it there, as kube-scheduler's default
// profile would.
//
// The story. Informers tell what there is: handlers put it into the cluster (package cluster) and pods without
// a node into the queue (package queue), and wake the pods there that a change may help. One loop takes pods
// from the queue, one at a time, and decides (package framework, with the plugins of package plugins). A
// pod with a node is assumed to be there, so that the next decision reckons with it, while a worker binds it through the
// API; the informer confirms it, or the worker takes it back. What a pod lacks is written into its status and
// told in an event, by a worker too, so the loop never waits for the API but for a free worker.
//
// One lock guards cluster, queue and framework. Handlers and the loop hold it, and do no input or output under it. That makes
// a decision and its consequences one step: no event falls between a look at the cluster and the pod's return to the queue, so
// none has to be remembered for pods that are being decided on.
package scheduler

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/informer"
	"github.com/proa-dev/proa/internal/scheduler/cluster"
	"github.com/proa-dev/proa/internal/scheduler/framework"
	"github.com/proa-dev/proa/internal/scheduler/plugins"
	"github.com/proa-dev/proa/internal/scheduler/queue"
)

// Events reports what happened to objects, for people to read. An *events.Recorder is one.
type Events interface {
	Event(o client.Object, eventType, reason, message string)
}

// Deps is what a scheduler is made of.
type Deps struct {
	Client client.Transport
	// Informers are shared with others. They may run already.
	Informers *informer.Set
	Events    Events
	Logger    *slog.Logger // slog.Default() if nil
	Metrics   *Metrics     // nil for none

	// Name is the schedulerName of the pods that are its own; corev1.DefaultSchedulerName if empty.
	Name string
	// Seed makes what is left to chance repeatable; by chance if zero.
	Seed uint64
}

// workers is how many calls of the API are under way at most.
const workers = 64

// Scheduler schedules. Use New.
type Scheduler struct {
	client  client.Transport
	events  Events
	log     *slog.Logger
	metrics *Metrics
	name    string
	pods    *informer.Informer[corev1.Pod]
	needs   []informer.Syncer

	wake  chan struct{} // has an element if there may be something to take
	slots chan struct{}
	work  sync.WaitGroup

	mu        sync.Mutex
	cluster   *cluster.Cluster     // guarded by mu
	queue     *queue.Queue         // guarded by mu
	framework *framework.Framework // guarded by mu
	lap       time.Time            // when the decision reached its last point; guarded by mu
}

// New makes a scheduler and adds its handlers to the informers. It works when it is run.
func New(d Deps) *Scheduler {
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	if d.Name == "" {
		d.Name = corev1.DefaultSchedulerName
	}
	if d.Seed == 0 {
		d.Seed = rand.Uint64()
	}
	s := &Scheduler{
		client: d.Client, events: d.Events, log: d.Logger.With("component", d.Name), metrics: d.Metrics, name: d.Name,
		pods: informer.For(d.Informers, client.Pods),
		wake: make(chan struct{}, 1), slots: make(chan struct{}, workers),
		cluster: cluster.New(), queue: queue.New(),
	}
	owners := newOwners(d.Informers)
	budgets := informer.For(d.Informers, podDisruptionBudgets)
	s.framework = framework.New(framework.Options{
		Cluster: s.cluster, Plugins: plugins.Default(owners), Seed: d.Seed, Budgets: budgets.List, Reached: s.reached,
	})
	s.queue.Entered = d.Metrics.entered
	s.needs = append(owners.syncers(), s.pods, budgets)
	s.handle(d.Informers, owners)
	d.Metrics.pending(s.pending)
	return s
}

var podDisruptionBudgets = client.Kind[policyv1.PodDisruptionBudget]{
	Resource:   schema.GroupVersionResource{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"},
	Kind:       "PodDisruptionBudget",
	Namespaced: true,
}

// Run schedules until the context ends, and waits for what is under way.
func (s *Scheduler) Run(ctx context.Context) error {
	defer s.work.Wait()
	for _, i := range s.needs {
		if !i.WaitSynced(ctx) {
			return nil
		}
	}
	for ctx.Err() == nil {
		if !s.scheduleOne(ctx) {
			s.wait(ctx)
		}
	}
	return nil
}

// wait waits until there may be something to take. While nothing waits in the queue there is no timer.
func (s *Scheduler) wait(ctx context.Context) {
	s.mu.Lock()
	next, ok := s.queue.Next()
	s.mu.Unlock()
	var due <-chan time.Time
	if ok {
		timer := time.NewTimer(time.Until(next))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
	case <-s.wake:
	case <-due:
	}
}

// signal wakes the loop if there is something to take. The caller holds the lock.
func (s *Scheduler) signal() {
	if !s.queue.Ready(time.Now()) {
		return
	}
	s.nudge()
}

// nudge makes the loop look again.
func (s *Scheduler) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// do runs f in a worker, waiting for a free one.
func (s *Scheduler) do(ctx context.Context, f func()) {
	s.slots <- struct{}{}
	s.work.Go(func() {
		defer func() { <-s.slots }()
		f()
	})
}

func (s *Scheduler) pending(p queue.Place) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.Count(p)
}
