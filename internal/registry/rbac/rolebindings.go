package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	rbacv1beta1 "k8s.io/api/rbac/v1beta1"
	"k8s.io/apimachinery/pkg/api/validation/path"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// RoleBindings give a role to subjects, in their namespace.
var RoleBindings = registry.Resource[rbacv1.RoleBinding]{
	Group: rbacv1.GroupName, Kind: "RoleBinding", Name: "rolebindings",
	Namespaced: true,
	Versions:   []registry.Version[rbacv1.RoleBinding]{registry.Hub[rbacv1.RoleBinding]("v1")},
	Default:    func(b *rbacv1.RoleBinding) { defaultBinding(&b.RoleRef, b.Subjects) },
	Validate: func(b *rbacv1.RoleBinding) field.ErrorList {
		return validateBinding(b.RoleRef, b.Subjects, true)
	},
	ValidateUpdate: func(new, old *rbacv1.RoleBinding) field.ErrorList { return validateSameRole(new.RoleRef, old.RoleRef) },
	ValidateName:   path.ValidatePathSegmentName,
	Columns: bindingColumns("roleBinding", rbacv1beta1.RoleBinding{}.SwaggerDoc()["roleRef"],
		func(b *rbacv1.RoleBinding) (rbacv1.RoleRef, []rbacv1.Subject) { return b.RoleRef, b.Subjects }),
	CreateOnUpdate: true,
}
