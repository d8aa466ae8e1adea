package lifecycle

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/node/container"
)

// comeUp starts what is due to be started.
func (d *decision) comeUp() {
	if d.Seen.Sandbox == nil {
		d.plan.CreateSandbox = true
		return
	}
	if !d.initialize() {
		return
	}
	for i := range d.Pod.Spec.Containers {
		d.keepRunning(&d.Pod.Spec.Containers[i])
	}
	for i := range d.Pod.Spec.EphemeralContainers {
		if name := d.Pod.Spec.EphemeralContainers[i].Name; d.Seen.Container(name) == nil {
			d.plan.Start = append(d.plan.Start, Start{Name: name})
		}
	}
}

// initialize goes through the init containers as far as it can, and tells whether the others may run. Once
// one of these has started, the pod stays initialized, and its sidecars are only kept running.
func (d *decision) initialize() bool {
	done := d.anyRegularStarted()
	for i := range d.Pod.Spec.InitContainers {
		c := &d.Pod.Spec.InitContainers[i]
		s := d.Seen.Container(c.Name)
		switch {
		case isSidecar(c):
			d.keepRunning(c)
			if started, _ := d.probed(c, s); !started && !done {
				return false
			}
		case done || s != nil && s.State == container.Exited && s.Exit.Code == 0:
		default:
			d.keepRunning(c)
			return false
		}
	}
	return true
}

func (d *decision) anyRegularStarted() bool {
	for i := range d.Pod.Spec.Containers {
		if d.Seen.Container(d.Pod.Spec.Containers[i].Name) != nil {
			return true
		}
	}
	return false
}

// keepRunning starts a container for the first time, or again if its policy wants that and the time has come.
func (d *decision) keepRunning(c *corev1.Container) {
	s := d.Seen.Container(c.Name)
	if s == nil {
		d.plan.Start = append(d.plan.Start, Start{Name: c.Name})
		return
	}
	if s.State != container.Exited || !restarts(d.Pod, c, s.Exit.Code) {
		return
	}
	b := d.Backoff[c.Name]
	if at := b.due(s.Exit.FinishedAt); d.Now.Before(at) {
		if d.plan.BackedOff == nil {
			d.plan.BackedOff = map[string]time.Duration{}
		}
		d.plan.BackedOff[c.Name] = b.Delay
		d.again(at)
		return
	}
	d.plan.Start = append(d.plan.Start, Start{
		Name: c.Name, Attempt: s.Attempt + 1, Backoff: b.next(s.Exit.FinishedAt, d.Now),
	})
}
