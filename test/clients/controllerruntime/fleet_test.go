package controllerruntime_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	appsapply "k8s.io/client-go/applyconfigurations/apps/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	fleetLabel = "proa-test/fleet" // of ConfigMaps that describe a fleet
	finalizer  = "proa-test/anchor"
	crewIndex  = "data.crew"
)

// fleets is an operator as people write them: a ConfigMap describes a fleet, that is a Deployment which it
// owns; a Secret that the map names is its crew, and a change of it sails again. A finalizer leaves a note
// behind when a fleet is gone.
type fleets struct {
	client.Client
}

func (f *fleets) add(ctx context.Context, m ctrl.Manager) error {
	err := m.GetFieldIndexer().IndexField(ctx, &corev1.ConfigMap{}, crewIndex, func(o client.Object) []string {
		return []string{o.(*corev1.ConfigMap).Data["crew"]}
	})
	if err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(m).
		For(&corev1.ConfigMap{}).
		Owns(&appsv1.Deployment{}).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(f.ofCrew)).
		Complete(f)
}

// ofCrew finds by index the fleets that a crew is of.
func (f *fleets) ofCrew(ctx context.Context, crew client.Object) (all []reconcile.Request) {
	var maps corev1.ConfigMapList
	if err := f.List(ctx, &maps, client.InNamespace(crew.GetNamespace()), client.MatchingFields{crewIndex: crew.GetName()}); err != nil {
		return nil
	}
	for _, m := range maps.Items {
		all = append(all, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&m)})
	}
	return all
}

// Reconcile implements reconcile.Reconciler.
func (f *fleets) Reconcile(ctx context.Context, r ctrl.Request) (ctrl.Result, error) {
	var fleet corev1.ConfigMap
	if err := f.Get(ctx, r.NamespacedName, &fleet); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if fleet.Labels[fleetLabel] == "" {
		return ctrl.Result{}, nil
	}
	if fleet.DeletionTimestamp != nil {
		return ctrl.Result{}, f.sink(ctx, &fleet)
	}
	if before := fleet.DeepCopy(); controllerutil.AddFinalizer(&fleet, finalizer) {
		return ctrl.Result{}, f.Patch(ctx, &fleet, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	}
	return ctrl.Result{}, f.sail(ctx, &fleet)
}

// sail makes the Deployment what the map and the crew say, and tells in its status that it did.
func (f *fleets) sail(ctx context.Context, fleet *corev1.ConfigMap) error {
	var crew corev1.Secret
	err := f.Get(ctx, types.NamespacedName{Namespace: fleet.Namespace, Name: fleet.Data["crew"]}, &crew)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	boats, err := strconv.ParseInt(fleet.Data["boats"], 10, 32)
	if err != nil {
		return err
	}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: fleet.Name, Namespace: fleet.Namespace}}
	_, err = controllerutil.CreateOrUpdate(ctx, f, d, func() error {
		d.Spec.Replicas = new(int32)
		*d.Spec.Replicas = int32(boats)
		d.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"fleet": fleet.Name}}
		d.Spec.Template.Labels = d.Spec.Selector.MatchLabels
		d.Spec.Template.Annotations = map[string]string{"crew": string(crew.Data["captain"])}
		if len(d.Spec.Template.Spec.Containers) == 0 {
			d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "boat"}}
		}
		d.Spec.Template.Spec.Containers[0].Image = "proa"
		return controllerutil.SetControllerReference(fleet, d, f.Scheme())
	})
	if err != nil {
		return err
	}
	// Another part of the same operator owns one annotation, by apply.
	mark := appsapply.Deployment(fleet.Name, fleet.Namespace).WithAnnotations(map[string]string{"boats": fleet.Data["boats"]})
	if err := f.Apply(ctx, mark, client.FieldOwner("marker"), client.ForceOwnership); err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	return f.condition(ctx, client.ObjectKeyFromObject(d), crew.Name != "")
}

// condition patches the status alone.
func (f *fleets) condition(ctx context.Context, key client.ObjectKey, manned bool) error {
	var d appsv1.Deployment
	if err := f.Get(ctx, key, &d); err != nil {
		return client.IgnoreNotFound(err)
	}
	want := corev1.ConditionFalse
	if manned {
		want = corev1.ConditionTrue
	}
	before := d.DeepCopy()
	for i := range d.Status.Conditions {
		if c := &d.Status.Conditions[i]; c.Type == "Manned" {
			if c.Status == want {
				return nil
			}
			c.Status = want
			return f.Status().Patch(ctx, &d, client.StrategicMergeFrom(before))
		}
	}
	d.Status.Conditions = append(d.Status.Conditions, appsv1.DeploymentCondition{Type: "Manned", Status: want})
	return f.Status().Patch(ctx, &d, client.StrategicMergeFrom(before))
}

// sink leaves a note and lets the fleet go.
func (f *fleets) sink(ctx context.Context, fleet *corev1.ConfigMap) error {
	if !controllerutil.ContainsFinalizer(fleet, finalizer) {
		return nil
	}
	note := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fleet.Name + "-sank", Namespace: fleet.Namespace}}
	if err := f.Create(ctx, note); client.IgnoreAlreadyExists(err) != nil {
		return errors.Join(errors.New("no note"), err)
	}
	before := fleet.DeepCopy()
	controllerutil.RemoveFinalizer(fleet, finalizer)
	return client.IgnoreNotFound(f.Patch(ctx, fleet, client.MergeFrom(before)))
}
