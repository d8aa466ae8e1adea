package lifecycle

import "time"

// stop ends what still runs: first all but the sidecars, which serve the others to the end, then these, one
// after the other, the last started first. When the grace is over, nobody waits for anybody.
func (d *decision) stop() {
	until := d.graceEnds()
	active := false
	for i := range d.Seen.Containers {
		s := &d.Seen.Containers[i]
		if s.Active() && !d.isSidecarName(s.Name) {
			active = true
			d.stopOne(s.Name, until)
		}
	}
	for i := len(d.Pod.Spec.InitContainers) - 1; i >= 0; i-- {
		c := &d.Pod.Spec.InitContainers[i]
		if !isSidecar(c) || !d.Seen.Container(c.Name).Active() {
			continue
		}
		if active && d.Now.Before(until) {
			d.again(until)
			return
		}
		active = true
		d.stopOne(c.Name, until)
	}
}

// graceEnds is when the containers shall have ended.
func (d *decision) graceEnds() time.Time {
	until := d.Now
	switch grace := d.Pod.Spec.TerminationGracePeriodSeconds; {
	case d.Pod.DeletionTimestamp != nil:
		until = d.Pod.DeletionTimestamp.Time
	case grace != nil:
		until = d.Now.Add(time.Duration(*grace) * time.Second)
	}
	return until
}

func (d *decision) stopOne(name string, until time.Time) {
	if least := d.Now.Add(minimumGrace); until.Before(least) {
		until = least
	}
	if s := d.Seen.Container(name); s.StopBy.IsZero() || until.Before(s.StopBy) {
		d.plan.Stop = append(d.plan.Stop, Stop{Name: name, Grace: until.Sub(d.Now)})
	}
}

func (d *decision) isSidecarName(name string) bool {
	for i := range d.Pod.Spec.InitContainers {
		if c := &d.Pod.Spec.InitContainers[i]; c.Name == name {
			return isSidecar(c)
		}
	}
	return false
}
