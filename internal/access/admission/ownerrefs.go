package admission

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/access"
)

// OwnerReferencesPermissionEnforcement asks for more than the permission to write of who gives an object
// an owner: to delete the object, which its owner's end would do, and, to hold up the owner's deletion, to
// update the owner's finalizers. It is off unless the operator names it.
type OwnerReferencesPermissionEnforcement struct {
	Authorizer access.Authorizer
	// Resource finds the resource of a kind, and whether it is namespaced.
	Resource func(kind schema.GroupVersionKind) (resource schema.GroupVersionResource, namespaced bool, err error)
}

var _ Validator = OwnerReferencesPermissionEnforcement{}

// Name implements Plugin.
func (OwnerReferencesPermissionEnforcement) Name() string {
	return "OwnerReferencesPermissionEnforcement"
}

// Handles implements Plugin. A pod's status cannot change its owners.
func (OwnerReferencesPermissionEnforcement) Handles(op Operation, resource schema.GroupResource, subresource string) bool {
	return (op == Create || op == Update) && !(resource == pods && subresource == "status")
}

// Validate implements Validator.
func (e OwnerReferencesPermissionEnforcement) Validate(ctx context.Context, r *Request) error {
	owners, before := ownersOf(r.Object), ownersOf(r.Old)
	if equality.Semantic.DeepEqual(owners, before) {
		return nil
	}
	if r.Operation != Create {
		decision, reason, err := e.Authorizer.Authorize(ctx, &access.Attributes{
			User: r.User, Verb: "delete", IsResource: true,
			Group: r.Resource.Group, Version: r.Resource.Version, Resource: r.Resource.Resource, Subresource: r.Subresource,
			Namespace: r.Namespace, Name: r.Name,
		})
		if decision != access.Allow {
			return Forbidden(r, fmt.Errorf("cannot set an ownerRef on a resource you can't delete: %v, %v", reason, err))
		}
	}
	return e.checkBlocking(ctx, r, newlyBlocking(owners, before))
}

func (e OwnerReferencesPermissionEnforcement) checkBlocking(ctx context.Context, r *Request, blocking []metav1.OwnerReference) error {
	if len(blocking) == 0 {
		return nil
	}
	finalizers := func(resource schema.GroupVersionResource, namespace, name string) *access.Attributes {
		return &access.Attributes{
			User: r.User, Verb: "update", IsResource: true,
			Group: resource.Group, Version: resource.Version, Resource: resource.Resource, Subresource: "finalizers",
			Namespace: namespace, Name: name,
		}
	}
	// Who may finalize anything need not have the owner's kind known here.
	all := schema.GroupVersionResource{Group: "*", Version: "*", Resource: "*"}
	if decision, _, _ := e.Authorizer.Authorize(ctx, finalizers(all, "", "*")); decision == access.Allow {
		return nil
	}
	for _, owner := range blocking {
		resource, namespaced, err := e.Resource(schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind))
		if err != nil {
			return Forbidden(r, fmt.Errorf("cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion %s Kind %s: %v", owner.APIVersion, owner.Kind, err))
		}
		namespace := ""
		if namespaced {
			namespace = r.Namespace
		}
		decision, reason, err := e.Authorizer.Authorize(ctx, finalizers(resource, namespace, owner.Name))
		if decision != access.Allow {
			return Forbidden(r, fmt.Errorf("cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: %v, %v", reason, err))
		}
	}
	return nil
}

func ownersOf(o runtime.Object) []metav1.OwnerReference {
	if o == nil {
		return nil
	}
	m, err := meta.Accessor(o)
	if err != nil {
		return nil
	}
	return m.GetOwnerReferences()
}

// newlyBlocking are the owners whose deletion the object holds up and did not before.
func newlyBlocking(owners, before []metav1.OwnerReference) []metav1.OwnerReference {
	return slices.DeleteFunc(slices.Clone(owners), func(o metav1.OwnerReference) bool {
		if !ptr.Deref(o.BlockOwnerDeletion, false) {
			return true
		}
		i := slices.IndexFunc(before, func(b metav1.OwnerReference) bool { return b.UID == o.UID })
		return i >= 0 && ptr.Deref(before[i].BlockOwnerDeletion, false)
	})
}
