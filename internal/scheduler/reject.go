package scheduler

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/scheduler/cluster"
	"github.com/proa-dev/proa/internal/scheduler/framework"
)

// maxEventMessage is how long the message of an event may be.
const maxEventMessage = 1024

// reject says why a pod does not run, and makes room for it if that was decided.
func (s *Scheduler) reject(ctx context.Context, a *attempt, pod *corev1.Pod, nominated string) {
	s.metrics.attempted(unschedulable, time.Since(a.began))
	s.report(ctx, pod, corev1.PodReasonUnschedulable, a.decision.Message, nominated)
	if p := a.decision.Preemption; p != nil && p.Node != "" {
		s.preempt(ctx, a.decision.Pod, p)
	}
}

// report tells users, in an event and in the pod's status, why it has no node.
func (s *Scheduler) report(ctx context.Context, pod *corev1.Pod, reason, message, nominated string) {
	s.events.Event(pod, corev1.EventTypeWarning, "FailedScheduling", shortened(message))
	c := corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: reason, Message: message,
		ObservedGeneration: pod.Generation,
	}
	if err := s.patchStatus(ctx, pod, c, nominated); err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
		s.log.Warn("The status of a pod could not be written", "pod", pod.Namespace+"/"+pod.Name, "err", err)
	}
}

func shortened(message string) string {
	const suffix = " ..."
	if len(message) <= maxEventMessage {
		return message
	}
	return message[:maxEventMessage-len(suffix)] + suffix
}

// patchStatus sets a condition and the nomination of a pod, if that changes anything.
func (s *Scheduler) patchStatus(ctx context.Context, pod *corev1.Pod, c corev1.PodCondition, nominated string) error {
	status := map[string]any{}
	if settle(&c, pod.Status.Conditions) {
		status["conditions"] = []corev1.PodCondition{c}
	}
	if nominated != pod.Status.NominatedNodeName {
		status["nominatedNodeName"] = nominated
		if nominated == "" {
			status["nominatedNodeName"] = nil
		}
	}
	if len(status) == 0 {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
	if err != nil {
		return err
	}
	_, err = client.Pods.Patch(ctx, s.client, pod.Namespace, pod.Name, types.StrategicMergePatchType, patch, "status")
	return err
}

// settle gives a condition its time, and tells if it differs from the one that is there.
func settle(c *corev1.PodCondition, conditions []corev1.PodCondition) (differs bool) {
	c.LastTransitionTime = metav1.Now()
	for i := range conditions {
		if old := &conditions[i]; old.Type == c.Type {
			if old.Status == c.Status {
				c.LastTransitionTime = old.LastTransitionTime
			}
			return old.Status != c.Status || old.Reason != c.Reason || old.Message != c.Message ||
				old.ObservedGeneration != c.ObservedGeneration
		}
	}
	return true
}

// preempt removes the victims of a pod. Those that were to go to the same node and rank lower look for another one.
func (s *Scheduler) preempt(ctx context.Context, p *cluster.Pod, how *framework.Preemption) {
	s.metrics.preempted(len(how.Victims))
	for _, other := range s.displaced(how.Node, p.Priority()) {
		if err := s.clearNomination(ctx, other); err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
			s.log.Warn("A nomination could not be taken back", "pod", other.Namespace+"/"+other.Name, "err", err)
		}
	}
	for _, v := range how.Victims {
		if v.DeletionTimestamp != nil {
			continue
		}
		if err := s.evict(ctx, p, v, how.Node); err != nil && ctx.Err() == nil {
			s.log.Warn("A pod could not be preempted", "pod", v.Namespace+"/"+v.Name, "for", p.Namespace+"/"+p.Name, "err", err)
			s.retry(p)
			return
		}
	}
}

// evict removes a victim, saying why.
func (s *Scheduler) evict(ctx context.Context, p, v *cluster.Pod, node string) error {
	err := s.patchStatus(ctx, v.Pod, corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonPreemptionByScheduler,
		Message: s.name + ": preempting to accommodate a higher priority pod", ObservedGeneration: v.Generation,
	}, v.Status.NominatedNodeName)
	if err == nil {
		err = client.Pods.Delete(ctx, s.client, v.Namespace, v.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &v.UID},
		})
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	s.events.Event(v.Pod, corev1.EventTypeNormal, "Preempted", fmt.Sprintf("Preempted by pod %s on node %s", p.UID, node))
	return nil
}

// displaced takes back the nominations to a node of pods with a lower priority.
func (s *Scheduler) displaced(node string, priority int32) []*corev1.Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*corev1.Pod
	for _, other := range s.framework.Below(node, priority) {
		s.framework.Unnominate(other.UID)
		all = append(all, other.Pod)
	}
	return all
}

func (s *Scheduler) clearNomination(ctx context.Context, pod *corev1.Pod) error {
	patch := fmt.Sprintf(`{"metadata":{"uid":%q},"status":{"nominatedNodeName":null}}`, pod.UID)
	_, err := client.Pods.Patch(ctx, s.client, pod.Namespace, pod.Name, types.StrategicMergePatchType, []byte(patch), "status")
	return err
}

// retry makes a pod active whose victims are not gone and will not go by themselves.
func (s *Scheduler) retry(p *cluster.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.framework.Unnominate(p.UID)
	s.queue.Activate(p.UID, time.Now())
	s.nudge()
}
