package admission

import (
	"context"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/access/authz"
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
	switch o := r.Object.(type) {
	case *rbacv1.ClusterRole, *rbacv1.Role:
		return e.Escalation.CheckRole(ctx, r.User, o, r.Old)
	case *rbacv1.ClusterRoleBinding:
		return e.Escalation.CheckBinding(ctx, r.User, "", o.Name, o.RoleRef)
	case *rbacv1.RoleBinding:
		return e.Escalation.CheckBinding(ctx, r.User, o.Namespace, o.Name, o.RoleRef)
	}
	return nil
}
