package apiserver

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/plain"
)

// Metadata is checked by apimachinery, which builds paths and runs regexps for each of its fields. Nearly all
// metadata is in order, so what plainly is does not get there; whatever is in doubt does.

// validateMeta checks the metadata of a new object.
func (c *call) validateMeta(o registry.Object) field.ErrorList {
	if c.plainName(o.GetName()) && c.plainPrefix(o.GetGenerateName()) && plainMeta(o, c.typ.Namespaced) {
		return nil
	}
	return validation.ValidateObjectMetaAccessor(o, c.typ.Namespaced, c.nameRule(), field.NewPath("metadata"))
}

// validateMetaUpdate checks what an update makes of the metadata; whole adds the checks of new objects, but
// for the name.
func (c *call) validateMetaUpdate(o, old registry.Object, whole bool) field.ErrorList {
	if o.GetName() != "" && plainMeta(o, c.typ.Namespaced) && plainlySame(o, old) {
		return nil
	}
	at := field.NewPath("metadata")
	errs := validation.ValidateObjectMetaAccessorUpdate(o, old, at)
	if whole {
		errs = append(errs, validation.ValidateObjectMetaAccessor(o, c.typ.Namespaced, anyName, at)...)
	}
	return errs
}

func (c *call) plainName(name string) bool {
	if c.typ.ValidateName != nil {
		return name != "" && len(c.typ.ValidateName(name, false)) == 0
	}
	return plain.Subdomain(name)
}

// plainPrefix is of generateName. A dash at its end is none of the name's.
func (c *call) plainPrefix(prefix string) bool {
	if c.typ.ValidateName != nil {
		return prefix == "" || len(c.typ.ValidateName(prefix, true)) == 0
	}
	return prefix == "" || plain.Subdomain(strings.TrimSuffix(prefix, "-"))
}

// plainMeta tells whether metadata is valid but for the name.
func plainMeta(o metav1.Object, namespaced bool) bool {
	namespace := o.GetNamespace()
	if namespaced && !plain.Label(namespace) || !namespaced && namespace != "" || o.GetGeneration() < 0 {
		return false
	}
	for k, v := range o.GetLabels() {
		if !plain.LabelKey(k) || !plain.LabelValue(v) {
			return false
		}
	}
	size := 0
	for k, v := range o.GetAnnotations() {
		if size += len(k) + len(v); size > validation.TotalAnnotationSizeLimitB || !plain.LabelKey(k) {
			return false
		}
	}
	if len(o.GetFinalizers()) > 0 || len(validation.ValidateOwnerReferences(o.GetOwnerReferences(), nil)) > 0 {
		return false
	}
	return plainOwners(o.GetManagedFields())
}

// plainOwners is of managedFields.
func plainOwners(entries []metav1.ManagedFieldsEntry) bool {
	for i := range entries {
		e := &entries[i]
		switch {
		case e.Operation != metav1.ManagedFieldsOperationUpdate && e.Operation != metav1.ManagedFieldsOperationApply,
			e.FieldsType != "" && e.FieldsType != "FieldsV1",
			len(e.Manager) > metavalidation.FieldManagerMaxLength, len(e.Subresource) > metavalidation.MaxSubresourceNameLength:
			return false
		}
		for _, c := range []byte(e.Manager) {
			if c < ' ' || c > '~' {
				return false
			}
		}
	}
	return true
}

// plainlySame tells whether an update changes nothing of the metadata that it may not.
func plainlySame(o, old metav1.Object) bool {
	created, before := o.GetCreationTimestamp(), old.GetCreationTimestamp()
	return old.GetDeletionTimestamp() == nil && o.GetDeletionTimestamp() == nil &&
		old.GetDeletionGracePeriodSeconds() == nil && o.GetDeletionGracePeriodSeconds() == nil &&
		o.GetResourceVersion() != "" && o.GetGeneration() >= old.GetGeneration() &&
		o.GetName() == old.GetName() && o.GetNamespace() == old.GetNamespace() && o.GetUID() == old.GetUID() &&
		created.Equal(&before)
}
