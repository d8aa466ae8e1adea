// Package lifecycle decides what happens to a pod on its node: a pure function from the pod, what there is
// of it, and the time, to what has to be done and to the status that the world shall see.
//
// A pod goes through three stages. It comes up: a sandbox, then the init containers one after the other,
// then all others, each restarted as its policy says. It ends, for one of the reasons in ending: containers
// are stopped, the sidecars after all others. It is finished when nothing runs any more; only then does it
// get a terminal phase, and only then is it deleted if that is what was asked for.
//
// Decide is called again after what it asked for was done, until it asks for nothing more. Every action
// changes what is seen so that it is not asked for twice.
package lifecycle

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/node/container"
)

// View is all that a decision depends on. Nothing of it is changed.
type View struct {
	Pod      *corev1.Pod
	Seen     container.Pod
	HostIP   string
	Rejected *Rejection         // why the node refused the pod; nil if it did not
	Backoff  map[string]Backoff // of containers that were restarted
	Now      time.Time
}

// Plan is a decision.
type Plan struct {
	CreateSandbox bool
	Start         []Start
	Stop          []Stop

	// Status is what the pod's status has to become, if there is nothing left to do above.
	Status corev1.PodStatus
	// Finished says that nothing of the pod runs any more, nor ever will.
	Finished bool
	// Delete says that the pod may go, after the status is written.
	Delete bool
	// Again is when time alone changes something; zero if it does not.
	Again time.Time
	// BackedOff are the containers that wait to be started again, and for how long each does.
	BackedOff map[string]time.Duration
	// DeadlineExceeded says that the pod ends because it was active for too long.
	DeadlineExceeded bool
}

// Start begins an attempt of a container.
type Start struct {
	Name    string
	Attempt int32
	Backoff Backoff // to be kept for the attempt's end; the zero value for a first attempt
}

// Stop ends a container.
type Stop struct {
	Name  string
	Grace time.Duration
}

// Acts tells whether there is something to do before the status is final.
func (p *Plan) Acts() bool { return p.CreateSandbox || len(p.Start) > 0 || len(p.Stop) > 0 }

// minimumGrace is what every container gets to end in good order.
const minimumGrace = 2 * time.Second

// decision is a Plan in the making.
type decision struct {
	View
	plan Plan
}

// Decide says what has to happen now.
func Decide(v View) Plan {
	d := &decision{View: v}
	switch {
	case v.Rejected != nil:
		d.plan.Finished = true
	case d.ending():
		d.stop()
		d.plan.Finished = !d.anyActive()
	default:
		d.comeUp()
	}
	d.plan.Delete = d.plan.Finished && MayDelete(v.Pod)
	d.plan.Status = d.status()
	return d.plan
}

// MayDelete tells whether a pod of which nothing runs has to be deleted by its node. One whose grace is zero
// is already; if it is still there, others have to let it go.
func MayDelete(p *corev1.Pod) bool {
	return p.DeletionTimestamp != nil && (p.DeletionGracePeriodSeconds == nil || *p.DeletionGracePeriodSeconds > 0)
}

// Terminal tells whether a pod has ended for good.
func Terminal(p *corev1.Pod) bool { return terminal(p.Status.Phase) }

func terminal(p corev1.PodPhase) bool { return p == corev1.PodSucceeded || p == corev1.PodFailed }

// ending tells whether the pod shall not run, or not any longer.
func (d *decision) ending() bool {
	if d.Pod.DeletionTimestamp != nil || Terminal(d.Pod) || d.completed() || d.initFailed() {
		d.plan.DeadlineExceeded = !Terminal(d.Pod) && d.pastDeadline()
		return true
	}
	d.plan.DeadlineExceeded = d.pastDeadline()
	return d.plan.DeadlineExceeded
}

// completed tells whether all containers that make the pod worth running have ended for good.
func (d *decision) completed() bool {
	for i := range d.Pod.Spec.Containers {
		c := &d.Pod.Spec.Containers[i]
		if s := d.Seen.Container(c.Name); s == nil || s.State != container.Exited || restarts(d.Pod, c, s.Exit.Code) {
			return false
		}
	}
	return true
}

// initFailed tells whether the pod cannot come up any more.
func (d *decision) initFailed() bool {
	for i := range d.Pod.Spec.InitContainers {
		c := &d.Pod.Spec.InitContainers[i]
		if isSidecar(c) {
			continue
		}
		s := d.Seen.Container(c.Name)
		if s != nil && s.State == container.Exited && s.Exit.Code != 0 && !restarts(d.Pod, c, s.Exit.Code) {
			return true
		}
	}
	return false
}

func (d *decision) anyActive() bool {
	for i := range d.Seen.Containers {
		if d.Seen.Containers[i].Active() {
			return true
		}
	}
	return false
}

// pastDeadline tells whether the pod was active for longer than it may be; one whose containers had all
// ended by then was not.
func (d *decision) pastDeadline() bool {
	if d.Pod.Spec.ActiveDeadlineSeconds == nil {
		return false
	}
	deadline := d.startTime().Add(time.Duration(*d.Pod.Spec.ActiveDeadlineSeconds) * time.Second)
	if d.Now.Before(deadline) {
		d.again(deadline)
		return false
	}
	return !d.completed() || d.lastExit().After(deadline)
}

func (d *decision) lastExit() (last time.Time) {
	for i := range d.Pod.Spec.Containers {
		if s := d.Seen.Container(d.Pod.Spec.Containers[i].Name); s != nil && s.Exit != nil && s.Exit.FinishedAt.After(last) {
			last = s.Exit.FinishedAt
		}
	}
	return last
}

// startTime is when the node took the pod up, which is now if it has not said so yet.
func (d *decision) startTime() time.Time {
	if t := d.Pod.Status.StartTime; !t.IsZero() {
		return t.Time
	}
	return d.Now.Truncate(time.Second)
}

// again asks to be called at a time, unless it asked for an earlier one.
func (d *decision) again(at time.Time) {
	if d.plan.Again.IsZero() || at.Before(d.plan.Again) {
		d.plan.Again = at
	}
}
