package networking

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	netutils "k8s.io/utils/net"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// Ingresses route HTTP from outside to Services.
var Ingresses = registry.Resource[networkingv1.Ingress]{
	Group: "networking.k8s.io", Kind: "Ingress", Name: "ingresses", Short: []string{"ing"},
	Namespaced:     true,
	StoredAs:       "ingress",
	Versions:       []registry.Version[networkingv1.Ingress]{registry.Hub[networkingv1.Ingress]("v1")},
	Validate:       validateIngress,
	ValidateCreate: validateIngressCreate,
	ValidateUpdate: validateIngressUpdate,
	Warn:           warnIngress,
	Status:         func(i *networkingv1.Ingress) any { return &i.Status },
	ValidateStatus: validateIngressStatus,
	Spec:           func(i *networkingv1.Ingress) any { return &i.Spec },
	Columns: []registry.Column[networkingv1.Ingress]{
		{
			Name: "Class", Description: "The name of the IngressClass resource that should be used for additional configuration",
			Value: func(i *networkingv1.Ingress) any {
				if i.Spec.IngressClassName == nil {
					return "<none>"
				}
				return *i.Spec.IngressClassName
			},
		},
		{
			Name: "Hosts", Description: "Hosts that incoming requests are matched against before the ingress rule",
			Value: func(i *networkingv1.Ingress) any { return hostsText(i.Spec.Rules) },
		},
		{
			Name: "Address", Description: "Address is a list containing ingress points for the load-balancer",
			Value: func(i *networkingv1.Ingress) any { return addressText(i.Status.LoadBalancer.Ingress) },
		},
		{
			Name: "Ports", Description: "Ports of TLS configurations that open",
			Value: func(i *networkingv1.Ingress) any {
				if len(i.Spec.TLS) > 0 {
					return "80, 443"
				}
				return "80"
			},
		},
		registry.Age[networkingv1.Ingress](),
	},
}

// classAnnotation named the class before there was a field.
const classAnnotation = "kubernetes.io/ingress.class"

// hostsText shows three hosts and counts the rules after the one with the third.
func hostsText(rules []networkingv1.IngressRule) string {
	const shown = 3
	var hosts []string
	for _, rule := range rules {
		if len(hosts) == shown {
			return fmt.Sprintf("%s + %d more...", strings.Join(hosts, ","), len(rules)-shown)
		}
		if rule.Host != "" {
			hosts = append(hosts, rule.Host)
		}
	}
	if len(hosts) == 0 {
		return "*"
	}
	return strings.Join(hosts, ",")
}

// addressText fits the addresses into a narrow column.
func addressText(points []networkingv1.IngressLoadBalancerIngress) string {
	const width = 16
	var all []string
	for _, p := range points {
		switch {
		case p.IP != "":
			all = append(all, p.IP)
		case p.Hostname != "":
			all = append(all, p.Hostname)
		}
	}
	slices.Sort(all)
	text := strings.Join(slices.Compact(all), ",")
	if len(text) > width {
		return text[:width-3] + "..."
	}
	return text
}

// warnIngress warns on create alone.
func warnIngress(new, old *networkingv1.Ingress) []string {
	if _, ok := new.Annotations[classAnnotation]; old != nil || !ok || new.Spec.IngressClassName != nil {
		return nil
	}
	return []string{fmt.Sprintf("annotation %q is deprecated, please use 'spec.ingressClassName' instead", classAnnotation)}
}

func validateIngressStatus(new, old *networkingv1.Ingress) field.ErrorList {
	var before []string
	for _, p := range old.Status.LoadBalancer.Ingress {
		before = append(before, p.IP)
	}
	var errs field.ErrorList
	points := field.NewPath("status", "loadBalancer", "ingress")
	for i, p := range new.Status.LoadBalancer.Ingress {
		if p.IP != "" {
			errs = append(errs, validation.IsValidIPForLegacyField(points.Index(i).Child("ip").Common(), p.IP, true, before)...)
		}
		if p.Hostname == "" {
			continue
		}
		hostname := points.Index(i).Child("hostname")
		errs = append(errs, invalids(hostname, p.Hostname, validation.IsDNS1123Subdomain(p.Hostname))...)
		if netutils.ParseIPSloppy(p.Hostname) != nil {
			errs = append(errs, field.Invalid(hostname, p.Hostname, "must be a DNS name, not an IP address"))
		}
	}
	return errs
}
