package core

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// Namespaces hold namespaced objects. One is deleted in two steps: it terminates, and is gone when the
// last of its spec.finalizers is removed through the finalize subresource.
var Namespaces = registry.Resource[corev1.Namespace]{
	Kind: "Namespace", Name: "namespaces", Short: []string{"ns"},
	Versions:       []registry.Version[corev1.Namespace]{registry.Hub[corev1.Namespace]("v1")},
	Verbs:          []string{"create", "delete", "get", "list", "patch", "update", "watch"},
	Default:        defaultNamespace,
	DefaultLabels:  true,
	PrepareCreate:  prepareNamespace,
	PrepareUpdate:  func(new, old *corev1.Namespace) { new.Spec.Finalizers = slices.Clone(old.Spec.Finalizers) },
	Validate:       validateNamespace,
	ValidateName:   apivalidation.ValidateNamespaceName,
	Status:         func(n *corev1.Namespace) any { return &n.Status },
	ValidateStatus: validateNamespaceStatus,
	Views: []registry.View[corev1.Namespace]{{
		Name: "finalize", Verbs: []string{"update"},
		Prepare:  func(new, old *corev1.Namespace) { old.Status.DeepCopyInto(&new.Status) },
		Validate: validateNamespaceFinalizers,
	}},
	Columns: []registry.Column[corev1.Namespace]{
		{Name: "Status", Description: "The status of the namespace", Value: func(n *corev1.Namespace) any { return string(n.Status.Phase) }},
		registry.Age[corev1.Namespace](),
	},
	Fields: []registry.Field[corev1.Namespace]{
		{Name: "status.phase", Value: func(n *corev1.Namespace) string { return string(n.Status.Phase) }},
	},
	AnswersDeleted: true,
	Held:           func(n *corev1.Namespace) bool { return len(n.Spec.Finalizers) > 0 },
	MarkDeleted:    func(n *corev1.Namespace) { n.Status.Phase = corev1.NamespaceTerminating },
}

func defaultNamespace(n *corev1.Namespace) {
	if n.Status.Phase == "" {
		n.Status.Phase = corev1.NamespaceActive
	}
	if n.Name == "" || n.Labels[corev1.LabelMetadataName] == n.Name {
		return
	}
	if n.Labels == nil {
		n.Labels = map[string]string{}
	}
	n.Labels[corev1.LabelMetadataName] = n.Name
}

func prepareNamespace(n *corev1.Namespace) {
	// Again, for the name may be generated and was not known when the request was decoded.
	defaultNamespace(n)
	if !slices.Contains(n.Spec.Finalizers, corev1.FinalizerKubernetes) {
		n.Spec.Finalizers = append(n.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
}

func validateNamespace(n *corev1.Namespace) field.ErrorList {
	var errs field.ErrorList
	for _, f := range n.Spec.Finalizers {
		errs = append(errs, checkFinalizer(string(f), field.NewPath("spec", "finalizers"))...)
	}
	return errs
}

func validateNamespaceFinalizers(new, _ *corev1.Namespace) field.ErrorList {
	var errs field.ErrorList
	for i, f := range new.Spec.Finalizers {
		errs = append(errs, checkFinalizer(string(f), field.NewPath("spec", "finalizers").Index(i))...)
	}
	return errs
}

// checkFinalizer lets names without a domain pass only if they are Kubernetes' own.
func checkFinalizer(name string, path *field.Path) field.ErrorList {
	errs := apivalidation.ValidateFinalizerName(name, path.Common())
	own := []string{string(corev1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents}
	if !strings.Contains(name, "/") && !slices.Contains(own, name) {
		errs = append(errs, field.Invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified"))
	}
	return errs
}

func validateNamespaceStatus(new, _ *corev1.Namespace) field.ErrorList {
	path, phase := field.NewPath("status", "Phase"), new.Status.Phase
	if new.DeletionTimestamp.IsZero() && phase != corev1.NamespaceActive {
		return field.ErrorList{field.Invalid(path, phase, "may only be 'Active' if `deletionTimestamp` is empty")}
	}
	if !new.DeletionTimestamp.IsZero() && phase != corev1.NamespaceTerminating {
		return field.ErrorList{field.Invalid(path, phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")}
	}
	return nil
}
