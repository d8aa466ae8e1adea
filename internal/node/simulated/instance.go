package simulated

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/node/container"
)

// instance is one attempt to run a container. Guarded by the runtime's lock.
type instance struct {
	name, id, image, imageID string
	attempt                  int32
	startsAt                 time.Time
	endsAt                   time.Time // zero is never
	stopBy                   time.Time // zero until it is told to stop
	exitCode                 int32     // with which it ends at endsAt
	last                     *container.Exit
	timer                    *time.Timer // for the next change; nil if there is none to come
}

func newInstance(p *corev1.Pod, name string, attempt int32) *instance {
	image := imageOf(p, name)
	return &instance{
		name: name, id: idPrefix + idOf(p.UID, name, attempt), image: image, imageID: imageID(image), attempt: attempt,
	}
}

func (c *instance) status(now time.Time) container.Status {
	s := container.Status{
		Name: c.name, ID: c.id, Image: c.image, ImageID: c.imageID, Attempt: c.attempt, StopBy: c.stopBy, Last: c.last,
	}
	switch {
	case !c.endsAt.IsZero() && !now.Before(c.endsAt):
		s.State, s.StartedAt = container.Exited, c.startsAt
		s.Exit = &container.Exit{
			ID: c.id, Code: c.exitCode, Reason: "Completed", StartedAt: c.startsAt, FinishedAt: c.endsAt,
		}
		if c.exitCode != 0 {
			s.Exit.Reason = "Error"
		}
	case !now.Before(c.startsAt):
		s.State, s.StartedAt = container.Running, c.startsAt
	}
	return s
}

// stop tells the container to end, and tells whether that changed anything.
func (c *instance) stop(now time.Time, b behaviour, grace time.Duration) bool {
	if s := c.status(now); s.State == container.Exited {
		return false
	}
	if by := now.Add(grace); c.stopBy.IsZero() || by.Before(c.stopBy) {
		c.stopBy = by
	}
	end, code := now.Add(b.stopAfter), b.stopCode
	if b.stopAfter > grace {
		end, code = now.Add(grace), exitKilled
	}
	if !c.endsAt.IsZero() && !end.Before(c.endsAt) {
		return false
	}
	c.endsAt, c.exitCode = end, code
	if end.Before(c.startsAt) {
		c.startsAt = end
	}
	return true
}

// nextChange is when the state changes by itself, zero if it never does.
func (c *instance) nextChange(now time.Time) time.Time {
	switch {
	case now.Before(c.startsAt):
		return c.startsAt
	case now.Before(c.endsAt):
		return c.endsAt
	}
	return time.Time{}
}

func (c *instance) disarm() {
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}
