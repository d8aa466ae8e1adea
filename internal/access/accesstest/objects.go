// Package accesstest has what tests of access control need: stored objects without a store.
package accesstest

import (
	"context"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/registry"
)

// Objects keeps objects in maps. The zero value is empty and ready.
type Objects struct {
	mu        sync.Mutex
	stored    map[schema.GroupResource]map[string]registry.Object                 // guarded by mu
	followers map[schema.GroupResource][]func(ns, name string, o registry.Object) // guarded by mu
}

var _ access.Objects = (*Objects)(nil)

// Put stores objects of one resource.
func (s *Objects) Put(resource schema.GroupResource, objects ...registry.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stored == nil {
		s.stored = map[schema.GroupResource]map[string]registry.Object{}
	}
	if s.stored[resource] == nil {
		s.stored[resource] = map[string]registry.Object{}
	}
	for _, o := range objects {
		s.stored[resource][o.GetNamespace()+"/"+o.GetName()] = o
		for _, f := range s.followers[resource] {
			f(o.GetNamespace(), o.GetName(), o)
		}
	}
}

// Drop removes an object.
func (s *Objects) Drop(resource schema.GroupResource, namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.stored[resource], namespace+"/"+name)
	for _, f := range s.followers[resource] {
		f(namespace, name, nil)
	}
}

// Get implements access.Objects.
func (s *Objects) Get(_ context.Context, resource schema.GroupResource, namespace, name string) (registry.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, ok := s.stored[resource][namespace+"/"+name]; ok {
		return o, nil
	}
	return nil, apierrors.NewNotFound(resource, name)
}

// List implements access.Objects. Of fields it knows metadata and a pod's spec.nodeName.
func (s *Objects) List(_ context.Context, resource schema.GroupResource, namespace string, where fields.Selector) ([]registry.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []registry.Object
	for _, o := range s.stored[resource] {
		if namespace != "" && o.GetNamespace() != namespace {
			continue
		}
		if where != nil && !where.Matches(fieldsOf(o)) {
			continue
		}
		found = append(found, o)
	}
	slices.SortFunc(found, func(a, b registry.Object) int {
		return strings.Compare(a.GetNamespace()+"/"+a.GetName(), b.GetNamespace()+"/"+b.GetName())
	})
	return found, nil
}

// Follow implements access.Objects.
func (s *Objects) Follow(resource schema.GroupResource, change func(ns, name string, o registry.Object)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.stored[resource] {
		change(o.GetNamespace(), o.GetName(), o)
	}
	if s.followers == nil {
		s.followers = map[schema.GroupResource][]func(ns, name string, o registry.Object){}
	}
	s.followers[resource] = append(s.followers[resource], change)
}

func fieldsOf(o registry.Object) fields.Set {
	set := fields.Set{"metadata.name": o.GetName(), "metadata.namespace": o.GetNamespace()}
	if p, ok := o.(*corev1.Pod); ok {
		set["spec.nodeName"] = p.Spec.NodeName
	}
	return set
}
