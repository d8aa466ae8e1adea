// Package tainteviction deletes pods from nodes with NoExecute taints that they do not tolerate, or tolerate for
// some time only.
package tainteviction

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/pods"
	"github.com/proa-dev/proa/internal/informer"
)

type evictor struct {
	controller.Deps
	nodes *informer.Informer[corev1.Node]
	pods  *informer.Informer[corev1.Pod]

	mu    sync.Mutex
	clock map[controller.Key]countdown // pods that tolerate a taint for a time; guarded by mu
}

// countdown runs from when the pod was first seen with the taint.
type countdown struct {
	uid   types.UID
	since time.Time
}

// Start makes the controller. Its keys are pods.
func Start(d controller.Deps) controller.Runner {
	e := &evictor{
		Deps: d, nodes: informer.For(d.Informers, client.Nodes), pods: informer.For(d.Informers, client.Pods),
		clock: map[controller.Key]countdown{},
	}
	pods.IndexByNode(e.pods)
	l := &controller.Loop{
		Name: "taint-eviction-controller", Workers: 8, Sync: e.sync, Needs: []informer.Syncer{e.nodes, e.pods}, Logger: d.Logger, Metrics: d.Metrics,
		Queue: informer.QueueOptions{Name: "noexec_taint_pod"},
	}
	e.pods.Handle(informer.Handler[corev1.Pod]{
		Add: func(p *corev1.Pod, _ bool) { e.lookAt(l, p) },
		Update: func(old, p *corev1.Pod) {
			if old.Spec.NodeName != p.Spec.NodeName || !equality.Semantic.DeepEqual(old.Spec.Tolerations, p.Spec.Tolerations) {
				l.Add(informer.KeyOf(p))
			}
		},
		Delete: func(p *corev1.Pod) { e.forget(informer.KeyOf(p)) },
	})
	all := func(node string) {
		for _, p := range pods.OnNode(e.pods, node) {
			l.Add(informer.KeyOf(p))
		}
	}
	e.nodes.Handle(informer.Handler[corev1.Node]{
		Add: func(n *corev1.Node, _ bool) {
			if throwsOut(n) {
				all(n.Name)
			}
		},
		Update: func(old, n *corev1.Node) {
			if !equality.Semantic.DeepEqual(old.Spec.Taints, n.Spec.Taints) {
				all(n.Name)
			}
		},
		Delete: func(n *corev1.Node) { all(n.Name) },
	})
	return l
}

// lookAt spares the many pods whose node has no such taint.
func (e *evictor) lookAt(l *controller.Loop, p *corev1.Pod) {
	if n, ok := e.nodes.Get("", p.Spec.NodeName); ok && throwsOut(n) {
		l.Add(informer.KeyOf(p))
	}
}

func throwsOut(n *corev1.Node) bool {
	for _, t := range n.Spec.Taints {
		if t.Effect == corev1.TaintEffectNoExecute {
			return true
		}
	}
	return false
}

func (e *evictor) sync(ctx context.Context, k controller.Key) (time.Duration, error) {
	p, ok := e.pods.Get(k.Namespace, k.Name)
	if !ok || p.DeletionTimestamp != nil || p.Spec.NodeName == "" {
		e.forget(k)
		return 0, nil
	}
	var taints []corev1.Taint
	if n, ok := e.nodes.Get("", p.Spec.NodeName); ok {
		taints = n.Spec.Taints
	}
	limit, forever := patience(taints, p.Spec.Tolerations)
	if forever {
		if e.forget(k) {
			e.tell(p, "Cancelling deletion of Pod "+k.String())
		}
		return 0, nil
	}
	now := e.Clock.Now()
	if limit > 0 {
		if left := e.since(k, p.UID, now).Add(limit).Sub(now); left > 0 {
			return left, nil
		}
	}
	e.tell(p, "Marking for deletion Pod "+k.String())
	return 0, e.evict(ctx, p, now)
}

func (e *evictor) evict(ctx context.Context, p *corev1.Pod, now time.Time) error {
	err := pods.Mark(ctx, e.Client, p, &pods.Disruption{
		Reason: "DeletionByTaintManager", Message: "Taint manager: deleting due to NoExecute taint",
	}, "", now)
	if err == nil {
		err = client.Pods.Delete(ctx, e.Client, p.Namespace, p.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &p.UID}})
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (e *evictor) tell(p *corev1.Pod, message string) {
	e.Events.EventFor(corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: p.Namespace, Name: p.Name, UID: p.UID},
		corev1.EventTypeNormal, "TaintManagerEviction", message)
}

// since starts a pod's countdown, unless it runs.
func (e *evictor) since(k controller.Key, uid types.UID, now time.Time) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.clock[k]
	if !ok || c.uid != uid {
		c = countdown{uid, now}
		e.clock[k] = c
	}
	return c.since
}

// forget tells whether there was a countdown.
func (e *evictor) forget(k controller.Key) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ok := e.clock[k]
	delete(e.clock, k)
	return ok
}
