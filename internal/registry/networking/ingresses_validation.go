package networking

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	netutils "k8s.io/utils/net"

	"github.com/proa-dev/proa/internal/registry/field"
)

// validateIngress checks all but what an Ingress older than the rule may have wrong: the names of secrets,
// and what lies below a wildcard host.
func validateIngress(i *networkingv1.Ingress) field.ErrorList {
	path, s := field.NewPath("spec"), &i.Spec
	var errs field.ErrorList
	if len(s.Rules) == 0 && s.DefaultBackend == nil {
		errs = append(errs, field.Invalid(path, s.Rules, "either `defaultBackend` or `rules` must be specified"))
	}
	if s.DefaultBackend != nil {
		errs = append(errs, validateBackend(s.DefaultBackend, path.Child("defaultBackend"))...)
	}
	for n := range s.Rules {
		errs = append(errs, validateRuleHost(s.Rules[n].Host, path.Child("rules").Index(n).Child("host"))...)
		if !isWildcard(s.Rules[n].Host) {
			errs = append(errs, validateRule(&s.Rules[n], path.Child("rules").Index(n))...)
		}
	}
	for n, tls := range s.TLS {
		hosts := path.Child("tls").Index(n).Child("hosts")
		for h, host := range tls.Hosts {
			errs = append(errs, validateHost(host, hosts.Index(h))...)
		}
	}
	if s.IngressClassName != nil {
		errs = append(errs, invalids(path.Child("ingressClassName"), *s.IngressClassName, apivalidation.NameIsDNSSubdomain(*s.IngressClassName, false))...)
	}
	return errs
}

func validateIngressCreate(i *networkingv1.Ingress) field.ErrorList {
	errs := append(validateWildcardRules(i), validateSecretNames(i)...)
	class, ok := i.Annotations[classAnnotation]
	if ok && i.Spec.IngressClassName != nil && class != *i.Spec.IngressClassName {
		errs = append(errs, field.Invalid(field.NewPath("annotations").Child(classAnnotation), class, "must match `ingressClassName` when both are specified"))
	}
	return errs
}

func validateIngressUpdate(new, old *networkingv1.Ingress) field.ErrorList {
	var errs field.ErrorList
	if len(validateWildcardRules(old)) == 0 {
		errs = validateWildcardRules(new)
	}
	if len(validateSecretNames(old)) == 0 {
		errs = append(errs, validateSecretNames(new)...)
	}
	return errs
}

func validateSecretNames(i *networkingv1.Ingress) field.ErrorList {
	var errs field.ErrorList
	for n, tls := range i.Spec.TLS {
		if tls.SecretName != "" {
			path := field.NewPath("spec", "tls").Index(n).Child("secretName")
			errs = append(errs, invalids(path, tls.SecretName, apivalidation.NameIsDNSSubdomain(tls.SecretName, false))...)
		}
	}
	return errs
}

func validateWildcardRules(i *networkingv1.Ingress) field.ErrorList {
	var errs field.ErrorList
	for n := range i.Spec.Rules {
		if isWildcard(i.Spec.Rules[n].Host) {
			errs = append(errs, validateRule(&i.Spec.Rules[n], field.NewPath("spec", "rules").Index(n))...)
		}
	}
	return errs
}

func isWildcard(host string) bool { return strings.Contains(host, "*") }

func validateHost(host string, path *field.Path) field.ErrorList {
	if isWildcard(host) {
		return invalids(path, host, validation.IsWildcardDNS1123Subdomain(host))
	}
	return invalids(path, host, validation.IsDNS1123Subdomain(host))
}

func validateRuleHost(host string, path *field.Path) field.ErrorList {
	if host == "" {
		return nil
	}
	var errs field.ErrorList
	if netutils.ParseIPSloppy(host) != nil {
		errs = append(errs, field.Invalid(path, host, "must be a DNS name, not an IP address"))
	}
	return append(errs, validateHost(host, path)...)
}

func validateRule(r *networkingv1.IngressRule, path *field.Path) field.ErrorList {
	if r.HTTP == nil {
		return nil
	}
	paths := path.Child("http", "paths")
	if len(r.HTTP.Paths) == 0 {
		return field.ErrorList{field.Required(paths, "")}
	}
	var errs field.ErrorList
	for i := range r.HTTP.Paths {
		errs = append(errs, validateHTTPPath(&r.HTTP.Paths[i], paths.Index(i))...)
	}
	return errs
}

func validateHTTPPath(p *networkingv1.HTTPIngressPath, path *field.Path) field.ErrorList {
	if p.PathType == nil {
		return field.ErrorList{field.Required(path.Child("pathType"), "pathType must be specified")}
	}
	var errs field.ErrorList
	switch at := path.Child("path"); *p.PathType {
	case networkingv1.PathTypeExact, networkingv1.PathTypePrefix:
		errs = validatePathText(p.Path, at)
	case networkingv1.PathTypeImplementationSpecific:
		if p.Path != "" && !strings.HasPrefix(p.Path, "/") {
			errs = append(errs, field.Invalid(at, p.Path, "must be an absolute path"))
		}
	default:
		errs = append(errs, field.NotSupported(path.Child("pathType"), *p.PathType, []networkingv1.PathType{
			networkingv1.PathTypeExact, networkingv1.PathTypeImplementationSpecific, networkingv1.PathTypePrefix,
		}))
	}
	return append(errs, validateBackend(&p.Backend, path.Child("backend"))...)
}

// validatePathText refuses paths that servers may normalize into others.
func validatePathText(text string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if !strings.HasPrefix(text, "/") {
		errs = append(errs, field.Invalid(path, text, "must be an absolute path"))
	}
	for _, bad := range []string{"//", "/./", "/../", "%2f", "%2F"} {
		if strings.Contains(text, bad) {
			errs = append(errs, field.Invalid(path, text, fmt.Sprintf("must not contain '%s'", bad)))
		}
	}
	for _, bad := range []string{"/..", "/."} {
		if strings.HasSuffix(text, bad) {
			errs = append(errs, field.Invalid(path, text, fmt.Sprintf("cannot end with '%s'", bad)))
		}
	}
	return errs
}

func validateBackend(b *networkingv1.IngressBackend, path *field.Path) field.ErrorList {
	switch {
	case b.Resource != nil && b.Service != nil:
		return field.ErrorList{field.Invalid(path, "", "cannot set both resource and service backends")}
	case b.Resource != nil:
		return validateReference(b.Resource.APIGroup, b.Resource.Kind, b.Resource.Name, path.Child("resource"))
	case b.Service != nil:
		return validateServiceBackend(b.Service, path)
	}
	return field.ErrorList{field.Invalid(path, "", "resource or service backend is required")}
}

func validateServiceBackend(s *networkingv1.IngressServiceBackend, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if name := path.Child("service", "name"); s.Name == "" {
		errs = append(errs, field.Required(name, ""))
	} else {
		errs = append(errs, invalids(name, s.Name, apivalidation.NameIsDNSLabel(s.Name, false))...)
	}
	port := path.Child("service", "port")
	switch named, numbered := s.Port.Name != "", s.Port.Number != 0; {
	case named && numbered:
		errs = append(errs, field.Invalid(path, "", "cannot set both port name & port number"))
	case named:
		errs = append(errs, invalids(port.Child("name"), s.Port.Name, validation.IsValidPortName(s.Port.Name))...)
	case numbered:
		errs = append(errs, invalids(port.Child("number"), s.Port.Number, validation.IsValidPortNum(int(s.Port.Number)))...)
	default:
		errs = append(errs, field.Required(path, "port name or number is required"))
	}
	return errs
}
