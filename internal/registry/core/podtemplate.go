package core

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/proa-dev/proa/internal/registry/field"
)

// DefaultPodTemplate fills the zero fields of a template.
func DefaultPodTemplate(t *corev1.PodTemplateSpec) {
	dropInitAnnotations(&t.ObjectMeta)
	DefaultPodSpec(&t.Spec)
}

// dropInitAnnotations removes what carried init containers before they were fields: a kubelet of that age
// would believe them.
func dropInitAnnotations(m *metav1.ObjectMeta) {
	legacy := func(key, _ string) bool {
		switch key {
		case "pod.beta.kubernetes.io/init-containers", "pod.alpha.kubernetes.io/init-containers",
			"pod.beta.kubernetes.io/init-container-statuses", "pod.alpha.kubernetes.io/init-container-statuses":
			return true
		}
		return false
	}
	maps.DeleteFunc(m.Annotations, legacy)
}

// ValidatePodTemplate checks a template by itself.
func ValidatePodTemplate(t *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	var errs podErrors
	errs.add(metavalidation.ValidateLabels(t.Labels, path.Child("labels").Common())...)
	errs.add(apivalidation.ValidateAnnotations(t.Annotations, path.Child("annotations").Common())...)
	errs.add(validatePodAnnotations(t.Annotations, &t.Spec, path.Child("annotations"))...)
	errs.add(validatePodSpec(&t.Spec, nil, path.Child("spec"))...)
	errs.add(validateProfileAnnotations(&t.ObjectMeta, &t.Spec, path.Child("spec"))...)
	if len(t.Spec.EphemeralContainers) > 0 {
		errs.forbid(path.Child("spec", "ephemeralContainers"), "ephemeral containers not allowed in pod template")
	}
	return errs.list
}

// ValidatePodTemplateForController checks the template of a controller that finds its pods by selector: the
// template's labels must match it. A nil or empty selector is not compared. With alwaysRestart the pods may
// have no other restart policy, and no deadline; kind is the controller's, for the message.
func ValidatePodTemplateForController(t *corev1.PodTemplateSpec, selector labels.Selector, path *field.Path, kind string, alwaysRestart bool) field.ErrorList {
	var errs podErrors
	if selector != nil && !selector.Empty() && !selector.Matches(labels.Set(t.Labels)) {
		errs.invalid(path.Child("metadata", "labels"), t.Labels, "`selector` does not match template `labels`")
	}
	errs.add(ValidatePodTemplate(t, path)...)
	if !alwaysRestart {
		return errs.list
	}
	knownOf(&errs, path.Child("spec", "restartPolicy"), t.Spec.RestartPolicy, corev1.RestartPolicyAlways)
	if t.Spec.ActiveDeadlineSeconds != nil {
		errs.forbid(path.Child("spec", "activeDeadlineSeconds"), "activeDeadlineSeconds in "+kind+" is not Supported")
	}
	return errs.list
}

// PodTemplateWarnings tells what is valid in the template but deprecated or likely a mistake.
func PodTemplateWarnings(t *corev1.PodTemplateSpec, path *field.Path) []string {
	return podWarnings(&t.ObjectMeta, &t.Spec, path)
}
