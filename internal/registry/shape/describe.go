package shape

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// describe walks the fields of one struct; the structs inside are described when they are asked for, so
// that types may contain themselves.
func describe(t reflect.Type) *Type {
	d := &Type{Name: Name(t), Go: t, Atomic: isAtomicStruct(t)}
	d.addFields(t, nil, 0)
	return d
}

func (d *Type) addFields(t reflect.Type, index []int, offset uintptr) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		at := append(slices.Clone(index), i)
		switch {
		case name == "-" || !f.IsExported():
		case strings.Contains(options, "inline") || name == "" && f.Anonymous:
			if f.Type.Kind() != reflect.Struct {
				panic(fmt.Sprintf("shape: %s inlines %s, which is no struct", t, f.Type))
			}
			d.addFields(f.Type, at, offset+f.Offset)
		default:
			if name == "" {
				name = f.Name
			}
			d.Fields = append(d.Fields, newField(t, f, name, options, at, offset+f.Offset))
		}
	}
}

func newField(owner reflect.Type, f reflect.StructField, name, options string, index []int, offset uintptr) Field {
	split := strings.Split(options, ",")
	d := Field{
		Name: name, GoName: f.Name, Index: index, Offset: offset,
		OmitEmpty:     slices.Contains(split, "omitempty"),
		OmitZero:      slices.Contains(split, "omitzero"),
		PatchStrategy: f.Tag.Get("patchStrategy"),
		PatchMergeKey: f.Tag.Get("patchMergeKey"),
		Value:         newValue(f.Type),
	}
	key := fieldKey(owner, name)
	d.Value.shareAs(owner, &d)
	d.Default = defaultOf(key, &d)
	d.Required = isRequired(key, &d)
	return d
}

// shareAs sets how writers share the field: as the tables say, else as the patch tags say.
func (v *Value) shareAs(owner reflect.Type, f *Field) {
	if said, ok := sharingOf(owner, f.Name); ok {
		v.Merge, v.Keys = said.merge, said.keys
		return
	}
	if v.Kind != List {
		return
	}
	switch {
	case f.PatchMergeKey != "":
		v.Merge, v.Keys = Keyed, []string{f.PatchMergeKey}
	case strings.Contains(f.PatchStrategy, "merge"):
		v.Merge = Set
	}
}

var special = map[reflect.Type]Kind{
	reflect.TypeFor[metav1.Time]():          Time,
	reflect.TypeFor[metav1.MicroTime]():     MicroTime,
	reflect.TypeFor[metav1.Duration]():      Duration,
	reflect.TypeFor[resource.Quantity]():    Quantity,
	reflect.TypeFor[intstr.IntOrString]():   IntOrString,
	reflect.TypeFor[runtime.RawExtension](): Any,
	reflect.TypeFor[metav1.FieldsV1]():      Fields,
}

func newValue(t reflect.Type) *Value {
	v := &Value{Type: t}
	for v.Type.Kind() == reflect.Pointer {
		v.Type, v.Pointer = v.Type.Elem(), true
	}
	v.Kind = kindOf(v.Type)
	switch v.Kind {
	case List:
		v.Elem, v.Merge = newValue(v.Type.Elem()), Atomic
	case Map:
		v.Elem = newValue(v.Type.Elem())
	case Struct:
		if isAtomicStruct(v.Type) {
			v.Merge = Atomic
		}
	case Any:
		v.Merge = Atomic
	}
	return v
}

func kindOf(t reflect.Type) Kind {
	if k, ok := special[t]; ok {
		return k
	}
	switch t.Kind() {
	case reflect.String:
		return String
	case reflect.Bool:
		return Boolean
	case reflect.Float32, reflect.Float64:
		return Number
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return Integer
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return Bytes
		}
		return List
	case reflect.Map:
		return Map
	case reflect.Struct:
		if reflect.PointerTo(t).Implements(reflect.TypeFor[interface{ MarshalJSON() ([]byte, error) }]()) {
			return Any
		}
		return Struct
	case reflect.Interface:
		return Any
	}
	panic(fmt.Sprintf("shape: no JSON for %s", t))
}
