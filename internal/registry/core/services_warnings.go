package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry/field"
)

// serviceWarnings are for what is valid but ignored, deprecated or read differently by some parsers.
func serviceWarnings(s, _ *corev1.Service) []string {
	spec := field.NewPath("spec")
	headless := s.Spec.Type == corev1.ServiceTypeClusterIP && s.Spec.ClusterIP == corev1.ClusterIPNone
	var texts []string
	if _, ok := s.Annotations[corev1.DeprecatedAnnotationTopologyAwareHints]; ok {
		texts = append(texts, fmt.Sprintf("annotation %s is deprecated, please use %s instead",
			corev1.DeprecatedAnnotationTopologyAwareHints, corev1.AnnotationTopologyMode))
	}
	if s.Spec.ClusterIP != "" && s.Spec.ClusterIP != corev1.ClusterIPNone {
		for i, ip := range s.Spec.ClusterIPs {
			texts = append(texts, validation.GetWarningsForIP(clusterIPsPath.Index(i).Common(), ip)...)
		}
	}
	if headless {
		texts = append(texts, headlessWarnings(s)...)
	}
	for i, ip := range s.Spec.ExternalIPs {
		texts = append(texts, validation.GetWarningsForIP(spec.Child("externalIPs").Index(i).Common(), ip)...)
	}
	if len(s.Spec.ExternalIPs) > 0 && !headless && hasClusterIP(s) {
		texts = append(texts, "spec.externalIPs is deprecated and may no longer be implemented in some clusters")
	}
	if s.Spec.LoadBalancerIP != "" {
		texts = append(texts, validation.GetWarningsForIP(spec.Child("loadBalancerIP").Common(), s.Spec.LoadBalancerIP)...)
	}
	for i, cidr := range s.Spec.LoadBalancerSourceRanges {
		texts = append(texts, validation.GetWarningsForCIDR(spec.Child("loadBalancerSourceRanges").Index(i).Common(), cidr)...)
	}
	if !hasClusterIP(s) && len(s.Spec.ExternalIPs) > 0 {
		texts = append(texts, fmt.Sprintf("spec.externalIPs is ignored when spec.type is %q", corev1.ServiceTypeExternalName))
	}
	if hasClusterIP(s) && s.Spec.ExternalName != "" {
		texts = append(texts, fmt.Sprintf("spec.externalName is ignored when spec.type is not %q", corev1.ServiceTypeExternalName))
	}
	if d := s.Spec.TrafficDistribution; d != nil && *d == corev1.ServiceTrafficDistributionPreferClose {
		texts = append(texts, fmt.Sprintf("spec.trafficDistribution: %q is deprecated; use %q",
			corev1.ServiceTrafficDistributionPreferClose, corev1.ServiceTrafficDistributionPreferSameZone))
	}
	return texts
}

func headlessWarnings(s *corev1.Service) []string {
	var texts []string
	if s.Spec.LoadBalancerIP != "" {
		texts = append(texts, "spec.loadBalancerIP is ignored for headless services")
	}
	if len(s.Spec.ExternalIPs) > 0 {
		texts = append(texts, "spec.externalIPs is ignored for headless services")
	}
	if s.Spec.SessionAffinity != corev1.ServiceAffinityNone {
		texts = append(texts, "spec.SessionAffinity is ignored for headless services")
	}
	return texts
}
