package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry"
)

// PersistentVolumes are storage that claims are bound to.
var PersistentVolumes = registry.Resource[corev1.PersistentVolume]{
	Kind: "PersistentVolume", Name: "persistentvolumes", Short: []string{"pv"},
	Versions: []registry.Version[corev1.PersistentVolume]{registry.Hub[corev1.PersistentVolume]("v1")},
	Default:  defaultPersistentVolume,
	PrepareCreate: func(v *corev1.PersistentVolume) {
		v.Status = corev1.PersistentVolumeStatus{Phase: corev1.VolumePending, LastPhaseTransitionTime: ptr.To(metav1.Now())}
	},
	Validate:       validatePersistentVolume,
	ValidateUpdate: validatePersistentVolumeUpdate,
	Warn:           persistentVolumeWarnings,
	Status:         func(v *corev1.PersistentVolume) any { return &v.Status },
	PrepareStatus:  timePhase,
	ValidateStatus: validatePersistentVolumeStatus,
	Columns:        persistentVolumeColumns(),
	AnswersDeleted: true,
}

func defaultPersistentVolume(v *corev1.PersistentVolume) {
	setIfZero(&v.Status.Phase, corev1.VolumePending)
	setIfZero(&v.Spec.PersistentVolumeReclaimPolicy, corev1.PersistentVolumeReclaimRetain)
	setIfNil(&v.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	roundUpToMilli(v.Spec.Capacity)
	switch s := &v.Spec.PersistentVolumeSource; {
	case s.HostPath != nil:
		setIfNil(&s.HostPath.Type, corev1.HostPathUnset)
	case s.ISCSI != nil:
		setIfZero(&s.ISCSI.ISCSIInterface, "default")
	case s.RBD != nil:
		setIfZero(&s.RBD.RBDPool, "rbd")
		setIfZero(&s.RBD.RadosUser, "admin")
		setIfZero(&s.RBD.Keyring, "/etc/ceph/keyring")
	case s.AzureDisk != nil:
		setIfNil(&s.AzureDisk.CachingMode, corev1.AzureDataDiskCachingReadWrite)
		setIfNil(&s.AzureDisk.Kind, corev1.AzureSharedBlobDisk)
		setIfNil(&s.AzureDisk.FSType, "ext4")
		setIfNil(&s.AzureDisk.ReadOnly, false)
	case s.ScaleIO != nil:
		setIfZero(&s.ScaleIO.StorageMode, "ThinProvisioned")
		setIfZero(&s.ScaleIO.FSType, "xfs")
	}
}

// timePhase tells when the phase changed, unless the writer does.
func timePhase(new, old *corev1.PersistentVolume) {
	is, was := new.Status.LastPhaseTransitionTime, old.Status.LastPhaseTransitionTime
	switch same := new.Status.Phase == old.Status.Phase; {
	case same && is == nil:
		new.Status.LastPhaseTransitionTime = was
	case !same && (is == nil || is.Equal(was)):
		new.Status.LastPhaseTransitionTime = ptr.To(metav1.Now())
	}
}

func persistentVolumeWarnings(v, _ *corev1.PersistentVolume) []string {
	var texts []string
	for _, a := range [][2]string{
		{corev1.BetaStorageClassAnnotation, `deprecated since v1.8; use "storageClassName" attribute instead`},
		{corev1.MountOptionAnnotation, `deprecated since v1.31; use "mountOptions" attribute instead`},
	} {
		if _, ok := v.Annotations[a[0]]; ok {
			texts = append(texts, fmt.Sprintf("metadata.annotations[%s]: %s", a[0], a[1]))
		}
	}
	if v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRecycle {
		texts = append(texts, "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.")
	}
	if a := v.Spec.NodeAffinity; a != nil && a.Required != nil {
		for i, term := range a.Required.NodeSelectorTerms {
			for j, r := range term.MatchExpressions {
				if text, ok := oldNodeLabels[r.Key]; ok {
					texts = append(texts, fmt.Sprintf("spec.nodeAffinity.required.nodeSelectorTerms[%d].matchExpressions[%d].key: %s is %s", i, j, r.Key, text))
				}
			}
		}
	}
	gone := func(set bool, name, text string) {
		if set {
			texts = append(texts, "spec."+name+": "+text)
		}
	}
	gone(v.Spec.CephFS != nil, "cephfs", "deprecated in v1.28, non-functional in v1.31+")
	gone(v.Spec.PhotonPersistentDisk != nil, "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+")
	gone(v.Spec.ScaleIO != nil, "scaleIO", "deprecated in v1.16, non-functional in v1.22+")
	gone(v.Spec.StorageOS != nil, "storageOS", "deprecated in v1.22, non-functional in v1.25+")
	gone(v.Spec.Glusterfs != nil, "glusterfs", "deprecated in v1.25, non-functional in v1.26+")
	gone(v.Spec.RBD != nil, "rbd", "deprecated in v1.28, non-functional in v1.31+")
	return texts
}

func persistentVolumeColumns() []registry.Column[corev1.PersistentVolume] {
	type volume = corev1.PersistentVolume
	spec, status := corev1.PersistentVolumeSpec{}.SwaggerDoc(), corev1.PersistentVolumeStatus{}.SwaggerDoc()
	return []registry.Column[volume]{
		{Name: "Capacity", Description: spec["capacity"], Value: func(v *volume) any {
			q := v.Spec.Capacity[corev1.ResourceStorage]
			return q.String()
		}},
		{Name: "Access Modes", Description: spec["accessModes"], Value: func(v *volume) any { return accessModesText(v.Spec.AccessModes) }},
		{Name: "Reclaim Policy", Description: spec["persistentVolumeReclaimPolicy"], Value: func(v *volume) any {
			return string(v.Spec.PersistentVolumeReclaimPolicy)
		}},
		{Name: "Status", Description: status["phase"], Value: func(v *volume) any {
			if v.DeletionTimestamp != nil {
				return "Terminating"
			}
			return string(v.Status.Phase)
		}},
		{Name: "Claim", Description: spec["claimRef"], Value: func(v *volume) any {
			if v.Spec.ClaimRef == nil {
				return ""
			}
			return v.Spec.ClaimRef.Namespace + "/" + v.Spec.ClaimRef.Name
		}},
		{Name: "StorageClass", Description: "StorageClass of the pv", Value: func(v *volume) any {
			if class, ok := v.Annotations[corev1.BetaStorageClassAnnotation]; ok {
				return class
			}
			return v.Spec.StorageClassName
		}},
		{Name: "VolumeAttributesClass", Description: "VolumeAttributesClass of the pv", Value: func(v *volume) any {
			return ptr.Deref(v.Spec.VolumeAttributesClassName, "<unset>")
		}},
		{Name: "Reason", Description: status["reason"], Value: func(v *volume) any { return v.Status.Reason }},
		registry.Age[volume](),
		{Name: "VolumeMode", Wide: true, Description: spec["volumeMode"], Value: func(v *volume) any {
			return string(ptr.Deref(v.Spec.VolumeMode, "<unset>"))
		}},
	}
}
