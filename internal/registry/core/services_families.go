package core

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	netutils "k8s.io/utils/net"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry/field"
)

var (
	clusterIPsPath     = field.NewPath("spec", "clusterIPs")
	ipFamiliesPath     = field.NewPath("spec", "ipFamilies")
	ipFamilyPolicyPath = field.NewPath("spec", "ipFamilyPolicy")
)

// keepsPreferredStack tells whether an update leaves a PreferDualStack Service as it is: such a Service
// does not follow a cluster that becomes dual-stack or single-stack.
func keepsPreferredStack(new, old *corev1.Service) bool {
	prefers := func(policy *corev1.IPFamilyPolicy) bool {
		return policy != nil && *policy == corev1.IPFamilyPolicyPreferDualStack
	}
	return old != nil && new.Spec.Type == old.Spec.Type && isServiceType(new.Spec.Type) && hasClusterIP(new) &&
		prefers(new.Spec.IPFamilyPolicy) && (old.Spec.IPFamilyPolicy == nil || prefers(old.Spec.IPFamilyPolicy)) &&
		slices.Equal(new.Spec.ClusterIPs, old.Spec.ClusterIPs) && slices.Equal(new.Spec.IPFamilies, old.Spec.IPFamilies)
}

// chooseFamilies fills ipFamilyPolicy and ipFamilies from each other, from clusterIPs and from what the
// server has ranges for.
func (a serviceAllocator) chooseFamilies(s, old *corev1.Service) field.ErrorList {
	if !hasClusterIP(s) {
		return nil
	}
	withoutSelector := s.Spec.ClusterIP == corev1.ClusterIPNone && len(s.Spec.Selector) == 0
	if s.Spec.IPFamilyPolicy == nil {
		s.Spec.IPFamilyPolicy = impliedPolicy(old, withoutSelector)
	}
	if errs := validateClusterIPs(s, old); len(errs) > 0 {
		return errs
	}
	errs := dropSecondFamily(s, old)
	errs = append(errs, refuseTwoOfSingle(s)...)
	if errs = append(errs, a.familiesOfAddresses(s)...); len(errs) > 0 {
		return errs
	}
	// A Service with neither address nor selector has the endpoints that somebody else writes, of any
	// family, whatever the server's own ranges are.
	if !withoutSelector {
		if errs := a.refuseForeignFamilies(s); len(errs) > 0 {
			return errs
		}
	}
	if len(s.Spec.IPFamilies) == 0 {
		s.Spec.IPFamilies = []corev1.IPFamily{a.from.Families()[0]}
	}
	if len(s.Spec.IPFamilies) == 1 && !isSingleStack(s) && (withoutSelector || len(a.from.Families()) == 2) {
		s.Spec.IPFamilies = append(slices.Clone(s.Spec.IPFamilies), otherFamily(s.Spec.IPFamilies[0]))
	}
	return nil
}

// impliedPolicy is the policy of a Service that names none.
func impliedPolicy(old *corev1.Service, withoutSelector bool) *corev1.IPFamilyPolicy {
	switch {
	case old != nil && old.Spec.IPFamilyPolicy != nil:
		return ptr.To(*old.Spec.IPFamilyPolicy)
	case withoutSelector:
		return ptr.To(corev1.IPFamilyPolicyRequireDualStack)
	}
	return ptr.To(corev1.IPFamilyPolicySingleStack)
}

// dropSecondFamily drops it where an update asks for a single stack and says no more; where it asks for
// two but gives fewer than there were, it is refused.
func dropSecondFamily(s, old *corev1.Service) field.ErrorList {
	if old == nil {
		return nil
	}
	if isSingleStack(s) {
		if slices.Equal(s.Spec.ClusterIPs, old.Spec.ClusterIPs) && len(s.Spec.ClusterIPs) > 1 {
			s.Spec.ClusterIPs = s.Spec.ClusterIPs[:1]
		}
		if slices.Equal(s.Spec.IPFamilies, old.Spec.IPFamilies) && len(s.Spec.IPFamilies) > 1 {
			s.Spec.IPFamilies = s.Spec.IPFamilies[:1]
		}
		return nil
	}
	var errs field.ErrorList
	if n := len(s.Spec.ClusterIPs); n > 0 && n < len(old.Spec.ClusterIPs) {
		errs = append(errs, field.Invalid(ipFamilyPolicyPath, s.Spec.IPFamilyPolicy, "must be 'SingleStack' to release the secondary cluster IP"))
	}
	if n := len(s.Spec.IPFamilies); n > 0 && n < len(old.Spec.IPFamilies) {
		errs = append(errs, field.Invalid(ipFamilyPolicyPath, s.Spec.IPFamilyPolicy, "must be 'SingleStack' to release the secondary IP family"))
	}
	return errs
}

func refuseTwoOfSingle(s *corev1.Service) field.ErrorList {
	if !isSingleStack(s) {
		return nil
	}
	var errs field.ErrorList
	if len(s.Spec.ClusterIPs) == 2 {
		errs = append(errs, field.Invalid(ipFamilyPolicyPath, s.Spec.IPFamilyPolicy,
			"must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified"))
	}
	if len(s.Spec.IPFamilies) == 2 {
		errs = append(errs, field.Invalid(ipFamilyPolicyPath, s.Spec.IPFamilyPolicy,
			"must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"))
	}
	return errs
}

// familiesOfAddresses adds the families of addresses that have none in ipFamilies.
func (a serviceAllocator) familiesOfAddresses(s *corev1.Service) field.ErrorList {
	var errs field.ErrorList
	for i, ip := range s.Spec.ClusterIPs {
		if ip == corev1.ClusterIPNone {
			break
		}
		if i < len(s.Spec.IPFamilies) {
			continue
		}
		family := familyOf(ip)
		if !slices.Contains(a.from.Families(), family) {
			errs = append(errs, field.Invalid(clusterIPsPath.Index(i), s.Spec.ClusterIPs, fmt.Sprintf("%s is not configured on this cluster", family)))
			continue
		}
		s.Spec.IPFamilies = append(s.Spec.IPFamilies, family)
	}
	return errs
}

func (a serviceAllocator) refuseForeignFamilies(s *corev1.Service) field.ErrorList {
	var errs field.ErrorList
	families := a.from.Families()
	if *s.Spec.IPFamilyPolicy == corev1.IPFamilyPolicyRequireDualStack && len(families) < 2 {
		errs = append(errs, field.Invalid(ipFamilyPolicyPath, s.Spec.IPFamilyPolicy, "this cluster is not configured for dual-stack services"))
	}
	for i, family := range s.Spec.IPFamilies {
		if !slices.Contains(families, family) {
			errs = append(errs, field.Invalid(ipFamiliesPath.Index(i), family, "not configured on this cluster"))
		}
	}
	return errs
}

func isSingleStack(s *corev1.Service) bool {
	return *s.Spec.IPFamilyPolicy == corev1.IPFamilyPolicySingleStack
}

func familyOf(ip string) corev1.IPFamily {
	if netutils.IsIPv6String(ip) {
		return corev1.IPv6Protocol
	}
	return corev1.IPv4Protocol
}

func otherFamily(f corev1.IPFamily) corev1.IPFamily {
	if f == corev1.IPv4Protocol {
		return corev1.IPv6Protocol
	}
	return corev1.IPv4Protocol
}
