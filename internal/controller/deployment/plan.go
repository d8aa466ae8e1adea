package deployment

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// decide says what has to happen to a Deployment and the ReplicaSets that it controls. It takes one step of a
// rollout at a time: what the sets make of it leads to the next.
//
// What holds at every step of a rolling update: the sets together never want more than replicas + maxSurge
// pods because of it, and it takes away no pod if that left fewer than replicas - maxUnavailable available.
func decide(d *appsv1.Deployment, sets []*appsv1.ReplicaSet, running func(*appsv1.ReplicaSet) bool, now time.Time) plan {
	r := newRollout(d, sets, running, now)
	if equality.Semantic.DeepEqual(d.Spec.Selector, &metav1.LabelSelector{}) {
		return r.selectsAll()
	}
	switch {
	case d.DeletionTimestamp != nil:
		r.syncCurrent(false)
		return r.finish(r.counts())
	case d.Spec.Paused:
		r.syncPaused()
		r.syncCurrent(false)
		r.rescale()
		r.cleanUp()
		return r.finish(r.counts())
	}
	r.syncPaused()
	if revision, ok := rollbackTo(d); ok {
		r.syncCurrent(true)
		r.rollBack(revision)
		return r.plan
	}
	r.syncCurrent(false)
	if r.isRescaled() {
		r.rescale()
		return r.finish(r.counts())
	}
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		r.recreate()
	} else {
		r.roll()
	}
	status := r.rolloutStatus()
	r.plan.again = r.deadline(&status)
	return r.finish(status)
}

// finish notes the status that shall be written, if it is another.
func (r *rollout) finish(status appsv1.DeploymentStatus) plan {
	r.d.Status = status
	if !equality.Semantic.DeepEqual(r.d.Status, r.was.Status) ||
		r.d.Annotations[RevisionAnnotation] != r.was.Annotations[RevisionAnnotation] {
		r.plan.status = r.d
	}
	return r.plan
}

func (r *rollout) selectsAll() plan {
	r.report(corev1.EventTypeWarning, "SelectingAll",
		"This deployment is selecting all pods. A non-empty selector is required.")
	status := r.d.Status
	status.ObservedGeneration = max(status.ObservedGeneration, r.d.Generation)
	return r.finish(status)
}

// roll takes the next step of a rolling update: up, or else down.
func (r *rollout) roll() {
	r.syncCurrent(true)
	if r.scaleUp() || r.scaleDown() {
		return
	}
	if isComplete(r.d, &r.was.Status) {
		r.cleanUp()
	}
}

func (r *rollout) scaleUp() (changed bool) {
	if r.current.was == nil {
		return false // made in its size just now
	}
	if r.current.replicas() > r.wants() {
		return r.scale(r.current, r.wants())
	}
	return r.scale(r.current, r.sizeOfCurrent(r.current))
}

// sizeOfCurrent is how large the set of the present template may be, next to the others.
func (r *rollout) sizeOfCurrent(current *set) int32 {
	if !isRolling(r.d) {
		return r.wants()
	}
	others := total(r.old, (*set).replicas)
	room := r.wants() + maxSurge(r.d) - others - current.replicas()
	if room <= 0 {
		return current.replicas()
	}
	return current.replicas() + min(room, r.wants()-current.replicas())
}

// scaleDown takes from the old sets first the pods that are not available, then as many as can be missed.
func (r *rollout) scaleDown() (changed bool) {
	old := active(r.old)
	if len(old) == 0 {
		return false
	}
	minAvailable := r.wants() - maxUnavailable(r.d)
	unavailable := r.current.replicas() - r.current.Status.AvailableReplicas
	broken := total(r.all(), (*set).replicas) - minAvailable - unavailable
	if broken <= 0 {
		return false
	}
	for _, s := range old {
		n := min(broken, s.replicas()-s.available())
		if r.scale(s, s.replicas()-n) {
			broken -= n
			changed = true
		}
	}
	spare := total(append(old, r.current), (*set).available) - minAvailable
	for _, s := range old {
		n := min(spare, s.replicas())
		if n > 0 && r.scale(s, s.replicas()-n) {
			spare -= n
			changed = true
		}
	}
	return changed
}

// recreate takes down everything old before it makes anything new.
func (r *rollout) recreate() {
	scaled := false
	for _, s := range active(r.old) {
		scaled = r.scale(s, 0) || scaled
	}
	if scaled || r.oldRuns() {
		return
	}
	r.syncCurrent(true)
	r.scale(r.current, r.wants())
	if isComplete(r.d, &r.was.Status) {
		r.cleanUp()
	}
}

func (r *rollout) oldRuns() bool {
	return slices.ContainsFunc(r.old, func(s *set) bool { return s.Status.Replicas > 0 || r.running(s.was) })
}

// cleanUp deletes old sets beyond the history's limit, of the lowest revisions first. Those that still have
// pods stay, and count.
func (r *rollout) cleanUp() {
	limit, ok := historyLimit(r.d)
	if !ok {
		return
	}
	var sets []*set
	for _, s := range r.old {
		if s.DeletionTimestamp == nil {
			sets = append(sets, s)
		}
	}
	slices.SortStableFunc(sets, func(a, b *set) int { return int(revisionOf(a.ReplicaSet) - revisionOf(b.ReplicaSet)) })
	for n := 0; n < len(sets)-int(limit); n++ {
		s := sets[n]
		if s.replicas() == 0 && s.Status.Replicas == 0 && s.Generation <= s.Status.ObservedGeneration {
			r.plan.delete = append(r.plan.delete, s.was)
		}
	}
}
