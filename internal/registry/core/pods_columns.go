package core

import (
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/registry"
)

func podColumns() []registry.Column[corev1.Pod] {
	spec, status := corev1.PodSpec{}.SwaggerDoc(), corev1.PodStatus{}.SwaggerDoc()
	return []registry.Column[corev1.Pod]{
		{
			Name: "Ready", Description: "The aggregate readiness state of this pod for accepting traffic.",
			Value: func(p *corev1.Pod) any {
				s := summarizePod(p)
				return fmt.Sprintf("%d/%d", s.ready, s.containers)
			},
		},
		{
			Name: "Status", Description: "The aggregate status of the containers in this pod.",
			Value: func(p *corev1.Pod) any { return summarizePod(p).reason },
		},
		{
			Name:        "Restarts",
			Description: "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
			Value:       func(p *corev1.Pod) any { return summarizePod(p).restarts.String() },
		},
		registry.Age[corev1.Pod](),
		{Name: "IP", Wide: true, Description: status["podIP"], Value: func(p *corev1.Pod) any { return orNone(podIP(p)) }},
		{Name: "Node", Wide: true, Description: spec["nodeName"], Value: func(p *corev1.Pod) any { return orNone(p.Spec.NodeName) }},
		{Name: "Nominated Node", Wide: true, Description: status["nominatedNodeName"], Value: func(p *corev1.Pod) any { return orNone(p.Status.NominatedNodeName) }},
		{Name: "Readiness Gates", Wide: true, Description: spec["readinessGates"], Value: func(p *corev1.Pod) any { return readinessGates(p) }},
	}
}

func orNone(s string) string {
	if s == "" {
		return "<none>"
	}
	return s
}

func readinessGates(p *corev1.Pod) string {
	if len(p.Spec.ReadinessGates) == 0 {
		return "<none>"
	}
	open := 0
	for _, g := range p.Spec.ReadinessGates {
		if podConditionTrue(p, g.ConditionType) {
			open++
		}
	}
	return fmt.Sprintf("%d/%d", open, len(p.Spec.ReadinessGates))
}

// podConditionTrue looks at the first condition of the type.
func podConditionTrue(p *corev1.Pod, t corev1.PodConditionType) bool {
	i := slices.IndexFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == t })
	return i >= 0 && p.Status.Conditions[i].Status == corev1.ConditionTrue
}

// podRestarts counts restarts and knows the last one.
type podRestarts struct {
	count int
	last  metav1.Time
}

func (r *podRestarts) add(s *corev1.ContainerStatus) {
	r.count += int(s.RestartCount)
	if t := s.LastTerminationState.Terminated; t != nil && r.last.Before(&t.FinishedAt) {
		r.last = t.FinishedAt
	}
}

func (r podRestarts) String() string {
	if r.count == 0 || r.last.IsZero() {
		return strconv.Itoa(r.count)
	}
	return fmt.Sprintf("%d (%s ago)", r.count, registry.Since(r.last))
}

// podSummary is a pod in a word, and two numbers.
type podSummary struct {
	ready, containers int
	reason            string
	restarts          podRestarts
}

// summarizePod tells what a person wants to know of a pod: the first init container that holds it up, or else
// the worst that its containers are in, or else its phase; and above all whether it is going.
func summarizePod(p *corev1.Pod) podSummary {
	s := podSummary{containers: len(p.Spec.Containers), reason: string(p.Status.Phase)}
	for i := range p.Spec.InitContainers {
		if isSidecar(&p.Spec.InitContainers[i]) {
			s.containers++
		}
	}
	if p.Status.Reason != "" {
		s.reason = p.Status.Reason
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonSchedulingGated {
			s.reason = corev1.PodReasonSchedulingGated
		}
	}
	sidecars, initializing := s.summarizeInit(p)
	if !initializing || podConditionTrue(p, corev1.PodInitialized) {
		s.restarts = sidecars
		s.summarizeContainers(p)
	}
	switch {
	case p.DeletionTimestamp == nil:
	case p.Status.Reason == nodeLost:
		s.reason = "Unknown"
	case !podEnded(p):
		s.reason = "Terminating"
	}
	return s
}

// nodeLost is the reason of pods whose node does not answer.
const nodeLost = "NodeLost"

// summarizeInit looks for the init container that the pod waits for. It returns the restarts of sidecars,
// which alone count once the pod is through.
func (s *podSummary) summarizeInit(p *corev1.Pod) (sidecars podRestarts, initializing bool) {
	for i := range p.Status.InitContainerStatuses {
		c := &p.Status.InitContainerStatuses[i]
		s.restarts.add(c)
		j := slices.IndexFunc(p.Spec.InitContainers, func(o corev1.Container) bool { return o.Name == c.Name })
		sidecar := j >= 0 && isSidecar(&p.Spec.InitContainers[j])
		if sidecar {
			sidecars.add(c)
		}
		ended, waiting := c.State.Terminated, c.State.Waiting
		switch {
		case ended != nil && ended.ExitCode == 0:
			continue
		case sidecar && c.Started != nil && *c.Started:
			if c.Ready {
				s.ready++
			}
			continue
		case ended != nil:
			s.reason = "Init:" + endReason(ended)
		case waiting != nil && waiting.Reason != "" && waiting.Reason != "PodInitializing":
			s.reason = "Init:" + waiting.Reason
		default:
			s.reason = fmt.Sprintf("Init:%d/%d", i, len(p.Spec.InitContainers))
		}
		return sidecars, true
	}
	return sidecars, false
}

// endReason is why a container ended, in a word.
func endReason(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	}
	return fmt.Sprintf("ExitCode:%d", t.ExitCode)
}

// summarizeContainers goes through the containers from the last to the first, so that the first has the last
// word. A pod that goes on after some of its containers have completed is not completed.
func (s *podSummary) summarizeContainers(p *corev1.Pod) {
	running, failure := false, ""
	for i := len(p.Status.ContainerStatuses) - 1; i >= 0; i-- {
		c := &p.Status.ContainerStatuses[i]
		s.restarts.add(c)
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "":
			s.reason = c.State.Waiting.Reason
		case c.State.Terminated != nil:
			s.reason = endReason(c.State.Terminated)
			if c.State.Terminated.ExitCode != 0 {
				failure = s.reason
			}
		case c.Ready && c.State.Running != nil:
			running = true
			s.ready++
		}
	}
	switch {
	case s.reason != "Completed":
	case running && anyReady(p):
		s.reason = string(corev1.PodRunning)
	case failure != "":
		s.reason = failure
	case running:
		s.reason = "NotReady"
	}
}

func anyReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
