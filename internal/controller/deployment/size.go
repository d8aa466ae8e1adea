package deployment

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func isRolling(d *appsv1.Deployment) bool {
	return d.Spec.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType && d.Spec.Strategy.RollingUpdate != nil
}

// bounds are maxSurge, rounded up, and maxUnavailable, rounded down and no more than there are. If both come
// to nothing, one may be unavailable, or there would be no way on.
func bounds(d *appsv1.Deployment) (surge, unavailable int32) {
	if !isRolling(d) {
		return 0, 0
	}
	replicas := wants(d)
	surge = scaled(d.Spec.Strategy.RollingUpdate.MaxSurge, replicas, true)
	unavailable = scaled(d.Spec.Strategy.RollingUpdate.MaxUnavailable, replicas, false)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, min(unavailable, replicas)
}

// scaled is zero for nil, and for what validation does not let through.
func scaled(v *intstr.IntOrString, of int32, up bool) int32 {
	n, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(v, intstr.FromInt32(0)), int(of), up)
	if err != nil {
		return 0
	}
	return int32(n)
}

func maxSurge(d *appsv1.Deployment) int32 {
	surge, _ := bounds(d)
	return surge
}

func maxUnavailable(d *appsv1.Deployment) int32 {
	_, unavailable := bounds(d)
	return unavailable
}

func wants(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

// isRescaled tells whether a set was made for another size of the Deployment than it has now.
func (r *rollout) isRescaled() bool {
	for _, s := range active(r.all()) {
		if desired, ok := count(s.ReplicaSet, DesiredReplicasAnnotation); ok && desired != r.wants() {
			return true
		}
	}
	return false
}

// rescale follows a change of the Deployment's size outside of, or amid, a rollout.
func (r *rollout) rescale() {
	if only := r.onlyActive(); only != nil {
		r.resize(only, r.wants())
		return
	}
	if r.isSaturated() {
		for _, s := range active(r.old) {
			r.scale(s, 0)
		}
		return
	}
	if isRolling(r.d) {
		r.spread()
	}
}

// onlyActive is the one set with pods, or if none has, the current or else the newest one. It is nil if several
// have, or if there are no sets.
func (r *rollout) onlyActive() *set {
	some := active(r.all())
	switch {
	case len(some) == 1:
		return some[0]
	case len(some) > 1:
		return nil
	case r.current != nil:
		return r.current
	case len(r.old) > 0:
		return r.old[len(r.old)-1]
	}
	return nil
}

func (r *rollout) isSaturated() bool {
	if r.current == nil {
		return false
	}
	desired, ok := count(r.current.ReplicaSet, DesiredReplicasAnnotation)
	return ok && desired == r.wants() && r.current.replicas() == r.wants() && r.current.Status.AvailableReplicas == r.wants()
}

// spread shares out what is to be added, or taken away, in proportion to the sets' sizes, so that a rollout that
// fails is not scaled up. What rounding leaves goes to the largest.
func (r *rollout) spread() {
	sets := active(r.all())
	var allowed int32
	if r.wants() > 0 {
		allowed = r.wants() + maxSurge(r.d)
	}
	toAdd := allowed - total(sets, (*set).replicas)
	sortBySize(sets, toAdd > 0)
	sizes := make([]int32, len(sets))
	left := toAdd
	for n, s := range sets {
		sizes[n] = s.replicas()
		if left == 0 {
			continue
		}
		share := r.share(s)
		if toAdd > 0 {
			share = min(share, left)
		} else {
			share = max(share, left)
		}
		sizes[n] += share
		left -= share
	}
	if len(sizes) > 0 {
		sizes[0] = max(sizes[0]+left, 0)
	}
	for n, s := range sets {
		r.resize(s, sizes[n])
	}
}

// sortBySize puts the largest first, and of those alike the newest, or the oldest.
func sortBySize(sets []*set, newest bool) {
	slices.SortFunc(sets, func(a, b *set) int {
		age := older(a.ReplicaSet, b.ReplicaSet)
		if newest {
			age = -age
		}
		return cmp.Or(cmp.Compare(b.replicas(), a.replicas()), age)
	})
}

// share is by how much a set grows in proportion to what the Deployment could have been before.
func (r *rollout) share(s *set) int32 {
	if r.wants() == 0 {
		return -s.replicas()
	}
	before, ok := count(s.ReplicaSet, MaxReplicasAnnotation)
	if !ok || before == 0 {
		before = r.was.Status.Replicas
	}
	if before == 0 {
		return 0
	}
	after := int64(s.replicas()) * int64(r.wants()+maxSurge(r.d))
	return int32(roundedQuotient(after, int64(before))) - s.replicas()
}

// roundedQuotient rounds halves up. Neither number is negative.
func roundedQuotient(a, b int64) int64 { return (2*a + b) / (2 * b) }

// count is the number that an annotation holds, if it holds one.
func count(rs *appsv1.ReplicaSet, annotation string) (int32, bool) {
	n, err := strconv.ParseUint(rs.Annotations[annotation], 10, 32)
	if err != nil || n > math.MaxInt32 {
		return 0, false
	}
	return int32(n), true
}
