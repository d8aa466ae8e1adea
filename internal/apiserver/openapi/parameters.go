package openapi

import (
	"cmp"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/registry/shape"
)

// parameters are those that verbs take, from the structs that the server reads them into.
type parameters struct {
	create, update, patch, list, delete, deleteCollection []Parameter
}

func newParameters() parameters {
	p := parameters{
		create: queryOf(reflect.TypeFor[metav1.CreateOptions]()),
		update: queryOf(reflect.TypeFor[metav1.UpdateOptions]()),
		patch:  queryOf(reflect.TypeFor[metav1.PatchOptions]()),
		list:   queryOf(reflect.TypeFor[metav1.ListOptions](), "shardSelector"),
		delete: queryOf(reflect.TypeFor[metav1.DeleteOptions](), "preconditions"),
	}
	p.deleteCollection = slices.Clone(p.delete)
	for _, one := range p.list {
		if one.Name != "watch" && one.Name != "allowWatchBookmarks" {
			p.deleteCollection = append(p.deleteCollection, one)
		}
	}
	sortParameters(p.deleteCollection)
	return p
}

// queryOf are the fields of a struct as parameters of a query, but those that no client can send so.
func queryOf(t reflect.Type, except ...string) []Parameter {
	var query []Parameter
	doc := texts{}
	for _, f := range shape.Of(t).Fields {
		if f.Name == "kind" || f.Name == "apiVersion" || slices.Contains(except, f.Name) {
			continue
		}
		query = append(query, Parameter{In: "query", Name: f.Name, Type: queryType(f.Value), Description: doc.of(owner(t, f.Index))[f.Name]})
	}
	sortParameters(query)
	return query
}

// queryType is the type of one occurrence of a parameter.
func queryType(v *shape.Value) string {
	switch v.Kind {
	case shape.Boolean:
		return "boolean"
	case shape.Integer:
		return "integer"
	case shape.List:
		return queryType(v.Elem)
	}
	return "string"
}

func sortParameters(list []Parameter) {
	slices.SortFunc(list, func(a, b Parameter) int { return cmp.Compare(a.Name, b.Name) })
}

var pretty = Parameter{In: "query", Name: "pretty", Type: "string", Description: "If 'true', then the output is pretty printed. Defaults to 'false' unless the user-agent indicates a browser or command-line HTTP tool (curl and wget)."}

func inPath(name, description string) Parameter {
	return Parameter{In: "path", Name: name, Type: "string", Description: description, Required: true}
}
