package ownership

import (
	"reflect"
	"slices"
	"unsafe"

	"github.com/proa-dev/proa/internal/registry/shape"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// This file alone reads memory by address. An address comes from the pointer to an object, field offsets
// that package shape took from reflection, and the headers of slices; its plan says which type lies there.

// side is one of the two values that a walk holds side by side, as JSON would show it.
type side struct {
	at    unsafe.Pointer // of the value, behind its pointer if it has one; nil unless present
	state presence
}

type presence uint8

const (
	absent presence = iota
	null
	present
)

// sliceHeader is how Go lays out a slice.
type sliceHeader struct {
	data     unsafe.Pointer
	len, cap int
}

// field reads a field of the struct at base.
func (f *planField) read(base unsafe.Pointer) side {
	at, p := unsafe.Add(base, f.offset), f.plan
	if f.omitEmpty && p.empty(at) || f.omitZero != nil && f.omitZero(at) {
		return side{}
	}
	return p.read(at)
}

// readIn reads a field of a struct that may not be there.
func (f *planField) readIn(s side) side {
	if s.state != present {
		return side{}
	}
	return f.read(s.at)
}

// read the value that lies at an address: a list's element, or a field that is not omitted.
func (p *plan) read(at unsafe.Pointer) side {
	if p.ptr {
		if at = *(*unsafe.Pointer)(at); at == nil {
			return side{state: null}
		}
	}
	if p.null(at) {
		return side{state: null}
	}
	return side{at: at, state: present}
}

// empty is what omitempty asks.
func (p *plan) empty(at unsafe.Pointer) bool {
	if p.ptr {
		return *(*unsafe.Pointer)(at) == nil
	}
	switch p.kind {
	case shape.String:
		return *(*string)(at) == ""
	case shape.List, shape.Bytes:
		return (*sliceHeader)(at).len == 0
	case shape.Map:
		return mapLen(at) == 0
	case shape.Boolean:
		return !*(*bool)(at)
	case shape.Integer:
		return p.integer(at) == 0
	case shape.Number:
		return p.value(at).Float() == 0
	case shape.Duration:
		return false
	}
	return p.typ.Kind() == reflect.Interface && p.value(at).IsNil()
}

// null tells that the value is null in JSON.
func (p *plan) null(at unsafe.Pointer) bool {
	switch p.kind {
	case shape.List, shape.Bytes, shape.Map:
		return *(*unsafe.Pointer)(at) == nil
	case shape.Time:
		return (*metav1.Time)(at).IsZero()
	case shape.MicroTime:
		return (*metav1.MicroTime)(at).IsZero()
	case shape.Any, shape.Fields:
		v, err := p.library(at)
		return err == nil && v.IsNull()
	}
	return false
}

// hollow tells that there is nothing inside a list, map or struct.
func (p *plan) hollow(s side) bool {
	if s.state != present {
		return true
	}
	switch p.kind {
	case shape.List:
		return (*sliceHeader)(s.at).len == 0
	case shape.Map:
		return mapLen(s.at) == 0
	}
	for i := range p.fields {
		if p.fields[i].read(s.at).state != absent {
			return false
		}
	}
	return true
}

// listLen and item read a list; a list that is not there has no items.
func listLen(s side) int {
	if s.state != present {
		return 0
	}
	return (*sliceHeader)(s.at).len
}

func (p *plan) item(s side, i int) side {
	return p.elem.read(unsafe.Add((*sliceHeader)(s.at).data, uintptr(i)*p.elem.size))
}

// mapLen counts the entries of a map of any type: Go keeps the count in the same place for all.
func mapLen(at unsafe.Pointer) int { return len(*(*map[string]struct{})(at)) }

func (p *plan) integer(at unsafe.Pointer) int64 {
	switch p.typ.Kind() {
	case reflect.Int32:
		return int64(*(*int32)(at))
	case reflect.Int64:
		return *(*int64)(at)
	}
	v := p.value(at)
	if v.CanUint() {
		return int64(v.Uint())
	}
	return v.Int()
}

// value is the reflected value, for what is too rare to have a way of its own.
func (p *plan) value(at unsafe.Pointer) reflect.Value { return reflect.NewAt(p.typ, at).Elem() }

// library is structured-merge-diff's view of the value. It fails on raw JSON that is none, which binary
// encodings may carry.
func (p *plan) library(at unsafe.Pointer) (value.Value, error) {
	return value.NewValueReflect(reflect.NewAt(p.typ, at).Interface())
}

// mapAccess reads a map: its keys, in no order, and the value of one.
type mapAccess struct {
	keys func(dst []string, m unsafe.Pointer) []string
	get  func(m unsafe.Pointer, key string) unsafe.Pointer // nil if the key is absent
}

// accessOf a map type. Types that differ in names only have the same layout.
func accessOf(t reflect.Type) mapAccess {
	if t.Key().Kind() == reflect.String {
		switch e := t.Elem(); {
		case e == reflect.TypeFor[resource.Quantity]():
			return typedAccess[resource.Quantity]()
		case e.Kind() == reflect.String:
			return typedAccess[string]()
		case e.Kind() == reflect.Slice && e.Elem().Kind() == reflect.Uint8:
			return typedAccess[[]byte]()
		}
	}
	return reflectedAccess(t)
}

func typedAccess[V any]() mapAccess {
	return mapAccess{
		keys: func(dst []string, m unsafe.Pointer) []string {
			for k := range *(*map[string]V)(m) {
				dst = append(dst, k)
			}
			return dst
		},
		get: func(m unsafe.Pointer, key string) unsafe.Pointer {
			v, ok := (*(*map[string]V)(m))[key]
			if !ok {
				return nil
			}
			return unsafe.Pointer(&v)
		},
	}
}

func reflectedAccess(t reflect.Type) mapAccess {
	return mapAccess{
		keys: func(dst []string, m unsafe.Pointer) []string {
			for _, k := range reflect.NewAt(t, m).Elem().MapKeys() {
				dst = append(dst, k.String())
			}
			return dst
		},
		get: func(m unsafe.Pointer, key string) unsafe.Pointer {
			v := reflect.NewAt(t, m).Elem().MapIndex(reflect.ValueOf(key).Convert(t.Key()))
			if !v.IsValid() {
				return nil
			}
			copied := reflect.New(t.Elem())
			copied.Elem().Set(v)
			return copied.UnsafePointer()
		},
	}
}

// sortedKeys appends the keys of the maps on both sides, each once, in order.
func (p *plan) sortedKeys(dst []string, l, r side) []string {
	from := len(dst)
	if l.state == present {
		dst = p.access.keys(dst, l.at)
	}
	if r.state == present {
		dst = p.access.keys(dst, r.at)
	}
	keys := dst[from:]
	slices.Sort(keys)
	return dst[:from+len(slices.Compact(keys))]
}

// stringEntry reads the value of a key of a map of strings.
func stringEntry(s side, key string) (string, bool) {
	if s.state != present {
		return "", false
	}
	v, ok := (*(*map[string]string)(s.at))[key]
	return v, ok
}

// entry reads the value of a key.
func (p *plan) entry(s side, key string) side {
	if s.state != present {
		return side{}
	}
	at := p.access.get(s.at, key)
	if at == nil {
		return side{}
	}
	return p.elem.read(at)
}
