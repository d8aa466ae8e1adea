package scheduler

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/informer"
	"github.com/proa-dev/proa/internal/scheduler/cluster"
	"github.com/proa-dev/proa/internal/scheduler/framework"
	"github.com/proa-dev/proa/internal/scheduler/queue"
)

// handle adds the handlers. They are level-based where it matters: what is known of a pod before does not count, but
// what the cluster and the queue hold of it.
func (s *Scheduler) handle(set *informer.Set, o *owners) {
	s.pods.Handle(informer.Handler[corev1.Pod]{
		Add:    func(p *corev1.Pod, _ bool) { s.locked(func() { s.setPod(p) }) },
		Update: func(_, p *corev1.Pod) { s.locked(func() { s.setPod(p) }) },
		Delete: func(p *corev1.Pod) { s.locked(func() { s.removePod(p) }) },
	})
	nodes := informer.For(set, client.Nodes)
	nodes.Handle(informer.Handler[corev1.Node]{
		Add:    func(n *corev1.Node, _ bool) { s.locked(func() { s.setNode(nil, n) }) },
		Update: func(old, n *corev1.Node) { s.locked(func() { s.setNode(old, n) }) },
		Delete: func(n *corev1.Node) { s.locked(func() { s.removeNode(n) }) },
	})
	namespaces := informer.For(set, client.Namespaces)
	namespaces.Handle(informer.Handler[corev1.Namespace]{
		Add:    func(n *corev1.Namespace, _ bool) { s.locked(func() { s.setNamespace(n) }) },
		Update: func(_, n *corev1.Namespace) { s.locked(func() { s.setNamespace(n) }) },
		Delete: func(n *corev1.Namespace) {
			s.locked(func() { s.cluster.RemoveNamespace(n.Name); s.framework.ForgetAll() })
		},
	})
	o.handle(func(namespace string) { s.locked(func() { s.framework.Forget(namespace) }) })
	s.needs = append(s.needs, nodes, namespaces)
}

func (s *Scheduler) locked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.signal()
}

// setPod takes note of how a pod is now.
func (s *Scheduler) setPod(p *corev1.Pod) {
	switch {
	case isOver(p):
		s.removePod(p)
	case p.Spec.NodeName != "":
		s.setAssigned(p)
	case !s.isOurs(p):
	case s.cluster.Has(p.UID):
		if p.DeletionTimestamp != nil && s.cluster.IsAssumed(p.UID) {
			s.leave(p)
		}
	default:
		s.nominate(p)
		s.queue.Put(p, time.Now(), s.wakesItself)
	}
}

func (s *Scheduler) setAssigned(p *corev1.Pod) {
	e := framework.Event{OldPod: s.cluster.Pod(p.UID), NewPod: p}
	assumed := s.cluster.IsAssumed(p.UID)
	s.cluster.SetPod(p)
	s.queue.Remove(p.UID)
	s.framework.Unnominate(p.UID)
	if assumed {
		e.OldPod = nil
	}
	if e.OldPod == nil || changed(e.OldPod, p) {
		s.wakeFor(&e)
	}
}

// removePod takes note that a pod is gone, or will never run again.
func (s *Scheduler) removePod(p *corev1.Pod) {
	s.queue.Remove(p.UID)
	if s.cluster.Has(p.UID) || s.framework.Nominated(p.UID) != "" {
		s.leave(p)
	}
}

// leave takes a pod off its node, or takes back that it was to have one.
func (s *Scheduler) leave(p *corev1.Pod) {
	s.cluster.RemovePod(p.UID)
	s.framework.Unnominate(p.UID)
	s.wakeFor(&framework.Event{OldPod: p})
}

func (s *Scheduler) setNode(old, n *corev1.Node) {
	s.cluster.SetNode(n)
	s.wakeFor(&framework.Event{OldNode: old, NewNode: n})
}

func (s *Scheduler) removeNode(n *corev1.Node) {
	s.cluster.RemoveNode(n.Name)
	s.wakeFor(&framework.Event{OldNode: n})
}

func (s *Scheduler) setNamespace(n *corev1.Namespace) {
	if s.cluster.SetNamespace(n.Name, n.Labels) {
		s.framework.ForgetAll()
	}
}

// wakeFor wakes the pods that an event may help.
func (s *Scheduler) wakeFor(e *framework.Event) {
	s.queue.Wake(time.Now(), e.Label, func(i *queue.Item) bool { return s.framework.Wakes(i.Pod, i.By, e) })
}

// wakesItself tells if a change of a pod that waits may help it.
func (s *Scheduler) wakesItself(i *queue.Item, old *corev1.Pod) bool {
	return changed(old, i.Pod) && s.framework.Wakes(i.Pod, i.By, &framework.Event{OldPod: old, NewPod: i.Pod, Own: true})
}

// nominate follows the nomination that a pod's status has: others may have set it, or taken it away.
func (s *Scheduler) nominate(p *corev1.Pod) {
	was, node := "", p.Status.NominatedNodeName
	if i := s.queue.Get(p.UID); i != nil {
		was = i.Pod.Status.NominatedNodeName
	}
	if node != was && node != s.framework.Nominated(p.UID) {
		s.framework.Nominate(cluster.NewPod(p), node)
	}
}

// changed tells if a pod changed in anything that matters to any pod. Most changes are of its status.
func changed(old, p *corev1.Pod) bool {
	return old.Generation != p.Generation || !maps.Equal(old.Labels, p.Labels) ||
		(old.DeletionTimestamp == nil) != (p.DeletionTimestamp == nil) ||
		len(old.Spec.Tolerations) != len(p.Spec.Tolerations) ||
		slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool { return c.Resources != nil })
}

func (s *Scheduler) isOurs(p *corev1.Pod) bool { return p.Spec.SchedulerName == s.name }

// isOver tells if a pod uses nothing of its node any more.
func isOver(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}
