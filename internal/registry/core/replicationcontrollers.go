package core

import (
	"maps"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// ReplicationControllers keep a number of pods; ReplicaSets have taken their place.
var ReplicationControllers = registry.Resource[corev1.ReplicationController]{
	Kind: "ReplicationController", Name: "replicationcontrollers", Short: []string{"rc"}, Categories: []string{"all"},
	Namespaced:     true,
	StoredAs:       "controllers",
	Versions:       []registry.Version[corev1.ReplicationController]{registry.Hub[corev1.ReplicationController]("v1")},
	Default:        defaultReplicationController,
	DefaultLabels:  true,
	Validate:       validateReplicationController,
	ValidateUpdate: validateReplicationControllerUpdate,
	Warn:           replicationControllerWarnings,
	Status:         func(c *corev1.ReplicationController) any { return &c.Status },
	ValidateStatus: validateReplicationControllerStatus,
	Spec:           func(c *corev1.ReplicationController) any { return &c.Spec },
	Scale: &registry.Scale[corev1.ReplicationController]{
		SpecReplicas:   func(c *corev1.ReplicationController) int32 { return ptr.Deref(c.Spec.Replicas, 0) },
		StatusReplicas: func(c *corev1.ReplicationController) int32 { return c.Status.Replicas },
		Selector:       func(c *corev1.ReplicationController) string { return labels.Set(c.Spec.Selector).String() },
		SetReplicas:    func(c *corev1.ReplicationController, n int32) { c.Spec.Replicas = &n },
		ReplicasPath:   "spec.replicas",
	},
	Columns: replicationControllerColumns(),
	Fields: []registry.Field[corev1.ReplicationController]{{
		Name:  "status.replicas",
		Reads: []string{"spec.template"}, // which labels may come from
		Value: func(c *corev1.ReplicationController) string { return strconv.Itoa(int(c.Status.Replicas)) },
	}},
	OrphansByDefault: true,
}

func defaultReplicationController(c *corev1.ReplicationController) {
	if c.Spec.Replicas == nil {
		c.Spec.Replicas = ptr.To[int32](1)
	}
	t := c.Spec.Template
	if t == nil {
		return
	}
	DefaultPodTemplate(t)
	if t.Labels == nil {
		return
	}
	if len(c.Spec.Selector) == 0 {
		c.Spec.Selector = maps.Clone(t.Labels)
	}
	if len(c.Labels) == 0 {
		c.Labels = maps.Clone(t.Labels)
	}
}

func validateReplicationController(c *corev1.ReplicationController) field.ErrorList {
	spec := field.NewPath("spec")
	errs := checkNotNegative(int64(c.Spec.MinReadySeconds), spec.Child("minReadySeconds"))
	if len(c.Spec.Selector) == 0 {
		errs = append(errs, field.Required(spec.Child("selector"), ""))
	}
	errs = append(errs, checkNotNegative(int64(ptr.Deref(c.Spec.Replicas, 0)), spec.Child("replicas"))...)
	if c.Spec.Template == nil {
		return append(errs, field.Required(spec.Child("template"), ""))
	}
	path := spec.Child("template")
	selector := labels.SelectorFromSet(c.Spec.Selector)
	return append(errs, ValidatePodTemplateForController(c.Spec.Template, selector, path, "ReplicationController", true)...)
}

// nonConvertible marks annotations that name a field which an apps/v1 ReplicaSet could not be converted to.
const nonConvertible = "non-convertible.kubernetes.io"

func validateReplicationControllerUpdate(new, old *corev1.ReplicationController) field.ErrorList {
	var errs field.ErrorList
	for _, key := range sortedKeys(old.Annotations) {
		name, ok := strings.CutPrefix(key, nonConvertible+"/")
		switch {
		case !ok || strings.Contains(name, "/"):
		case !strings.Contains(name, "selector"):
			errs = append(errs, &field.Error{Type: field.ErrorTypeNotFound, BadValue: old.Annotations[key], Field: name, Detail: "unknown non-convertible field"})
		case !equality.Semantic.DeepEqual(old.Spec.Selector, new.Spec.Selector):
			errs = append(errs, field.Invalid(field.NewPath("spec", "selector"), new.Spec.Selector, "cannot update non-convertible selector"))
		}
	}
	return errs
}

func validateReplicationControllerStatus(new, _ *corev1.ReplicationController) field.ErrorList {
	path, s := field.NewPath("status"), &new.Status
	errs := checkNotNegative(int64(s.Replicas), path.Child("replicas"))
	errs = append(errs, checkNotNegative(int64(s.FullyLabeledReplicas), path.Child("fullyLabeledReplicas"))...)
	errs = append(errs, checkNotNegative(int64(s.ReadyReplicas), path.Child("readyReplicas"))...)
	errs = append(errs, checkNotNegative(int64(s.AvailableReplicas), path.Child("availableReplicas"))...)
	errs = append(errs, checkNotNegative(s.ObservedGeneration, path.Child("observedGeneration"))...)
	atMost := func(name string, n, limit int32, why string) {
		if n > limit {
			errs = append(errs, field.Invalid(path.Child(name), n, why))
		}
	}
	atMost("fullyLabeledReplicas", s.FullyLabeledReplicas, s.Replicas, "cannot be greater than status.replicas")
	atMost("readyReplicas", s.ReadyReplicas, s.Replicas, "cannot be greater than status.replicas")
	atMost("availableReplicas", s.AvailableReplicas, s.Replicas, "cannot be greater than status.replicas")
	atMost("availableReplicas", s.AvailableReplicas, s.ReadyReplicas, "cannot be greater than readyReplicas")
	return errs
}

func replicationControllerWarnings(new, old *corev1.ReplicationController) []string {
	if old != nil && equality.Semantic.DeepEqual(new.Spec, old.Spec) || new.Spec.Template == nil {
		return nil
	}
	var texts []string
	if old == nil {
		texts = registry.PodNameWarnings(new.Name)
	}
	return append(texts, PodTemplateWarnings(new.Spec.Template, field.NewPath("spec", "template"))...)
}

func replicationControllerColumns() []registry.Column[corev1.ReplicationController] {
	spec, status := corev1.ReplicationControllerSpec{}.SwaggerDoc(), corev1.ReplicationControllerStatus{}.SwaggerDoc()
	template := func(c *corev1.ReplicationController) *corev1.PodTemplateSpec {
		if c.Spec.Template == nil {
			return &corev1.PodTemplateSpec{}
		}
		return c.Spec.Template
	}
	type rc = corev1.ReplicationController
	return []registry.Column[rc]{
		{Name: "Desired", Type: "integer", Description: spec["replicas"], Value: func(c *rc) any { return int64(ptr.Deref(c.Spec.Replicas, 0)) }},
		{Name: "Current", Type: "integer", Description: status["replicas"], Value: func(c *rc) any { return int64(c.Status.Replicas) }},
		{Name: "Ready", Type: "integer", Description: status["readyReplicas"], Value: func(c *rc) any { return int64(c.Status.ReadyReplicas) }},
		registry.Age[rc](),
		registry.Containers(template),
		registry.Images(template),
		{Name: "Selector", Wide: true, Description: spec["selector"], Value: func(c *rc) any { return labels.FormatLabels(c.Spec.Selector) }},
	}
}
