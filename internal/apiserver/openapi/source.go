package openapi

import (
	"reflect"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/registry/shape"
)

// source is what documents are made from. It knows nothing of documents that were made, so that one that is
// kept keeps no others.
type source struct {
	version   string
	resources map[schema.GroupVersion][]*Resource
	// versions in order.
	versions []schema.GroupVersion
}

// document of one group and version.
func (s *source) document(gv schema.GroupVersion) *Document {
	return s.makeDocument([]schema.GroupVersion{gv}, func(doc *Document, schemas *Schemas) {
		verbs := newParameters()
		s.addVersion(newBuilder(doc, schemas, &verbs, gv))
	})
}

func (s *source) addVersion(b *builder) {
	b.resourceList()
	for _, r := range s.resources[b.gv] {
		b.resource(r)
	}
}

// plainDocument is one of what stands above groups and versions.
func (s *source) plainDocument(add func(*builder)) *Document {
	return s.makeDocument(nil, func(doc *Document, schemas *Schemas) { add(&builder{doc: doc, schemas: schemas}) })
}

// wholeDocument is all in one.
func (s *source) wholeDocument() *Document {
	return s.makeDocument(s.versions, func(doc *Document, schemas *Schemas) {
		verbs := newParameters()
		for _, gv := range s.versions {
			s.addVersion(newBuilder(doc, schemas, &verbs, gv))
		}
		for _, add := range plainPaths(groupsOf(s.versions)) {
			add(&builder{doc: doc, schemas: schemas})
		}
	})
}

func (s *source) makeDocument(versions []schema.GroupVersion, fill func(*Document, *Schemas)) *Document {
	doc := &Document{Version: s.version}
	schemas := &Schemas{byName: map[string]*Schema{}, kinds: s.kinds(), versions: versions}
	fill(doc, schemas)
	doc.Schemas = schemas.sorted()
	doc.sort()
	return doc
}

// kinds of Go types, of all that is served.
func (s *source) kinds() map[reflect.Type]schema.GroupVersionKind {
	kinds := map[reflect.Type]schema.GroupVersionKind{}
	add := func(k *Kind) {
		if k.goType != nil && kindName(k.GroupVersionKind, k.goType) == shape.Name(k.goType) {
			kinds[k.goType] = k.GroupVersionKind
		}
	}
	for _, list := range s.resources {
		for _, r := range list {
			add(&r.Kind)
			for i := range r.Subresources {
				add(&r.Subresources[i].Kind)
			}
		}
	}
	return kinds
}
