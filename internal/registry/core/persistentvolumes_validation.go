package core

import (
	"fmt"
	"path"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/diff"

	"github.com/proa-dev/proa/internal/registry/field"
)

func validatePersistentVolume(v *corev1.PersistentVolume) field.ErrorList {
	spec, s := field.NewPath("spec"), &v.Spec
	var errs podErrors
	if len(s.AccessModes) == 0 {
		errs.required(spec.Child("accessModes"), "")
	}
	errs.checkAccessModes(s.AccessModes, spec.Child("accessModes"))
	errs.checkVolumeCapacity(s.Capacity, spec.Child("capacity"))
	knownOf(&errs, spec.Child("persistentVolumeReclaimPolicy"), s.PersistentVolumeReclaimPolicy,
		corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRecycle, corev1.PersistentVolumeReclaimRetain)
	if a := s.NodeAffinity; a != nil && a.Required != nil {
		errs.add(validateNodeSelector(a.Required, spec.Child("nodeAffinity", "required"))...)
	} else if a != nil {
		errs.required(spec.Child("nodeAffinity", "required"), "must specify required node constraints")
	}
	errs.checkPersistentVolumeSource(v, spec)
	if s.HostPath != nil && path.Clean(s.HostPath.Path) == "/" && s.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRecycle {
		errs.forbid(spec.Child("persistentVolumeReclaimPolicy"), "may not be 'recycle' for a hostPath mount of '/'")
	}
	if s.StorageClassName != "" {
		errs.invalid(spec.Child("storageClassName"), s.StorageClassName, apivalidation.NameIsDNSSubdomain(s.StorageClassName, false)...)
	}
	knownOf(&errs, spec.Child("volumeMode"), *s.VolumeMode, corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem)
	if class := s.VolumeAttributesClassName; class != nil {
		if *class == "" {
			errs.required(spec.Child("volumeAttributesClassName"), "an empty string is disallowed")
		} else {
			errs.invalid(spec.Child("volumeAttributesClassName"), *class, apivalidation.NameIsDNSSubdomain(*class, false)...)
		}
		if s.CSI == nil {
			errs.required(spec.Child("csi"), "has to be specified when using volumeAttributesClassName")
		}
	}
	if _, ok := v.Annotations[corev1.MountOptionAnnotation]; ok && !takesMountOptions(s) {
		errs.forbid(field.NewPath("metadata", "annotations", corev1.MountOptionAnnotation), "may not specify mount options for this volume type")
	}
	return errs.list
}

func takesMountOptions(s *corev1.PersistentVolumeSpec) bool {
	return s.GCEPersistentDisk != nil || s.AWSElasticBlockStore != nil || s.Glusterfs != nil || s.NFS != nil || s.RBD != nil ||
		s.Quobyte != nil || s.ISCSI != nil || s.Cinder != nil || s.CephFS != nil || s.AzureFile != nil || s.VsphereVolume != nil ||
		s.AzureDisk != nil || s.PhotonPersistentDisk != nil
}

func (e *podErrors) checkVolumeCapacity(capacity corev1.ResourceList, path *field.Path) {
	if len(capacity) == 0 {
		e.required(path, "")
	}
	if _, ok := capacity[corev1.ResourceStorage]; !ok || len(capacity) > 1 {
		e.add(field.NotSupported(path, capacity, []corev1.ResourceName{corev1.ResourceStorage}))
	}
	for _, name := range sortedResources(capacity) {
		q := capacity[name]
		e.checkVolumeSize(q, path.Key(string(name)))
		if q.Sign() <= 0 {
			e.invalid(path.Key(string(name)), q.String(), "must be greater than zero")
		}
	}
}

func (e *podErrors) checkVolumeSize(q resource.Quantity, path *field.Path) {
	if q.Value() < 0 {
		e.invalid(path, q.Value(), "must be a valid resource quantity")
	}
}

func validatePersistentVolumeStatus(new, _ *corev1.PersistentVolume) field.ErrorList {
	var errs podErrors
	errs.needed(field.NewPath("resourceVersion"), new.ResourceVersion)
	return errs.list
}

// validatePersistentVolumeUpdate keeps the source, but for a secret that may be added, and the affinity but
// for labels of nodes that have got new names.
func validatePersistentVolumeUpdate(new, old *corev1.PersistentVolume) field.ErrorList {
	var errs podErrors
	source := &new.Spec.PersistentVolumeSource
	if csi := old.Spec.CSI; csi != nil && csi.ControllerExpandSecretRef == nil && source.CSI != nil {
		source = source.DeepCopy()
		source.CSI.ControllerExpandSecretRef = nil
	}
	if !equality.Semantic.DeepEqual(*source, old.Spec.PersistentVolumeSource) {
		errs.forbid(field.NewPath("spec", "persistentvolumesource"),
			fmt.Sprintf("spec.persistentvolumesource is immutable after creation\n%v", diff.Diff(old.Spec.PersistentVolumeSource, *source)))
	}
	errs.add(apivalidation.ValidateImmutableField(new.Spec.VolumeMode, old.Spec.VolumeMode, field.NewPath("volumeMode").Common())...)
	if old.Spec.NodeAffinity != nil && !equality.Semantic.DeepEqual(renameLabels(new.Spec.NodeAffinity, old.Spec.NodeAffinity), new.Spec.NodeAffinity) {
		errs.invalid(field.NewPath("nodeAffinity"), new.Spec.NodeAffinity, apivalidation.FieldImmutableErrorMsg+", except for updating from beta label to GA")
	}
	if old.Spec.VolumeAttributesClassName != nil && new.Spec.VolumeAttributesClassName == nil {
		errs.forbid(field.NewPath("spec", "volumeAttributesClassName"), "update from non-nil value to nil is forbidden")
	}
	return errs.list
}

var stableNodeLabels = map[string]string{
	corev1.LabelFailureDomainBetaZone:   corev1.LabelTopologyZone,
	corev1.LabelFailureDomainBetaRegion: corev1.LabelTopologyRegion,
	"beta.kubernetes.io/os":             corev1.LabelOSStable,
	"beta.kubernetes.io/arch":           corev1.LabelArchStable,
	corev1.LabelInstanceType:            corev1.LabelInstanceTypeStable,
}

// renameLabels returns old with those beta labels renamed that new has the stable name of in their place.
func renameLabels(new, old *corev1.VolumeNodeAffinity) *corev1.VolumeNodeAffinity {
	if new == nil || new.Required == nil || old.Required == nil {
		return old
	}
	renamed := old.DeepCopy()
	for i := range min(len(new.Required.NodeSelectorTerms), len(renamed.Required.NodeSelectorTerms)) {
		is, was := &new.Required.NodeSelectorTerms[i], &renamed.Required.NodeSelectorTerms[i]
		for j := range min(len(is.MatchExpressions), len(was.MatchExpressions)) {
			if key := is.MatchExpressions[j].Key; key == stableNodeLabels[was.MatchExpressions[j].Key] {
				was.MatchExpressions[j].Key = key
			}
		}
	}
	return renamed
}
