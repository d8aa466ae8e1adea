package core

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	netutils "k8s.io/utils/net"

	"github.com/proa-dev/proa/internal/registry/field"
)

var (
	portProtocols     = []corev1.Protocol{corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP}
	sessionAffinities = []corev1.ServiceAffinity{corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone}
	ipFamilies        = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
	ipFamilyPolicies  = []corev1.IPFamilyPolicy{
		corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack, corev1.IPFamilyPolicySingleStack,
	}
)

// validateService checks a Service by itself. old, nil on create, is asked only for addresses in spellings
// that were once allowed.
func validateService(s, old *corev1.Service) field.ErrorList {
	if old == nil {
		old = &corev1.Service{}
	}
	spec := field.NewPath("spec")
	errs := validateTopologyAnnotations(s)
	errs = append(errs, validateServiceType(s, spec)...)
	names := map[string]bool{}
	for i := range s.Spec.Ports {
		errs = append(errs, validateServicePort(&s.Spec.Ports[i], len(s.Spec.Ports) > 1, names, spec.Child("ports").Index(i))...)
	}
	errs = append(errs, metavalidation.ValidateLabels(s.Spec.Selector, spec.Child("selector").Common())...)
	errs = append(errs, validateSessionAffinity(s, spec)...)
	errs = append(errs, validateClusterIPs(s, old)...)
	for i, ip := range s.Spec.ExternalIPs {
		path := spec.Child("externalIPs").Index(i)
		if bad := checkNewIP(ip, old.Spec.ExternalIPs, path); len(bad) > 0 {
			errs = append(errs, bad...)
		} else {
			errs = append(errs, ValidateEndpointIP(ip, path)...)
		}
	}
	if !isServiceType(s.Spec.Type) {
		errs = append(errs, field.NotSupported(spec.Child("type"), s.Spec.Type, serviceTypes))
	}
	errs = append(errs, validateServicePorts(s, spec.Child("ports"))...)
	errs = append(errs, validateBalancer(s, old, spec)...)
	return append(errs, validateTrafficPolicies(s, spec)...)
}

func validateTopologyAnnotations(s *corev1.Service) field.ErrorList {
	mode, hasMode := s.Annotations[corev1.AnnotationTopologyMode]
	hints, hasHints := s.Annotations[corev1.DeprecatedAnnotationTopologyAwareHints]
	if !hasMode || !hasHints || mode == hints {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata", "annotations").Key(corev1.AnnotationTopologyMode), mode,
		fmt.Sprintf("must match annotations[%s] when both are specified", corev1.DeprecatedAnnotationTopologyAwareHints))}
}

func validateServiceType(s *corev1.Service, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(s.Spec.Ports) == 0 && !isHeadless(s) && hasClusterIP(s) {
		errs = append(errs, field.Required(spec.Child("ports"), ""))
	}
	if mayHaveNodePorts(s) && isHeadless(s) {
		errs = append(errs, field.Invalid(clusterIPsPath.Index(0), s.Spec.ClusterIPs[0],
			fmt.Sprintf("may not be set to 'None' for %s services", s.Spec.Type)))
	}
	if hasClusterIP(s) {
		return errs
	}
	if len(s.Spec.ClusterIPs) > 0 {
		errs = append(errs, field.Forbidden(clusterIPsPath, "may not be set for ExternalName services"))
	}
	if len(s.Spec.IPFamilies) > 0 {
		errs = append(errs, field.Forbidden(ipFamiliesPath, "may not be set for ExternalName services"))
	}
	if s.Spec.IPFamilyPolicy != nil {
		errs = append(errs, field.Forbidden(ipFamilyPolicyPath, "may not be set for ExternalName services"))
	}
	// A final dot says that the name is fully qualified.
	if name := strings.TrimSuffix(s.Spec.ExternalName, "."); name != "" {
		return append(errs, checkDNSSubdomain(name, spec.Child("externalName"))...)
	}
	return append(errs, field.Required(spec.Child("externalName"), ""))
}

// validateServicePort checks one port by itself; names are those of the ports before it.
func validateServicePort(p *corev1.ServicePort, nameRequired bool, names map[string]bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case p.Name != "":
		errs = append(errs, checkDNSLabel(p.Name, path.Child("name"))...)
		if names[p.Name] {
			errs = append(errs, field.Duplicate(path.Child("name"), p.Name))
		}
		names[p.Name] = true
	case nameRequired:
		errs = append(errs, field.Required(path.Child("name"), ""))
	}
	errs = append(errs, invalids(path.Child("port"), p.Port, validation.IsValidPortNum(int(p.Port)))...)
	errs = append(errs, checkProtocol(p.Protocol, path.Child("protocol"))...)
	if p.TargetPort.Type == intstr.Int {
		errs = append(errs, invalids(path.Child("targetPort"), p.TargetPort.IntValue(), validation.IsValidPortNum(p.TargetPort.IntValue()))...)
	} else {
		errs = append(errs, invalids(path.Child("targetPort"), p.TargetPort.StrVal, validation.IsValidPortName(p.TargetPort.StrVal))...)
	}
	if p.AppProtocol != nil {
		errs = append(errs, checkQualifiedName(*p.AppProtocol, path.Child("appProtocol"))...)
	}
	return errs
}

func checkProtocol(p corev1.Protocol, path *field.Path) field.ErrorList {
	switch {
	case p == "":
		return field.ErrorList{field.Required(path, "")}
	case !slices.Contains(portProtocols, p):
		return field.ErrorList{field.NotSupported(path, p, portProtocols)}
	}
	return nil
}

// shownServicePort is a port as error texts show it: with Go's names.
type shownServicePort struct {
	Name        string
	Protocol    corev1.Protocol
	AppProtocol *string
	Port        int32
	TargetPort  intstr.IntOrString
	NodePort    int32
}

// validateServicePorts checks the ports against each other and against the type.
func validateServicePorts(s *corev1.Service, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.Spec.Type == corev1.ServiceTypeClusterIP {
		for i := range s.Spec.Ports {
			if s.Spec.Ports[i].NodePort != 0 {
				errs = append(errs, field.Forbidden(path.Index(i).Child("nodePort"), "may not be used when `type` is 'ClusterIP'"))
			}
		}
	}
	type endpoint struct {
		protocol corev1.Protocol
		port     int32
	}
	seen := map[endpoint]bool{}
	for i, p := range s.Spec.Ports {
		e := endpoint{p.Protocol, p.NodePort}
		if p.NodePort != 0 && seen[e] {
			errs = append(errs, field.Duplicate(path.Index(i).Child("nodePort"), p.NodePort))
		}
		seen[e] = true
	}
	clear(seen)
	for i, p := range s.Spec.Ports {
		e := endpoint{p.Protocol, p.Port}
		if seen[e] {
			errs = append(errs, field.Duplicate(path.Index(i), shownServicePort{Protocol: p.Protocol, Port: p.Port}))
		}
		seen[e] = true
	}
	return errs
}

// maxAffinitySeconds is a day.
const maxAffinitySeconds = 86400

func validateSessionAffinity(s *corev1.Service, spec *field.Path) field.ErrorList {
	if !slices.Contains(sessionAffinities, s.Spec.SessionAffinity) {
		return field.ErrorList{field.NotSupported(spec.Child("sessionAffinity"), s.Spec.SessionAffinity, sessionAffinities)}
	}
	if s.Spec.SessionAffinity == corev1.ServiceAffinityNone {
		return nil
	}
	timeout := *s.Spec.SessionAffinityConfig.ClientIP.TimeoutSeconds
	if timeout <= 0 || timeout > maxAffinitySeconds {
		return field.ErrorList{field.Invalid(spec.Child("sessionAffinityConfig", "clientIP", "timeoutSeconds"), timeout,
			fmt.Sprintf("must be greater than 0 and less than %d", maxAffinitySeconds))}
	}
	return nil
}

// validateClusterIPs checks clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy. A Service without
// families is well: it gets them with its addresses.
func validateClusterIPs(s, old *corev1.Service) field.ErrorList {
	if !hasClusterIP(s) {
		return nil
	}
	var had []string
	if old != nil {
		had = old.Spec.ClusterIPs
	}
	ips := s.Spec.ClusterIPs
	var errs field.ErrorList
	switch {
	case s.Spec.ClusterIP == "" && len(ips) != 0:
		errs = append(errs, field.Invalid(clusterIPsPath, ips, "must be empty when `clusterIP` is not specified"))
	case s.Spec.ClusterIP != "" && len(ips) == 0:
		errs = append(errs, field.Required(clusterIPsPath, ""))
	case s.Spec.ClusterIP != "" && ips[0] != s.Spec.ClusterIP:
		errs = append(errs, field.Invalid(clusterIPsPath, ips, "first value must match `clusterIP`"))
	}
	errs = append(errs, validateIPFamilies(s)...)
	bad := validateClusterIPSyntax(ips, had)
	errs = append(errs, bad...)
	if len(ips) > 2 {
		errs = append(errs, field.Invalid(clusterIPsPath, ips, "may only hold up to 2 values"))
	}
	if len(bad) > 0 {
		return errs
	}
	if len(ips) > 1 {
		if dual, err := netutils.IsDualStackIPStrings(ips); err != nil || !dual {
			errs = append(errs, field.Invalid(clusterIPsPath, ips, "may specify no more than one IP for each IP family"))
		}
	}
	if isHeadless(s) {
		return errs
	}
	for i, ip := range ips[:min(len(ips), len(s.Spec.IPFamilies))] {
		if want := s.Spec.IPFamilies[i]; slices.Contains(ipFamilies, want) && familyOf(ip) != want {
			errs = append(errs, field.Invalid(clusterIPsPath.Index(i), ip, fmt.Sprintf("expected an %s value as indicated by `ipFamilies[%v]`", want, i)))
		}
	}
	return errs
}

func validateIPFamilies(s *corev1.Service) field.ErrorList {
	var errs field.ErrorList
	for i, family := range s.Spec.IPFamilies {
		if !slices.Contains(ipFamilies, family) {
			errs = append(errs, field.NotSupported(ipFamiliesPath.Index(i), family, ipFamilies))
		}
		if slices.Contains(s.Spec.IPFamilies[:i], family) {
			errs = append(errs, field.Duplicate(ipFamiliesPath.Index(i), family))
		}
	}
	if p := s.Spec.IPFamilyPolicy; p != nil && !slices.Contains(ipFamilyPolicies, *p) {
		errs = append(errs, field.NotSupported(ipFamilyPolicyPath, p, ipFamilyPolicies))
	}
	return errs
}

func validateClusterIPSyntax(ips, had []string) field.ErrorList {
	var errs field.ErrorList
	for i, ip := range ips {
		if i == 0 && ip == corev1.ClusterIPNone {
			if len(ips) > 1 {
				errs = append(errs, field.Invalid(clusterIPsPath, ips, "'None' must be the first and only value"))
			}
			continue
		}
		errs = append(errs, checkNewIP(ip, had, clusterIPsPath.Index(i))...)
	}
	return errs
}

func validateBalancer(s, old *corev1.Service, spec *field.Path) field.ErrorList {
	errs := validateSourceRanges(s, old, spec)
	if s.Spec.AllocateLoadBalancerNodePorts != nil && !isLoadBalancer(s) {
		errs = append(errs, field.Forbidden(spec.Child("allocateLoadBalancerNodePorts"), "may only be used when `type` is 'LoadBalancer'"))
	}
	if class := s.Spec.LoadBalancerClass; class != nil {
		if isLoadBalancer(s) {
			errs = append(errs, checkQualifiedName(*class, spec.Child("loadBalancerClass"))...)
		} else {
			errs = append(errs, field.Forbidden(spec.Child("loadBalancerClass"), "may only be used when `type` is 'LoadBalancer'"))
		}
	}
	return errs
}

// validateSourceRanges checks the field, whose path clients see with a capital letter, or the annotation
// that came before it. Ranges may be padded with spaces.
func validateSourceRanges(s, old *corev1.Service, spec *field.Path) field.ErrorList {
	path, ranges := spec.Child("LoadBalancerSourceRanges"), trimmed(s.Spec.LoadBalancerSourceRanges)
	item, had := path.Index, trimmed(old.Spec.LoadBalancerSourceRanges)
	if len(ranges) == 0 {
		const key = corev1.AnnotationLoadBalancerSourceRangesKey
		text, ok := s.Annotations[key]
		if !ok {
			return nil
		}
		path, had = field.NewPath("metadata", "annotations").Key(key), nil
		item = func(int) *field.Path { return path }
		if strings.TrimSpace(text) != "" && text != old.Annotations[key] {
			ranges = trimmed(strings.Split(text, ","))
		}
	}
	var errs field.ErrorList
	if !isLoadBalancer(s) {
		errs = append(errs, field.Forbidden(path, "may only be used when `type` is 'LoadBalancer'"))
	}
	for i, r := range ranges {
		errs = append(errs, checkNewCIDR(r, had, item(i))...)
	}
	return errs
}

func trimmed(texts []string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i] = strings.TrimSpace(text)
	}
	return out
}
