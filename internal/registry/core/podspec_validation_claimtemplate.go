package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry/field"
)

// checkClaim covers the spec of the claim that an ephemeral volume brings.
func (e *podErrors) checkClaim(s *corev1.PersistentVolumeClaimSpec, path *field.Path) {
	if len(s.AccessModes) == 0 {
		e.required(path.Child("accessModes"), "at least 1 access mode is required")
	}
	if s.Selector != nil {
		e.add(metavalidation.ValidateLabelSelector(s.Selector, metavalidation.LabelSelectorValidationOptions{}, path.Child("selector").Common())...)
	}
	e.checkAccessModes(s.AccessModes, path.Child("accessModes"))

	size := path.Child("resources").Key(string(corev1.ResourceStorage))
	if q, ok := s.Resources.Requests[corev1.ResourceStorage]; !ok {
		e.required(size, "")
	} else if q.Sign() <= 0 {
		e.invalid(size, q.String(), "must be greater than zero")
	}
	if n := s.StorageClassName; n != nil && *n != "" {
		e.invalid(path.Child("storageClassName"), *n, apivalidation.NameIsDNSSubdomain(*n, false)...)
	}
	if s.VolumeMode != nil {
		knownOf(e, path.Child("volumeMode"), *s.VolumeMode, corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem)
	}
	e.checkClaimSources(s, path)
	if n := s.VolumeAttributesClassName; n != nil && *n != "" {
		e.invalid(path.Child("volumeAttributesClassName"), *n, apivalidation.NameIsDNSSubdomain(*n, false)...)
	}
}

func (e *podErrors) checkAccessModes(modes []corev1.PersistentVolumeAccessMode, path *field.Path) {
	single, others := false, false
	for _, m := range modes {
		switch m {
		case corev1.ReadWriteOncePod:
			single = true
		case corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce:
			others = true
		default:
			knownOf(e, path, m, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod)
		}
	}
	if single && others {
		e.forbid(path, "may not use ReadWriteOncePod with other access modes")
	}
}

// checkClaimSources covers what the volume is filled from: the same thing in both fields, except that only
// the newer one reaches into other namespaces.
func (e *podErrors) checkClaimSources(s *corev1.PersistentVolumeClaimSpec, path *field.Path) {
	source, ref := s.DataSource, s.DataSourceRef
	if source != nil {
		e.checkClaimSourceRef(source.APIGroup, source.Kind, source.Name, path.Child("dataSource"))
	}
	if ref == nil {
		return
	}
	e.checkClaimSourceRef(ref.APIGroup, ref.Kind, ref.Name, path.Child("dataSourceRef"))
	elsewhere := ref.Namespace != nil && *ref.Namespace != ""
	if elsewhere {
		e.invalid(path.Child("dataSourceRef", "namespace"), *ref.Namespace, apivalidation.ValidateNamespaceName(*ref.Namespace, false)...)
	}
	switch {
	case source == nil:
	case elsewhere:
		e.invalid(path, path.Child("dataSource"), "may not be specified when dataSourceRef.namespace is specified")
	case !equality.Semantic.DeepEqual(source.APIGroup, ref.APIGroup) || source.Kind != ref.Kind || source.Name != ref.Name:
		e.invalid(path, path.Child("dataSource"), "must match dataSourceRef")
	}
}

func (e *podErrors) checkClaimSourceRef(group *string, kind, name string, path *field.Path) {
	e.needed(path.Child("name"), name)
	e.needed(path.Child("kind"), kind)
	switch {
	case group != nil && *group != "":
		e.invalid(path.Child("apiGroup"), *group, validation.IsDNS1123Subdomain(*group)...)
	case kind != "PersistentVolumeClaim":
		e.invalid(path, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup")
	}
}
