package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// Bindings tie a pod to a node. Nothing is stored: the API layer carries them out on the pod.
var Bindings = registry.Resource[corev1.Binding]{
	Kind: "Binding", Name: "bindings",
	Namespaced: true,
	Versions:   []registry.Version[corev1.Binding]{registry.Hub[corev1.Binding]("v1")},
	Verbs:      []string{"create"},
	Validate:   validateBinding,
	Columns:    []registry.Column[corev1.Binding]{registry.CreatedAt[corev1.Binding]()},
}

func validateBinding(b *corev1.Binding) field.ErrorList {
	var errs field.ErrorList
	if b.Target.Kind != "" && b.Target.Kind != "Node" {
		errs = append(errs, field.NotSupported(field.NewPath("target", "kind"), b.Target.Kind, []string{"Node", "<empty>"}))
	}
	if b.Target.Name == "" {
		errs = append(errs, field.Required(field.NewPath("target", "name"), ""))
	}
	return errs
}
