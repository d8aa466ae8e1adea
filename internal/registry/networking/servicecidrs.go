package networking

import (
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	netutils "k8s.io/utils/net"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// ServiceCIDRs are the ranges that Services get their addresses from.
var ServiceCIDRs = registry.Resource[networkingv1.ServiceCIDR]{
	Group: "networking.k8s.io", Kind: "ServiceCIDR", Name: "servicecidrs",
	Versions:       []registry.Version[networkingv1.ServiceCIDR]{registry.Hub[networkingv1.ServiceCIDR]("v1")},
	ValidateCreate: func(c *networkingv1.ServiceCIDR) field.ErrorList { return validateCIDRs(c.Spec.CIDRs) },
	ValidateUpdate: validateServiceCIDRUpdate,
	Status:         func(c *networkingv1.ServiceCIDR) any { return &c.Status },
	Columns: []registry.Column[networkingv1.ServiceCIDR]{
		{
			Name: "CIDRs", Description: networkingv1.ServiceCIDRSpec{}.SwaggerDoc()["cidrs"],
			Value: func(c *networkingv1.ServiceCIDR) any { return strings.Join(c.Spec.CIDRs, ",") },
		},
		registry.Age[networkingv1.ServiceCIDR](),
	},
}

var cidrsPath = field.NewPath("spec", "cidrs")

// maxCIDRs is one of each IP family.
const maxCIDRs = 2

// shownRanges is how kube-apiserver shows the spec in errors: by the names of its Go fields.
type shownRanges struct{ CIDRs []string }

func validateCIDRs(cidrs []string) field.ErrorList {
	switch {
	case len(cidrs) == 0:
		return field.ErrorList{field.Required(cidrsPath, "at least one CIDR required")}
	case len(cidrs) > maxCIDRs:
		return field.ErrorList{field.Invalid(cidrsPath, shownRanges{cidrs}, "may only hold up to 2 values")}
	}
	var errs field.ErrorList
	for i, cidr := range cidrs {
		errs = append(errs, validation.IsValidCIDR(cidrsPath.Index(i).Common(), cidr)...)
	}
	if len(cidrs) == maxCIDRs {
		family := netutils.IPFamilyOfCIDRString(cidrs[0])
		if family != netutils.IPFamilyUnknown && family == netutils.IPFamilyOfCIDRString(cidrs[1]) {
			errs = append(errs, field.Invalid(cidrsPath, cidrs, "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"))
		}
	}
	return errs
}

// validateServiceCIDRUpdate allows nothing but a second range beside the first.
func validateServiceCIDRUpdate(new, old *networkingv1.ServiceCIDR) field.ErrorList {
	is, was := new.Spec.CIDRs, old.Spec.CIDRs
	becomesDual := len(was) == 1 && len(is) == maxCIDRs
	if len(is) != len(was) && !becomesDual {
		return field.ErrorList{field.Invalid(cidrsPath, is, apivalidation.FieldImmutableErrorMsg)}
	}
	var errs field.ErrorList
	for i := range was {
		if is[i] != was[i] {
			errs = append(errs, field.Invalid(cidrsPath.Index(i), is[i], apivalidation.FieldImmutableErrorMsg))
		}
	}
	if becomesDual {
		errs = append(errs, validateCIDRs(is)...)
	}
	return errs
}
