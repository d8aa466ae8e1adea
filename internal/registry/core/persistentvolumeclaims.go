package core

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// PersistentVolumeClaims ask for storage.
var PersistentVolumeClaims = registry.Resource[corev1.PersistentVolumeClaim]{
	Kind: "PersistentVolumeClaim", Name: "persistentvolumeclaims", Short: []string{"pvc"},
	Namespaced: true,
	Versions:   []registry.Version[corev1.PersistentVolumeClaim]{registry.Hub[corev1.PersistentVolumeClaim]("v1")},
	Default: func(c *corev1.PersistentVolumeClaim) {
		DefaultClaimTemplate(c)
		roundUpToMilli(c.Status.Capacity)
		roundUpToMilli(c.Status.AllocatedResources)
	},
	PrepareCreate: func(c *corev1.PersistentVolumeClaim) {
		c.Status.Phase = corev1.ClaimPending
		settleDataSource(&c.Spec, nil)
	},
	PrepareUpdate: func(new, old *corev1.PersistentVolumeClaim) { settleDataSource(&new.Spec, &old.Spec) },
	Validate: func(c *corev1.PersistentVolumeClaim) field.ErrorList {
		return ValidateClaimTemplate(&c.Spec, field.NewPath("spec"))
	},
	ValidateUpdate: validateClaimUpdate,
	Warn:           claimWarnings,
	Status:         func(c *corev1.PersistentVolumeClaim) any { return &c.Status },
	ValidateStatus: validateClaimStatus,
	Columns:        claimColumns(),
	AnswersDeleted: true,
}

// settleDataSource makes dataSource and dataSourceRef say the same. dataSource alone may only name what it
// could from the start, a claim or a snapshot; anything else was always dropped without a word. A reference
// into another namespace is a feature that is off.
func settleDataSource(s, old *corev1.PersistentVolumeClaimSpec) {
	if ref := s.DataSourceRef; ref != nil && ptr.Deref(ref.Namespace, "") != "" && (old == nil || old.DataSourceRef == nil) {
		s.DataSourceRef = nil
	}
	hadSource := old != nil && (old.DataSource != nil || old.DataSourceRef != nil)
	if !hadSource && s.DataSourceRef == nil && !isClaimOrSnapshot(s.DataSource) {
		s.DataSource = nil
	}
	pairDataSources(s)
	if old != nil {
		pairDataSources(old)
	}
}

func pairDataSources(s *corev1.PersistentVolumeClaimSpec) {
	source, ref := s.DataSource, s.DataSourceRef
	switch {
	case source != nil && ref == nil:
		s.DataSourceRef = &corev1.TypedObjectReference{Kind: source.Kind, Name: source.Name, APIGroup: clonePtr(source.APIGroup)}
	case ref != nil && source == nil && ptr.Deref(ref.Namespace, "") == "":
		s.DataSource = &corev1.TypedLocalObjectReference{Kind: ref.Kind, Name: ref.Name, APIGroup: clonePtr(ref.APIGroup)}
	}
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return ptr.To(*p)
}

func isClaimOrSnapshot(s *corev1.TypedLocalObjectReference) bool {
	if s == nil {
		return false
	}
	group := ptr.Deref(s.APIGroup, "")
	return s.Kind == "PersistentVolumeClaim" && group == "" || s.Kind == "VolumeSnapshot" && group == "snapshot.storage.k8s.io"
}

func claimWarnings(c, _ *corev1.PersistentVolumeClaim) []string {
	var texts []string
	if _, ok := c.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		texts = append(texts, fmt.Sprintf("metadata.annotations[%s]: deprecated since v1.8; use \"storageClassName\" attribute instead", corev1.BetaStorageClassAnnotation))
	}
	fraction := func(name string, list corev1.ResourceList) {
		if q := list[corev1.ResourceStorage]; q.MilliValue()%1000 != 0 {
			texts = append(texts, fmt.Sprintf("spec.resources.%s[storage]: fractional byte value %q is invalid, must be an integer", name, q.String()))
		}
	}
	fraction("requests", c.Spec.Resources.Requests)
	fraction("limits", c.Spec.Resources.Limits)
	return texts
}

func claimColumns() []registry.Column[corev1.PersistentVolumeClaim] {
	type claim = corev1.PersistentVolumeClaim
	spec, status := corev1.PersistentVolumeClaimSpec{}.SwaggerDoc(), corev1.PersistentVolumeClaimStatus{}.SwaggerDoc()
	return []registry.Column[claim]{
		{Name: "Status", Description: status["phase"], Value: func(c *claim) any {
			if c.DeletionTimestamp != nil {
				return "Terminating"
			}
			return string(c.Status.Phase)
		}},
		{Name: "Volume", Description: spec["volumeName"], Value: func(c *claim) any { return c.Spec.VolumeName }},
		{Name: "Capacity", Description: status["capacity"], Value: func(c *claim) any {
			if c.Spec.VolumeName == "" {
				return ""
			}
			q := c.Status.Capacity[corev1.ResourceStorage]
			return q.String()
		}},
		{Name: "Access Modes", Description: status["accessModes"], Value: func(c *claim) any {
			if c.Spec.VolumeName == "" {
				return ""
			}
			return accessModesText(c.Status.AccessModes)
		}},
		{Name: "StorageClass", Description: "StorageClass of the pvc", Value: func(c *claim) any {
			if class, ok := c.Annotations[corev1.BetaStorageClassAnnotation]; ok {
				return class
			}
			return ptr.Deref(c.Spec.StorageClassName, "")
		}},
		{Name: "VolumeAttributesClass", Description: "VolumeAttributesClass of the pvc", Value: func(c *claim) any {
			return ptr.Deref(c.Spec.VolumeAttributesClassName, "<unset>")
		}},
		registry.Age[claim](),
		{Name: "VolumeMode", Wide: true, Description: spec["volumeMode"], Value: func(c *claim) any {
			return string(ptr.Deref(c.Spec.VolumeMode, "<unset>"))
		}},
	}
}

// accessModesText shows modes by their letters, always in the same order.
func accessModesText(modes []corev1.PersistentVolumeAccessMode) string {
	var texts []string
	for _, m := range []struct {
		mode corev1.PersistentVolumeAccessMode
		text string
	}{
		{corev1.ReadWriteOnce, "RWO"}, {corev1.ReadOnlyMany, "ROX"}, {corev1.ReadWriteMany, "RWX"}, {corev1.ReadWriteOncePod, "RWOP"},
	} {
		if slices.Contains(modes, m.mode) {
			texts = append(texts, m.text)
		}
	}
	return strings.Join(texts, ",")
}
