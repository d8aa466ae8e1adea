package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

func (w *podWarner) warnVolumes() {
	for i := range w.spec.Volumes {
		v, at := &w.spec.Volumes[i], w.at("volumes").Index(i)
		for _, old := range []struct {
			name string
			set  bool
			text string
		}{
			{"photonPersistentDisk", v.PhotonPersistentDisk != nil, "deprecated in v1.11, non-functional in v1.16+"},
			{"gitRepo", v.GitRepo != nil, "deprecated in v1.11, and disabled by default in v1.33+"},
			{"scaleIO", v.ScaleIO != nil, "deprecated in v1.16, non-functional in v1.22+"},
			{"flocker", v.Flocker != nil, "deprecated in v1.22, non-functional in v1.25+"},
			{"storageOS", v.StorageOS != nil, "deprecated in v1.22, non-functional in v1.25+"},
			{"quobyte", v.Quobyte != nil, "deprecated in v1.22, non-functional in v1.25+"},
			{"glusterfs", v.Glusterfs != nil, "deprecated in v1.25, non-functional in v1.26+"},
			{"cephfs", v.CephFS != nil, "deprecated in v1.28, non-functional in v1.31+"},
			{"rbd", v.RBD != nil, "deprecated in v1.28, non-functional in v1.31+"},
		} {
			if old.set {
				w.warn(at.Child(old.name), "%s", old.text)
			}
		}
		if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
			r, path := &v.Ephemeral.VolumeClaimTemplate.Spec.Resources, at.Child("ephemeral", "volumeClaimTemplate", "spec", "resources")
			w.warnFraction(path.Child("requests").Key(string(corev1.ResourceStorage)), r.Requests[corev1.ResourceStorage])
			w.warnFraction(path.Child("limits").Key(string(corev1.ResourceStorage)), r.Limits[corev1.ResourceStorage])
		}
	}
}

// volumeFile is a file that a volume makes, and what it is made from, "" if there is one source only.
type volumeFile struct{ path, source string }

func (f volumeFile) String() string {
	if f.source == "" {
		return fmt.Sprintf("%q", f.path)
	}
	return fmt.Sprintf("%q (%s)", f.path, f.source)
}

func (f volumeFile) overlaps(other volumeFile) bool {
	return strings.HasPrefix(f.path+"/", other.path+"/") || strings.HasPrefix(other.path+"/", f.path+"/")
}

// warnOverlappingFiles finds volumes where one file lies where another does, or needs it to be a directory.
func (w *podWarner) warnOverlappingFiles() {
	for i := range w.spec.Volumes {
		v := &w.spec.Volumes[i]
		if s := v.ConfigMap; s != nil {
			w.warnOverlaps(v.Name, fmt.Sprintf("ConfigMap %q", s.Name), itemFiles(s.Items, ""))
		}
		if s := v.Secret; s != nil {
			w.warnOverlaps(v.Name, fmt.Sprintf("Secret %q", s.SecretName), itemFiles(s.Items, ""))
		}
		if s := v.DownwardAPI; s != nil {
			w.warnOverlaps(v.Name, "DownwardAPI", downwardFiles(s.Items, ""))
		}
		if s := v.Projected; s != nil {
			var files []volumeFile
			for j := range s.Sources {
				if s.Sources[j] == (corev1.VolumeProjection{}) {
					w.texts = append(w.texts, fmt.Sprintf("volume %q (Projected) has no sources provided", v.Name))
				}
				files = append(files, projectedFiles(&s.Sources[j])...)
			}
			w.warnOverlaps(v.Name, "Projected", files)
		}
	}
}

func (w *podWarner) warnOverlaps(volume, kind string, files []volumeFile) {
	for i := range files {
		files[i].path = strings.TrimRight(files[i].path, "/")
		for _, earlier := range files[:i] {
			if files[i].path != "" && earlier.path != "" && files[i].overlaps(earlier) {
				w.texts = append(w.texts, fmt.Sprintf("volume %q (%s): overlapping paths: %s with %s", volume, kind, files[i], earlier))
			}
		}
	}
}

func itemFiles(items []corev1.KeyToPath, source string) []volumeFile {
	var files []volumeFile
	for _, k := range items {
		files = append(files, volumeFile{k.Path, source})
	}
	return files
}

func downwardFiles(items []corev1.DownwardAPIVolumeFile, source string) []volumeFile {
	var files []volumeFile
	for _, f := range items {
		files = append(files, volumeFile{f.Path, source})
	}
	return files
}

func projectedFiles(s *corev1.VolumeProjection) []volumeFile {
	switch {
	case s.ConfigMap != nil && s.ConfigMap.Items != nil:
		return itemFiles(s.ConfigMap.Items, fmt.Sprintf("ConfigMap %q", s.ConfigMap.Name))
	case s.Secret != nil && s.Secret.Items != nil:
		return itemFiles(s.Secret.Items, fmt.Sprintf("Secret %q", s.Secret.Name))
	case s.DownwardAPI != nil && s.DownwardAPI.Items != nil:
		return downwardFiles(s.DownwardAPI.Items, "DownwardAPI")
	case s.ServiceAccountToken != nil:
		return []volumeFile{{s.ServiceAccountToken.Path, "ServiceAccountToken"}}
	}
	return nil
}
