package ownership

import (
	"fmt"
	"slices"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/shape"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// What the library asks of a scheme, answered from the registry.

// shapeConverter gives the library typed values of the built-in types.
type shapeConverter struct{ typ *registry.Type }

// ObjectToTyped finds the schema of the object's version.
func (c shapeConverter) ObjectToTyped(o runtime.Object, opts ...typed.ValidationOptions) (*typed.TypedValue, error) {
	gvk := o.GetObjectKind().GroupVersionKind()
	if u, ok := o.(*unstructured.Unstructured); ok {
		v := c.typ.Version(gvk.GroupVersion())
		if v == nil || gvk.Kind != v.Kind {
			return nil, runtime.NewNotRegisteredErrForKind("registry", gvk)
		}
		return shape.Parseable(typeOf(v.New())).FromUnstructured(u.Object, opts...)
	}
	return shape.Parseable(typeOf(o)).FromStructured(o, opts...)
}

// TypedToObject gives back an unstructured object.
func (shapeConverter) TypedToObject(v *typed.TypedValue) (runtime.Object, error) {
	content, ok := v.AsValue().Unstructured().(map[string]any)
	if !ok {
		return nil, fmt.Errorf("an object is expected, not %T", v.AsValue().Unstructured())
	}
	return &unstructured.Unstructured{Object: content}, nil
}

// scheme converts and makes objects of one resource.
type scheme struct{ m *Manager }

// ConvertToVersion returns a copy of the object in the version, typed unless the resource is custom.
func (s scheme) ConvertToVersion(in runtime.Object, to runtime.GroupVersioner) (runtime.Object, error) {
	gv, ok := to.(schema.GroupVersion)
	if !ok {
		return nil, fmt.Errorf("%v is not one version", to)
	}
	from, err := s.version(in.GetObjectKind().GroupVersionKind().GroupVersion())
	if err != nil {
		return nil, err
	}
	target, err := s.version(gv)
	if err != nil {
		return nil, err
	}
	object, err := s.typed(in, from)
	if err != nil {
		return nil, err
	}
	if from != target {
		if object, err = from.ToHub(object); err != nil {
			return nil, err
		}
		if object, err = target.FromHub(object); err != nil {
			return nil, err
		}
	}
	setKind(object, target.GroupVersionKind())
	return object, nil
}

// version finds a version by its group and name. The library asks for the hub by its name in the group
// that the object comes from.
func (s scheme) version(gv schema.GroupVersion) (*registry.TypeVersion, error) {
	if v := s.m.version(gv); v != nil {
		return v, nil
	}
	inGroup := func(v *registry.TypeVersion) bool { return v.Group == gv.Group }
	if gv.Version == s.m.typ.Hub.Version && slices.ContainsFunc(s.m.typ.Versions, inGroup) {
		return s.m.typ.Hub, nil
	}
	return nil, runtime.NewNotRegisteredErrForKind("registry", gv.WithKind(s.m.typ.Kind))
}

// typed returns a copy of the object in the Go type of its version.
func (s scheme) typed(in runtime.Object, v *registry.TypeVersion) (registry.Object, error) {
	u, ok := in.(*unstructured.Unstructured)
	if !ok || s.m.custom {
		return in.DeepCopyObject().(registry.Object), nil
	}
	object := v.New()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, object); err != nil {
		return nil, err
	}
	return object, nil
}

// New makes an empty object.
func (s scheme) New(gvk schema.GroupVersionKind) (runtime.Object, error) {
	v, err := s.version(gvk.GroupVersion())
	if err != nil {
		return nil, err
	}
	object := v.New()
	setKind(object, gvk)
	return object, nil
}

// Default does nothing: the registry's defaults are for hubs and come later.
func (scheme) Default(runtime.Object) {}

// Convert and ConvertFieldLabel are never asked for.
func (scheme) Convert(in, out, context any) error {
	return fmt.Errorf("converting %T to %T: only versions are converted", in, out)
}

func (scheme) ConvertFieldLabel(gvk schema.GroupVersionKind, label, value string) (string, string, error) {
	return "", "", fmt.Errorf("converting a field label of %s: only versions are converted", gvk)
}
