package deployment

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller/owned"
	"github.com/proa-dev/proa/internal/controller/pods"
)

// rollout is a decision in the making: a Deployment and its ReplicaSets as they are, and as they shall be.
type rollout struct {
	was     *appsv1.Deployment
	d       *appsv1.Deployment // a draft, of which annotations and status are changed
	now     time.Time
	running func(*appsv1.ReplicaSet) bool // whether a set has pods that have not finished

	current *set   // the one of the present template; nil if there is none
	old     []*set // all others, oldest first
	plan    plan
}

// plan is what shall be done, in this order.
type plan struct {
	write  []*set // to be created or updated
	delete []*appsv1.ReplicaSet
	update *appsv1.Deployment // nil if its spec shall stay
	status *appsv1.Deployment // nil if its status shall stay
	events []event            // to be reported when the rest is done
	again  time.Duration
}

type event struct{ kind, reason, message string }

// set is a ReplicaSet as it shall be.
type set struct {
	*appsv1.ReplicaSet
	was *appsv1.ReplicaSet // itself if nothing changes; nil if it is to be created
}

func (s *set) replicas() int32 { return ptr.Deref(s.Spec.Replicas, 1) }

// available is how many pods will still be available when the set has come down to its size.
func (s *set) available() int32 { return min(s.Status.AvailableReplicas, s.replicas()) }

func newRollout(d *appsv1.Deployment, sets []*appsv1.ReplicaSet, running func(*appsv1.ReplicaSet) bool, now time.Time) *rollout {
	draft := *d
	draft.Annotations = maps.Clone(d.Annotations)
	draft.Status.Conditions = slices.Clone(d.Status.Conditions)
	r := &rollout{was: d, d: &draft, running: running, now: now.Truncate(time.Second)}
	for _, rs := range slices.SortedFunc(slices.Values(sets), older) {
		s := &set{ReplicaSet: rs, was: rs}
		if r.current == nil && sameTemplate(&rs.Spec.Template, &d.Spec.Template) {
			r.current = s
		} else {
			r.old = append(r.old, s)
		}
	}
	return r
}

func older(a, b *appsv1.ReplicaSet) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
}

// sameTemplate does not care for the label that the controller has added.
func sameTemplate(a, b *corev1.PodTemplateSpec) bool {
	if !sameLabels(a.Labels, b.Labels) || !sameLabels(b.Labels, a.Labels) {
		return false
	}
	x, y := *a, *b
	x.Labels, y.Labels = nil, nil
	return equality.Semantic.DeepEqual(&x, &y)
}

func sameLabels(a, b map[string]string) bool {
	for k, v := range a {
		if got, ok := b[k]; k != appsv1.DefaultDeploymentUniqueLabelKey && (!ok || got != v) {
			return false
		}
	}
	return true
}

// all is every set that there is or shall be.
func (r *rollout) all() []*set {
	if r.current == nil {
		return r.old
	}
	return append(slices.Clone(r.old), r.current)
}

func active(sets []*set) []*set {
	var some []*set
	for _, s := range sets {
		if s.replicas() > 0 {
			some = append(some, s)
		}
	}
	return some
}

func total(sets []*set, of func(*set) int32) int32 {
	var n int32
	for _, s := range sets {
		n += of(s)
	}
	return n
}

func (r *rollout) wants() int32 { return ptr.Deref(r.d.Spec.Replicas, 1) }

// edit makes a set a draft, which shall be written.
func (r *rollout) edit(s *set) {
	if s.ReplicaSet != s.was {
		return
	}
	draft := *s.was
	draft.Annotations = maps.Clone(draft.Annotations)
	s.ReplicaSet = &draft
	r.plan.write = append(r.plan.write, s)
}

// scale changes a set's size.
func (r *rollout) scale(s *set, replicas int32) (changed bool) {
	if s.replicas() == replicas {
		return false
	}
	r.resize(s, replicas)
	return true
}

// resize is scale, and also writes down the Deployment's size if the set's is right already.
func (r *rollout) resize(s *set, replicas int32) {
	notes := r.sizeNotes()
	if s.replicas() == replicas && owned.Contains(s.Annotations, notes) {
		return
	}
	r.edit(s)
	s.Spec.Replicas = &replicas
	annotate(&s.ObjectMeta, notes)
}

// syncCurrent sees that the present template has a set, if create, and that it carries the newest revision.
func (r *rollout) syncCurrent(create bool) {
	next := maxRevision(r.old) + 1
	switch {
	case r.current != nil:
		r.renew(r.current, next)
		r.setRevision(r.current.Annotations[RevisionAnnotation])
		if hasDeadline(r.d) && condition(&r.d.Status, appsv1.DeploymentProgressing) == nil {
			r.progress(corev1.ConditionTrue, foundNewReplicaSet, fmt.Sprintf("Found new replica set %q", r.current.Name))
		}
	case create:
		r.current = r.newSet(next)
		r.plan.write = append(r.plan.write, r.current)
		r.setRevision(r.current.Annotations[RevisionAnnotation])
		if hasDeadline(r.d) {
			r.progress(corev1.ConditionTrue, newReplicaSetCreated, fmt.Sprintf("Created new replica set %q", r.current.Name))
		}
	}
}

func (r *rollout) renew(s *set, revision int64) {
	notes := r.notesFor(s.Annotations, revision)
	if !owned.Contains(s.Annotations, notes) || s.Spec.MinReadySeconds != r.d.Spec.MinReadySeconds {
		r.edit(s)
		annotate(&s.ObjectMeta, notes)
		s.Spec.MinReadySeconds = r.d.Spec.MinReadySeconds
	}
}

func (r *rollout) newSet(revision int64) *set {
	d := r.d
	hash := pods.Hash(&d.Spec.Template, d.Status.CollisionCount)
	mark := map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: hash}
	template := d.Spec.Template
	template.Labels = merged(template.Labels, mark)
	selector := d.Spec.Selector.DeepCopy()
	selector.MatchLabels = merged(selector.MatchLabels, mark)
	rs := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: d.Namespace, Name: nameFor(d.Name, hash), Labels: template.Labels,
			OwnerReferences: []metav1.OwnerReference{owned.RefTo(d, client.Deployments)},
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: ptr.To[int32](0), MinReadySeconds: d.Spec.MinReadySeconds, Selector: selector, Template: template,
		},
	}
	annotate(&rs.ObjectMeta, r.notesFor(nil, revision))
	annotate(&rs.ObjectMeta, r.sizeNotes())
	s := &set{ReplicaSet: rs}
	rs.Spec.Replicas = ptr.To(r.sizeOfCurrent(s))
	return s
}

// nameFor keeps a name as long as it may be.
func nameFor(deployment, hash string) string {
	longest := validation.DNS1123SubdomainMaxLength - len(hash) - 1
	return deployment[:min(len(deployment), longest)] + "-" + hash
}

func merged(a, b map[string]string) map[string]string {
	m := make(map[string]string, len(a)+len(b))
	maps.Copy(m, a)
	maps.Copy(m, b)
	return m
}

func annotate(o *metav1.ObjectMeta, notes map[string]string) {
	if o.Annotations == nil {
		o.Annotations = make(map[string]string, len(notes))
	}
	maps.Copy(o.Annotations, notes)
}

func (r *rollout) report(kind, reason, format string, args ...any) {
	r.plan.events = append(r.plan.events, event{kind, reason, fmt.Sprintf(format, args...)})
}
