package clienttest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
)

func (s *Server) find(r *client.Request, name string) (client.Object, error) {
	o := s.objects[r.Resource.GroupResource()][types.NamespacedName{Namespace: r.Namespace, Name: name}]
	if o == nil {
		return nil, apierrors.NewNotFound(r.Resource.GroupResource(), name)
	}
	return o, nil
}

func (s *Server) get(r *client.Request) (client.Object, error) { return s.find(r, r.Name) }

func (s *Server) create(r *client.Request) (client.Object, error) {
	if r.Subresource == "binding" {
		return s.bind(r)
	}
	o := copyOf(r.Object)
	resource := r.Resource.GroupResource()
	switch {
	case o.GetResourceVersion() != "":
		return nil, apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	case r.Namespace != o.GetNamespace():
		return nil, apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	case o.GetName() == "" && o.GetGenerateName() == "":
		return nil, apierrors.NewInvalid(schema.GroupKind{Kind: resource.Resource}, "", nil)
	}
	for o.GetName() == "" || r.Object.GetName() == "" && s.objects[resource][keyOf(o)] != nil {
		o.SetName(o.GetGenerateName() + rand.String(5))
	}
	if s.objects[resource][keyOf(o)] != nil {
		return nil, apierrors.NewAlreadyExists(resource, o.GetName())
	}
	o.SetUID(s.newUID())
	o.SetCreationTimestamp(now())
	o.SetDeletionTimestamp(nil)
	o.SetGeneration(1)
	setField(o, "Status", nil)
	if pod, ok := o.(*corev1.Pod); ok {
		pod.Status.Phase = corev1.PodPending
	}
	return s.store(resource, nil, o), nil
}

func (s *Server) update(r *client.Request) (client.Object, error) {
	old, err := s.find(r, r.Object.GetName())
	if err != nil {
		return nil, err
	}
	return s.change(r, old, copyOf(r.Object))
}

// change writes o over old, as far as the request may.
func (s *Server) change(r *client.Request, old, o client.Object) (client.Object, error) {
	resource := r.Resource.GroupResource()
	if v := o.GetResourceVersion(); v != "" && v != old.GetResourceVersion() {
		return nil, apierrors.NewConflict(resource, o.GetName(),
			errors.New("the object has been modified; please apply your changes to the latest version and try again"))
	}
	if uid := o.GetUID(); uid != "" && uid != old.GetUID() {
		return nil, apierrors.NewConflict(resource, o.GetName(),
			fmt.Errorf("Precondition failed: UID in precondition: %v, UID in object meta: %v", uid, old.GetUID()))
	}
	o.SetUID(old.GetUID())
	o.SetCreationTimestamp(old.GetCreationTimestamp())
	o.SetDeletionTimestamp(old.GetDeletionTimestamp())
	o.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	o.SetGeneration(old.GetGeneration())
	o.SetResourceVersion(old.GetResourceVersion())
	switch {
	case r.Subresource == "status":
		setField(o, "Spec", old)
		o.SetLabels(old.GetLabels())
		o.SetOwnerReferences(old.GetOwnerReferences())
		o.SetFinalizers(old.GetFinalizers())
	case r.Subresource == "":
		setField(o, "Status", old)
		if !sameField(o, old, "Spec") {
			o.SetGeneration(old.GetGeneration() + 1)
		}
	}
	if equality.Semantic.DeepEqual(old, o) {
		return old, nil
	}
	if o.GetDeletionTimestamp() != nil && len(o.GetFinalizers()) == 0 && len(old.GetFinalizers()) > 0 {
		if _, isPod := o.(*corev1.Pod); !isPod || ptr.Deref(o.GetDeletionGracePeriodSeconds(), 0) == 0 {
			return s.drop(resource, o), nil
		}
	}
	return s.store(resource, old, o), nil
}

func (s *Server) delete(r *client.Request, name string) (client.Object, error) {
	old, err := s.find(r, name)
	if err != nil {
		return nil, err
	}
	resource := r.Resource.GroupResource()
	if p := r.Delete.Preconditions; p != nil {
		if p.UID != nil && *p.UID != old.GetUID() {
			return nil, apierrors.NewConflict(resource, name,
				fmt.Errorf("Precondition failed: UID in precondition: %v, UID in object meta: %v", *p.UID, old.GetUID()))
		}
		if p.ResourceVersion != nil && *p.ResourceVersion != old.GetResourceVersion() {
			return nil, apierrors.NewConflict(resource, name, fmt.Errorf(
				"Precondition failed: ResourceVersion in precondition: %v, ResourceVersion in object meta: %v",
				*p.ResourceVersion, old.GetResourceVersion()))
		}
	}
	o := copyOf(old)
	finalizers := finalizersFor(o.GetFinalizers(), r.Delete.PropagationPolicy)
	o.SetFinalizers(finalizers)
	grace := graceOf(old, r.Delete.GracePeriodSeconds)
	if grace == 0 && len(finalizers) == 0 {
		return s.drop(resource, old), nil
	}
	if t := old.GetDeletionTimestamp(); t == nil || ptr.Deref(old.GetDeletionGracePeriodSeconds(), 0) > grace {
		at := metav1.NewTime(time.Now().Add(time.Duration(grace) * time.Second).Truncate(time.Second))
		o.SetDeletionTimestamp(&at)
		o.SetDeletionGracePeriodSeconds(&grace)
	}
	if equality.Semantic.DeepEqual(old, o) {
		return old, nil
	}
	return s.store(resource, old, o), nil
}

func finalizersFor(present []string, policy *metav1.DeletionPropagation) []string {
	if policy == nil {
		return present
	}
	kept := slices.DeleteFunc(slices.Clone(present), func(f string) bool {
		return f == metav1.FinalizerOrphanDependents || f == metav1.FinalizerDeleteDependents
	})
	switch *policy {
	case metav1.DeletePropagationOrphan:
		kept = append(kept, metav1.FinalizerOrphanDependents)
	case metav1.DeletePropagationForeground:
		kept = append(kept, metav1.FinalizerDeleteDependents)
	}
	return kept
}

// graceOf is not zero for pods that a node may run.
func graceOf(o client.Object, asked *int64) int64 {
	pod, ok := o.(*corev1.Pod)
	switch {
	case !ok, pod.Spec.NodeName == "", pod.Status.Phase == corev1.PodSucceeded, pod.Status.Phase == corev1.PodFailed:
		return 0
	case asked != nil:
		return *asked
	case pod.Spec.TerminationGracePeriodSeconds != nil:
		return *pod.Spec.TerminationGracePeriodSeconds
	}
	return corev1.DefaultTerminationGracePeriodSeconds
}

func (s *Server) deleteCollection(r *client.Request) (*client.Response, error) {
	l, err := s.list(&client.Request{Verb: "list", Resource: r.Resource, Namespace: r.Namespace, List: r.List})
	if err != nil {
		return nil, err
	}
	for _, o := range l.Items {
		one := *r
		one.Namespace = o.GetNamespace()
		if _, err := s.delete(&one, o.GetName()); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// bind puts a pod on a node.
func (s *Server) bind(r *client.Request) (client.Object, error) {
	name := r.Name
	if name == "" {
		name = r.Object.GetName()
	}
	old, err := s.find(r, name)
	if err != nil {
		return nil, err
	}
	binding, pod := r.Object.(*corev1.Binding), copyOf(old).(*corev1.Pod)
	if pod.Spec.NodeName != "" {
		return nil, apierrors.NewConflict(r.Resource.GroupResource(), name,
			fmt.Errorf("pod %s is already assigned to node %q", name, pod.Spec.NodeName))
	}
	pod.Spec.NodeName = binding.Target.Name
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue})
	return s.store(r.Resource.GroupResource(), old, pod), nil
}

func now() metav1.Time { return metav1.NewTime(time.Now().Truncate(time.Second)) }

// setField makes a field of o what it is in from, or zero if that is nil. What has no such field stays.
func setField(o client.Object, name string, from client.Object) {
	field := reflect.ValueOf(o).Elem().FieldByName(name)
	if !field.IsValid() || !field.CanSet() {
		return
	}
	if from == nil {
		field.SetZero()
		return
	}
	field.Set(reflect.ValueOf(copyOf(from)).Elem().FieldByName(name))
}

func sameField(a, b client.Object, name string) bool {
	x, y := reflect.ValueOf(a).Elem().FieldByName(name), reflect.ValueOf(b).Elem().FieldByName(name)
	return !x.IsValid() || equality.Semantic.DeepEqual(x.Interface(), y.Interface())
}
