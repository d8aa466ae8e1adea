package networking

import (
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// IPAddresses are addresses that are taken: each is named as its address, so two cannot have one. Those of
// Services come and go with the Service (registry/core/allocate).
var IPAddresses = registry.Resource[networkingv1.IPAddress]{
	Group: "networking.k8s.io", Kind: "IPAddress", Name: "ipaddresses", Short: []string{"ip"},
	Versions:     []registry.Version[networkingv1.IPAddress]{registry.Hub[networkingv1.IPAddress]("v1")},
	ValidateName: validateIPAddressName,
	Validate:     validateIPAddress,
	ValidateUpdate: func(new, old *networkingv1.IPAddress) field.ErrorList {
		return apivalidation.ValidateImmutableField((*shownParent)(new.Spec.ParentRef), (*shownParent)(old.Spec.ParentRef), field.NewPath("spec", "parentRef").Common())
	},
	Columns: []registry.Column[networkingv1.IPAddress]{
		{
			Name: "ParentRef", Description: networkingv1.IPAddressSpec{}.SwaggerDoc()["parentRef"],
			Value: func(a *networkingv1.IPAddress) any { return parentText(a.Spec.ParentRef) },
		},
		// Rows end with the age, which kube-apiserver forgot to define.
		{Value: registry.Age[networkingv1.IPAddress]().Value},
	},
}

// validateIPAddressName takes canonical addresses only, for another spelling would be another name.
func validateIPAddressName(name string, _ bool) []string {
	var texts []string
	for _, err := range validation.IsValidIP(field.NewPath("").Common(), name) {
		texts = append(texts, err.Detail)
	}
	return texts
}

func validateIPAddress(a *networkingv1.IPAddress) field.ErrorList {
	path, ref := field.NewPath("spec", "parentRef"), a.Spec.ParentRef
	if ref == nil {
		return field.ErrorList{field.Required(path, "")}
	}
	var errs field.ErrorList
	if ref.Group != "" { // that of Services
		errs = invalids(path.Child("group"), ref.Group, validation.IsDNS1123Subdomain(ref.Group))
	}
	errs = append(errs, validateSegment(ref.Resource, path.Child("resource"))...)
	errs = append(errs, validateSegment(ref.Name, path.Child("name"))...)
	return append(errs, invalids(path.Child("namespace"), ref.Namespace, content.IsPathSegmentName(ref.Namespace))...)
}

// shownParent is how kube-apiserver shows a reference in errors: by the names of its Go fields.
type shownParent struct{ Group, Resource, Namespace, Name string }

func parentText(ref *networkingv1.ParentReference) string {
	if ref == nil {
		return "<none>"
	}
	resource := schema.GroupResource{Group: ref.Group, Resource: ref.Resource}
	parts := []string{strings.ToLower(resource.String())}
	if ref.Namespace != "" {
		parts = append(parts, ref.Namespace)
	}
	return strings.Join(append(parts, ref.Name), "/")
}
