package typedjson

import (
	"reflect"
	"slices"
	"unsafe"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Merge applies a JSON merge patch (RFC 7396) to an object, a pointer to a struct that nobody shares: what
// comes out is what comes out of patching its JSON and reading that. It is false where the library has to be
// asked, with another copy of the object: this one is spoilt.
func Merge(patch []byte, object any) bool {
	p := planOf(reflect.TypeOf(object))
	if p == nil {
		return false
	}
	d := decoder{data: patch, patch: true, merging: true}
	return d.space() == '{' && d.structure(p, reflect.ValueOf(object).UnsafePointer()) && d.space() == 0 && d.pos == len(patch)
}

// maxMergedKeys is how many keys of a map one patch may name.
const maxMergedKeys = 64

// merge applies a part of a patch to what lies at a place. Null removes, objects are merged, and everything
// else replaces.
func (d *decoder) merge(p *plan, at unsafe.Pointer) bool {
	c := d.space()
	if c == 'n' {
		reflect.NewAt(p.typ, at).Elem().SetZero()
		return d.null()
	}
	switch p.kind {
	case structure:
		return c == '{' && d.structure(p, at)
	case texts, blobs, quantities, dictionary:
		return c == '{' && d.mergeMap(p, at)
	case pointer:
		to := (*unsafe.Pointer)(at)
		if *to == nil {
			*to = reflect.New(p.elem.typ).UnsafePointer()
		}
		return d.merge(p.elem, *to)
	case custom:
		if c != '"' {
			return false // it may have to be merged with what is there
		}
	}
	reflect.NewAt(p.typ, at).Elem().SetZero()
	d.merging = false
	ok := d.value(p, at)
	d.merging = true
	return ok
}

func (d *decoder) mergeMap(p *plan, at unsafe.Pointer) bool {
	if d.depth++; d.depth > maxDepth {
		return false
	}
	d.pos++
	m := reflect.NewAt(p.typ, at).Elem()
	if m.IsNil() {
		m.Set(reflect.MakeMap(p.typ))
	}
	var seen []string
	for n := 0; ; n++ {
		done, ok := d.more(n, '}')
		if done {
			d.depth--
			return true
		}
		if !ok {
			return false
		}
		key, ok := d.text()
		if !ok || d.space() != ':' || n == maxMergedKeys || slices.Contains(seen, key) {
			return false
		}
		seen = append(seen, key)
		d.pos++
		if !d.mergeEntry(p, m, at, key) {
			return false
		}
	}
}

func (d *decoder) mergeEntry(p *plan, m reflect.Value, at unsafe.Pointer, key string) bool {
	null := d.space() == 'n'
	switch p.kind {
	case texts:
		m := *(*map[string]string)(at)
		if null {
			delete(m, key)
			return d.null()
		}
		s, ok := d.text()
		m[key] = s
		return ok
	case blobs:
		m := *(*map[string][]byte)(at)
		if null {
			delete(m, key)
			return d.null()
		}
		var b []byte
		ok := d.bytes(&b)
		m[key] = b
		return ok
	case quantities:
		m := *(*map[string]resource.Quantity)(at)
		if null {
			delete(m, key)
			return d.null()
		}
		var q resource.Quantity
		ok := d.quantity(&q)
		m[key] = q
		return ok
	}
	name := reflect.ValueOf(key).Convert(p.typ.Key())
	if null {
		m.SetMapIndex(name, reflect.Value{})
		return d.null()
	}
	elem := reflect.New(p.elem.typ)
	if there := m.MapIndex(name); there.IsValid() {
		elem.Elem().Set(there)
	}
	ok := d.merge(p.elem, elem.UnsafePointer())
	m.SetMapIndex(name, elem.Elem())
	return ok
}
