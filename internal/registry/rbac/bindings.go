package rbac

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// What RoleBindings and ClusterRoleBindings share: they differ in the roles that they may name, and in
// whether a service account needs its namespace said.

func defaultBinding(role *rbacv1.RoleRef, subjects []rbacv1.Subject) {
	if role.APIGroup == "" {
		role.APIGroup = rbacv1.GroupName
	}
	for i := range subjects {
		if s := &subjects[i]; s.APIGroup == "" && (s.Kind == rbacv1.UserKind || s.Kind == rbacv1.GroupKind) {
			s.APIGroup = rbacv1.GroupName
		}
	}
}

func validateBinding(role rbacv1.RoleRef, subjects []rbacv1.Subject, namespaced bool) field.ErrorList {
	ref := field.NewPath("roleRef")
	var errs field.ErrorList
	if role.APIGroup != rbacv1.GroupName {
		errs = append(errs, field.NotSupported(ref.Child("apiGroup"), role.APIGroup, []string{rbacv1.GroupName}))
	}
	kinds := []string{"ClusterRole"}
	if namespaced {
		kinds = []string{"Role", "ClusterRole"}
	}
	if role.Kind != "ClusterRole" && !(namespaced && role.Kind == "Role") {
		errs = append(errs, field.NotSupported(ref.Child("kind"), role.Kind, kinds))
	}
	if role.Name == "" {
		errs = append(errs, field.Required(ref.Child("name"), ""))
	} else {
		for _, msg := range path.ValidatePathSegmentName(role.Name, false) {
			errs = append(errs, field.Invalid(ref.Child("name"), role.Name, msg))
		}
	}
	for i := range subjects {
		errs = append(errs, validateSubject(&subjects[i], namespaced, field.NewPath("subjects").Index(i))...)
	}
	return errs
}

func validateSubject(s *rbacv1.Subject, namespaced bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), ""))
	}
	group := rbacv1.GroupName
	switch s.Kind {
	case rbacv1.UserKind, rbacv1.GroupKind:
	case rbacv1.ServiceAccountKind:
		group = ""
		if s.Name != "" {
			for _, msg := range apivalidation.ValidateServiceAccountName(s.Name, false) {
				errs = append(errs, field.Invalid(path.Child("name"), s.Name, msg))
			}
		}
	default:
		return append(errs, field.NotSupported(path.Child("kind"), s.Kind, []string{rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind}))
	}
	if s.APIGroup != group {
		errs = append(errs, field.NotSupported(path.Child("apiGroup"), s.APIGroup, []string{group}))
	}
	if s.Kind == rbacv1.ServiceAccountKind && !namespaced && s.Namespace == "" {
		errs = append(errs, field.Required(path.Child("namespace"), ""))
	}
	return errs
}

// shownRole is a role reference as error texts show it: with Go's names.
type shownRole struct{ APIGroup, Kind, Name string }

func validateSameRole(new, old rbacv1.RoleRef) field.ErrorList {
	if new == old {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("roleRef"), shownRole(new), "cannot change roleRef")}
}

func bindingColumns[T any](name, roleDoc string, parts func(*T) (rbacv1.RoleRef, []rbacv1.Subject)) []registry.Column[T] {
	subjects := func(kind string) func(*T) any {
		return func(t *T) any {
			var names []string
			_, all := parts(t)
			for _, s := range all {
				if s.Kind != kind {
					continue
				}
				if kind == rbacv1.ServiceAccountKind {
					s.Name = s.Namespace + "/" + s.Name
				}
				names = append(names, s.Name)
			}
			return strings.Join(names, ", ")
		}
	}
	return []registry.Column[T]{
		{Name: "Role", Description: roleDoc, Value: func(t *T) any {
			role, _ := parts(t)
			return role.Kind + "/" + role.Name
		}},
		registry.Age[T](),
		{Name: "Users", Wide: true, Description: "Users in the " + name, Value: subjects(rbacv1.UserKind)},
		{Name: "Groups", Wide: true, Description: "Groups in the " + name, Value: subjects(rbacv1.GroupKind)},
		{Name: "ServiceAccounts", Wide: true, Description: "ServiceAccounts in the " + name, Value: subjects(rbacv1.ServiceAccountKind)},
	}
}
