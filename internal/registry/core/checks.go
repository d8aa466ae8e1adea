package core

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	netutils "k8s.io/utils/net"

	"github.com/proa-dev/proa/internal/registry/field"
)

// invalids makes an error of each text that a syntax check came back with.
func invalids(path *field.Path, value any, texts []string) field.ErrorList {
	var errs field.ErrorList
	for _, text := range texts {
		errs = append(errs, field.Invalid(path, value, text))
	}
	return errs
}

func checkDNSLabel(value string, path *field.Path) field.ErrorList {
	return invalids(path, value, validation.IsDNS1123Label(value))
}

func checkDNSSubdomain(value string, path *field.Path) field.ErrorList {
	return invalids(path, value, validation.IsDNS1123Subdomain(value))
}

func checkQualifiedName(value string, path *field.Path) field.ErrorList {
	return invalids(path, value, validation.IsQualifiedName(value))
}

// checkIP refuses addresses that parsers disagree on, such as "010.0.0.1".
func checkIP(value string, path *field.Path) field.ErrorList { return checkNewIP(value, nil, path) }

// checkNewIP is checkIP for fields that once were checked less: what the old object has may stay.
func checkNewIP(value string, old []string, path *field.Path) field.ErrorList {
	return validation.IsValidIPForLegacyField(path.Common(), value, true, old)
}

// checkNewCIDR is checkNewIP for ranges.
func checkNewCIDR(value string, old []string, path *field.Path) field.ErrorList {
	return validation.IsValidCIDRForLegacyField(path.Common(), value, true, old)
}

// ValidateEndpointIP refuses addresses that no endpoint can have.
func ValidateEndpointIP(value string, path *field.Path) field.ErrorList {
	ip := netutils.ParseIPSloppy(value)
	switch {
	case ip == nil:
		return field.ErrorList{field.Invalid(path, value, "must be a valid IP address")}
	case ip.IsUnspecified():
		return field.ErrorList{field.Invalid(path, value, fmt.Sprintf("may not be unspecified (%v)", value))}
	case ip.IsLoopback():
		return field.ErrorList{field.Invalid(path, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)")}
	case ip.IsLinkLocalUnicast():
		return field.ErrorList{field.Invalid(path, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")}
	case ip.IsLinkLocalMulticast():
		return field.ErrorList{field.Invalid(path, value, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")}
	}
	return nil
}

func checkNotNegative(value int64, path *field.Path) field.ErrorList {
	return apivalidation.ValidateNonnegativeField(value, path.Common())
}

func checkQuantityNotNegative(q resource.Quantity, path *field.Path) field.ErrorList {
	if q.Sign() < 0 {
		return field.ErrorList{field.Invalid(path, q.String(), apivalidation.IsNegativeErrorMsg)}
	}
	return nil
}
