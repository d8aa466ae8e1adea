package node

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/node/lifecycle"
)

// Of what a kubelet tells of a pod in good health (Pulled, Created, Started), only Started is told: an event
// is a write, and for a simulated container all three happen at once.

func (a *Agent) podEvent(p *corev1.Pod, eventType, reason, message string) {
	a.options.Events.EventFor(client.ReferenceTo(p), eventType, reason, message)
}

func (a *Agent) containerEvent(p *corev1.Pod, name, eventType, reason, message string) {
	about := client.ReferenceTo(p)
	about.FieldPath = fieldPath(p, name)
	a.options.Events.EventFor(about, eventType, reason, message)
}

// tell reports what is decided but not done: that containers wait, and that the deadline is over.
func (a *Agent) tell(p *corev1.Pod, r *record, plan *lifecycle.Plan) {
	for name := range plan.BackedOff {
		restarted := r.backoff[name].Since
		if r.told[name].Equal(restarted) {
			continue
		}
		if r.told == nil {
			r.told = map[string]time.Time{}
		}
		r.told[name] = restarted
		a.containerEvent(p, name, corev1.EventTypeWarning, "BackOff",
			fmt.Sprintf("Back-off restarting failed container %s in pod %s", name, lifecycle.Describe(p)))
	}
	if plan.DeadlineExceeded && plan.Finished {
		a.podEvent(p, corev1.EventTypeNormal, lifecycle.ReasonDeadlineExceeded, lifecycle.MessageDeadlineExceeded)
	}
}

// fieldPath is where in a pod a container is, as events say it.
func fieldPath(p *corev1.Pod, name string) string {
	list := "ephemeralContainers"
	for i := range p.Spec.Containers {
		if p.Spec.Containers[i].Name == name {
			list = "containers"
		}
	}
	for i := range p.Spec.InitContainers {
		if p.Spec.InitContainers[i].Name == name {
			list = "initContainers"
		}
	}
	return fmt.Sprintf("spec.%s{%s}", list, name)
}
