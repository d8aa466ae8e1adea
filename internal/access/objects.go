package access

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/registry"
)

// Objects are the stored objects that access control decides on. The API server answers from its cache.
//
// What comes back is the hub's type, shared with others, and never changed. Errors are apimachinery's
// StatusErrors. A resource that the server does not have reads as one without objects.
type Objects interface {
	// Get reads one object as of now: a write that was acknowledged before the call is seen. Namespace is
	// empty for cluster-scoped resources.
	Get(ctx context.Context, resource schema.GroupResource, namespace, name string) (registry.Object, error)
	// List reads the objects of a namespace, or of all if it is empty, as of now and in the order of
	// their keys. where selects by the resource's selectable fields; nil is all.
	List(ctx context.Context, resource schema.GroupResource, namespace string, where fields.Selector) ([]registry.Object, error)
	// Follow calls change for every object that there is, before it returns, and from then on for every
	// commit, in order; o is nil when the object is gone. Calls do not overlap. change is quick and does
	// not call back. There is no end to following but the server's.
	Follow(resource schema.GroupResource, change func(namespace, name string, o registry.Object))
}

// Get reads one object as its Go type.
func Get[T any](ctx context.Context, objects Objects, resource schema.GroupResource, namespace, name string) (*T, error) {
	o, err := objects.Get(ctx, resource, namespace, name)
	if err != nil {
		return nil, err
	}
	t, ok := any(o).(*T)
	if !ok {
		return nil, fmt.Errorf("%s %s/%s: expected a %T, got a %T", resource, namespace, name, new(T), o)
	}
	return t, nil
}

// List reads objects as their Go type.
func List[T any](ctx context.Context, objects Objects, resource schema.GroupResource, namespace string, where fields.Selector) ([]*T, error) {
	found, err := objects.List(ctx, resource, namespace, where)
	if err != nil {
		return nil, err
	}
	all := make([]*T, len(found))
	for i, o := range found {
		t, ok := any(o).(*T)
		if !ok {
			return nil, fmt.Errorf("%s %s/%s: expected a %T, got a %T", resource, o.GetNamespace(), o.GetName(), new(T), o)
		}
		all[i] = t
	}
	return all, nil
}
