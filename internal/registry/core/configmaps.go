package core

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// ConfigMaps hold configuration data for pods to consume.
var ConfigMaps = registry.Resource[corev1.ConfigMap]{
	Kind: "ConfigMap", Name: "configmaps", Short: []string{"cm"},
	Namespaced:     true,
	Versions:       []registry.Version[corev1.ConfigMap]{registry.Hub[corev1.ConfigMap]("v1")},
	Validate:       validateConfigMap,
	ValidateUpdate: validateConfigMapUpdate,
	Columns: []registry.Column[corev1.ConfigMap]{
		{
			Name: "Data", Type: "string", Description: corev1.ConfigMap{}.SwaggerDoc()["data"],
			Value: func(m *corev1.ConfigMap) any { return len(m.Data) + len(m.BinaryData) },
		},
		registry.Age[corev1.ConfigMap](),
	},
}

// maxDataSize bounds the data of a ConfigMap or a Secret, in bytes.
const maxDataSize = 1 << 20

func validateConfigMap(m *corev1.ConfigMap) field.ErrorList {
	var errs field.ErrorList
	size := 0
	for _, key := range sortedKeys(m.Data) {
		errs = append(errs, validateDataKey(key, field.NewPath("data"))...)
		if _, ok := m.BinaryData[key]; ok {
			errs = append(errs, field.Invalid(field.NewPath("data").Key(key), key, "duplicate of key present in binaryData"))
		}
		size += len(m.Data[key])
	}
	for _, key := range sortedKeys(m.BinaryData) {
		errs = append(errs, validateDataKey(key, field.NewPath("binaryData"))...)
		size += len(m.BinaryData[key])
	}
	if size > maxDataSize {
		errs = append(errs, field.TooLong(field.NewPath(""), "", maxDataSize))
	}
	return errs
}

func validateConfigMapUpdate(new, old *corev1.ConfigMap) field.ErrorList {
	if old.Immutable == nil || !*old.Immutable {
		return nil
	}
	var errs field.ErrorList
	if new.Immutable == nil || !*new.Immutable {
		errs = append(errs, field.Forbidden(field.NewPath("immutable"), "field is immutable when `immutable` is set"))
	}
	if !equality.Semantic.DeepEqual(new.Data, old.Data) {
		errs = append(errs, field.Forbidden(field.NewPath("data"), "field is immutable when `immutable` is set"))
	}
	if !equality.Semantic.DeepEqual(new.BinaryData, old.BinaryData) {
		errs = append(errs, field.Forbidden(field.NewPath("binaryData"), "field is immutable when `immutable` is set"))
	}
	return errs
}

// validateDataKey checks a key of a ConfigMap's or a Secret's data.
func validateDataKey(key string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, msg := range validation.IsConfigMapKey(key) {
		errs = append(errs, field.Invalid(path.Key(key), key, msg))
	}
	return errs
}

// sortedKeys makes validation errors come in the same order each time.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
