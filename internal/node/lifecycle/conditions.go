package lifecycle

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// ours are the conditions that the node writes, in its order.
var ours = []corev1.PodConditionType{
	corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled,
}

// conditions are those of others as they are, then the node's own.
func (d *decision) conditions(s *corev1.PodStatus) []corev1.PodCondition {
	all := make([]corev1.PodCondition, 0, len(d.Pod.Status.Conditions)+len(ours))
	for _, c := range d.Pod.Status.Conditions {
		if !isOurs(c.Type) {
			all = append(all, c)
		}
	}
	others := all
	add := func(t corev1.PodConditionType, v verdict) {
		all = append(all, d.condition(t, v))
	}
	containers := d.containersReady(s)
	add(corev1.PodReadyToStartContainers, verdict{ok: d.Seen.Sandbox != nil && !d.plan.Finished})
	add(corev1.PodInitialized, d.initializedVerdict(s))
	add(corev1.PodReady, d.ready(containers, others))
	add(corev1.ContainersReady, containers)
	add(corev1.PodScheduled, verdict{ok: true})
	return all
}

func isOurs(t corev1.PodConditionType) bool {
	for _, o := range ours {
		if t == o {
			return true
		}
	}
	return false
}

// verdict is what a condition says.
type verdict struct {
	ok              bool
	reason, message string
}

// condition keeps the time of the last transition if the status did not change.
func (d *decision) condition(t corev1.PodConditionType, v verdict) corev1.PodCondition {
	c := corev1.PodCondition{
		Type: t, Status: corev1.ConditionFalse, Reason: v.reason, Message: v.message,
		ObservedGeneration: d.Pod.Generation, LastTransitionTime: *stamp(d.Now),
	}
	if v.ok {
		c.Status = corev1.ConditionTrue
	}
	for _, old := range d.Pod.Status.Conditions {
		if old.Type == t {
			c.LastProbeTime = old.LastProbeTime
			if old.Status == c.Status {
				c.LastTransitionTime = old.LastTransitionTime
			}
		}
	}
	return c
}

func (d *decision) initializedVerdict(s *corev1.PodStatus) verdict {
	switch {
	case s.Phase == corev1.PodSucceeded:
		return verdict{ok: true, reason: "PodCompleted"}
	case d.initialized(s):
		return verdict{ok: true}
	}
	return verdict{
		reason:  "ContainersNotInitialized",
		message: fmt.Sprintf("containers with incomplete status: %s", d.incomplete(s)),
	}
}

// incomplete are the init containers that have not done their part.
func (d *decision) incomplete(s *corev1.PodStatus) []string {
	var names []string
	for i := range s.InitContainerStatuses {
		c, status := &d.Pod.Spec.InitContainers[i], &s.InitContainerStatuses[i]
		done := status.Ready
		if isSidecar(c) {
			done = status.Started != nil && *status.Started
		}
		if !done {
			names = append(names, c.Name)
		}
	}
	return names
}

func (d *decision) containersReady(s *corev1.PodStatus) verdict {
	switch s.Phase {
	case corev1.PodSucceeded:
		return verdict{reason: "PodCompleted"}
	case corev1.PodFailed:
		return verdict{reason: "PodFailed"}
	}
	var unready []string
	for i := range s.InitContainerStatuses {
		if isSidecar(&d.Pod.Spec.InitContainers[i]) && !s.InitContainerStatuses[i].Ready {
			unready = append(unready, s.InitContainerStatuses[i].Name)
		}
	}
	for _, c := range s.ContainerStatuses {
		if !c.Ready {
			unready = append(unready, c.Name)
		}
	}
	if len(unready) == 0 {
		return verdict{ok: true}
	}
	return verdict{reason: "ContainersNotReady", message: fmt.Sprintf("containers with unready status: %s", unready)}
}

// ready is the containers' verdict, if it is not a good one, and then that of the readiness gates.
func (d *decision) ready(containers verdict, others []corev1.PodCondition) verdict {
	if !containers.ok {
		return containers
	}
	var missing []string
	for _, gate := range d.Pod.Spec.ReadinessGates {
		switch status, there := statusOf(others, gate.ConditionType); {
		case !there:
			missing = append(missing, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", gate.ConditionType))
		case status != corev1.ConditionTrue:
			missing = append(missing, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v", gate.ConditionType, status))
		}
	}
	if len(missing) > 0 {
		return verdict{reason: "ReadinessGatesNotReady", message: strings.Join(missing, ", ")}
	}
	return verdict{ok: true}
}

func statusOf(all []corev1.PodCondition, t corev1.PodConditionType) (corev1.ConditionStatus, bool) {
	for _, c := range all {
		if c.Type == t {
			return c.Status, true
		}
	}
	return "", false
}
