package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// Roles allow verbs on resources of their namespace.
var Roles = registry.Resource[rbacv1.Role]{
	Group: rbacv1.GroupName, Kind: "Role", Name: "roles",
	Namespaced:     true,
	Versions:       []registry.Version[rbacv1.Role]{registry.Hub[rbacv1.Role]("v1")},
	Validate:       func(r *rbacv1.Role) field.ErrorList { return validateRules(r.Rules, true) },
	ValidateName:   path.ValidatePathSegmentName,
	Columns:        []registry.Column[rbacv1.Role]{registry.CreatedAt[rbacv1.Role]()},
	CreateOnUpdate: true,
}
