package core

import (
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry/field"
)

// volumeKind is a source that a volume may have: whether it has it, and its rules.
type volumeKind struct {
	name  string
	set   bool
	check func(*field.Path)
	// as is the name under which clients know the source's own errors, where it differs.
	as string
}

// checkPersistentVolumeSource makes sure that a volume has one source and checks that one. Sources are a
// pod's, where they are the same, or refer to secrets in any namespace, where a pod's are in its own.
func (e *podErrors) checkPersistentVolumeSource(v *corev1.PersistentVolume, spec *field.Path) {
	found := false
	for _, k := range append(e.localSources(v, spec), append(e.networkSources(v), e.cloudSources(&v.Spec)...)...) {
		if !k.set {
			continue
		}
		if found {
			e.forbid(spec.Child(k.name), "may not specify more than 1 volume type")
			continue
		}
		found = true
		if k.as == "" {
			k.as = k.name
		}
		k.check(spec.Child(k.as))
	}
	if !found {
		e.required(spec, "must specify a volume type")
	}
}

func (e *podErrors) localSources(v *corev1.PersistentVolume, spec *field.Path) []volumeKind {
	s := &v.Spec
	return []volumeKind{
		{name: "hostPath", set: s.HostPath != nil, check: func(at *field.Path) { e.checkHostPath(s.HostPath, at) }},
		{name: "local", set: s.Local != nil, check: func(at *field.Path) {
			if e.needed(at.Child("path"), s.Local.Path) {
				e.checkNoBacksteps(s.Local.Path, at.Child("path"))
			}
			if s.NodeAffinity == nil {
				e.required(spec.Child("nodeAffinity"), "Local volume requires node affinity")
			}
		}},
		{name: "csi", set: s.CSI != nil, check: func(at *field.Path) {
			e.checkCSIDriver(s.CSI.Driver, at.Child("driver"))
			e.needed(at.Child("volumeHandle"), s.CSI.VolumeHandle)
			e.checkSecretRef(s.CSI.ControllerPublishSecretRef, at.Child("controllerPublishSecretRef"))
			e.checkSecretRef(s.CSI.ControllerExpandSecretRef, at.Child("controllerExpandSecretRef"))
			e.checkSecretRef(s.CSI.NodePublishSecretRef, at.Child("nodePublishSecretRef"))
			e.checkSecretRef(s.CSI.NodeExpandSecretRef, at.Child("nodeExpandSecretRef"))
		}},
	}
}

func (e *podErrors) networkSources(v *corev1.PersistentVolume) []volumeKind {
	s := &v.Spec
	return []volumeKind{
		{name: "glusterfs", set: s.Glusterfs != nil, check: func(at *field.Path) {
			e.needed(at.Child("endpoints"), s.Glusterfs.EndpointsName)
			e.needed(at.Child("path"), s.Glusterfs.Path)
			e.checkGlusterNamespace(s.Glusterfs.EndpointsNamespace, at.Child("endpointsNamespace"))
		}},
		{name: "flocker", set: s.Flocker != nil, check: func(at *field.Path) { e.checkFlocker(s.Flocker, at) }},
		{name: "nfs", set: s.NFS != nil, check: func(at *field.Path) { e.checkNFS(s.NFS, at) }},
		{name: "rbd", set: s.RBD != nil, check: func(at *field.Path) {
			if len(s.RBD.CephMonitors) == 0 {
				e.required(at.Child("monitors"), "")
			}
			e.needed(at.Child("image"), s.RBD.RBDImage)
		}},
		{name: "quobyte", set: s.Quobyte != nil, check: func(at *field.Path) { e.checkQuobyte(s.Quobyte, at) }},
		{name: "cephFS", as: "cephfs", set: s.CephFS != nil, check: func(at *field.Path) {
			if len(s.CephFS.Monitors) == 0 {
				e.required(at.Child("monitors"), "")
			}
		}},
		{name: "iscsi", set: s.ISCSI != nil, check: func(at *field.Path) { e.checkISCSIVolume(v.Name, s.ISCSI, at) }},
		{name: "fc", set: s.FC != nil, check: func(at *field.Path) { e.checkFC(s.FC, at) }},
		{name: "flexVolume", set: s.FlexVolume != nil, check: func(at *field.Path) {
			e.checkFlex(&corev1.FlexVolumeSource{Driver: s.FlexVolume.Driver, Options: s.FlexVolume.Options}, at)
		}},
		{name: "portworxVolume", set: s.PortworxVolume != nil, check: func(at *field.Path) { e.needed(at.Child("volumeID"), s.PortworxVolume.VolumeID) }},
		{name: "scaleIO", set: s.ScaleIO != nil, check: func(at *field.Path) {
			e.needed(at.Child("gateway"), s.ScaleIO.Gateway)
			e.needed(at.Child("system"), s.ScaleIO.System)
			e.needed(at.Child("volumeName"), s.ScaleIO.VolumeName)
		}},
		{name: "storageos", set: s.StorageOS != nil, check: func(at *field.Path) {
			e.checkStorageOS(&corev1.StorageOSVolumeSource{VolumeName: s.StorageOS.VolumeName, VolumeNamespace: s.StorageOS.VolumeNamespace}, at)
			if ref := s.StorageOS.SecretRef; ref != nil {
				e.needed(at.Child("secretRef", "name"), ref.Name)
				e.needed(at.Child("secretRef", "namespace"), ref.Namespace)
			}
		}},
	}
}

func (e *podErrors) cloudSources(s *corev1.PersistentVolumeSpec) []volumeKind {
	return []volumeKind{
		{name: "gcePersistentDisk", as: "persistentDisk", set: s.GCEPersistentDisk != nil, check: func(at *field.Path) {
			e.needed(at.Child("pdName"), s.GCEPersistentDisk.PDName)
			e.checkPartition(s.GCEPersistentDisk.Partition, at)
		}},
		{name: "awsElasticBlockStore", set: s.AWSElasticBlockStore != nil, check: func(at *field.Path) {
			e.needed(at.Child("volumeID"), s.AWSElasticBlockStore.VolumeID)
			e.checkPartition(s.AWSElasticBlockStore.Partition, at)
		}},
		{name: "cinder", set: s.Cinder != nil, check: func(at *field.Path) {
			e.needed(at.Child("volumeID"), s.Cinder.VolumeID)
			if ref := s.Cinder.SecretRef; ref != nil {
				e.needed(at.Child("secretRef", "name"), ref.Name)
				e.needed(at.Child("secretRef", "namespace"), ref.Namespace)
			}
		}},
		{name: "azureFile", set: s.AzureFile != nil, check: func(at *field.Path) {
			e.needed(at.Child("secretName"), s.AzureFile.SecretName)
			e.needed(at.Child("shareName"), s.AzureFile.ShareName)
			if n := s.AzureFile.SecretNamespace; n != nil {
				e.needed(at.Child("secretNamespace"), *n)
			}
		}},
		{name: "azureDisk", set: s.AzureDisk != nil, check: func(at *field.Path) { e.checkAzureDisk(s.AzureDisk, at) }},
		{name: "vsphereVolume", set: s.VsphereVolume != nil, check: func(at *field.Path) { e.needed(at.Child("volumePath"), s.VsphereVolume.VolumePath) }},
		{name: "photonPersistentDisk", set: s.PhotonPersistentDisk != nil, check: func(at *field.Path) { e.needed(at.Child("pdID"), s.PhotonPersistentDisk.PdID) }},
	}
}

// checkSecretRef covers a reference to a secret in any namespace; nil is well.
func (e *podErrors) checkSecretRef(ref *corev1.SecretReference, path *field.Path) {
	if ref == nil {
		return
	}
	if e.needed(path.Child("name"), ref.Name) {
		e.add(checkDNSSubdomain(ref.Name, path.Child("name"))...)
	}
	if e.needed(path.Child("namespace"), ref.Namespace) {
		e.add(checkDNSLabel(ref.Namespace, path.Child("namespace"))...)
	}
}

func (e *podErrors) checkGlusterNamespace(n *string, path *field.Path) {
	if n == nil {
		return
	}
	if *n == "" {
		e.invalid(path, *n, "if the endpointnamespace is set, it must be a valid namespace name")
		return
	}
	e.invalid(path, *n, apivalidation.ValidateNamespaceName(*n, false)...)
}

func (e *podErrors) checkISCSIVolume(volume string, s *corev1.ISCSIPersistentVolumeSource, path *field.Path) {
	e.needed(path.Child("targetPortal"), s.TargetPortal)
	if s.InitiatorName != nil && len(volume+":"+s.TargetPortal) > 64 {
		e.invalid(path.Child("targetportal"), s.TargetPortal,
			"Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.")
	}
	if e.needed(path.Child("iqn"), s.IQN) {
		e.checkISCSIName(s.IQN, path.Child("iqn"))
	}
	if s.Lun < 0 || s.Lun > 255 {
		e.invalid(path.Child("lun"), s.Lun, validation.InclusiveRangeError(0, 255))
	}
	if (s.DiscoveryCHAPAuth || s.SessionCHAPAuth) && s.SecretRef == nil {
		e.required(path.Child("secretRef"), "")
	}
	if ref := s.SecretRef; ref != nil {
		e.needed(path.Child("secretRef", "name"), ref.Name)
	}
	if s.InitiatorName != nil {
		e.checkISCSIName(*s.InitiatorName, path.Child("initiatorname"))
	}
}
