// Package typedjson reads and writes the JSON of Go types by plans that are compiled once for each type.
//
// It does the common case and nothing else. Decode reads what sigs.k8s.io/json's UnmarshalStrict would read
// without an error of any kind into an object that is new, and leaves the result that the library leaves.
// Append writes the bytes that encoding/json writes. Whatever is out of the ordinary, be it an unknown
// field, a syntax error or a Go type that no plan can be made for, makes them say no, and the caller asks
// the library, whose every error text thus stays its own.
//
// A plan is a tree of the type's values by kind, with the offsets of fields in memory. Types of Kubernetes
// that have a JSON of their own and are common have kinds of their own; others are handed their bytes.
package typedjson

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

type kind uint8

const (
	unsupported kind = iota
	boolean
	integer  // signed, of plan.size bytes
	unsigned // of plan.size bytes
	float    // of plan.size bytes
	text
	bytesValue
	structure
	list
	dictionary // map whose keys are strings
	texts      // map of strings
	blobs      // map of []byte
	quantities // map of resource.Quantity
	pointer
	timeValue
	microTime
	quantity
	intOrString
	custom // has MarshalJSON and UnmarshalJSON
)

// plan says how values of one Go type are read and written. It is read-only once it is compiled.
type plan struct {
	kind kind
	typ  reflect.Type
	size uintptr
	elem *plan // of a list, map or pointer

	fields []field // of a struct, in the order in which they are written
	// table finds a field by its hash, or in the places that follow; its length is a power of two, and there
	// is always an empty place.
	table []*field
}

type field struct {
	name   string
	key    string // `,"name":`
	offset uintptr
	bit    uint64 // the field's own among the struct's
	plan   *plan
	omit   omission
}

// omission is when a field is not written.
type omission uint8

const (
	never omission = iota
	whenEmpty
	whenZero
)

// plans remembers what was compiled, by reflect.Type.
var plans sync.Map

// planOf returns the plan of an object's type, nil if there can be none. The object is a pointer.
func planOf(t reflect.Type) *plan {
	if known, ok := plans.Load(t); ok {
		return known.(*plan)
	}
	var p *plan
	if t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct {
		c := compiler{known: map[reflect.Type]*plan{}}
		if p = c.compile(t.Elem()); c.failed || p.kind != structure {
			p = nil
		}
	}
	known, _ := plans.LoadOrStore(t, p)
	return known.(*plan)
}

// compiler keeps the plans of one root, whose types may contain themselves.
type compiler struct {
	known  map[reflect.Type]*plan
	failed bool
}

func (c *compiler) compile(t reflect.Type) *plan {
	if p, ok := c.known[t]; ok {
		return p
	}
	p := &plan{typ: t, size: t.Size()}
	c.known[t] = p
	p.kind = c.kindOf(t, p)
	c.failed = c.failed || p.kind == unsupported
	return p
}

func (c *compiler) kindOf(t reflect.Type, p *plan) kind {
	switch t {
	case reflect.TypeFor[metav1.Time]():
		return timeValue
	case reflect.TypeFor[metav1.MicroTime]():
		return microTime
	case reflect.TypeFor[resource.Quantity]():
		return quantity
	case reflect.TypeFor[intstr.IntOrString]():
		return intOrString
	}
	if k := customKind(t); k != structure {
		return k
	}
	switch t.Kind() {
	case reflect.Bool:
		return boolean
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return integer
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return unsigned
	case reflect.Float32, reflect.Float64:
		return float
	case reflect.String:
		if t == reflect.TypeFor[json.Number]() {
			return unsupported
		}
		return text
	case reflect.Pointer:
		p.elem = c.compile(t.Elem())
		return pointer
	case reflect.Slice:
		p.elem = c.compile(t.Elem())
		switch {
		case t.Elem() == reflect.TypeFor[byte]():
			return bytesValue
		case t.Elem().Kind() == reflect.Uint8:
			return unsupported
		}
		return list
	case reflect.Map:
		if t.Key().Kind() != reflect.String || customKind(t.Key()) != structure {
			return unsupported
		}
		p.elem = c.compile(t.Elem())
		switch p.elem.kind {
		case text:
			return texts
		case bytesValue:
			return blobs
		case quantity:
			return quantities
		}
		return dictionary
	case reflect.Struct:
		return c.fieldsOf(t, p)
	}
	return unsupported
}

// customKind is that of a type with a JSON of its own; structure says that it has none.
func customKind(t reflect.Type) kind {
	if t.Kind() == reflect.Pointer || t.Name() == "" {
		return structure
	}
	address := reflect.PointerTo(t)
	writes, reads := t.Implements(reflect.TypeFor[json.Marshaler]()), address.Implements(reflect.TypeFor[json.Unmarshaler]())
	switch {
	case writes && reads:
		return custom
	case writes, reads, address.Implements(reflect.TypeFor[json.Marshaler]()),
		address.Implements(reflect.TypeFor[encoding.TextMarshaler]()), address.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return unsupported
	}
	return structure
}

func (c *compiler) fieldsOf(t reflect.Type, p *plan) kind {
	if !c.addFields(t, p, 0) || len(p.fields) > 64 {
		return unsupported
	}
	size := 4
	for size < 2*len(p.fields) {
		size *= 2
	}
	p.table = make([]*field, size)
	for i := range p.fields {
		f := &p.fields[i]
		f.bit = 1 << i
		at := hash(f.name) & (size - 1)
		for p.table[at] != nil {
			at = (at + 1) & (size - 1)
		}
		p.table[at] = f
	}
	return structure
}

// addFields adds those of a struct at an offset. It is false where encoding/json would have to choose, or
// does what no plan knows.
func (c *compiler) addFields(t reflect.Type, p *plan, offset uintptr) bool {
	for i := range t.NumField() {
		sf := t.Field(i)
		tag := sf.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		split := strings.Split(options, ",")
		switch {
		case tag == "-":
			continue
		case sf.Anonymous && name == "":
			if sf.Type.Kind() != reflect.Struct || !c.addFields(sf.Type, p, offset+sf.Offset) {
				return false
			}
			continue
		case !sf.IsExported():
			continue
		case slices.Contains(split, "string"):
			return false
		}
		if name == "" {
			name = sf.Name
		}
		if slices.ContainsFunc(p.fields, func(f field) bool { return f.name == name }) {
			return false
		}
		quoted := appendText([]byte{','}, name)
		f := field{name: name, key: string(append(quoted, ':')), offset: offset + sf.Offset, plan: c.compile(sf.Type)}
		switch {
		case slices.Contains(split, "omitzero"):
			// Where a field is omitted for both reasons the wider one must be asked; empty values of these kinds are zero.
			if k := sf.Type.Kind(); k != reflect.Struct || f.plan.kind == unsupported {
				return false
			}
			f.omit = whenZero
		case slices.Contains(split, "omitempty"):
			f.omit = whenEmpty
		}
		p.fields = append(p.fields, f)
	}
	return true
}

// hash of a field's name.
func hash[S string | []byte](name S) int {
	n := len(name)
	if n == 0 {
		return 0
	}
	return n + int(name[0])*7 + int(name[n-1])*31 + int(name[n/2])*131
}

func (p *plan) field(name []byte) *field {
	mask := len(p.table) - 1
	for at := hash(name) & mask; ; at = (at + 1) & mask {
		f := p.table[at]
		if f == nil || f.name == string(name) {
			return f
		}
	}
}

// omitted tells whether the field is not written with the value at its place.
func (f *field) omitted(at unsafe.Pointer) bool {
	switch f.omit {
	case whenEmpty:
		return f.plan.empty(at)
	case whenZero:
		return f.plan.zero(at)
	}
	return false
}

// empty is encoding/json's omitempty.
func (p *plan) empty(at unsafe.Pointer) bool {
	switch p.kind {
	case boolean:
		return !*(*bool)(at)
	case float:
		return reflect.NewAt(p.typ, at).Elem().Float() == 0
	case text:
		return *(*string)(at) == ""
	case pointer:
		return *(*unsafe.Pointer)(at) == nil
	}
	switch p.typ.Kind() {
	case reflect.Slice:
		return len(*(*[]byte)(at)) == 0
	case reflect.Map, reflect.String:
		return reflect.NewAt(p.typ, at).Elem().Len() == 0
	case reflect.Struct:
		return false
	}
	return reflect.NewAt(p.typ, at).Elem().IsZero()
}

// zero is encoding/json's omitzero of a struct.
func (p *plan) zero(at unsafe.Pointer) bool {
	if p.kind == timeValue {
		return (*metav1.Time)(at).IsZero()
	}
	v := reflect.NewAt(p.typ, at)
	if z, ok := v.Interface().(interface{ IsZero() bool }); ok {
		return z.IsZero()
	}
	return v.Elem().IsZero()
}
