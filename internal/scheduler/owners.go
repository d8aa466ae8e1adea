package scheduler

import (
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/informer"
)

// owners knows which pods belong together: those of a Service and those of a controller.
type owners struct {
	services     *informer.Informer[corev1.Service]
	controllers  *informer.Informer[corev1.ReplicationController]
	replicaSets  *informer.Informer[appsv1.ReplicaSet]
	statefulSets *informer.Informer[appsv1.StatefulSet]
}

func newOwners(set *informer.Set) *owners {
	return &owners{
		services:     informer.For(set, client.Services),
		controllers:  informer.For(set, client.ReplicationControllers),
		replicaSets:  informer.For(set, client.ReplicaSets),
		statefulSets: informer.For(set, client.StatefulSets),
	}
}

func (o *owners) syncers() []informer.Syncer {
	return []informer.Syncer{o.services, o.controllers, o.replicaSets, o.statefulSets}
}

// Selector matches the pods that belong together with this one. It is empty if none do.
func (o *owners) Selector(pod *corev1.Pod) labels.Selector {
	set := labels.Set{}
	for _, s := range o.services.InNamespace(pod.Namespace) {
		if s.Spec.Selector != nil && labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(pod.Labels)) {
			maps.Copy(set, s.Spec.Selector)
		}
	}
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil {
		return set.AsSelector()
	}
	switch owner.APIVersion + "/" + owner.Kind {
	case "v1/ReplicationController":
		if c, ok := o.controllers.Get(pod.Namespace, owner.Name); ok {
			maps.Copy(set, c.Spec.Selector)
		}
	case "apps/v1/ReplicaSet":
		if r, ok := o.replicaSets.Get(pod.Namespace, owner.Name); ok {
			return both(set, r.Spec.Selector)
		}
	case "apps/v1/StatefulSet":
		if s, ok := o.statefulSets.Get(pod.Namespace, owner.Name); ok {
			return both(set, s.Spec.Selector)
		}
	}
	return set.AsSelector()
}

func both(set labels.Set, s *metav1.LabelSelector) labels.Selector {
	selector := set.AsSelector()
	other, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return selector
	}
	if requirements, selectable := other.Requirements(); selectable {
		return selector.Add(requirements...)
	}
	return selector
}

// handle calls f with the namespaces in which pods may belong together in another way than before.
func (o *owners) handle(f func(namespace string)) {
	follow(o.services, func(s *corev1.Service) any { return s.Spec.Selector }, f)
	follow(o.controllers, func(c *corev1.ReplicationController) any { return c.Spec.Selector }, f)
	follow(o.replicaSets, func(r *appsv1.ReplicaSet) any { return r.Spec.Selector }, f)
	follow(o.statefulSets, func(s *appsv1.StatefulSet) any { return s.Spec.Selector }, f)
}

func follow[T any](i *informer.Informer[T], selector func(*T) any, f func(namespace string)) {
	changed := func(o *T) { f(any(o).(client.Object).GetNamespace()) }
	i.Handle(informer.Handler[T]{
		Add: func(o *T, _ bool) { changed(o) },
		Update: func(old, o *T) {
			if !equality.Semantic.DeepEqual(selector(old), selector(o)) {
				changed(o)
			}
		},
		Delete: changed,
	})
}
