package core

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	netutils "k8s.io/utils/net"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry/field"
)

var (
	externalTrafficPolicies = []corev1.ServiceExternalTrafficPolicy{
		corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal,
	}
	internalTrafficPolicies = []corev1.ServiceInternalTrafficPolicy{
		corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal,
	}
	trafficDistributions = []string{
		corev1.ServiceTrafficDistributionPreferClose,
		corev1.ServiceTrafficDistributionPreferSameZone,
		corev1.ServiceTrafficDistributionPreferSameNode,
	}
	balancerIPModes = []corev1.LoadBalancerIPMode{corev1.LoadBalancerIPModeProxy, corev1.LoadBalancerIPModeVIP}
)

func validateTrafficPolicies(s *corev1.Service, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	policy := s.Spec.ExternalTrafficPolicy
	if !externallyAccessible(s) {
		if policy != "" {
			errs = append(errs, field.Invalid(spec.Child("externalTrafficPolicy"), policy, "may only be set for externally-accessible services"))
		}
	} else if !slices.Contains(externalTrafficPolicies, policy) {
		errs = append(errs, field.NotSupported(spec.Child("externalTrafficPolicy"), policy, externalTrafficPolicies))
	}
	errs = append(errs, validateHealthCheckPort(s, spec.Child("healthCheckNodePort"))...)
	if p := s.Spec.InternalTrafficPolicy; p != nil && !slices.Contains(internalTrafficPolicies, *p) {
		errs = append(errs, field.NotSupported(spec.Child("internalTrafficPolicy"), *p, internalTrafficPolicies))
	}
	if d := s.Spec.TrafficDistribution; d != nil && !slices.Contains(trafficDistributions, *d) {
		errs = append(errs, field.NotSupported(spec.Child("trafficDistribution"), *d, trafficDistributions))
	}
	return errs
}

func validateHealthCheckPort(s *corev1.Service, path *field.Path) field.ErrorList {
	port := s.Spec.HealthCheckNodePort
	switch {
	case needsHealthCheck(s) && port == 0:
		return field.ErrorList{field.Required(path, "")}
	case needsHealthCheck(s):
		return invalids(path, port, validation.IsValidPortNum(int(port)))
	case port != 0:
		return field.ErrorList{field.Invalid(path, port, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'")}
	}
	return nil
}

// validateServiceUpdate checks the whole Service, and that it keeps what was allocated: the first address and family for good, the second until
// it is released by asking for a single stack. To and from ExternalName everything may change.
func validateServiceUpdate(new, old *corev1.Service) field.ErrorList {
	var errs field.ErrorList
	if hasClusterIP(new) && hasClusterIP(old) {
		errs = append(errs, validateClusterIPChange(new, old)...)
		errs = append(errs, validateIPFamilyChange(new, old)...)
	}
	if isLoadBalancer(old) && isLoadBalancer(new) && !ptr.Equal(old.Spec.LoadBalancerClass, new.Spec.LoadBalancerClass) {
		errs = append(errs, field.Invalid(field.NewPath("spec", "loadBalancerClass"), new.Spec.LoadBalancerClass, "may not change once set"))
	}
	if needsHealthCheck(old) && needsHealthCheck(new) && old.Spec.HealthCheckNodePort != new.Spec.HealthCheckNodePort {
		errs = append(errs, field.Forbidden(field.NewPath("spec", "healthCheckNodePort"), "field is immutable"))
	}
	return append(errs, validateService(new, old)...)
}

func validateClusterIPChange(new, old *corev1.Service) field.ErrorList {
	was, is := old.Spec.ClusterIPs, new.Spec.ClusterIPs
	if isHeadless(old) && isHeadless(new) {
		return nil
	}
	if len(is) == 0 && len(was) > 0 {
		return field.ErrorList{field.Invalid(clusterIPsPath.Index(0), is, "primary clusterIP can not be unset")}
	}
	var errs field.ErrorList
	for i := range min(len(was), len(is)) {
		// Of lists of different lengths only the first address is compared: the second comes or goes.
		if was[i] != is[i] && (i == 0 || len(was) == len(is)) {
			errs = append(errs, field.Invalid(clusterIPsPath.Index(i), is, "may not change once set"))
		}
	}
	if len(is) == 1 && len(was) > 1 && ptr.Deref(new.Spec.IPFamilyPolicy, "") != corev1.IPFamilyPolicySingleStack {
		errs = append(errs, field.Invalid(ipFamilyPolicyPath, new.Spec.IPFamilyPolicy, "must be set to 'SingleStack' when releasing the secondary clusterIP"))
	}
	return errs
}

func validateIPFamilyChange(new, old *corev1.Service) field.ErrorList {
	was, is := old.Spec.IPFamilies, new.Spec.IPFamilies
	if isHeadless(old) || isHeadless(new) {
		return nil
	}
	path := ipFamiliesPath.Index(0)
	var errs field.ErrorList
	if len(was) == len(is) {
		for i := range was {
			if was[i] != is[i] {
				errs = append(errs, field.Invalid(path, is, "may not change once set"))
			}
		}
		return errs
	}
	if len(is) < len(was) && len(new.Spec.ClusterIPs) == 0 {
		errs = append(errs, field.Invalid(path, is, "primary ipFamily can not be unset"))
	}
	if len(was) > 0 && len(is) > 0 && was[0] != is[0] {
		errs = append(errs, field.Invalid(path, new.Spec.ClusterIPs, "may not change once set"))
	}
	if len(is) == 1 && len(was) > 1 && ptr.Deref(new.Spec.IPFamilyPolicy, "") != corev1.IPFamilyPolicySingleStack {
		errs = append(errs, field.Invalid(ipFamilyPolicyPath, new.Spec.IPFamilyPolicy, "must be set to 'SingleStack' when releasing the secondary ipFamily"))
	}
	return errs
}

func validateServiceStatus(new, old *corev1.Service) field.ErrorList {
	path := field.NewPath("status", "loadBalancer", "ingress")
	ingress := new.Status.LoadBalancer.Ingress
	if !isLoadBalancer(new) && len(ingress) != 0 {
		return field.ErrorList{field.Forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")}
	}
	var errs field.ErrorList
	var had []string
	for _, in := range old.Status.LoadBalancer.Ingress {
		had = append(had, in.IP)
	}
	for i := range ingress {
		errs = append(errs, validateBalancerIngress(&ingress[i], had, path.Index(i))...)
	}
	return errs
}

func validateBalancerIngress(in *corev1.LoadBalancerIngress, had []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if in.IP != "" {
		errs = append(errs, checkNewIP(in.IP, had, path.Child("ip"))...)
	}
	switch {
	case in.IPMode == nil && in.IP != "":
		errs = append(errs, field.Required(path.Child("ipMode"), "must be specified when `ip` is set"))
	case in.IPMode == nil:
	case in.IP == "":
		errs = append(errs, field.Forbidden(path.Child("ipMode"), "may not be specified when `ip` is not set"))
	case !slices.Contains(balancerIPModes, *in.IPMode):
		errs = append(errs, field.NotSupported(path.Child("ipMode"), in.IPMode, balancerIPModes))
	}
	if in.Hostname != "" {
		errs = append(errs, checkDNSSubdomain(in.Hostname, path.Child("hostname"))...)
		if netutils.ParseIPSloppy(in.Hostname) != nil {
			errs = append(errs, field.Invalid(path.Child("hostname"), in.Hostname, "must be a DNS name, not an IP address"))
		}
	}
	return errs
}
