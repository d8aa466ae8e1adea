package node

import (
	"context"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
)

// registerAll registers all nodes, however long it takes, and is false if the context ended first.
func (a *Agent) registerAll(ctx context.Context) bool {
	todo := make(chan *member)
	var wg sync.WaitGroup
	for range min(a.options.Workers, len(a.members)) {
		wg.Go(func() {
			for m := range todo {
				a.registerOne(ctx, m)
			}
		})
	}
	for _, m := range a.members {
		todo <- m
	}
	close(todo)
	wg.Wait()
	return ctx.Err() == nil
}

func (a *Agent) registerOne(ctx context.Context, m *member) {
	for wait := 100 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, maxRetryDelay) {
		err := a.register(ctx, m)
		if err == nil {
			return
		}
		a.log.Warn("a node cannot be registered yet", "node", m.name, "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// register makes the Node object, or makes it say again what it has to.
func (a *Agent) register(ctx context.Context, m *member) error {
	n, err := a.ensure(ctx, m)
	if err != nil {
		return err
	}
	now := time.Now()
	if n, err = a.report(ctx, m, n, now); err != nil {
		return err
	}
	pods, err := netip.ParsePrefix(n.Spec.PodCIDR)
	if err != nil {
		return err
	}
	m.node, m.runtime = n, m.run(pods)
	// The first report after this one comes at the node's own moment, so that those of many are spread.
	m.reported = now.Add(-statusInterval * time.Duration(m.index) / time.Duration(len(a.members)))
	return nil
}

// ensure makes sure that there is a Node object that is identified as this node's.
func (a *Agent) ensure(ctx context.Context, m *member) (*corev1.Node, error) {
	present, ok := a.nodes.Get("", m.name)
	if !ok {
		n, err := client.Nodes.Create(ctx, a.options.Client, a.describe(m, time.Now()))
		if err == nil {
			a.options.Events.EventFor(m.reference(), corev1.EventTypeNormal, "Starting", "Starting kubelet.")
		}
		if !apierrors.IsAlreadyExists(err) {
			return n, err
		}
		if present, err = client.Nodes.Get(ctx, a.options.Client, "", m.name); err != nil {
			return nil, err
		}
	}
	n := present.DeepCopy()
	if !a.identify(m, n) {
		return present, nil
	}
	return client.Nodes.Update(ctx, a.options.Client, n)
}

// report writes a node's status, unless it says already all that it has to but for the time.
func (a *Agent) report(ctx context.Context, m *member, n *corev1.Node, now time.Time) (*corev1.Node, error) {
	status := a.status(m, n, now)
	if sameButHeartbeat(&n.Status, &status) && now.Sub(lastHeartbeat(&n.Status)) < statusInterval {
		return n, nil
	}
	changed := *n
	changed.Status = status
	return client.Nodes.UpdateStatus(ctx, a.options.Client, &changed)
}

func sameButHeartbeat(a, b *corev1.NodeStatus) bool {
	strip := func(s *corev1.NodeStatus) *corev1.NodeStatus {
		s = s.DeepCopy()
		for i := range s.Conditions {
			s.Conditions[i].LastHeartbeatTime = metav1.Time{}
		}
		return s
	}
	return equality.Semantic.DeepEqual(strip(a), strip(b))
}

func lastHeartbeat(s *corev1.NodeStatus) (last time.Time) {
	for _, c := range s.Conditions {
		if c.Type == corev1.NodeReady {
			last = c.LastHeartbeatTime.Time
		}
	}
	return last
}
