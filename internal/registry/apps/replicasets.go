package apps

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/core"
	"github.com/proa-dev/proa/internal/registry/field"
)

// ReplicaSets keep a number of like pods running.
var ReplicaSets = registry.Resource[appsv1.ReplicaSet]{
	Group: "apps", Kind: "ReplicaSet", Name: "replicasets", Short: []string{"rs"}, Categories: []string{"all"},
	Namespaced:     true,
	Versions:       []registry.Version[appsv1.ReplicaSet]{registry.Hub[appsv1.ReplicaSet]("v1")},
	Default:        defaultReplicaSet,
	Validate:       validateReplicaSet,
	ValidateUpdate: validateReplicaSetUpdate,
	Warn:           warnReplicaSet,
	Status:         func(r *appsv1.ReplicaSet) any { return &r.Status },
	ValidateStatus: validateReplicaSetStatus,
	Spec:           func(r *appsv1.ReplicaSet) any { return &r.Spec },
	Scale: &registry.Scale[appsv1.ReplicaSet]{
		SpecReplicas:   func(r *appsv1.ReplicaSet) int32 { return *r.Spec.Replicas },
		StatusReplicas: func(r *appsv1.ReplicaSet) int32 { return r.Status.Replicas },
		Selector:       func(r *appsv1.ReplicaSet) string { return selectorText(r.Spec.Selector) },
		SetReplicas:    func(r *appsv1.ReplicaSet, n int32) { r.Spec.Replicas = &n },
		ReplicasPath:   "spec.replicas",
	},
	Columns: []registry.Column[appsv1.ReplicaSet]{
		{
			Name: "Desired", Type: "integer", Description: appsv1.ReplicaSetSpec{}.SwaggerDoc()["replicas"],
			Value: func(r *appsv1.ReplicaSet) any { return int64(*r.Spec.Replicas) },
		},
		{
			Name: "Current", Type: "integer", Description: appsv1.ReplicaSetStatus{}.SwaggerDoc()["replicas"],
			Value: func(r *appsv1.ReplicaSet) any { return int64(r.Status.Replicas) },
		},
		{
			Name: "Ready", Type: "integer", Description: appsv1.ReplicaSetStatus{}.SwaggerDoc()["readyReplicas"],
			Value: func(r *appsv1.ReplicaSet) any { return int64(r.Status.ReadyReplicas) },
		},
		registry.Age[appsv1.ReplicaSet](),
		registry.Containers(replicaSetTemplate),
		registry.Images(replicaSetTemplate),
		{
			Name: "Selector", Description: appsv1.ReplicaSetSpec{}.SwaggerDoc()["selector"], Wide: true,
			Value: func(r *appsv1.ReplicaSet) any { return metav1.FormatLabelSelector(r.Spec.Selector) },
		},
	},
}

func replicaSetTemplate(r *appsv1.ReplicaSet) *corev1.PodTemplateSpec { return &r.Spec.Template }

func defaultReplicaSet(r *appsv1.ReplicaSet) {
	setDefault(&r.Spec.Replicas, 1)
	core.DefaultPodTemplate(&r.Spec.Template)
}

func validateReplicaSet(r *appsv1.ReplicaSet) field.ErrorList {
	path := field.NewPath("spec")
	errs := nonNegative(path, optional("replicas", r.Spec.Replicas), count{"minReadySeconds", int64(r.Spec.MinReadySeconds)})
	return append(errs, validateReplicas(r.Spec.Selector, &r.Spec.Template, path)...)
}

func validateReplicaSetUpdate(new, old *appsv1.ReplicaSet) field.ErrorList {
	return apivalidation.ValidateImmutableField(new.Spec.Selector, old.Spec.Selector, field.NewPath("spec", "selector").Common())
}

func validateReplicaSetStatus(new, _ *appsv1.ReplicaSet) field.ErrorList {
	path, s := field.NewPath("status"), &new.Status
	labeled, ready, available := count{"fullyLabeledReplicas", int64(s.FullyLabeledReplicas)}, count{"readyReplicas", int64(s.ReadyReplicas)}, count{"availableReplicas", int64(s.AvailableReplicas)}
	errs := nonNegative(path,
		count{"replicas", int64(s.Replicas)}, labeled, ready, available,
		count{"observedGeneration", s.ObservedGeneration}, optional("terminatingReplicas", s.TerminatingReplicas))
	errs = append(errs, notMore(s.Replicas, "cannot be greater than status.replicas", path, labeled, ready, available)...)
	return append(errs, notMore(s.ReadyReplicas, "cannot be greater than readyReplicas", path, available)...)
}

func warnReplicaSet(new, old *appsv1.ReplicaSet) []string {
	if old != nil && new.Generation == old.Generation {
		return nil
	}
	warnings := core.PodTemplateWarnings(&new.Spec.Template, field.NewPath("spec", "template"))
	if old == nil {
		warnings = append(registry.PodNameWarnings(new.Name), warnings...)
	}
	return warnings
}
