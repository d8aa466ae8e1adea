package lifecycle

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/node/container"
)

// containers are the statuses of containers, in the order of the spec.
func (d *decision) containers(specs []corev1.Container, old []corev1.ContainerStatus, init bool) []corev1.ContainerStatus {
	var all []corev1.ContainerStatus
	for i := range specs {
		c := &specs[i]
		seen := d.Seen.Container(c.Name)
		s := d.one(c, seen, find(old, c.Name))
		started, ready := d.probed(c, seen)
		if init && !isSidecar(c) {
			ready = seen != nil && seen.State == container.Exited && seen.Exit.Code == 0
		}
		s.Started, s.Ready = ptr.To(started), ready
		all = append(all, s)
	}
	return all
}

func (d *decision) ephemeral() []corev1.ContainerStatus {
	var all []corev1.ContainerStatus
	for i := range d.Pod.Spec.EphemeralContainers {
		c := corev1.Container(d.Pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		all = append(all, d.one(&c, d.Seen.Container(c.Name), find(d.Pod.Status.EphemeralContainerStatuses, c.Name)))
	}
	return all
}

// one is the status of a container but for what its sort decides.
func (d *decision) one(c *corev1.Container, seen *container.Status, old *corev1.ContainerStatus) corev1.ContainerStatus {
	if seen == nil {
		return d.unstarted(c, old)
	}
	s := corev1.ContainerStatus{
		Name: c.Name, Image: seen.Image, ImageID: seen.ImageID, ContainerID: seen.ID, RestartCount: seen.Attempt,
		AllocatedResources: c.Resources.Requests, Resources: &c.Resources, VolumeMounts: mounts(c),
	}
	if seen.Last != nil {
		s.LastTerminationState.Terminated = terminated(seen.Last)
	}
	delay, waits := d.plan.BackedOff[c.Name]
	switch {
	case waits:
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: d.backoffMessage(c.Name, delay)}
		s.LastTerminationState.Terminated = terminated(seen.Exit)
	case seen.State == container.Exited:
		s.State.Terminated = terminated(seen.Exit)
	case seen.State == container.Running:
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: *stamp(seen.StartedAt)}
	default:
		s.State.Waiting = d.waiting(seen)
		s.ContainerID = ""
	}
	return s
}

// unstarted is the status of a container that was not started yet. If the pod is finished it never will be,
// which counts as a failure, unless an init container's failure kept it from being started.
func (d *decision) unstarted(c *corev1.Container, old *corev1.ContainerStatus) corev1.ContainerStatus {
	if old != nil && old.State.Terminated != nil {
		return *old
	}
	s := corev1.ContainerStatus{Name: c.Name, Image: c.Image, VolumeMounts: mounts(c)}
	if d.plan.Finished && len(d.Pod.Spec.InitContainers) == 0 {
		s.State.Terminated = &corev1.ContainerStateTerminated{
			Reason: "ContainerStatusUnknown", ExitCode: 137,
			Message: "The container could not be located when the pod was terminated",
		}
		return s
	}
	s.State.Waiting = d.waiting(nil)
	return s
}

func (d *decision) waiting(seen *container.Status) *corev1.ContainerStateWaiting {
	switch {
	case seen != nil && seen.Reason != "":
		return &corev1.ContainerStateWaiting{Reason: seen.Reason, Message: seen.Message}
	case len(d.Pod.Spec.InitContainers) > 0:
		return &corev1.ContainerStateWaiting{Reason: "PodInitializing"}
	}
	return &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
}

func (d *decision) backoffMessage(name string, delay time.Duration) string {
	return fmt.Sprintf("back-off %s restarting failed container=%s pod=%s", delay, name, Describe(d.Pod))
}

// Describe names a pod as messages do.
func Describe(p *corev1.Pod) string { return fmt.Sprintf("%s_%s(%s)", p.Name, p.Namespace, p.UID) }

func terminated(e *container.Exit) *corev1.ContainerStateTerminated {
	return &corev1.ContainerStateTerminated{
		ExitCode: e.Code, Reason: e.Reason, Message: e.Message, ContainerID: e.ID,
		StartedAt: stampOrZero(e.StartedAt), FinishedAt: stampOrZero(e.FinishedAt),
	}
}

func stampOrZero(t time.Time) metav1.Time {
	if t.IsZero() {
		return metav1.Time{}
	}
	return *stamp(t)
}

func mounts(c *corev1.Container) []corev1.VolumeMountStatus {
	var all []corev1.VolumeMountStatus
	for _, m := range c.VolumeMounts {
		s := corev1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
		if m.ReadOnly {
			s.RecursiveReadOnly = ptr.To(corev1.RecursiveReadOnlyDisabled)
			if r := m.RecursiveReadOnly; r != nil && *r != corev1.RecursiveReadOnlyDisabled {
				s.RecursiveReadOnly = ptr.To(corev1.RecursiveReadOnlyEnabled)
			}
		}
		all = append(all, s)
	}
	return all
}

func find(all []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}
