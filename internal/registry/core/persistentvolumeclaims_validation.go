package core

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry/field"
)

// validateClaimUpdate keeps a claim as it was made, so that quotas hold. What may change: the volume it is
// bound to, once; its storage class, where it had none; and of a bound claim its size and its class of
// attributes.
func validateClaimUpdate(new, old *corev1.PersistentVolumeClaim) field.ErrorList {
	var errs field.ErrorList
	allowed := new.Spec.DeepCopy()
	if old.Spec.VolumeName == "" {
		allowed.VolumeName = ""
	}
	was, wasAnnotated := old.Annotations[corev1.BetaStorageClassAnnotation]
	is, isAnnotated := new.Annotations[corev1.BetaStorageClassAnnotation]
	setsClass := old.Spec.StorageClassName == nil && new.Spec.StorageClassName != nil &&
		(!wasAnnotated || *new.Spec.StorageClassName == was)
	if setsClass {
		allowed.StorageClassName = nil
	}
	moved := setsClass && wasAnnotated && (!isAnnotated || is == was)
	if !moved && is != was {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "annotations", corev1.BetaStorageClassAnnotation), is, apivalidation.FieldImmutableErrorMsg))
	}
	if new.Status.Phase == corev1.ClaimBound {
		if allowed.Resources.Requests != nil {
			allowed.Resources.Requests[corev1.ResourceStorage] = old.Spec.Resources.Requests[corev1.ResourceStorage]
		}
		allowed.VolumeAttributesClassName = old.Spec.VolumeAttributesClassName
	}
	spec := field.NewPath("spec")
	if !equality.Semantic.DeepEqual(*allowed, old.Spec) {
		errs = append(errs, field.Forbidden(spec, fmt.Sprintf(
			"spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n%v", diff.Diff(old.Spec, *allowed))))
	}
	errs = append(errs, validateClaimShrink(new, old, spec.Child("resources", "requests", "storage"))...)
	errs = append(errs, apivalidation.ValidateImmutableField(new.Spec.VolumeMode, old.Spec.VolumeMode, field.NewPath("volumeMode").Common())...)
	return append(errs, validateAttributesClassChange(new, old, spec.Child("volumeAttributesClassName"))...)
}

// validateClaimShrink lets a claim ask for less again after an expansion that cannot be had, but for more
// than it has.
func validateClaimShrink(new, old *corev1.PersistentVolumeClaim, path *field.Path) field.ErrorList {
	is, was := new.Spec.Resources.Requests[corev1.ResourceStorage], old.Spec.Resources.Requests[corev1.ResourceStorage]
	if is.Cmp(was) < 0 && is.Cmp(old.Status.Capacity[corev1.ResourceStorage]) <= 0 {
		return field.ErrorList{field.Forbidden(path, "field can not be less than status.capacity")}
	}
	return nil
}

func validateAttributesClassChange(new, old *corev1.PersistentVolumeClaim, path *field.Path) field.ErrorList {
	is := new.Spec.VolumeAttributesClassName
	if old.Status.CurrentVolumeAttributesClassName == nil || ptr.Equal(is, old.Spec.VolumeAttributesClassName) {
		return nil
	}
	switch {
	case is == nil:
		return field.ErrorList{field.Forbidden(path, "update to nil is forbidden when status.currentVolumeAttributesClassName is not nil")}
	case *is == "":
		return field.ErrorList{field.Forbidden(path, "update to empty string is forbidden when status.currentVolumeAttributesClassName is not nil")}
	}
	return nil
}

var resizeStatuses = []corev1.ClaimResourceStatus{
	corev1.PersistentVolumeClaimControllerResizeInfeasible, corev1.PersistentVolumeClaimControllerResizeInProgress,
	corev1.PersistentVolumeClaimNodeResizeInfeasible, corev1.PersistentVolumeClaimNodeResizeInProgress,
	corev1.PersistentVolumeClaimNodeResizePending,
}

func validateClaimStatus(new, _ *corev1.PersistentVolumeClaim) field.ErrorList {
	var errs podErrors
	errs.needed(field.NewPath("resourceVersion"), new.ResourceVersion)
	if len(new.Spec.AccessModes) == 0 {
		errs.required(field.NewPath("Spec", "accessModes"), "")
	}
	status := field.NewPath("status")
	for _, name := range sortedResources(new.Status.Capacity) {
		errs.checkVolumeSize(new.Status.Capacity[name], status.Child("capacity").Key(string(name)))
	}
	statuses := status.Child("allocatedResourceStatuses")
	for name, resize := range new.Status.AllocatedResourceStatuses {
		errs.checkClaimResource(name, statuses)
		if !slices.Contains(resizeStatuses, resize) {
			errs.add(field.NotSupported(statuses, name, resizeStatuses))
		}
	}
	allocated := status.Child("allocatedResources")
	for _, name := range sortedResources(new.Status.AllocatedResources) {
		if q := new.Status.AllocatedResources[name]; errs.checkClaimResource(name, allocated) {
			errs.checkVolumeSize(q, allocated.Key(string(name)))
		}
	}
	return errs.list
}

func (e *podErrors) checkClaimResource(name corev1.ResourceName, path *field.Path) bool {
	before := len(e.list)
	e.invalid(path, name, validation.IsQualifiedName(string(name))...)
	if len(e.list) == before && isNativeResource(name) {
		knownOf(e, path, name, corev1.ResourceStorage)
	}
	return len(e.list) == before
}
