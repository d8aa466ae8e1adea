// Package admission has the plugins that look at a write once it is authorized and decoded: they may
// change it, then they may refuse it. They run in the order of one list.
package admission

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/registry"
)

// Operation is what a write does.
type Operation string

const (
	Create  Operation = "CREATE"
	Update  Operation = "UPDATE"
	Delete  Operation = "DELETE"
	Connect Operation = "CONNECT"
)

// Request is a write on its way in. It lives for one request, and a retry begins with a new one.
type Request struct {
	Operation Operation
	User      *access.User
	// Type is the resource's definition, nil for subresources with a kind of their own.
	Type        *registry.Type
	Resource    schema.GroupVersionResource // as requested
	Kind        schema.GroupVersionKind     // of Object, as requested
	Subresource string
	// Namespace is empty for cluster-scoped objects. Name is empty when the server is to generate it.
	Namespace, Name string
	// Object is the object as it would be stored, the hub's type for stored kinds. Plugins may change
	// it while mutating. nil on delete.
	Object runtime.Object
	// Old is the stored object, nil on create.
	Old     runtime.Object
	DryRun  bool
	Options runtime.Object // *metav1.CreateOptions and the like
	// Warn adds a Warning header to the answer.
	Warn func(text string)
	// Annotate adds an annotation to the request's audit event.
	Annotate func(key, value string)
}

// Plugin is one admission plugin. A plugin implements Mutator, Validator or both.
type Plugin interface {
	// Name is what --disable-admission-plugins knows it by.
	Name() string
	// Handles tells, cheaply, whether the plugin wants to see such a write at all.
	Handles(op Operation, resource schema.GroupResource, subresource string) bool
}

// Mutator changes writes before they are validated.
type Mutator interface {
	Plugin
	// Mutate may change r.Object, or refuse. Errors are apimachinery's StatusErrors; any other becomes
	// an internal error.
	Mutate(ctx context.Context, r *Request) error
}

// Validator refuses writes, after all have been changed and validated. It changes nothing.
type Validator interface {
	Plugin
	Validate(ctx context.Context, r *Request) error
}

// Chain is an ordered list of plugins.
type Chain []Plugin

// Mutate runs the mutators in order until one refuses.
func (c Chain) Mutate(ctx context.Context, r *Request) error {
	return c.run(ctx, r, admit, stopwatch{})
}

// Validate runs the validators in order until one refuses.
func (c Chain) Validate(ctx context.Context, r *Request) error {
	return c.run(ctx, r, validate, stopwatch{})
}

// half is one of the two rounds of admission.
type half int

const (
	admit half = iota
	validate
)

func (c Chain) run(ctx context.Context, r *Request, h half, w stopwatch) error {
	for i, p := range c {
		ran, err := h.of(ctx, p, r)
		if !ran {
			continue
		}
		w.lap(i, err)
		if err != nil {
			w.stop(err)
			return err
		}
	}
	w.stop(nil)
	return nil
}

// of runs a plugin's part in this half, if it has one and wants to see the write.
func (h half) of(ctx context.Context, p Plugin, r *Request) (ran bool, err error) {
	if !p.Handles(r.Operation, r.Resource.GroupResource(), r.Subresource) {
		return false, nil
	}
	if h == admit {
		if m, ok := p.(Mutator); ok {
			return true, m.Mutate(ctx, r)
		}
		return false, nil
	}
	if v, ok := p.(Validator); ok {
		return true, v.Validate(ctx, r)
	}
	return false, nil
}
