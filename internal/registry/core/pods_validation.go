package core

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/registry/field"
)

var (
	podMetaPath = field.NewPath("metadata")
	podSpecPath = field.NewPath("spec")
)

// validatePod checks a pod by itself. It knows more than a template: a name, and that nobody will complete
// what is missing.
func validatePod(p *corev1.Pod) field.ErrorList {
	var e podErrors
	e.add(validatePodAnnotations(p.Annotations, &p.Spec, podMetaPath.Child("annotations"))...)
	e.add(validatePodSpec(&p.Spec, &p.ObjectMeta, podSpecPath)...)
	if p.Spec.ServiceAccountName == "" {
		e.forbidTokens(p.Spec.Volumes, podSpecPath.Child("volumes"))
	}
	for i := range p.Spec.Containers {
		e.checkImageSpace(&p.Spec.Containers[i], podSpecPath.Child("containers").Index(i))
	}
	for i := range p.Spec.InitContainers {
		e.checkImageSpace(&p.Spec.InitContainers[i], podSpecPath.Child("initContainers").Index(i))
	}
	return e.list
}

// forbidTokens refuses tokens of a service account that the pod does not have.
func (e *podErrors) forbidTokens(volumes []corev1.Volume, path *field.Path) {
	for i := range volumes {
		if volumes[i].Projected == nil {
			continue
		}
		for j, s := range volumes[i].Projected.Sources {
			if s.ServiceAccountToken != nil {
				e.forbid(path.Index(i).Child("projected", "sources").Index(j).Child("serviceAccountToken"),
					"must not be specified when serviceAccountName is not set")
			}
		}
	}
}

// validatePodCreate checks what a pod cannot have from the start.
func validatePodCreate(p *corev1.Pod) field.ErrorList {
	var e podErrors
	if len(p.Spec.EphemeralContainers) > 0 {
		e.forbid(podSpecPath.Child("ephemeralContainers"), "cannot be set on create")
	}
	if p.Spec.NodeName != "" && len(p.Spec.SchedulingGates) > 0 {
		e.forbid(podSpecPath.Child("nodeName"), "cannot be set until all schedulingGates have been cleared")
	}
	e.add(validateProfileAnnotations(&p.ObjectMeta, &p.Spec, podSpecPath)...)
	return e.list
}

// validatePodAnnotationUpdate checks that annotations that define a pod stay as they are.
func validatePodAnnotationUpdate(new, old *corev1.Pod) field.ErrorList {
	var e podErrors
	path := podMetaPath.Child("annotations")
	for _, k := range sortedKeys(old.Annotations) {
		if v, ok := new.Annotations[k]; ok && v == old.Annotations[k] {
			continue
		}
		if strings.HasPrefix(k, appArmorAnnotation) {
			e.forbid(path.Key(k), "may not remove or update AppArmor annotations")
		}
		if k == corev1.MirrorPodAnnotationKey {
			e.forbid(path.Key(k), "may not remove or update mirror pod annotation")
		}
	}
	for _, k := range sortedKeys(new.Annotations) {
		if _, ok := old.Annotations[k]; ok {
			continue
		}
		if strings.HasPrefix(k, appArmorAnnotation) {
			e.forbid(path.Key(k), "may not add AppArmor annotations")
		}
		if k == corev1.MirrorPodAnnotationKey {
			e.forbid(path.Key(k), "may not add mirror pod annotation")
		}
	}
	return e.list
}
