package openapi

import (
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Resource describes what is served of one resource in one version.
type Resource struct {
	Kind
	// Name in URLs: "deployments".
	Name       string
	Namespaced bool
	Verbs      []string
	// AnswersDeleted tells that DELETE returns the object instead of a Status.
	AnswersDeleted bool
	// Tree tells that objects are trees of JSON: they have no protobuf and take no strategic merge patches.
	Tree         bool
	Subresources []Subresource
}

// Subresource of a Resource.
type Subresource struct {
	Kind
	Name  string
	Verbs []string
	// Connect tells that the client is connected with a node, a pod or a service.
	Connect bool
	// Text tells that the answer is plain text.
	Text bool
	// Options is the struct whose fields are the query's parameters, nil if there are none but the verb's.
	Options reflect.Type
}

// Kind is a kind with the origin of its schema.
type Kind struct {
	schema.GroupVersionKind
	// Define adds the kind's schema, and all it refers to, and returns its name. It is called once for each
	// document that is made.
	Define func(*Schemas) string
	// Edition changes when what Define does changes; "" where that takes a new program.
	Edition string
	// goType is nil for kinds that have none.
	goType reflect.Type
}

// GoKind is a kind whose schema follows from its Go type.
func GoKind(k schema.GroupVersionKind, t reflect.Type) Kind {
	return Kind{GroupVersionKind: k, goType: t, Define: func(s *Schemas) string { return s.addKind(k, t) }}
}

func (r *Resource) has(verb string) bool { return slices.Contains(r.Verbs, verb) }
