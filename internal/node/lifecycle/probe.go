package lifecycle

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/node/container"
)

// probed tells whether a container counts as started and as ready. Probes are taken to pass when their
// initial delay is over, readiness not before startup.
func (d *decision) probed(c *corev1.Container, s *container.Status) (started, ready bool) {
	if s == nil || s.State != container.Running {
		return false, false
	}
	if started = d.passed(c.StartupProbe, s.StartedAt); !started {
		return false, false
	}
	return true, d.passed(c.ReadinessProbe, s.StartedAt)
}

func (d *decision) passed(p *corev1.Probe, since time.Time) bool {
	if p == nil {
		return true
	}
	at := since.Add(time.Duration(p.InitialDelaySeconds) * time.Second)
	if d.Now.Before(at) {
		d.again(at)
		return false
	}
	return true
}
