package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	rbacv1beta1 "k8s.io/api/rbac/v1beta1"
	"k8s.io/apimachinery/pkg/api/validation/path"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// ClusterRoleBindings give a cluster role to subjects, in all namespaces.
var ClusterRoleBindings = registry.Resource[rbacv1.ClusterRoleBinding]{
	Group: rbacv1.GroupName, Kind: "ClusterRoleBinding", Name: "clusterrolebindings",
	Versions: []registry.Version[rbacv1.ClusterRoleBinding]{registry.Hub[rbacv1.ClusterRoleBinding]("v1")},
	Default:  func(b *rbacv1.ClusterRoleBinding) { defaultBinding(&b.RoleRef, b.Subjects) },
	Validate: func(b *rbacv1.ClusterRoleBinding) field.ErrorList {
		return validateBinding(b.RoleRef, b.Subjects, false)
	},
	ValidateUpdate: func(new, old *rbacv1.ClusterRoleBinding) field.ErrorList {
		return validateSameRole(new.RoleRef, old.RoleRef)
	},
	ValidateName: path.ValidatePathSegmentName,
	Columns: bindingColumns("clusterRoleBinding", rbacv1beta1.ClusterRoleBinding{}.SwaggerDoc()["roleRef"],
		func(b *rbacv1.ClusterRoleBinding) (rbacv1.RoleRef, []rbacv1.Subject) { return b.RoleRef, b.Subjects }),
	CreateOnUpdate: true,
}
