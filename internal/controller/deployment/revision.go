package deployment

import (
	"maps"
	"math"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// Annotations of ReplicaSets and, the first, of Deployments. Clients such as kubectl rollout read them.
const (
	RevisionAnnotation        = "deployment.kubernetes.io/revision"
	RevisionHistoryAnnotation = "deployment.kubernetes.io/revision-history"
	DesiredReplicasAnnotation = "deployment.kubernetes.io/desired-replicas"
	MaxReplicasAnnotation     = "deployment.kubernetes.io/max-replicas"
)

// maxHistoryLength of the revision history of a set, in bytes.
const maxHistoryLength = 2000

// isOwnNote tells whether an annotation belongs to an object, and is not copied between a Deployment and its
// sets. All others, such as kubernetes.io/change-cause, are.
func isOwnNote(annotation string) bool {
	switch annotation {
	case RevisionAnnotation, RevisionHistoryAnnotation, DesiredReplicasAnnotation, MaxReplicasAnnotation,
		corev1.LastAppliedConfigAnnotation, appsv1.DeprecatedRollbackTo:
		return true
	}
	return false
}

// notesFor are the annotations that the set of the present template shall have, given those it has: the
// Deployment's, and a revision no lower than the given one. The revisions that it had before are its history.
func (r *rollout) notesFor(has map[string]string, revision int64) map[string]string {
	notes := map[string]string{}
	for k, v := range r.d.Annotations {
		if !isOwnNote(k) {
			notes[k] = v
		}
	}
	present, numbered := has[RevisionAnnotation]
	n, err := strconv.ParseInt(present, 10, 64)
	if err != nil && present != "" || n >= revision {
		return notes
	}
	notes[RevisionAnnotation] = strconv.FormatInt(revision, 10)
	if numbered {
		notes[RevisionHistoryAnnotation] = appendRevision(has[RevisionHistoryAnnotation], present)
	}
	return notes
}

// appendRevision forgets the oldest revisions if there is no room.
func appendRevision(history, revision string) string {
	if history == "" {
		return revision
	}
	all := history + "," + revision
	for len(all) > maxHistoryLength {
		_, rest, ok := strings.Cut(all, ",")
		if !ok {
			return history
		}
		all = rest
	}
	return all
}

// sizeNotes are the annotations that say for which size of the Deployment a set was scaled.
func (r *rollout) sizeNotes() map[string]string {
	return map[string]string{
		DesiredReplicasAnnotation: strconv.Itoa(int(r.wants())),
		MaxReplicasAnnotation:     strconv.Itoa(int(r.wants() + maxSurge(r.d))),
	}
}

func (r *rollout) setRevision(revision string) {
	if r.d.Annotations[RevisionAnnotation] != revision {
		annotate(&r.d.ObjectMeta, map[string]string{RevisionAnnotation: revision})
	}
}

// revisionOf is 0 if a set has none.
func revisionOf(rs *appsv1.ReplicaSet) int64 {
	n, err := strconv.ParseInt(rs.Annotations[RevisionAnnotation], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func maxRevision(sets []*set) int64 {
	var highest int64
	for _, s := range sets {
		highest = max(highest, revisionOf(s.ReplicaSet))
	}
	return highest
}

func historyLimit(d *appsv1.Deployment) (int32, bool) {
	limit := d.Spec.RevisionHistoryLimit
	if limit == nil || *limit == math.MaxInt32 {
		return 0, false
	}
	return *limit, true
}

// rollbackTo is the revision that an old client has asked for, 0 for the last one. New clients patch the
// template themselves.
func rollbackTo(d *appsv1.Deployment) (int64, bool) {
	revision, err := strconv.ParseInt(d.Annotations[appsv1.DeprecatedRollbackTo], 10, 64)
	return revision, err == nil
}

// rollBack makes the template that of another revision.
func (r *rollout) rollBack(revision int64) {
	delete(r.d.Annotations, appsv1.DeprecatedRollbackTo)
	r.plan.update = r.d
	if revision == 0 {
		if revision = r.lastRevision(); revision == 0 {
			r.report(corev1.EventTypeWarning, "DeploymentRollbackRevisionNotFound", "Unable to find last revision.")
			return
		}
	}
	for _, s := range r.all() {
		if revisionOf(s.ReplicaSet) == revision {
			r.rollBackTo(s, revision)
			return
		}
	}
	r.report(corev1.EventTypeWarning, "DeploymentRollbackRevisionNotFound", "Unable to find the revision to rollback to.")
}

func (r *rollout) rollBackTo(s *set, revision int64) {
	if sameTemplate(&s.Spec.Template, &r.d.Spec.Template) {
		r.report(corev1.EventTypeWarning, "DeploymentRollbackTemplateUnchanged",
			"The rollback revision contains the same template as current deployment %q", r.d.Name)
		return
	}
	template := s.Spec.Template
	template.Labels = maps.Clone(template.Labels)
	delete(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	r.d.Spec.Template = template
	maps.DeleteFunc(r.d.Annotations, func(k, _ string) bool { return !isOwnNote(k) })
	for k, v := range s.Annotations {
		if !isOwnNote(k) {
			annotate(&r.d.ObjectMeta, map[string]string{k: v})
		}
	}
	r.report(corev1.EventTypeNormal, "DeploymentRollback", "Rolled back deployment %q to revision %d", r.d.Name, revision)
}

// lastRevision is the second highest.
func (r *rollout) lastRevision() int64 {
	var highest, second int64
	for _, s := range r.all() {
		switch n := revisionOf(s.ReplicaSet); {
		case n >= highest:
			highest, second = n, highest
		case n > second:
			second = n
		}
	}
	return second
}
