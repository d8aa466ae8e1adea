package openapi

import (
	"cmp"
	"path"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/proa-dev/proa/internal/registry/shape"
)

// Schemas gathers the schemas of one document: those that its operations speak of, and what those refer to.
type Schemas struct {
	byName map[string]*Schema
	// kinds of Go types that are known by the name of the type, for types that other kinds contain.
	kinds map[reflect.Type]schema.GroupVersionKind
	// versions that options and such are kinds of.
	versions []schema.GroupVersion
}

// Add puts a schema under a name, unless there is one already. The function may add others.
func (s *Schemas) Add(name string, define func() *Schema) string {
	if _, known := s.byName[name]; !known {
		s.byName[name] = nil // types may contain themselves
		s.byName[name] = define()
	}
	return name
}

func (s *Schemas) sorted() []NamedSchema {
	all := make([]NamedSchema, 0, len(s.byName))
	for name, one := range s.byName {
		all = append(all, NamedSchema{name, one})
	}
	return all
}

// kindName is the name of a kind's schema. Where two versions share a Go type it is the type's in one of
// them only; the other gets the name that a type of its own would have.
func kindName(k schema.GroupVersionKind, t reflect.Type) string {
	name := shape.Name(t)
	if own := path.Base(t.PkgPath()); own != k.Version {
		return strings.TrimSuffix(name, own+"."+t.Name()) + k.Version + "." + k.Kind
	}
	return name
}

func (s *Schemas) addKind(k schema.GroupVersionKind, t reflect.Type) string {
	name := kindName(k, t)
	if name == shape.Name(t) {
		return s.addStruct(t)
	}
	return s.Add(name, func() *Schema {
		one := s.object(t)
		one.extend(kindExtension, []kindValue{valueOf(k)})
		return one
	})
}

func (s *Schemas) addStruct(t reflect.Type) string {
	return s.Add(shape.Name(t), func() *Schema {
		if one := special(t); one != nil {
			return one
		}
		one := s.object(t)
		if kinds := s.kindsOf(t); len(kinds) > 0 {
			one.extend(kindExtension, kinds)
		}
		return one
	})
}

// kindsOf are the kinds whose schema is that of the Go type.
func (s *Schemas) kindsOf(t reflect.Type) []kindValue {
	if k, ok := s.kinds[t]; ok {
		return []kindValue{valueOf(k)}
	}
	switch t {
	case reflect.TypeFor[metav1.DeleteOptions](): // every group has it
		var all []kindValue
		for _, gv := range s.versions {
			all = append(all, valueOf(gv.WithKind(t.Name())))
		}
		return all
	case reflect.TypeFor[metav1.Status](), reflect.TypeFor[metav1.APIResourceList](), reflect.TypeFor[metav1.APIGroup](),
		reflect.TypeFor[metav1.APIGroupList](), reflect.TypeFor[metav1.APIVersions]():
		return []kindValue{{Kind: t.Name(), Version: "v1"}}
	}
	return nil
}

// addList adds the schema of a list of a kind.
func (s *Schemas) addList(k schema.GroupVersionKind, item string) string {
	return s.Add(item+"List", func() *Schema {
		meta := s.object(reflect.TypeFor[metav1.TypeMeta]())
		metadata := ref(s.addStruct(reflect.TypeFor[metav1.ListMeta]()))
		metadata.Default = emptyObject
		metadata.Description = "Standard list metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds"
		items := ref(item)
		items.Default = emptyObject
		list := &Schema{Type: "object", Description: k.Kind + "List is a list of " + k.Kind, Required: []string{"items"}}
		list.Properties = append(meta.Properties,
			Property{"items", &Schema{Type: "array", Items: items, Description: "List of " + strings.ToLower(k.Kind) +
				". More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"}},
			Property{"metadata", metadata})
		sortProperties(list)
		list.extend(kindExtension, []kindValue{valueOf(k.GroupVersion().WithKind(k.Kind + "List"))})
		return list
	})
}

// emptyObject is the default of structs: their fields have defaults of their own.
var emptyObject = struct{}{}

// object is the schema of a struct.
func (s *Schemas) object(t reflect.Type) *Schema {
	d := shape.Of(t)
	doc := texts{}
	one := &Schema{Type: "object", Description: doc.of(t)[""]}
	for i := range d.Fields {
		f := &d.Fields[i]
		p := s.value(f.Value)
		p.Description = doc.of(owner(t, f.Index))[f.Name]
		p.Default = f.Default
		if f.Value.Kind == shape.Struct && f.Default != nil {
			p.Default = emptyObject
		}
		share(p, f)
		one.Properties = append(one.Properties, Property{f.Name, p})
		if f.Required {
			one.Required = append(one.Required, f.Name)
		}
	}
	sortProperties(one)
	if d.Atomic {
		one.extend("map-type", "atomic")
	}
	return one
}

func sortProperties(s *Schema) {
	slices.SortFunc(s.Properties, func(a, b Property) int { return cmp.Compare(a.Name, b.Name) })
}

// share adds what tells writers how they share the field.
func share(p *Schema, f *shape.Field) {
	switch v := f.Value; {
	case v.Kind == shape.List && v.Merge == shape.Keyed:
		p.extend("list-map-keys", v.Keys)
		p.extend("list-type", "map")
	case v.Kind == shape.List && v.Merge == shape.Set:
		p.extend("list-type", "set")
	case v.Kind == shape.List:
		p.extend("list-type", "atomic")
	case v.Kind == shape.Map && v.Merge == shape.Atomic:
		p.extend("map-type", "atomic")
	case v.Kind == shape.Struct && (v.Merge == shape.Atomic) != v.Struct().Atomic:
		if v.Merge == shape.Atomic {
			p.extend("map-type", "atomic")
		} else {
			p.extend("map-type", "granular")
		}
	}
	if f.PatchMergeKey != "" {
		p.extend("patch-merge-key", f.PatchMergeKey)
	}
	if f.PatchStrategy != "" {
		p.extend("patch-strategy", f.PatchStrategy)
	}
}

// value is the schema of a value without the text and the rules of the field it stands in.
func (s *Schemas) value(v *shape.Value) *Schema {
	switch v.Kind {
	case shape.String:
		return &Schema{Type: "string"}
	case shape.Boolean:
		return &Schema{Type: "boolean"}
	case shape.Bytes:
		return &Schema{Type: "string", Format: "byte"}
	case shape.Integer:
		return &Schema{Type: "integer", Format: integerFormat(v.Type)}
	case shape.Number:
		return &Schema{Type: "number", Format: "double"}
	case shape.List:
		return &Schema{Type: "array", Items: s.element(v.Elem)}
	case shape.Map:
		return &Schema{Type: "object", Values: s.element(v.Elem)}
	case shape.Any:
		if v.Type.Kind() != reflect.Struct {
			return &Schema{Type: "object"}
		}
	}
	return ref(s.addStruct(v.Type))
}

// element is the schema of what stands in a list or a map, with its default.
func (s *Schemas) element(v *shape.Value) *Schema {
	one := s.value(v)
	if v.Pointer {
		return one
	}
	switch v.Kind {
	case shape.Struct:
		one.Default = emptyObject
	case shape.String:
		one.Default = ""
	case shape.Integer, shape.Number:
		one.Default = 0
	case shape.Boolean:
		one.Default = false
	}
	return one
}

func integerFormat(t reflect.Type) string {
	if k := t.Kind(); k == reflect.Int64 || k == reflect.Uint64 {
		return "int64"
	}
	return "int32"
}

// special is the schema of a struct that is none in JSON, nil for others.
func special(t reflect.Type) *Schema {
	switch t {
	case reflect.TypeFor[metav1.Time]():
		return &Schema{Type: "string", Format: "date-time", Description: "Time is a moment, as RFC 3339 writes it, to the second."}
	case reflect.TypeFor[metav1.MicroTime]():
		return &Schema{Type: "string", Format: "date-time", Description: "MicroTime is a moment, as RFC 3339 writes it, to the microsecond."}
	case reflect.TypeFor[metav1.Duration]():
		return &Schema{Type: "string", Description: "Duration is a span of time such as 300ms, 1.5h or 2h45m."}
	case reflect.TypeFor[resource.Quantity]():
		return &Schema{OneOf: []string{"string", "number"}, Description: "Quantity is a fixed-point number with an optional suffix: a decimal one (n, u, m, k, M, G, T, P, E), a binary one (Ki, Mi, Gi, Ti, Pi, Ei) or an exponent (1e3). It has at most three decimal places; more are rounded up. 0.5, 500m and 5e-1 are the same quantity; it is written back in the shortest form of the kind that it was given in."}
	case reflect.TypeFor[intstr.IntOrString]():
		return &Schema{OneOf: []string{"integer", "string"}, Format: "int-or-string", Description: "IntOrString is a number or a text, such as a port's number or its name."}
	case reflect.TypeFor[metav1.FieldsV1]():
		return &Schema{Type: "object", Description: "FieldsV1 is a set of fields as a tree. The keys of an object say what lies below: '.' the object itself, 'f:<name>' a field, 'v:<value>' the item of a list that equals the JSON value, 'i:<index>' the item at a position, 'k:<keys>' the item with these keys. The format is that of sigs.k8s.io/structured-merge-diff."}
	case reflect.TypeFor[runtime.RawExtension]():
		return &Schema{Type: "object", Description: "RawExtension is an object of any kind."}
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[interface{ MarshalJSON() ([]byte, error) }]()) {
		return &Schema{Description: t.Name() + " is any JSON value."}
	}
	return nil
}

// texts are the descriptions of structs' fields, by struct.
type texts map[reflect.Type]map[string]string

func (c texts) of(t reflect.Type) map[string]string {
	if known, ok := c[t]; ok {
		return known
	}
	c[t] = nil
	if documented, ok := reflect.Zero(t).Interface().(interface{ SwaggerDoc() map[string]string }); ok {
		c[t] = documented.SwaggerDoc()
	}
	return c[t]
}

// owner is the struct that declares the field: t or one that it inlines.
func owner(t reflect.Type, index []int) reflect.Type {
	if len(index) == 1 {
		return t
	}
	return t.FieldByIndex(index[:len(index)-1]).Type
}
