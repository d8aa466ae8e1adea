package lifecycle

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/node/container"
)

// What the world is told of a pod that was active for too long.
const (
	ReasonDeadlineExceeded  = "DeadlineExceeded"
	MessageDeadlineExceeded = "Pod was active on the node longer than the specified deadline"
)

// status is the pod's status as it has to be. What others write is kept, and shared with the pod.
func (d *decision) status() corev1.PodStatus {
	old := &d.Pod.Status
	s := *old
	s.ObservedGeneration = max(old.ObservedGeneration, d.Pod.Generation)
	if s.StartTime.IsZero() {
		s.StartTime = stamp(d.Now)
	}
	if d.Rejected != nil {
		s.Phase, s.Reason, s.Message = corev1.PodFailed, d.Rejected.Reason, "Pod was rejected: "+d.Rejected.Message
		return s
	}
	d.addresses(&s)
	if !Terminal(d.Pod) || len(d.Seen.Containers) > 0 {
		s.InitContainerStatuses = d.containers(d.Pod.Spec.InitContainers, old.InitContainerStatuses, true)
		s.ContainerStatuses = d.containers(d.Pod.Spec.Containers, old.ContainerStatuses, false)
		s.EphemeralContainerStatuses = d.ephemeral()
	}
	d.phase(&s)
	s.Conditions = d.conditions(&s)
	return s
}

// addresses stay when the sandbox is gone.
func (d *decision) addresses(s *corev1.PodStatus) {
	s.HostIP, s.HostIPs = d.HostIP, []corev1.HostIP{{IP: d.HostIP}}
	var ips []string
	switch {
	case d.Pod.Spec.HostNetwork:
		ips = []string{d.HostIP}
	case d.Seen.Sandbox != nil:
		ips = d.Seen.Sandbox.IPs
	}
	if len(ips) == 0 {
		return
	}
	s.PodIP, s.PodIPs = ips[0], nil
	for _, ip := range ips {
		s.PodIPs = append(s.PodIPs, corev1.PodIP{IP: ip})
	}
}

// phase follows from the containers, and is terminal only when nothing runs any more.
func (d *decision) phase(s *corev1.PodStatus) {
	phase, reason, message := d.naturalPhase(s), "", ""
	switch {
	case Terminal(d.Pod):
		return
	case !d.plan.Finished && terminal(phase):
		if phase = d.Pod.Status.Phase; d.anyRegularStarted() {
			phase = corev1.PodRunning
		}
	case d.plan.Finished && d.plan.DeadlineExceeded:
		phase, reason, message = corev1.PodFailed, ReasonDeadlineExceeded, MessageDeadlineExceeded
	case d.plan.Finished && !terminal(phase):
		phase = corev1.PodFailed
	}
	if phase != s.Phase || reason != "" {
		s.Phase, s.Reason, s.Message = phase, reason, message
	}
}

// naturalPhase is what the containers make of the pod.
func (d *decision) naturalPhase(s *corev1.PodStatus) corev1.PodPhase {
	switch {
	case d.initFailed():
		return corev1.PodFailed
	case !d.initialized(s):
		return corev1.PodPending
	}
	waiting, ended, failed := false, true, false
	for i := range d.Pod.Spec.Containers {
		c := &d.Pod.Spec.Containers[i]
		switch seen := d.Seen.Container(c.Name); {
		case seen == nil, seen.State == container.Starting && seen.Last == nil:
			waiting, ended = true, false
		case seen.State != container.Exited, !d.plan.Finished && restarts(d.Pod, c, seen.Exit.Code):
			ended = false
		default:
			failed = failed || seen.Exit.Code != 0
		}
	}
	switch {
	case waiting:
		return corev1.PodPending
	case !ended:
		return corev1.PodRunning
	case failed:
		return corev1.PodFailed
	}
	return corev1.PodSucceeded
}

// initialized tells whether all init containers have done their part, or had done it once.
func (d *decision) initialized(s *corev1.PodStatus) bool {
	return d.anyRegularStarted() || len(d.incomplete(s)) == 0
}

// stamp is a time as it comes back from the API.
func stamp(t time.Time) *metav1.Time {
	at := metav1.NewTime(t.Truncate(time.Second))
	return &at
}
