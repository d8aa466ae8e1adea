package core

import corev1 "k8s.io/api/core/v1"

// defaultPodVolume fills a volume's source; a volume that names none is an empty directory. One that names
// several will be refused, with all of them filled.
func defaultPodVolume(v *corev1.VolumeSource) {
	if *v == (corev1.VolumeSource{}) {
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
	if v.Image != nil && v.Image.PullPolicy == "" {
		v.Image.PullPolicy = pullPolicyFor(v.Image.Reference)
	}
	if v.HostPath != nil {
		setIfNil(&v.HostPath.Type, corev1.HostPathUnset)
	}
	if v.Secret != nil {
		setIfNil(&v.Secret.DefaultMode, corev1.SecretVolumeSourceDefaultMode)
	}
	if v.ConfigMap != nil {
		setIfNil(&v.ConfigMap.DefaultMode, corev1.ConfigMapVolumeSourceDefaultMode)
	}
	if v.DownwardAPI != nil {
		setIfNil(&v.DownwardAPI.DefaultMode, corev1.DownwardAPIVolumeSourceDefaultMode)
		defaultPodDownwardFiles(v.DownwardAPI.Items)
	}
	if v.Projected != nil {
		defaultPodProjected(v.Projected)
	}
	if v.Ephemeral != nil {
		defaultPodClaimTemplate(v.Ephemeral.VolumeClaimTemplate)
	}
	defaultPodLegacyVolume(v)
}

func defaultPodDownwardFiles(files []corev1.DownwardAPIVolumeFile) {
	for i := range files {
		defaultPodFieldRef(files[i].FieldRef)
	}
}

// tokenLifetime of projected service account tokens, in seconds.
const tokenLifetime int64 = 3600

func defaultPodProjected(p *corev1.ProjectedVolumeSource) {
	setIfNil(&p.DefaultMode, corev1.ProjectedVolumeSourceDefaultMode)
	for i := range p.Sources {
		s := &p.Sources[i]
		s.ClusterTrustBundle, s.PodCertificate = nil, nil
		if s.DownwardAPI != nil {
			defaultPodDownwardFiles(s.DownwardAPI.Items)
		}
		if s.ServiceAccountToken != nil {
			setIfNil(&s.ServiceAccountToken.ExpirationSeconds, tokenLifetime)
		}
	}
}

func defaultPodClaimTemplate(t *corev1.PersistentVolumeClaimTemplate) {
	if t == nil {
		return
	}
	setIfNil(&t.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	roundUpToMilli(t.Spec.Resources.Limits)
	roundUpToMilli(t.Spec.Resources.Requests)
}

// defaultPodLegacyVolume serves the drivers that moved out of Kubernetes but whose fields are still served.
func defaultPodLegacyVolume(v *corev1.VolumeSource) {
	if v.ISCSI != nil {
		setIfZero(&v.ISCSI.ISCSIInterface, "default")
	}
	if v.RBD != nil {
		setIfZero(&v.RBD.RBDPool, "rbd")
		setIfZero(&v.RBD.RadosUser, "admin")
		setIfZero(&v.RBD.Keyring, "/etc/ceph/keyring")
	}
	if v.AzureDisk != nil {
		setIfNil(&v.AzureDisk.CachingMode, corev1.AzureDataDiskCachingReadWrite)
		setIfNil(&v.AzureDisk.FSType, "ext4")
		setIfNil(&v.AzureDisk.ReadOnly, false)
		setIfNil(&v.AzureDisk.Kind, corev1.AzureSharedBlobDisk)
	}
	if v.ScaleIO != nil {
		setIfZero(&v.ScaleIO.StorageMode, "ThinProvisioned")
		setIfZero(&v.ScaleIO.FSType, "xfs")
	}
}
