package networking

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// IngressClasses name the controllers that serve Ingresses.
var IngressClasses = registry.Resource[networkingv1.IngressClass]{
	Group: "networking.k8s.io", Kind: "IngressClass", Name: "ingressclasses",
	Versions: []registry.Version[networkingv1.IngressClass]{registry.Hub[networkingv1.IngressClass]("v1")},
	Default: func(c *networkingv1.IngressClass) {
		if p := c.Spec.Parameters; p != nil && p.Scope == nil {
			p.Scope = ptr.To(networkingv1.IngressClassParametersReferenceScopeCluster)
		}
	},
	Validate: validateIngressClass,
	ValidateUpdate: func(new, old *networkingv1.IngressClass) field.ErrorList {
		return apivalidation.ValidateImmutableField(new.Spec.Controller, old.Spec.Controller, field.NewPath("spec", "controller").Common())
	},
	Spec: func(c *networkingv1.IngressClass) any { return &c.Spec },
	Columns: []registry.Column[networkingv1.IngressClass]{
		{
			Name: "Name", Format: "name", Description: metav1.ObjectMeta{}.SwaggerDoc()["name"],
			Value: func(c *networkingv1.IngressClass) any {
				if c.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true" {
					return c.Name + " (default)"
				}
				return c.Name
			},
		},
		{
			Name: "Controller", Description: "Controller that is responsible for handling this class",
			Value: func(c *networkingv1.IngressClass) any { return c.Spec.Controller },
		},
		{
			Name: "Parameters", Description: "A reference to a resource with additional parameters",
			Value: func(c *networkingv1.IngressClass) any {
				p := c.Spec.Parameters
				switch {
				case p == nil:
					return "<none>"
				case p.APIGroup == nil:
					return p.Kind + "/" + p.Name
				}
				return p.Kind + "." + *p.APIGroup + "/" + p.Name
			},
		},
		registry.Age[networkingv1.IngressClass](),
	},
}

// maxControllerName bounds spec.controller, in bytes.
const maxControllerName = 250

func validateIngressClass(c *networkingv1.IngressClass) field.ErrorList {
	path := field.NewPath("spec", "controller")
	var errs field.ErrorList
	if len(c.Spec.Controller) > maxControllerName {
		errs = append(errs, field.TooLong(path, "", maxControllerName))
	}
	errs = append(errs, validation.IsDomainPrefixedPath(path.Common(), c.Spec.Controller)...)
	if p := c.Spec.Parameters; p != nil {
		errs = append(errs, validateParameters(p, field.NewPath("spec", "parameters"))...)
	}
	return errs
}

func validateParameters(p *networkingv1.IngressClassParametersReference, path *field.Path) field.ErrorList {
	errs := validateReference(p.APIGroup, p.Kind, p.Name, path)
	namespace := path.Child("namespace")
	switch scope := *p.Scope; scope {
	case networkingv1.IngressClassParametersReferenceScopeCluster:
		if p.Namespace != nil {
			errs = append(errs, field.Forbidden(namespace, "`parameters.scope` is set to 'Cluster'"))
		}
	case networkingv1.IngressClassParametersReferenceScopeNamespace:
		if p.Namespace == nil {
			return append(errs, field.Required(namespace, "`parameters.scope` is set to 'Namespace'"))
		}
		errs = append(errs, invalids(namespace, *p.Namespace, apivalidation.ValidateNamespaceName(*p.Namespace, false))...)
	default:
		errs = append(errs, field.NotSupported(path.Child("scope"), scope, []string{
			networkingv1.IngressClassParametersReferenceScopeCluster, networkingv1.IngressClassParametersReferenceScopeNamespace,
		}))
	}
	return errs
}

// validateReference checks what names an object of any kind.
func validateReference(group *string, kind, name string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if group != nil {
		errs = invalids(path.Child("apiGroup"), *group, validation.IsDNS1123Subdomain(*group))
	}
	errs = append(errs, validateSegment(kind, path.Child("kind"))...)
	return append(errs, validateSegment(name, path.Child("name"))...)
}

// validateSegment checks what becomes a part of a URL.
func validateSegment(value string, path *field.Path) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return invalids(path, value, content.IsPathSegmentName(value))
}

// invalids makes an error of each text that a syntax check came back with.
func invalids(path *field.Path, value any, texts []string) field.ErrorList {
	var errs field.ErrorList
	for _, text := range texts {
		errs = append(errs, field.Invalid(path, value, text))
	}
	return errs
}
