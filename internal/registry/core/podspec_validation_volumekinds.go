package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/proa-dev/proa/internal/registry/field"
)

// podVolumeKind is a source that a volume may have, and its rules.
type podVolumeKind struct {
	name string
	set  func(*corev1.Volume) bool
	// check gets the path of the source and the one of its volume.
	check func(c *podSpecCheck, v *corev1.Volume, at, volume *field.Path)
	// as is the name under which clients know the source's own errors, where it differs.
	as string
}

// podVolumeKinds are all sources, in the order in which one of several counts as the volume's.
var podVolumeKinds = []podVolumeKind{
	{name: "emptyDir", set: func(v *corev1.Volume) bool { return v.EmptyDir != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) {
			if l := v.EmptyDir.SizeLimit; l != nil && l.Cmp(resource.Quantity{}) < 0 {
				c.forbid(at.Child("sizeLimit"), "SizeLimit field must be a valid resource quantity")
			}
		}},
	{name: "hostPath", set: func(v *corev1.Volume) bool { return v.HostPath != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) { c.checkHostPath(v.HostPath, at) }},
	{name: "gitRepo", set: func(v *corev1.Volume) bool { return v.GitRepo != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) {
			c.needed(at.Child("repository"), v.GitRepo.Repository)
			c.checkDescending(v.GitRepo.Directory, at.Child("directory"))
		}},
	{name: "gcePersistentDisk", as: "persistentDisk", set: func(v *corev1.Volume) bool { return v.GCEPersistentDisk != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) {
			c.needed(at.Child("pdName"), v.GCEPersistentDisk.PDName)
			c.checkPartition(v.GCEPersistentDisk.Partition, at)
		}},
	{name: "awsElasticBlockStore", set: func(v *corev1.Volume) bool { return v.AWSElasticBlockStore != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) {
			c.needed(at.Child("volumeID"), v.AWSElasticBlockStore.VolumeID)
			c.checkPartition(v.AWSElasticBlockStore.Partition, at)
		}},
	{name: "secret", set: func(v *corev1.Volume) bool { return v.Secret != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) {
			c.needed(at.Child("secretName"), v.Secret.SecretName)
			c.checkMode(v.Secret.DefaultMode, at.Child("defaultMode"))
			c.checkItems(v.Secret.Items, at.Child("items"))
		}},
	{name: "nfs", set: func(v *corev1.Volume) bool { return v.NFS != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) { c.checkNFS(v.NFS, at) }},
	{name: "iscsi", set: func(v *corev1.Volume) bool { return v.ISCSI != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, volume *field.Path) { c.checkISCSI(v, at, volume) }},
	{name: "glusterfs", set: func(v *corev1.Volume) bool { return v.Glusterfs != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) {
			c.needed(at.Child("endpoints"), v.Glusterfs.EndpointsName)
			c.needed(at.Child("path"), v.Glusterfs.Path)
		}},
	{name: "flocker", set: func(v *corev1.Volume) bool { return v.Flocker != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) { c.checkFlocker(v.Flocker, at) }},
	{name: "persistentVolumeClaim", set: func(v *corev1.Volume) bool { return v.PersistentVolumeClaim != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) {
			c.needed(at.Child("claimName"), v.PersistentVolumeClaim.ClaimName)
		}},
	{name: "rbd", set: func(v *corev1.Volume) bool { return v.RBD != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) {
			if len(v.RBD.CephMonitors) == 0 {
				c.required(at.Child("monitors"), "")
			}
			c.needed(at.Child("image"), v.RBD.RBDImage)
		}},
	{name: "cinder", set: func(v *corev1.Volume) bool { return v.Cinder != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) {
			c.needed(at.Child("volumeID"), v.Cinder.VolumeID)
			if v.Cinder.SecretRef != nil {
				c.needed(at.Child("secretRef", "name"), v.Cinder.SecretRef.Name)
			}
		}},
	{name: "cephFS", as: "cephfs", set: func(v *corev1.Volume) bool { return v.CephFS != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) {
			if len(v.CephFS.Monitors) == 0 {
				c.required(at.Child("monitors"), "")
			}
		}},
	{name: "quobyte", set: func(v *corev1.Volume) bool { return v.Quobyte != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) { c.checkQuobyte(v.Quobyte, at) }},
	{name: "downwarAPI", as: "downwardAPI", set: func(v *corev1.Volume) bool { return v.DownwardAPI != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) {
			c.checkMode(v.DownwardAPI.DefaultMode, at.Child("defaultMode"))
			for i := range v.DownwardAPI.Items {
				c.checkDownwardFile(&v.DownwardAPI.Items[i], at)
			}
		}},
	{name: "fc", set: func(v *corev1.Volume) bool { return v.FC != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) { c.checkFC(v.FC, at) }},
	{name: "flexVolume", set: func(v *corev1.Volume) bool { return v.FlexVolume != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) { c.checkFlex(v.FlexVolume, at) }},
	{name: "configMap", set: func(v *corev1.Volume) bool { return v.ConfigMap != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) {
			c.needed(at.Child("name"), v.ConfigMap.Name)
			c.checkMode(v.ConfigMap.DefaultMode, at.Child("defaultMode"))
			c.checkItems(v.ConfigMap.Items, at.Child("items"))
		}},
	{name: "azureFile", set: func(v *corev1.Volume) bool { return v.AzureFile != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) {
			c.needed(at.Child("secretName"), v.AzureFile.SecretName)
			c.needed(at.Child("shareName"), v.AzureFile.ShareName)
		}},
	{name: "vsphereVolume", set: func(v *corev1.Volume) bool { return v.VsphereVolume != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) {
			c.needed(at.Child("volumePath"), v.VsphereVolume.VolumePath)
		}},
	{name: "photonPersistentDisk", set: func(v *corev1.Volume) bool { return v.PhotonPersistentDisk != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) {
			c.needed(at.Child("pdID"), v.PhotonPersistentDisk.PdID)
		}},
	{name: "portworxVolume", set: func(v *corev1.Volume) bool { return v.PortworxVolume != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) {
			c.needed(at.Child("volumeID"), v.PortworxVolume.VolumeID)
		}},
	{name: "azureDisk", set: func(v *corev1.Volume) bool { return v.AzureDisk != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) { c.checkAzureDisk(v.AzureDisk, at) }},
	{name: "storageos", set: func(v *corev1.Volume) bool { return v.StorageOS != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) { c.checkStorageOS(v.StorageOS, at) }},
	{name: "projected", set: func(v *corev1.Volume) bool { return v.Projected != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) { c.checkProjected(v.Projected, at) }},
	{name: "scaleIO", set: func(v *corev1.Volume) bool { return v.ScaleIO != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) {
			c.needed(at.Child("gateway"), v.ScaleIO.Gateway)
			c.needed(at.Child("system"), v.ScaleIO.System)
			c.needed(at.Child("volumeName"), v.ScaleIO.VolumeName)
		}},
	{name: "csi", set: func(v *corev1.Volume) bool { return v.CSI != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) { c.checkInlineCSI(v.CSI, at) }},
	{name: "ephemeral", set: func(v *corev1.Volume) bool { return v.Ephemeral != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, _, volume *field.Path) { c.checkEphemeralVolume(v, volume) }},
	{name: "image", set: func(v *corev1.Volume) bool { return v.Image != nil },
		check: func(c *podSpecCheck, v *corev1.Volume, at, _ *field.Path) {
			if c.meta != nil {
				c.needed(at.Child("reference"), v.Image.Reference)
			}
			c.checkPullPolicy(v.Image.PullPolicy, at.Child("pullPolicy"))
		}},
}

// checkVolumeSource makes sure that a volume has one source and checks that one.
func (c *podSpecCheck) checkVolumeSource(v *corev1.Volume, path *field.Path) {
	found := false
	for i := range podVolumeKinds {
		k := &podVolumeKinds[i]
		switch {
		case !k.set(v):
			continue
		case found:
			c.forbid(path.Child(k.name), "may not specify more than 1 volume type")
		case k.as != "":
			k.check(c, v, path.Child(k.as), path)
		default:
			k.check(c, v, path.Child(k.name), path)
		}
		found = true
	}
	if !found {
		c.required(path, "must specify a volume type")
	}
}
