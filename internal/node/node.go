// Package node is the node agent, which is what a kubelet is to Kubernetes: it registers nodes, keeps their
// heartbeats up, and runs the pods that are bound to them on a container runtime.
//
// One agent serves one node or thousands of simulated ones. What it costs grows with what happens, not with
// the number of nodes: they share one informer of pods, one queue of pods with something to do, whose
// workers exist only while there is something, and one queue of heartbeats with one timer, in which each
// node has its own moment in every interval.
//
// The parts: register (Node objects), describe (what is in them), heartbeat (leases and node status), sync
// (pods), member (what is known of one node). What happens to a pod is decided in lifecycle; who runs it is
// behind container.Runtime, of which simulated is one.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/informer"
	"github.com/proa-dev/proa/internal/node/container"
	"github.com/proa-dev/proa/internal/node/simulated"
)

// Options say which nodes an agent simulates, and how.
type Options struct {
	// Client acts as somebody who may do to all of the nodes what a kubelet may do to its own.
	Client client.Transport
	// Informers see the pods and nodes of the whole cluster. They are run by the caller.
	Informers *informer.Set
	// Nodes is how many there are; 1 if zero.
	Nodes int
	// NamePrefix comes before each node's number, which begins at 0; DefaultNamePrefix if empty.
	NamePrefix string
	// Version is what the nodes say of themselves: the server's, like v1.36.3+proa0.1.
	Version string
	// Capacity of each node; DefaultCapacity if nil.
	Capacity corev1.ResourceList
	// Labels of all nodes, besides those that every node has.
	Labels map[string]string
	// Behaviour of pods that do not say how they behave.
	Behaviour simulated.Options
	// Events reports to people; nil for none.
	Events Events
	// Workers is how many pods are worked on at a time; 32 if zero.
	Workers int
	Logger  *slog.Logger // slog.Default() if nil
	// Metrics is what the agent's queues report to; nil for none.
	Metrics *informer.Metrics
}

// Defaults of Options.
const (
	DefaultNamePrefix = "proa-node-"
	defaultWorkers    = 32
	// maxNodes is how many /24 networks there are for pods.
	maxNodes = 1 << 15
)

// DefaultCapacity is what a simulated node has: as many pods as a kubelet's default, and enough for them.
func DefaultCapacity() corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("32"),
		corev1.ResourceMemory:           resource.MustParse("256Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("1Ti"),
		corev1.ResourcePods:             resource.MustParse("110"),
	}
}

// Events reports what happened to objects. A *events.Recorder is one.
type Events interface {
	EventFor(about corev1.ObjectReference, eventType, reason, message string)
}

// Validate says in a sentence what makes no sense.
func (o *Options) Validate() error {
	switch {
	case o.Client == nil || o.Informers == nil:
		return errors.New("node: a client and informers are needed")
	case o.Nodes < 0 || o.Nodes > maxNodes:
		return fmt.Errorf("node: %d nodes cannot be simulated, only 1 to %d", o.Nodes, maxNodes)
	}
	return nil
}

// Agent serves nodes.
type Agent struct {
	options Options
	log     *slog.Logger
	pods    *informer.Informer[corev1.Pod]
	nodes   *informer.Informer[corev1.Node]
	members []*member
	byName  map[string]*member

	queue *informer.Queue[informer.Key] // of pods
	beats *informer.Queue[*member]
	begun time.Time // when heartbeats began

	mu      sync.Mutex
	records map[informer.Key]*record // guarded by mu
}

// NewSimulated makes an agent for simulated nodes. It does nothing before Run.
func NewSimulated(o Options) (*Agent, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	a := &Agent{
		options: o, log: o.Logger,
		pods:    informer.For(o.Informers, client.Pods),
		nodes:   informer.For(o.Informers, client.Nodes),
		byName:  map[string]*member{},
		records: map[informer.Key]*record{},
		queue:   informer.NewQueue[informer.Key](informer.QueueOptions{Name: "node-pods", MaxDelay: maxPodRetryDelay, Metrics: o.Metrics}),
		beats:   informer.NewQueue[*member](informer.QueueOptions{Name: "node-heartbeats", MaxDelay: maxRetryDelay, Metrics: o.Metrics}),
	}
	for i := range o.Nodes {
		m := newMember(o, i)
		m.run = func(pods netip.Prefix) container.Runtime { return simulated.New(o.Behaviour, pods, a.changed) }
		a.members = append(a.members, m)
		a.byName[m.name] = m
	}
	return a, nil
}

// These bound how long a node or a pod waits after errors in a row.
const (
	maxRetryDelay    = 10 * time.Second
	maxPodRetryDelay = time.Minute
)

func (o Options) withDefaults() Options {
	if o.Nodes == 0 {
		o.Nodes = 1
	}
	if o.NamePrefix == "" {
		o.NamePrefix = DefaultNamePrefix
	}
	if o.Capacity == nil {
		o.Capacity = DefaultCapacity()
	}
	if o.Workers == 0 {
		o.Workers = defaultWorkers
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Events == nil {
		o.Events = noEvents{}
	}
	if o.Behaviour.Version == "" {
		o.Behaviour.Version = o.Version
	}
	return o
}

// Run serves the nodes until the context ends. Nothing is taken back then: the pods stay as they are, and an
// agent that is run later finds them so.
func (a *Agent) Run(ctx context.Context) error {
	if !a.nodes.WaitSynced(ctx) || !a.pods.WaitSynced(ctx) {
		return nil
	}
	if !a.registerAll(ctx) {
		return nil
	}
	a.adoptAll(ctx)
	defer a.pods.Handle(informer.Handler[corev1.Pod]{
		Add:    func(p *corev1.Pod, _ bool) { a.enqueue(p) },
		Update: func(_, p *corev1.Pod) { a.enqueue(p) },
		Delete: a.enqueue,
	})()
	a.beginHeartbeats()
	var wg sync.WaitGroup
	wg.Go(func() {
		informer.Work(ctx, a.beats, a.options.Workers, func(ctx context.Context, m *member) (time.Duration, error) {
			return contain(ctx, a.log, "heartbeat", m, a.beat)
		})
	})
	wg.Go(func() {
		informer.Work(ctx, a.queue, a.options.Workers, func(ctx context.Context, k informer.Key) (time.Duration, error) {
			return contain(ctx, a.log, "pod", k, a.sync)
		})
	})
	wg.Wait()
	return nil
}

// enqueue asks for a pod of one of the nodes to be looked at.
func (a *Agent) enqueue(p *corev1.Pod) {
	if a.byName[p.Spec.NodeName] != nil {
		a.queue.Add(informer.KeyOf(p))
	}
}

type noEvents struct{}

func (noEvents) EventFor(corev1.ObjectReference, string, string, string) {}
