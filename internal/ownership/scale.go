package ownership

import (
	"strings"

	"github.com/proa-dev/proa/internal/registry"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// NewScale returns the manager of Scale objects, which are not stored. A write through the scale
// subresource shows the object as a Scale with the entries that ToScale gives, updates or applies to that
// with this manager and Subresource "scale", and takes the entries back with FromScale.
func NewScale() *Manager {
	return New(registry.Resource[autoscalingv1.Scale]{
		Group: "autoscaling", Kind: "Scale", Name: "scales",
		Versions: []registry.Version[autoscalingv1.Scale]{registry.Hub[autoscalingv1.Scale]("v1")},
	}.Erase())
}

// ToScale returns the entries of those that own an object's replicas, as owners of spec.replicas in a Scale.
func ToScale(t *registry.Type, of []metav1.ManagedFieldsEntry, version schema.GroupVersion) ([]metav1.ManagedFieldsEntry, error) {
	return scaleHandler(t, of, version).ToSubresource()
}

// FromScale returns an object's entries after those of its Scale have changed to entries.
func FromScale(t *registry.Type, of []metav1.ManagedFieldsEntry, version schema.GroupVersion, entries []metav1.ManagedFieldsEntry) ([]metav1.ManagedFieldsEntry, error) {
	return scaleHandler(t, of, version).ToParent(entries)
}

func scaleHandler(t *registry.Type, of []metav1.ManagedFieldsEntry, version schema.GroupVersion) *managedfields.ScaleHandler {
	var path fieldpath.Path
	for name := range strings.SplitSeq(strings.TrimPrefix(t.Scale.ReplicasPath, "."), ".") {
		path = append(path, fieldpath.FieldNameElement(name))
	}
	paths := managedfields.ResourcePathMappings{}
	for _, v := range t.Versions {
		paths[v.GroupVersion.String()] = path
	}
	return managedfields.NewScaleHandler(of, version, paths)
}
