package simulated

import (
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/node/container"
)

// adopt takes up a pod that ran here before the runtime was made; nil if the status does not say that one
// did. What would have ended meanwhile has ended when it would have.
func (r *Runtime) adopt(p *corev1.Pod) *sandbox {
	ip, _ := netip.ParseAddr(p.Status.PodIP)
	s := newSandbox(p)
	if !p.Spec.HostNetwork {
		s.ip = ip
	}
	now := time.Now()
	for _, list := range [][]corev1.ContainerStatus{
		p.Status.InitContainerStatuses, p.Status.ContainerStatuses, p.Status.EphemeralContainerStatuses,
	} {
		for i := range list {
			if c := r.resume(p, &list[i]); c != nil {
				s.containers = append(s.containers, c)
			}
		}
	}
	if len(s.containers) == 0 && !s.ip.IsValid() {
		return nil
	}
	r.addresses.hold(s.ip)
	r.pods[p.UID] = s
	for _, c := range s.containers {
		r.arm(s, c, now)
	}
	return s
}

// resume makes an attempt of what the status says of a container; nil if it was never started here.
func (r *Runtime) resume(p *corev1.Pod, s *corev1.ContainerStatus) *instance {
	ended := s.State.Terminated
	if ended == nil && s.State.Running == nil {
		ended = s.LastTerminationState.Terminated // it waits to be started again
	}
	if !strings.HasPrefix(s.ContainerID, idPrefix) && (ended == nil || !strings.HasPrefix(ended.ContainerID, idPrefix)) {
		return nil
	}
	c := newInstance(p, s.Name, s.RestartCount)
	if ended != nil {
		c.startsAt, c.endsAt, c.exitCode = ended.StartedAt.Time, ended.FinishedAt.Time, ended.ExitCode
		return c
	}
	c.startsAt = s.State.Running.StartedAt.Time
	if t := s.LastTerminationState.Terminated; t != nil {
		c.last = &container.Exit{
			ID: t.ContainerID, Code: t.ExitCode, Reason: t.Reason, Message: t.Message,
			StartedAt: t.StartedAt.Time, FinishedAt: t.FinishedAt.Time,
		}
	}
	// An annotation that cannot be understood kept the container from being started, so this one can.
	if b, err := behaviourOf(p, s.Name, r.options); err == nil && b.runFor != forever {
		c.endsAt, c.exitCode = c.startsAt.Add(b.runFor), b.exitCode
	}
	return c
}
