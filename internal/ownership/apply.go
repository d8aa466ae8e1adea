package ownership

import (
	"fmt"
	"strings"

	"github.com/proa-dev/proa/internal/registry"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/yaml"
)

// Apply is a server-side apply.
type Apply struct {
	Write
	// Force takes over fields that others own.
	Force bool
	// Validation is the request's fieldValidation: Ignore, Warn or Strict.
	Validation string
}

// Apply merges a YAML or JSON document into the stored object, nil if there is none yet. The result is a hub
// of its own with managedFields, not defaulted; it equals live but for times where the document changes
// nothing (see KeepTimes). Conflicts with other owners are a 409 with their causes.
func (m *Manager) Apply(live registry.Object, document []byte, a Apply) (_ registry.Object, warnings []string, err error) {
	config := &unstructured.Unstructured{Object: map[string]any{}}
	if err := yaml.Unmarshal(document, &config.Object); err != nil {
		return nil, nil, errors.NewBadRequest(fmt.Sprintf("error decoding YAML: %v", err))
	}
	merged, err := m.merge(live, config, a)
	if err != nil {
		return nil, nil, err
	}
	if a.Validation == metav1.FieldValidationIgnore {
		return merged, nil, nil
	}
	// Unknown fields were refused already; what is left are duplicates.
	if err := yaml.UnmarshalStrict(document, &map[string]any{}); err != nil {
		if a.Validation == metav1.FieldValidationStrict {
			return nil, nil, errors.NewBadRequest(fmt.Sprintf("error strict decoding YAML: %v", err))
		}
		warnings = yamlWarnings(err.Error())
	}
	return merged, warnings, nil
}

// yamlWarnings are the lines of a YAML error, without its headings.
func yamlWarnings(text string) []string {
	body, found := strings.CutPrefix(strings.TrimPrefix(text, "error converting YAML to JSON: "), "yaml: unmarshal errors:\n")
	if !found {
		return []string{text}
	}
	lines := strings.Split(body, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return lines
}

func (m *Manager) merge(live registry.Object, config *unstructured.Unstructured, a Apply) (registry.Object, error) {
	library, err := m.library(target{a.Version.GroupVersion, a.Subresource})
	if err != nil {
		return nil, err
	}
	old := m.stored(live, a.Version)
	merged, err := library.Apply(old, config, a.Manager, a.Force)
	if err != nil {
		return nil, err
	}
	object, ok := merged.(registry.Object)
	if !ok {
		return nil, fmt.Errorf("applying to %s gave a %T", m.typ.Kind, merged)
	}
	if !m.custom { // hubs have no apiVersion and kind
		setKind(object, schema.GroupVersionKind{})
	}
	m.restamp(object, old.GetManagedFields(), a.Write)
	return object, nil
}

// stored is a copy of the stored object with its kind, or an empty one in the request's version.
func (m *Manager) stored(live registry.Object, v *registry.TypeVersion) registry.Object {
	if live == nil {
		return empty(v)
	}
	live = live.DeepCopyObject().(registry.Object)
	setKind(live, m.typ.Hub.GroupVersionKind())
	return live
}

// empty is what creation starts from.
func empty(v *registry.TypeVersion) registry.Object {
	o := v.New()
	setKind(o, v.GroupVersionKind())
	return o
}

// library is the field manager of apimachinery for a target.
func (m *Manager) library(t target) (*managedfields.FieldManager, error) {
	if found, ok := m.libraries.Load(t); ok {
		return found.(*managedfields.FieldManager), nil
	}
	filters := map[fieldpath.APIVersion]fieldpath.Filter{}
	if f := resetOf(m.typ, t.subresource, m.custom).filter(); f != nil {
		for _, v := range m.typ.Versions {
			filters[fieldpath.APIVersion(v.GroupVersion.String())] = f
		}
	}
	build := managedfields.NewDefaultFieldManager
	if m.custom {
		build = managedfields.NewDefaultCRDFieldManager
	}
	s := scheme{m}
	made, err := build(m.converter, s, s, s, t.version.WithKind(m.typ.Kind), m.typ.Hub.GroupVersion, t.subresource, filters)
	if err != nil {
		return nil, err
	}
	found, _ := m.libraries.LoadOrStore(t, made)
	return found.(*managedfields.FieldManager), nil
}

// updateCustom is Update by the library.
func (m *Manager) updateCustom(live, new registry.Object, w Write) error {
	library, err := m.library(target{w.Version.GroupVersion, w.Subresource})
	if err != nil {
		return err
	}
	live = m.stored(live, w.Version)
	before := live.GetManagedFields()
	updated, err := library.Update(live, new, w.Manager)
	if err != nil {
		return err
	}
	new.SetManagedFields(updated.(registry.Object).GetManagedFields())
	m.restamp(new, before, w)
	return nil
}

// restamp gives the entries that the library dated the time of the write.
func (m *Manager) restamp(o registry.Object, before []metav1.ManagedFieldsEntry, w Write) {
	entries := o.GetManagedFields()
	kept := map[metav1.Time]bool{}
	for _, e := range before {
		if e.Time != nil {
			kept[metav1.Time{Time: e.Time.UTC()}] = true
		}
	}
	for i := range entries {
		if t := entries[i].Time; t != nil && !kept[metav1.Time{Time: t.UTC()}] {
			entries[i].Time = stamp(w.Now)
		}
	}
	sortEntries(entries)
	o.SetManagedFields(entries)
}
