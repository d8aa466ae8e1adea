package ownership

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unsafe"

	"github.com/proa-dev/proa/internal/registry/shape"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// plan says how to walk values of one Go type. It is compiled from package shape and read-only after.
type plan struct {
	kind  shape.Kind
	merge shape.Merge
	typ   reflect.Type // without pointer
	size  uintptr      // of a list's element or struct's field in memory, its pointer if it is one
	ptr   bool         // what lies in memory is a pointer to typ

	fields []planField // of a struct, in the order of their names; all of them
	visit  []planField // those whose ownership is tracked
	elem   *plan       // of a list or map
	keys   []planField // of a keyed list: the key fields of its items, in the order of their names
	access mapAccess   // of a map
}

type planField struct {
	name      string // as it stands in JSON
	text      string // the name as a path element's text
	offset    uintptr
	omitEmpty bool
	omitZero  func(unsafe.Pointer) bool // nil if the field is not omitted for being zero
	byDefault string                    // text of a key field that is absent, "" if the schema has none
	plan      *plan
}

// leaf tells that the value has one owner.
func (p *plan) leaf() bool {
	switch p.kind {
	case shape.Struct, shape.Map, shape.List:
		return p.merge == shape.Atomic
	}
	return true
}

// compiler keeps the plans of structs, which may contain themselves.
type compiler struct {
	structs map[structPlan]*plan
}

type structPlan struct {
	typ   reflect.Type
	merge shape.Merge
	ptr   bool
}

// compile returns the plan of an object's struct type.
func compile(t reflect.Type) *plan {
	c := compiler{structs: map[structPlan]*plan{}}
	return c.compile(&shape.Value{Kind: shape.Struct, Type: t})
}

func (c *compiler) compile(v *shape.Value) *plan {
	p := &plan{kind: v.Kind, merge: v.Merge, typ: v.Type, size: v.Type.Size(), ptr: v.Pointer}
	if v.Pointer {
		p.size = unsafe.Sizeof(uintptr(0))
	}
	switch v.Kind {
	case shape.Struct:
		key := structPlan{v.Type, v.Merge, v.Pointer}
		if known, ok := c.structs[key]; ok {
			return known
		}
		c.structs[key] = p
		c.compileFields(p, v.Struct())
	case shape.List:
		p.elem = c.compile(v.Elem)
		if v.Merge == shape.Keyed {
			p.keys = keyFields(p.elem, v)
		}
	case shape.Map:
		p.elem = c.compile(v.Elem)
		p.access = accessOf(v.Type)
	}
	return p
}

func (c *compiler) compileFields(p *plan, t *shape.Type) {
	for i := range t.Fields {
		f := &t.Fields[i]
		pf := planField{
			name: f.Name, text: nameText(f.Name), offset: f.Offset, omitEmpty: f.OmitEmpty,
			byDefault: defaultText(f.Default), plan: c.compile(f.Value),
		}
		if f.OmitZero {
			pf.omitZero = zeroFunc(t.Go.FieldByIndex(f.Index).Type)
		}
		p.fields = append(p.fields, pf)
	}
	slices.SortFunc(p.fields, func(a, b planField) int { return strings.Compare(a.name, b.name) })
	p.visit = p.fields
}

// keyFields are those of a keyed list's items. Items are structs whose plan is complete by now, or is being
// compiled further up; a type whose keys lie in itself does not exist.
func keyFields(item *plan, v *shape.Value) []planField {
	var keys []planField
	for _, f := range item.fields {
		if slices.Contains(v.Keys, f.name) {
			keys = append(keys, f)
		}
	}
	if len(keys) != len(v.Keys) {
		panic(fmt.Sprintf("ownership: %s lacks keys among %v", item.typ, v.Keys))
	}
	return keys
}

func nameText(name string) string {
	if plainName(name) {
		return name
	}
	return elementText(fieldpath.FieldNameElement(name))
}

func defaultText(v any) string {
	switch v := v.(type) {
	case string:
		return string(appendString(nil, v))
	case int, bool:
		return fmt.Sprint(v)
	}
	return ""
}

// zeroFunc is the library's sense of omitzero for a field of the type.
func zeroFunc(t reflect.Type) func(unsafe.Pointer) bool {
	zero := value.OmitZeroFunc(t)
	return func(p unsafe.Pointer) bool { return zero(reflect.NewAt(t, p).Elem()) }
}

// without returns the plan of a struct that does not visit the field at the path.
func (p *plan) without(path ...string) *plan {
	changed := *p
	changed.visit = nil
	for _, f := range p.visit {
		if f.name == path[0] {
			if len(path) == 1 {
				continue
			}
			f.plan = f.plan.without(path[1:]...)
		}
		changed.visit = append(changed.visit, f)
	}
	return &changed
}

// only returns the plan that visits nothing but the paths; "*" stands for every item of a list.
func (p *plan) only(paths [][]string) *plan {
	changed := *p
	if p.kind == shape.List {
		changed.elem = p.elem.only(tails(paths, "*"))
		return &changed
	}
	changed.visit = nil
	for _, f := range p.visit {
		below := tails(paths, f.name)
		if len(below) == 0 {
			continue
		}
		if len(below[0]) > 0 {
			f.plan = f.plan.only(below)
		}
		changed.visit = append(changed.visit, f)
	}
	return &changed
}

// tails of the paths that start with head.
func tails(paths [][]string, head string) [][]string {
	var found [][]string
	for _, path := range paths {
		if path[0] == head {
			found = append(found, path[1:])
		}
	}
	return found
}

// untracked fields have no owner, whoever writes them.
var untracked = [][]string{
	{"apiVersion"}, {"kind"},
	{"metadata", "name"}, {"metadata", "namespace"}, {"metadata", "creationTimestamp"},
	{"metadata", "selfLink"}, {"metadata", "uid"}, {"metadata", "generation"},
	{"metadata", "managedFields"}, {"metadata", "resourceVersion"},
}

// tracked returns the plan of an object without what is never tracked and what the subresource resets.
func (p *plan) tracked(r reset) *plan {
	for _, path := range untracked {
		p = p.without(path...)
	}
	for _, path := range r.exclude {
		p = p.without(path...)
	}
	if r.include != nil {
		p = p.only(r.include)
	}
	return p
}

// unordered tells that an entry owns parts of what is atomic by now: it must be reconciled with the schema.
func (p *plan) unordered(t tree) bool {
	for i := 0; i < len(t); i = t.next(i) {
		if t[i].size == 1 {
			continue
		}
		below := p.below(&t[i])
		if below == nil {
			continue
		}
		if below.leaf() && below.merge == shape.Atomic || below.unordered(t.kids(i)) {
			return true
		}
	}
	return false
}

// below is the plan of a child, nil if the schema does not know it or it has no parts.
func (p *plan) below(n *node) *plan {
	if p.kind != shape.Struct {
		return p.elem
	}
	i, found := slices.BinarySearchFunc(p.fields, n.text, func(f planField, text string) int {
		return strings.Compare(f.text, text)
	})
	if !found || n.kind != fieldElement {
		return nil
	}
	return p.fields[i].plan
}

// typeOf an API object, without its pointer.
func typeOf(o runtime.Object) reflect.Type { return reflect.TypeOf(o).Elem() }
