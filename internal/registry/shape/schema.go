package shape

import (
	"reflect"
	"sync"

	"sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// parseable remembers the schemas of root types.
var parseable sync.Map // reflect.Type → typed.ParseableType

// Parseable is the structured-merge-diff schema of one root type and what it reaches. It behaves as the
// one that client-go carries for all types together.
func Parseable(root reflect.Type) typed.ParseableType {
	if found, ok := parseable.Load(root); ok {
		return found.(typed.ParseableType)
	}
	b := builder{named: map[reflect.Type]string{}}
	b.types = append(b.types, typed.DeducedParseableType.Schema.Types...)
	name := b.structName(root)
	p := typed.Parser{Schema: schema.Schema{Types: b.types}}
	found, _ := parseable.LoadOrStore(root, p.Type(name))
	return found.(typed.ParseableType)
}

const (
	untypedAtomic  = "__untyped_atomic_"
	untypedDeduced = "__untyped_deduced_"
)

type builder struct {
	named map[reflect.Type]string
	types []schema.TypeDef
}

// structName adds the definition of a struct, once, and returns its name.
func (b *builder) structName(t reflect.Type) string {
	if name, ok := b.named[t]; ok {
		return name
	}
	d := Of(t)
	b.named[t] = d.Name
	at := len(b.types)
	b.types = append(b.types, schema.TypeDef{Name: d.Name})
	b.types[at].Atom = schema.Atom{Map: b.structMap(d)}
	return d.Name
}

func (b *builder) structMap(d *Type) *schema.Map {
	m := &schema.Map{}
	if d.Atomic {
		m.ElementRelationship = schema.Atomic
	}
	if len(d.Fields) == 0 { // a struct without fields takes anything
		m.ElementType, m.ElementRelationship = named(untypedDeduced), schema.Separable
	}
	for i := range d.Fields {
		f := &d.Fields[i]
		m.Fields = append(m.Fields, schema.StructField{Name: f.Name, Type: b.ref(f.Value), Default: f.Default})
	}
	return m
}

func (b *builder) ref(v *Value) schema.TypeRef {
	switch v.Kind {
	case Struct:
		return b.structRef(v)
	case Map:
		m := &schema.Map{ElementType: b.ref(v.Elem)}
		if v.Merge == Atomic {
			m.ElementRelationship = schema.Atomic
		}
		return schema.TypeRef{Inlined: schema.Atom{Map: m}}
	case List:
		l := &schema.List{ElementType: b.ref(v.Elem), ElementRelationship: schema.Associative, Keys: v.Keys}
		if v.Merge == Atomic {
			l.ElementRelationship = schema.Atomic
		}
		return schema.TypeRef{Inlined: schema.Atom{List: l}}
	case Any:
		return named(untypedAtomic)
	case Fields:
		m := &schema.Map{ElementType: named(untypedDeduced), ElementRelationship: schema.Separable}
		return schema.TypeRef{Inlined: schema.Atom{Map: m}}
	}
	s := scalar(v.Kind)
	return schema.TypeRef{Inlined: schema.Atom{Scalar: &s}}
}

// structRef refers to a struct, with the field's own word on how it is shared where that differs.
func (b *builder) structRef(v *Value) schema.TypeRef {
	ref := named(b.structName(v.Type))
	if atomic := isAtomicStruct(v.Type); atomic != (v.Merge == Atomic) {
		relation := schema.Separable
		if !atomic {
			relation = schema.Atomic
		}
		ref.ElementRelationship = &relation
	}
	return ref
}

func named(name string) schema.TypeRef { return schema.TypeRef{NamedType: &name} }

func scalar(k Kind) schema.Scalar {
	switch k {
	case String, Bytes, Duration:
		return schema.String
	case Integer, Number:
		return schema.Numeric
	case Boolean:
		return schema.Boolean
	}
	return schema.Untyped
}
