// Package shape knows the Go types of the API the way clients see them: the JSON name of each field, what
// stands in it, whether it may be left out, and how two writers share it. Go tags say most of that; what
// they do not say is in two small tables (see facts.go), which a test holds against the schema that
// client-go carries.
//
// Everything that asks "what is this field?" derives from here: field ownership, server-side apply and the
// OpenAPI documents.
package shape

import (
	"reflect"
	"strings"
	"sync"
)

// Kind is what stands in JSON.
type Kind uint8

// The kinds of values.
const (
	Struct Kind = iota + 1 // an object with known fields
	Map                    // an object with any names
	List
	String
	Integer
	Number
	Boolean
	Bytes       // base64 text
	Time        // RFC 3339 text, null when zero
	MicroTime   // the same with microseconds
	Duration    // Go's text: "1m30s"
	Quantity    // "100m"
	IntOrString // 80 or "http"
	Any         // any JSON
	Fields      // managedFields' own format
)

// Merge tells how writers share a value that has parts.
type Merge uint8

// The ways of sharing.
const (
	// Granular parts have an owner each: structs and maps, unless said otherwise.
	Granular Merge = iota
	// Atomic values have one owner: lists, unless said otherwise.
	Atomic
	// Set is a list of distinct scalars, each with its owner.
	Set
	// Keyed is a list of structs that a few fields tell apart, each with its owners.
	Keyed
)

// Value describes what stands in one place.
type Value struct {
	Kind Kind
	// Type in Go, without its pointers.
	Type reflect.Type
	// Pointer tells that the Go value is a pointer to Type.
	Pointer bool
	Merge   Merge
	// Keys of a Keyed list, by JSON name.
	Keys []string
	// Elem of a List or Map.
	Elem *Value
}

// Field of a struct. Fields of inlined structs count as the outer struct's.
type Field struct {
	// Name in JSON.
	Name string
	// Index leads to the Go field, through inlined structs.
	Index []int
	// Offset of the Go field from the start of the outermost struct.
	Offset uintptr
	Value  *Value
	// OmitEmpty and OmitZero are the JSON options of these names.
	OmitEmpty, OmitZero bool
	// Required fields must be in a client's document.
	Required bool
	// Default is what the schema says of an absent field, nil where it says nothing. It is the documented
	// default, and tells list items apart; objects get theirs from the registry.
	Default any
	// PatchStrategy and PatchMergeKey of the strategic merge patch.
	PatchStrategy, PatchMergeKey string
	// GoName is the field's name in Go.
	GoName string
}

// Type describes a Go struct.
type Type struct {
	// Name in OpenAPI documents: "io.k8s.api.core.v1.Pod".
	Name   string
	Go     reflect.Type
	Atomic bool
	// Fields in the order of the Go source.
	Fields []Field
}

// known remembers what Of found; the facts of a type never change.
var known sync.Map // reflect.Type → *Type

// Of describes a struct type of the API.
func Of(t reflect.Type) *Type {
	if found, ok := known.Load(t); ok {
		return found.(*Type)
	}
	found, _ := known.LoadOrStore(t, describe(t))
	return found.(*Type)
}

// Struct describes the fields of a value of kind Struct.
func (v *Value) Struct() *Type { return Of(v.Type) }

// Field finds a field by its JSON name, nil if there is none.
func (t *Type) Field(name string) *Field {
	for i := range t.Fields {
		if t.Fields[i].Name == name {
			return &t.Fields[i]
		}
	}
	return nil
}

// Name of a Go type in OpenAPI documents: the import path with its host turned around.
func Name(t reflect.Type) string {
	host, rest, _ := strings.Cut(t.PkgPath(), "/")
	parts := strings.Split(host, ".")
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		b.WriteString(parts[i])
		b.WriteByte('.')
	}
	b.WriteString(strings.ReplaceAll(rest, "/", "."))
	b.WriteByte('.')
	b.WriteString(t.Name())
	return b.String()
}
