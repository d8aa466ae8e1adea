// Package podgc removes pods that nobody else will: those of nodes that are gone, those that wait for a node to
// stop them that never will, and the oldest of very many that have finished.
package podgc

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/pods"
	"github.com/proa-dev/proa/internal/informer"
)

const (
	// quarantine is how long a node has to be gone before its pods are.
	quarantine = 40 * time.Second
	// maxFinished is how many finished pods there may be.
	maxFinished = 12500
	// sweepDelay gathers pods that finish.
	sweepDelay = 20 * time.Second
)

// sweep is the key under which finished pods are counted. No pod has it.
var sweep = controller.Key{Name: "finished pods"}

type collector struct {
	controller.Deps
	loop  *controller.Loop
	nodes *informer.Informer[corev1.Node]
	pods  *informer.Informer[corev1.Pod]
	limit int
}

// Start makes the controller. Its keys are pods.
func Start(d controller.Deps) controller.Runner { return newCollector(d, maxFinished).loop }

func newCollector(d controller.Deps, limit int) *collector {
	c := &collector{
		Deps: d, nodes: informer.For(d.Informers, client.Nodes), pods: informer.For(d.Informers, client.Pods), limit: limit,
	}
	pods.IndexByNode(c.pods)
	c.loop = &controller.Loop{
		Name: "pod-garbage-collector-controller", Sync: c.sync, Needs: []informer.Syncer{c.nodes, c.pods}, Logger: d.Logger, Metrics: d.Metrics,
		Queue: informer.QueueOptions{Name: "orphaned_pods_nodes"},
	}
	c.pods.Handle(informer.Handler[corev1.Pod]{
		Add:    func(p *corev1.Pod, _ bool) { c.look(nil, p) },
		Update: c.look,
	})
	changed := func(n *corev1.Node) {
		if isOutOfService(n) {
			c.lookAtAll(n)
		}
	}
	c.nodes.Handle(informer.Handler[corev1.Node]{
		Add:    func(n *corev1.Node, _ bool) { changed(n) },
		Update: func(_, n *corev1.Node) { changed(n) },
		Delete: c.lookAtAll,
	})
	return c
}

func (c *collector) lookAtAll(n *corev1.Node) {
	for _, p := range pods.OnNode(c.pods, n.Name) {
		c.look(nil, p)
	}
}

func (c *collector) look(old, p *corev1.Pod) {
	if pods.IsFinished(p) && (old == nil || !pods.IsFinished(old)) && c.pods.Len() > c.limit {
		c.loop.AddAfter(sweep, sweepDelay)
	}
	switch judge(p, c.node(p)) {
	case keep:
	case orphaned:
		c.loop.AddAfter(informer.KeyOf(p), quarantine)
	default:
		c.loop.Add(informer.KeyOf(p))
	}
}

// node is the pod's, or nil.
func (c *collector) node(p *corev1.Pod) *corev1.Node {
	n, _ := c.nodes.Get("", p.Spec.NodeName)
	return n
}

func (c *collector) sync(ctx context.Context, k controller.Key) (time.Duration, error) {
	if k == sweep {
		return 0, c.sweep(ctx)
	}
	p, ok := c.pods.Get(k.Namespace, k.Name)
	if !ok {
		return 0, nil
	}
	switch judge(p, c.node(p)) {
	case orphaned:
		_, err := client.Nodes.Get(ctx, c.Client, "", p.Spec.NodeName)
		if !apierrors.IsNotFound(err) {
			return 0, err
		}
		return 0, c.remove(ctx, p, &pods.Disruption{Reason: "DeletionByPodGC", Message: "PodGC: node no longer exists"})
	case outOfService, unscheduled:
		return 0, c.remove(ctx, p, nil)
	}
	return 0, nil
}

func (c *collector) sweep(ctx context.Context) error {
	var errs []error
	for _, p := range surplus(c.pods.List(), c.limit) {
		errs = append(errs, c.remove(ctx, p, nil))
	}
	return errors.Join(errs...)
}

// remove deletes a pod at once. One that has not finished is made to have failed: nobody else will say so.
func (c *collector) remove(ctx context.Context, p *corev1.Pod, d *pods.Disruption) error {
	if !pods.IsFinished(p) {
		if err := pods.Mark(ctx, c.Client, p, d, corev1.PodFailed, c.Clock.Now()); err != nil {
			return ignoreGone(err)
		}
	}
	now := int64(0)
	return ignoreGone(client.Pods.Delete(ctx, c.Client, p.Namespace, p.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &p.UID},
	}))
}

// ignoreGone also ignores that another pod by the name is there.
func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
