// Package storage defines kinds of volumes and where they come from.
package storage

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/core"
	"github.com/proa-dev/proa/internal/registry/field"
)

// StorageClasses are the kinds of volumes that claims can ask for.
var StorageClasses = registry.Resource[storagev1.StorageClass]{
	Group: "storage.k8s.io", Kind: "StorageClass", Name: "storageclasses", Short: []string{"sc"},
	AnswersDeleted: true,
	Versions:       []registry.Version[storagev1.StorageClass]{registry.Hub[storagev1.StorageClass]("v1")},
	Default:        defaultStorageClass,
	Validate:       validateStorageClass,
	ValidateUpdate: validateStorageClassUpdate,
	Warn:           warnStorageClass,
	Columns: []registry.Column[storagev1.StorageClass]{
		{
			Name: "Name", Format: "name", Description: metav1.ObjectMeta{}.SwaggerDoc()["name"],
			Value: nameAndDefault,
		},
		{
			Name: "Provisioner", Description: storagev1.StorageClass{}.SwaggerDoc()["provisioner"],
			Value: func(c *storagev1.StorageClass) any { return c.Provisioner },
		},
		{
			Name: "ReclaimPolicy", Description: storagev1.StorageClass{}.SwaggerDoc()["reclaimPolicy"],
			Value: func(c *storagev1.StorageClass) any { return string(*c.ReclaimPolicy) },
		},
		{
			Name: "VolumeBindingMode", Description: storagev1.StorageClass{}.SwaggerDoc()["volumeBindingMode"],
			Value: func(c *storagev1.StorageClass) any { return string(*c.VolumeBindingMode) },
		},
		{
			Name: "AllowVolumeExpansion", Description: storagev1.StorageClass{}.SwaggerDoc()["allowVolumeExpansion"],
			Value: func(c *storagev1.StorageClass) any { return c.AllowVolumeExpansion != nil && *c.AllowVolumeExpansion },
		},
		registry.Age[storagev1.StorageClass](),
	},
}

// Bounds of the parameters: their number, and bytes of keys and values together.
const (
	maxParameters     = 512
	maxParametersSize = 256 << 10
)

// nameAndDefault marks the class of the claims that ask for none.
func nameAndDefault(c *storagev1.StorageClass) any {
	for _, key := range []string{"storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"} {
		if c.Annotations[key] == "true" {
			return c.Name + " (default)"
		}
	}
	return c.Name
}

func defaultStorageClass(c *storagev1.StorageClass) {
	if c.ReclaimPolicy == nil {
		policy := corev1.PersistentVolumeReclaimDelete
		c.ReclaimPolicy = &policy
	}
	if c.VolumeBindingMode == nil {
		mode := storagev1.VolumeBindingImmediate
		c.VolumeBindingMode = &mode
	}
}

func validateStorageClass(c *storagev1.StorageClass) field.ErrorList {
	var errs field.ErrorList
	provisioner := field.NewPath("provisioner")
	if c.Provisioner == "" {
		errs = append(errs, field.Required(provisioner, ""))
	} else {
		for _, msg := range validation.IsQualifiedName(strings.ToLower(c.Provisioner)) {
			errs = append(errs, field.Invalid(provisioner, strings.ToLower(c.Provisioner), msg))
		}
	}
	errs = append(errs, validateParameters(c.Parameters, field.NewPath("parameters"))...)
	policies := []corev1.PersistentVolumeReclaimPolicy{corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRetain}
	if *c.ReclaimPolicy != "" && !slices.Contains(policies, *c.ReclaimPolicy) {
		errs = append(errs, field.NotSupported(field.NewPath("reclaimPolicy"), c.ReclaimPolicy, policies))
	}
	modes := []storagev1.VolumeBindingMode{storagev1.VolumeBindingImmediate, storagev1.VolumeBindingWaitForFirstConsumer}
	if !slices.Contains(modes, *c.VolumeBindingMode) {
		errs = append(errs, field.NotSupported(field.NewPath("volumeBindingMode"), c.VolumeBindingMode, modes))
	}
	return append(errs, validateTopologies(c.AllowedTopologies, field.NewPath("allowedTopologies"))...)
}

func validateParameters(parameters map[string]string, path *field.Path) field.ErrorList {
	if len(parameters) > maxParameters {
		return field.ErrorList{field.TooLong(path, "", maxParameters)}
	}
	var errs field.ErrorList
	size := 0
	for key, value := range parameters {
		if key == "" {
			errs = append(errs, field.Invalid(path, key, "field can not be empty."))
		}
		size += len(key) + len(value)
	}
	if size > maxParametersSize {
		errs = append(errs, field.TooLong(path, "", maxParametersSize))
	}
	return errs
}

// validateTopologies refuses terms that say the same thing twice, in whatever order.
func validateTopologies(terms []corev1.TopologySelectorTerm, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	var seen []map[string]sets.Set[string]
	for i, term := range terms {
		meaning := map[string]sets.Set[string]{}
		expressions := path.Index(i).Child("matchLabelExpressions")
		for j, e := range term.MatchLabelExpressions {
			errs = append(errs, validateTopology(e, expressions.Index(j))...)
			if _, ok := meaning[e.Key]; ok {
				errs = append(errs, field.Duplicate(expressions.Index(j).Child("key"), e.Key))
			}
			meaning[e.Key] = sets.New(e.Values...)
		}
		for _, other := range seen {
			if equality.Semantic.DeepEqual(meaning, other) {
				errs = append(errs, field.Duplicate(expressions, ""))
			}
		}
		seen = append(seen, meaning)
	}
	return errs
}

func validateTopology(e corev1.TopologySelectorLabelRequirement, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(e.Values) == 0 {
		errs = append(errs, field.Required(path.Child("values"), ""))
	}
	for i, value := range e.Values {
		if slices.Contains(e.Values[:i], value) {
			errs = append(errs, field.Duplicate(path.Child("values").Index(i), value))
		}
	}
	return append(errs, metavalidation.ValidateLabelName(e.Key, path.Child("key").Common())...)
}

func validateStorageClassUpdate(new, old *storagev1.StorageClass) field.ErrorList {
	errs := apivalidation.ValidateImmutableField(new.Parameters, old.Parameters, field.NewPath("parameters").Common())
	errs = append(errs, apivalidation.ValidateImmutableField(new.Provisioner, old.Provisioner, field.NewPath("provisioner").Common())...)
	errs = append(errs, apivalidation.ValidateImmutableField(new.ReclaimPolicy, old.ReclaimPolicy, field.NewPath("reclaimPolicy").Common())...)
	return append(errs, apivalidation.ValidateImmutableField(new.VolumeBindingMode, old.VolumeBindingMode, field.NewPath("volumeBindingMode").Common())...)
}

func warnStorageClass(new, _ *storagev1.StorageClass) []string {
	var warnings []string
	for i, term := range new.AllowedTopologies {
		for j, e := range term.MatchLabelExpressions {
			if advice := core.OldNodeLabel(e.Key); advice != "" {
				path := field.NewPath("allowedTopologies").Index(i).Child("matchLabelExpressions").Index(j).Child("key")
				warnings = append(warnings, fmt.Sprintf("%s: %s", path, advice))
			}
		}
	}
	return warnings
}
