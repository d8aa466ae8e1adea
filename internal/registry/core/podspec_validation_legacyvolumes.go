package core

import (
	"net"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry/field"
)

// The drivers that once were part of Kubernetes: most work no more, or through CSI, but their fields are
// served and checked.

// checkPartition has always said that partitions start at 1 and let 0, the whole disk, pass.
func (e *podErrors) checkPartition(n int32, path *field.Path) {
	if n < 0 || n > 255 {
		e.invalid(path.Child("partition"), n, validation.InclusiveRangeError(1, 255))
	}
}

func (e *podErrors) checkAzureDisk(d *corev1.AzureDiskVolumeSource, path *field.Path) {
	e.needed(path.Child("diskName"), d.DiskName)
	e.needed(path.Child("diskURI"), d.DataDiskURI)
	if d.CachingMode != nil {
		knownOf(e, path.Child("cachingMode"), *d.CachingMode,
			corev1.AzureDataDiskCachingNone, corev1.AzureDataDiskCachingReadOnly, corev1.AzureDataDiskCachingReadWrite)
	}
	if d.Kind == nil {
		return
	}
	knownOf(e, path.Child("kind"), *d.Kind, corev1.AzureDedicatedBlobDisk, corev1.AzureManagedDisk, corev1.AzureSharedBlobDisk)
	managed := *d.Kind == corev1.AzureManagedDisk
	if managed && !strings.HasPrefix(d.DataDiskURI, "/subscriptions/") {
		knownOf(e, path.Child("diskURI"), d.DataDiskURI,
			"/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}")
	}
	if !managed && !strings.HasPrefix(d.DataDiskURI, "https://") {
		knownOf(e, path.Child("diskURI"), d.DataDiskURI,
			"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd")
	}
}

// The forms of an iSCSI name, by its first three letters.
var iscsiNames = map[string]*regexp.Regexp{
	"iqn": regexp.MustCompile(`iqn\.\d{4}-\d{2}\.([[:alnum:]-.]+)(:[^,;*&$|\s]+)$`),
	"eui": regexp.MustCompile(`^eui.[[:alnum:]]{16}$`),
	"naa": regexp.MustCompile(`^naa.[[:alnum:]]{32}$`),
}

func (e *podErrors) checkISCSI(v *corev1.Volume, path, volume *field.Path) {
	s := v.ISCSI
	e.needed(path.Child("targetPortal"), s.TargetPortal)
	if e.needed(path.Child("iqn"), s.IQN) {
		e.checkISCSIName(s.IQN, path.Child("iqn"))
	}
	if s.Lun < 0 || s.Lun > 255 {
		e.invalid(path.Child("lun"), s.Lun, validation.InclusiveRangeError(0, 255))
	}
	if (s.DiscoveryCHAPAuth || s.SessionCHAPAuth) && s.SecretRef == nil {
		e.required(path.Child("secretRef"), "")
	}
	if s.InitiatorName == nil {
		return
	}
	e.checkISCSIName(*s.InitiatorName, path.Child("initiatorname"))
	if len(v.Name+":"+s.TargetPortal) > 64 {
		e.invalid(volume.Child("name"), v.Name,
			"Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.")
	}
}

func (e *podErrors) checkISCSIName(name string, path *field.Path) {
	form := iscsiNames[name[:min(3, len(name))]]
	switch {
	case form == nil:
		e.invalid(path, name, "must be valid format starting with iqn, eui, or naa")
	case !form.MatchString(name):
		e.invalid(path, name, "must be valid format")
	}
}

func (e *podErrors) checkFlocker(f *corev1.FlockerVolumeSource, path *field.Path) {
	if f.DatasetName == "" && f.DatasetUUID == "" {
		e.required(path, "one of datasetName and datasetUUID is required")
	}
	if f.DatasetName != "" && f.DatasetUUID != "" {
		e.invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously")
	}
	if strings.Contains(f.DatasetName, "/") {
		e.invalid(path.Child("datasetName"), f.DatasetName, "must not contain '/'")
	}
}

func (e *podErrors) checkQuobyte(q *corev1.QuobyteVolumeSource, path *field.Path) {
	const registryForm = "must be a host:port pair or multiple pairs separated by commas"
	switch {
	case q.Registry == "":
		e.required(path.Child("registry"), registryForm)
	case len(q.Tenant) >= 65:
		e.required(path.Child("tenant"), "must be a UUID and may not exceed a length of 64 characters")
	default:
		for pair := range strings.SplitSeq(q.Registry, ",") {
			if _, _, err := net.SplitHostPort(pair); err != nil {
				e.invalid(path.Child("registry"), q.Registry, registryForm)
			}
		}
	}
	e.needed(path.Child("volume"), q.Volume)
}

func (e *podErrors) checkFC(f *corev1.FCVolumeSource, path *field.Path) {
	at := path.Child("targetWWNs")
	switch {
	case len(f.TargetWWNs) == 0 && len(f.WWIDs) == 0:
		e.required(at, "must specify either targetWWNs or wwids, but not both")
	case len(f.TargetWWNs) != 0 && len(f.WWIDs) != 0:
		e.invalid(at, f.TargetWWNs, "targetWWNs and wwids can not be specified simultaneously")
	}
	switch {
	case len(f.TargetWWNs) == 0:
	case f.Lun == nil:
		e.required(path.Child("lun"), "lun is required if targetWWNs is specified")
	case *f.Lun < 0 || *f.Lun > 255:
		e.invalid(path.Child("lun"), *f.Lun, validation.InclusiveRangeError(0, 255))
	}
}

func (e *podErrors) checkFlex(f *corev1.FlexVolumeSource, path *field.Path) {
	e.needed(path.Child("driver"), f.Driver)
	for _, option := range sortedKeys(f.Options) {
		namespace, _, _ := strings.Cut(option, "/")
		namespace = "." + strings.ToLower(namespace)
		if strings.HasSuffix(namespace, ".kubernetes.io") || strings.HasSuffix(namespace, ".k8s.io") {
			e.invalid(path.Child("options").Key(option), option, "kubernetes.io and k8s.io namespaces are reserved")
		}
	}
}

func (e *podErrors) checkStorageOS(s *corev1.StorageOSVolumeSource, path *field.Path) {
	if e.needed(path.Child("volumeName"), s.VolumeName) {
		e.invalid(path.Child("volumeName"), s.VolumeName, validation.IsDNS1123Label(s.VolumeName)...)
	}
	if s.VolumeNamespace != "" {
		e.invalid(path.Child("volumeNamespace"), s.VolumeNamespace, validation.IsDNS1123Label(s.VolumeNamespace)...)
	}
	if s.SecretRef != nil {
		e.needed(path.Child("secretRef", "name"), s.SecretRef.Name)
	}
}
