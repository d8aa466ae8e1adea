package admission

import (
	"context"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/access/authz"
	"github.com/proa-dev/proa/internal/registry"
)

// RoleEscalation keeps users from granting permissions that they do not have. kube-apiserver has this check
// in the storage of the four kinds and not among its plugins, so it cannot be disabled there either.
type RoleEscalation struct {
	Escalation authz.Escalation
}

var _ Validator = RoleEscalation{}

// Name implements Plugin.
func (RoleEscalation) Name() string { return "RoleEscalation" }

// Handles implements Plugin.
func (RoleEscalation) Handles(op Operation, resource schema.GroupResource, _ string) bool {
	return (op == Create || op == Update) && resource.Group == rbacv1.GroupName
}

// Validate implements Validator.
func (e RoleEscalation) Validate(ctx context.Context, r *Request) error {
	if onlyForCollector(r.Object, r.Old) {
		return nil
	}
	switch o := r.Object.(type) {
	case *rbacv1.ClusterRole, *rbacv1.Role:
		return e.Escalation.CheckRole(ctx, r.User, o, r.Old)
	case *rbacv1.ClusterRoleBinding:
		return e.Escalation.CheckBinding(ctx, r.User, "", o.Name, o.RoleRef)
	case *rbacv1.RoleBinding:
		return e.Escalation.CheckBinding(ctx, r.User, r.Namespace, o.Name, o.RoleRef)
	}
	return nil
}

// onlyForCollector tells whether an update changes nothing but owners and finalizers: the garbage
// collector must be able to let go of roles that it does not hold.
func onlyForCollector(o, old runtime.Object) bool {
	before, ok := old.(registry.Object)
	if !ok {
		return false
	}
	after := o.DeepCopyObject().(registry.Object)
	after.SetOwnerReferences(before.GetOwnerReferences())
	after.SetFinalizers(before.GetFinalizers())
	after.SetManagedFields(before.GetManagedFields())
	return equality.Semantic.DeepEqual(after, before)
}
