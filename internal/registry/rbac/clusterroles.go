package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// ClusterRoles allow verbs on resources of all namespaces, or of the one that a RoleBinding is in, and on
// paths. Those with an aggregationRule have their rules filled from others by a controller.
var ClusterRoles = registry.Resource[rbacv1.ClusterRole]{
	Group: rbacv1.GroupName, Kind: "ClusterRole", Name: "clusterroles",
	Versions:       []registry.Version[rbacv1.ClusterRole]{registry.Hub[rbacv1.ClusterRole]("v1")},
	ValidateCreate: func(r *rbacv1.ClusterRole) field.ErrorList { return validateClusterRole(r, nil) },
	ValidateUpdate: validateClusterRole,
	ValidateName:   path.ValidatePathSegmentName,
	Columns:        []registry.Column[rbacv1.ClusterRole]{registry.CreatedAt[rbacv1.ClusterRole]()},
	CreateOnUpdate: true,
}

// validateClusterRole checks a role. Where the selectors of the old one, nil on create, have invalid label
// values, the new one's may too.
func validateClusterRole(r, old *rbacv1.ClusterRole) field.ErrorList {
	errs := validateRules(r.Rules, false)
	if r.AggregationRule == nil {
		return errs
	}
	selectors := field.NewPath("aggregationRule", "clusterRoleSelectors")
	if len(r.AggregationRule.ClusterRoleSelectors) == 0 {
		errs = append(errs, field.Required(selectors, "at least one clusterRoleSelector required if aggregationRule is non-nil"))
	}
	options := metavalidation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: hasInvalidSelector(old)}
	for i := range r.AggregationRule.ClusterRoleSelectors {
		selector := &r.AggregationRule.ClusterRoleSelectors[i]
		errs = append(errs, metavalidation.ValidateLabelSelector(selector, options, selectors.Index(i).Common())...)
		if compiled, err := metav1.LabelSelectorAsSelector(selector); err != nil {
			errs = append(errs, field.Invalid(selectors.Index(i), compiled, "invalid label selector."))
		}
	}
	return errs
}

func hasInvalidSelector(r *rbacv1.ClusterRole) bool {
	if r == nil || r.AggregationRule == nil {
		return false
	}
	for i := range r.AggregationRule.ClusterRoleSelectors {
		selector := &r.AggregationRule.ClusterRoleSelectors[i]
		if len(metavalidation.ValidateLabelSelector(selector, metavalidation.LabelSelectorValidationOptions{}, nil)) > 0 {
			return true
		}
	}
	return false
}
