package openapi

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Document is what a document says, in whatever version of OpenAPI it is then written. Its slices are in the
// order in which they are written.
type Document struct {
	Version string
	Paths   []Path
	Schemas []NamedSchema
}

// Path is what can be done at one path.
type Path struct {
	Path       string
	Parameters []Parameter
	Operations []Operation
}

// Operation is one method of a path.
type Operation struct {
	// Method in lower case.
	Method               string
	ID, Description, Tag string
	// Action is the verb by which Kubernetes calls the operation, "" where it is on no resource.
	Action     string
	Kind       schema.GroupVersionKind
	Parameters []Parameter
	// Body is nil where there is none.
	Body      *Body
	Produces  []string
	Responses []Response
}

// Body of a request.
type Body struct {
	Media    []string
	Schema   *Schema
	Required bool
}

// Response with a status code; Schema is nil where it says nothing.
type Response struct {
	Code, Description string
	Schema            *Schema
}

// Parameter in the path or the query.
type Parameter struct {
	In, Name, Description, Type string
	Required                    bool
}

// NamedSchema is a schema that others refer to.
type NamedSchema struct {
	Name string
	*Schema
}

// Schema of a value. Its zero value allows any.
type Schema struct {
	// Ref is the name of the schema that says the rest, "" if this one does.
	Ref                       string
	Type, Format, Description string
	// OneOf are the types that a value may have, where Type cannot say it. Swagger 2 calls such values
	// strings.
	OneOf []string
	// Default is nil where there is none.
	Default    any
	Properties []Property
	Required   []string
	// Items of a list, Values of a map.
	Items, Values *Schema
	Extensions    []Extension
}

// Property is a field of an object.
type Property struct {
	Name string
	*Schema
}

// Extension is what Kubernetes says beyond OpenAPI; its name begins with x-kubernetes-.
type Extension struct {
	Name  string
	Value any
}

func (s *Schema) extend(name string, value any) {
	s.Extensions = append(s.Extensions, Extension{"x-kubernetes-" + name, value})
}

// alone tells that a reference has nothing beside it.
func (s *Schema) alone() bool {
	return s.Description == "" && s.Default == nil && len(s.Extensions) == 0
}

func ref(name string) *Schema { return &Schema{Ref: name} }

// kindValue is a group, version and kind as extensions show it.
type kindValue struct {
	Group   string `json:"group"`
	Kind    string `json:"kind"`
	Version string `json:"version"`
}

const kindExtension = "group-version-kind"

func valueOf(k schema.GroupVersionKind) kindValue {
	return kindValue{Group: k.Group, Kind: k.Kind, Version: k.Version}
}

// extensions of an operation.
func (o *Operation) extensions() []Extension {
	if o.Action == "" {
		return nil
	}
	return []Extension{{"x-kubernetes-action", o.Action}, {"x-kubernetes-" + kindExtension, valueOf(o.Kind)}}
}

// sort brings the document into the order in which it is written.
func (d *Document) sort() {
	slices.SortFunc(d.Paths, func(a, b Path) int { return cmp.Compare(a.Path, b.Path) })
	slices.SortFunc(d.Schemas, func(a, b NamedSchema) int { return cmp.Compare(a.Name, b.Name) })
}
