package job

import (
	batchv1 "k8s.io/api/batch/v1"
)

// What a look at a job did, as Kubernetes' metrics call it.
const (
	reconciling = "reconciling" // what was begun before is not over, or the job is
	tracking    = "tracking"    // nothing was to be done
	created     = "pods_created"
	deleted     = "pods_deleted"
)

// action is what carrying out a plan does; waiting for the time to create pods is creating them.
func (p *plan) action(suspended bool) string {
	switch {
	case suspended, len(p.delete) > 0:
		return deleted
	case p.create > 0, p.again > 0:
		return created
	}
	return tracking
}

func modeOf(j *batchv1.Job) string {
	if isIndexed(j) {
		return string(batchv1.IndexedCompletion)
	}
	return string(batchv1.NonIndexedCompletion)
}

// count counts the pods by which two states of a job differ.
func (c *jobs) count(was, is *batchv1.Job) {
	c.tally.JobPodsFinished(modeOf(is), true, int(is.Status.Succeeded-was.Status.Succeeded))
	c.tally.JobPodsFinished(modeOf(is), false, int(is.Status.Failed-was.Status.Failed))
}
