package client

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Kind is a resource whose objects have the Go type T.
type Kind[T any] struct {
	Resource   schema.GroupVersionResource
	Kind       string
	Namespaced bool
}

// List is a list of objects and the revision it was read at.
type List[T any] struct {
	Items []*T
	Meta  metav1.ListMeta
}

// GroupVersionKind of the kind's objects.
func (k Kind[T]) GroupVersionKind() schema.GroupVersionKind {
	return k.Resource.GroupVersion().WithKind(k.Kind)
}

// Get reads one object, as of now.
func (k Kind[T]) Get(ctx context.Context, t Transport, namespace, name string) (*T, error) {
	return k.do(ctx, t, &Request{Verb: "get", Namespace: namespace, Name: name})
}

// List reads the objects of a namespace, or of all if it is empty.
func (k Kind[T]) List(ctx context.Context, t Transport, namespace string, o metav1.ListOptions) (*List[T], error) {
	res, err := t.Do(ctx, k.fill(&Request{Verb: "list", Namespace: namespace, List: o}))
	if err != nil {
		return nil, err
	}
	l := &List[T]{Meta: res.List, Items: make([]*T, len(res.Items))}
	for i, o := range res.Items {
		l.Items[i] = any(o).(*T)
	}
	return l, nil
}

// Watch streams the changes in a namespace, or in all if it is empty.
func (k Kind[T]) Watch(ctx context.Context, t Transport, namespace string, o metav1.ListOptions) (Stream, error) {
	return t.Watch(ctx, k.fill(&Request{Verb: "watch", Namespace: namespace, List: o}))
}

// Create writes a new object.
func (k Kind[T]) Create(ctx context.Context, t Transport, o *T) (*T, error) {
	return k.do(ctx, t, &Request{Verb: "create", Object: k.object(o), Namespace: k.object(o).GetNamespace()})
}

// Update replaces an object whose resourceVersion is the one that was read.
func (k Kind[T]) Update(ctx context.Context, t Transport, o *T) (*T, error) {
	return k.update(ctx, t, o, "")
}

// UpdateStatus replaces an object's status.
func (k Kind[T]) UpdateStatus(ctx context.Context, t Transport, o *T) (*T, error) {
	return k.update(ctx, t, o, "status")
}

// Patch changes an object, or a subresource of it.
func (k Kind[T]) Patch(ctx context.Context, t Transport, namespace, name string, pt types.PatchType, patch []byte, subresource string) (*T, error) {
	return k.do(ctx, t, &Request{
		Verb: "patch", Namespace: namespace, Name: name, Subresource: subresource, Patch: patch, PatchType: pt,
	})
}

// MergePatch changes an object by the JSON merge patch (RFC 7386) that patch encodes to.
func (k Kind[T]) MergePatch(ctx context.Context, t Transport, namespace, name string, patch any, subresource string) (*T, error) {
	data, err := json.Marshal(patch)
	if err != nil {
		return nil, fmt.Errorf("encode patch: %w", err)
	}
	return k.Patch(ctx, t, namespace, name, types.MergePatchType, data, subresource)
}

// Delete removes an object.
func (k Kind[T]) Delete(ctx context.Context, t Transport, namespace, name string, o metav1.DeleteOptions) error {
	_, err := t.Do(ctx, k.fill(&Request{Verb: "delete", Namespace: namespace, Name: name, Delete: o}))
	return err
}

func (k Kind[T]) update(ctx context.Context, t Transport, o *T, subresource string) (*T, error) {
	obj := k.object(o)
	return k.do(ctx, t, &Request{
		Verb: "update", Namespace: obj.GetNamespace(), Name: obj.GetName(), Subresource: subresource, Object: obj,
	})
}

func (k Kind[T]) do(ctx context.Context, t Transport, r *Request) (*T, error) {
	res, err := t.Do(ctx, k.fill(r))
	if err != nil {
		return nil, err
	}
	o, ok := any(res.Object).(*T)
	if !ok {
		return nil, fmt.Errorf("client: %s %s answered with a %T", r.Verb, k.Resource.Resource, res.Object)
	}
	return o, nil
}

func (k Kind[T]) fill(r *Request) *Request {
	r.Resource = k.Resource
	r.New = func() Object { return any(new(T)).(Object) }
	return r
}

func (k Kind[T]) object(o *T) Object { return any(o).(Object) }
