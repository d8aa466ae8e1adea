package registry

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/registry/field"
)

// Version is one version in which a resource is served.
type Version[T any] struct {
	// Name such as "v1".
	Name string
	// Group in which the version is served, the resource's own unless said otherwise: Events are
	// stored once and served in two groups.
	Group *string
	// Deprecated is the text of the Warning header that every use of the version answers with.
	Deprecated string
	// Removed is the release that serves a deprecated version no longer, such as "1.25"; "" if none is set.
	Removed string
	// Fields are the names that field selectors use in this version, each with the name of the resource's
	// Field that it means; nil is the resource's own names.
	Fields map[string]string
	// ValidateCreate and ValidateUpdate run on writes through this version, beside the resource's own
	// checks: a later version may be stricter than an earlier one that clients rely on. They take the hub.
	ValidateCreate func(*T) field.ErrorList
	ValidateUpdate func(new, old *T) field.ErrorList

	hub     bool
	new     func() Object
	toHub   func(Object) (*T, error)
	fromHub func(*T) (Object, error)
}

// Hub is the version whose Go type is the hub itself.
func Hub[T any](name string) Version[T] {
	return Version[T]{
		Name:    name,
		hub:     true,
		new:     newObject[T],
		toHub:   func(o Object) (*T, error) { return cast[T](o) },
		fromHub: func(t *T) (Object, error) { return any(t).(Object), nil },
	}
}

// Spoke is a version with a Go type of its own and its conversions. The functions may share memory
// between their argument and their result, which is not used again.
func Spoke[T, V any](name string, to func(*V) (*T, error), from func(*T) (*V, error)) Version[T] {
	return Version[T]{
		Name: name,
		new:  newObject[V],
		toHub: func(o Object) (*T, error) {
			v, err := cast[V](o)
			if err != nil {
				return nil, err
			}
			return to(v)
		},
		fromHub: func(t *T) (Object, error) {
			v, err := from(t)
			if err != nil {
				return nil, err
			}
			return any(v).(Object), nil
		},
	}
}

// In moves the version to another group than its resource's.
func (v Version[T]) In(group string) Version[T] {
	v.Group = &group
	return v
}

// DeprecatedWith makes every use of the version answer with a warning.
func (v Version[T]) DeprecatedWith(warning string) Version[T] {
	v.Deprecated = warning
	return v
}

// RemovedIn says which release of Kubernetes serves the version no longer.
func (v Version[T]) RemovedIn(release string) Version[T] {
	v.Removed = release
	return v
}

// Selecting gives field selectors the version's own names for the resource's Fields.
func (v Version[T]) Selecting(names map[string]string) Version[T] {
	v.Fields = names
	return v
}

// Checking adds checks of writes through this version.
func (v Version[T]) Checking(create func(*T) field.ErrorList, update func(new, old *T) field.ErrorList) Version[T] {
	v.ValidateCreate, v.ValidateUpdate = create, update
	return v
}

// newObject panics where *T is no Object: a definition that is wrong in the source.
func newObject[T any]() Object { return any(new(T)).(Object) }

// cast returns the object as its Go type.
func cast[T any](o Object) (*T, error) {
	t, ok := any(o).(*T)
	if !ok {
		return nil, fmt.Errorf("expected a %T, got a %T", new(T), o)
	}
	return t, nil
}

// groupVersion is where the version is served.
func (v Version[T]) groupVersion(own string) schema.GroupVersion {
	if v.Group != nil {
		own = *v.Group
	}
	return schema.GroupVersion{Group: own, Version: v.Name}
}
