package scheduler

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/scheduler/framework"
	"github.com/proa-dev/proa/internal/scheduler/queue"
)

// attempt is one pod's turn.
type attempt struct {
	item     *queue.Item
	began    time.Time
	decision framework.Decision
}

// scheduleOne decides on the next pod, and is false if there is none.
func (s *Scheduler) scheduleOne(ctx context.Context) bool {
	a, follow := s.decide()
	if a == nil {
		return false
	}
	if follow != nil {
		s.do(ctx, func() { follow(ctx, a) })
	}
	return true
}

// decide takes the next pod and decides on it, all under the lock, and returns what is to be done about it.
func (s *Scheduler) decide() (a *attempt, follow func(context.Context, *attempt)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	i := s.queue.Take(now)
	if i == nil {
		return nil, nil
	}
	a = &attempt{item: i, began: now}
	pod := i.Pod
	if pod.DeletionTimestamp != nil {
		return a, func(context.Context, *attempt) {
			s.events.Event(pod, corev1.EventTypeWarning, "FailedScheduling",
				fmt.Sprintf("skip schedule deleting pod: %s/%s", pod.Namespace, pod.Name))
		}
	}
	s.lap = now
	a.decision = s.framework.Decide(pod)
	if a.decision.Node != "" {
		s.cluster.Assume(a.decision.Pod, a.decision.Node)
		s.framework.Unnominate(pod.UID)
		return a, s.bind
	}
	nominated := s.framework.Nominated(pod.UID)
	if p := a.decision.Preemption; p != nil && !p.Keep {
		nominated = p.Node
		s.framework.Nominate(a.decision.Pod, nominated)
		s.framework.Await(pod.UID, p.Victims)
	}
	s.queue.Reject(i, a.decision.By, now)
	return a, func(ctx context.Context, a *attempt) { s.reject(ctx, a, pod, nominated) }
}

// reached takes the time of a part of a decision.
func (s *Scheduler) reached(p framework.Point, status framework.Status) {
	now := time.Now()
	s.metrics.passed(p, status, now.Sub(s.lap))
	s.lap = now
}

// bind tells the API where a pod goes.
func (s *Scheduler) bind(ctx context.Context, a *attempt) {
	pod, node, began := a.item.Pod, a.decision.Node, time.Now()
	_, err := s.client.Do(ctx, &client.Request{
		Verb: "create", Resource: client.Pods.Resource, Namespace: pod.Namespace, Name: pod.Name, Subresource: "binding",
		Object: &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
			Target:     corev1.ObjectReference{Kind: "Node", Name: node},
		},
		New: func() client.Object { return &corev1.Pod{} },
	})
	if err != nil {
		s.metrics.passed(framework.Bind, framework.Error, time.Since(began))
		s.unbind(ctx, a, err)
		return
	}
	s.metrics.passed(framework.Bind, framework.Success, time.Since(began))
	s.metrics.attempted(scheduled, time.Since(a.began))
	s.metrics.bound(a.item.Attempts)
	s.events.Event(pod, corev1.EventTypeNormal, "Scheduled",
		fmt.Sprintf("Successfully assigned %s/%s to %s", pod.Namespace, pod.Name, node))
}

// unbind takes back what was assumed of a pod that could not be bound, and puts it back into the queue, if it
// still is what it was.
func (s *Scheduler) unbind(ctx context.Context, a *attempt, err error) {
	if ctx.Err() != nil {
		return
	}
	s.metrics.attempted(failed, time.Since(a.began))
	pod := a.item.Pod
	s.log.Warn("A pod could not be bound", "pod", pod.Namespace+"/"+pod.Name, "node", a.decision.Node, "err", err)
	s.mu.Lock()
	s.takeBack(a)
	live, ok := s.pods.Get(pod.Namespace, pod.Name)
	ok = ok && live.UID == pod.UID && live.Spec.NodeName == "" && s.queue.Get(pod.UID) == nil
	if ok {
		a.item.Pod = live
		s.queue.Fail(a.item, time.Now())
	}
	s.mu.Unlock()
	s.nudge()
	if ok {
		s.report(ctx, live, corev1.PodReasonSchedulerError, fmt.Sprintf("running Bind plugin %q: %v", "DefaultBinder", err), "")
	}
}

// takeBack frees the place of a pod that does not come, for which others may have waited.
func (s *Scheduler) takeBack(a *attempt) {
	if s.cluster.Forget(a.item.Pod.UID) != nil {
		s.wakeFor(&framework.Event{OldPod: a.item.Pod})
	}
}
