package networking

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	netutils "k8s.io/utils/net"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// NetworkPolicies say which traffic may reach pods and leave them.
var NetworkPolicies = registry.Resource[networkingv1.NetworkPolicy]{
	Group: "networking.k8s.io", Kind: "NetworkPolicy", Name: "networkpolicies", Short: []string{"netpol"},
	Namespaced:     true,
	Versions:       []registry.Version[networkingv1.NetworkPolicy]{registry.Hub[networkingv1.NetworkPolicy]("v1")},
	Default:        defaultNetworkPolicy,
	Validate:       validateNetworkPolicy,
	ValidateCreate: func(p *networkingv1.NetworkPolicy) field.ErrorList { return validateBlocks(p, nil) },
	ValidateUpdate: func(new, old *networkingv1.NetworkPolicy) field.ErrorList { return validateBlocks(new, ranges(old)) },
	Warn:           warnNetworkPolicy,
	Spec:           func(p *networkingv1.NetworkPolicy) any { return &p.Spec },
	Columns: []registry.Column[networkingv1.NetworkPolicy]{
		{
			Name: "Pod-Selector", Description: networkingv1.NetworkPolicySpec{}.SwaggerDoc()["podSelector"],
			Value: func(p *networkingv1.NetworkPolicy) any { return metav1.FormatLabelSelector(&p.Spec.PodSelector) },
		},
		registry.Age[networkingv1.NetworkPolicy](),
	},
}

// flow is a rule of either direction.
type flow struct {
	ports     []networkingv1.NetworkPolicyPort
	peers     []networkingv1.NetworkPolicyPeer
	path      *field.Path
	peersName string
}

func flows(p *networkingv1.NetworkPolicy) []flow {
	var all []flow
	spec := field.NewPath("spec")
	for i, r := range p.Spec.Ingress {
		all = append(all, flow{r.Ports, r.From, spec.Child("ingress").Index(i), "from"})
	}
	for i, r := range p.Spec.Egress {
		all = append(all, flow{r.Ports, r.To, spec.Child("egress").Index(i), "to"})
	}
	return all
}

// block is a range of addresses that a policy names, and where.
type block struct {
	*networkingv1.IPBlock
	path *field.Path
}

func blocks(p *networkingv1.NetworkPolicy) []block {
	var all []block
	for _, f := range flows(p) {
		for i, peer := range f.peers {
			if peer.IPBlock != nil {
				all = append(all, block{peer.IPBlock, f.path.Child(f.peersName).Index(i).Child("ipBlock")})
			}
		}
	}
	return all
}

// ranges are all that the policy names.
func ranges(p *networkingv1.NetworkPolicy) []string {
	var all []string
	for _, b := range blocks(p) {
		all = append(append(all, b.CIDR), b.Except...)
	}
	return all
}

func defaultNetworkPolicy(p *networkingv1.NetworkPolicy) {
	for _, f := range flows(p) {
		for i := range f.ports {
			if f.ports[i].Protocol == nil {
				f.ports[i].Protocol = ptr.To(corev1.ProtocolTCP)
			}
		}
	}
	if len(p.Spec.PolicyTypes) > 0 {
		return
	}
	p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	if len(p.Spec.Egress) > 0 {
		p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
	}
}

func validateNetworkPolicy(p *networkingv1.NetworkPolicy) field.ErrorList {
	spec := field.NewPath("spec")
	errs := validateSelector(&p.Spec.PodSelector, spec.Child("podSelector"))
	for _, f := range flows(p) {
		for i := range f.ports {
			errs = append(errs, validatePolicyPort(&f.ports[i], f.path.Child("ports").Index(i))...)
		}
		for i := range f.peers {
			errs = append(errs, validatePeer(&f.peers[i], f.path.Child(f.peersName).Index(i))...)
		}
	}
	known := []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	types := spec.Child("policyTypes")
	if len(p.Spec.PolicyTypes) > len(known) {
		return append(errs, field.Invalid(types, p.Spec.PolicyTypes, "may not specify more than two policyTypes"))
	}
	for i, t := range p.Spec.PolicyTypes {
		if !slices.Contains(known, t) {
			errs = append(errs, field.NotSupported(types.Index(i), t, known))
		}
	}
	return errs
}

func validateSelector(s *metav1.LabelSelector, path *field.Path) field.ErrorList {
	return metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, path.Common())
}

func validatePolicyPort(p *networkingv1.NetworkPolicyPort, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	known := []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
	if !slices.Contains(known, *p.Protocol) {
		errs = append(errs, field.NotSupported(path.Child("protocol"), *p.Protocol, known))
	}
	port, end := path.Child("port"), path.Child("endPort")
	switch {
	case p.Port == nil && p.EndPort != nil:
		errs = append(errs, field.Invalid(end, *p.EndPort, "may not be specified when `port` is not specified"))
	case p.Port == nil:
	case p.Port.Type == intstr.Int:
		errs = append(errs, invalids(port, p.Port.IntVal, validation.IsValidPortNum(int(p.Port.IntVal)))...)
		if p.EndPort == nil {
			break
		}
		if *p.EndPort < p.Port.IntVal {
			errs = append(errs, field.Invalid(end, p.Port.IntVal, "must be greater than or equal to `port`"))
		}
		errs = append(errs, invalids(end, *p.EndPort, validation.IsValidPortNum(int(*p.EndPort)))...)
	default:
		if p.EndPort != nil {
			errs = append(errs, field.Invalid(end, *p.EndPort, "may not be specified when `port` is non-numeric"))
		}
		errs = append(errs, invalids(port, p.Port.StrVal, validation.IsValidPortName(p.Port.StrVal))...)
	}
	return errs
}

func validatePeer(p *networkingv1.NetworkPolicyPeer, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	errs = append(errs, validateSelector(p.PodSelector, path.Child("podSelector"))...)
	errs = append(errs, validateSelector(p.NamespaceSelector, path.Child("namespaceSelector"))...)
	selects := p.PodSelector != nil || p.NamespaceSelector != nil
	switch {
	case !selects && p.IPBlock == nil:
		errs = append(errs, field.Required(path, "must specify a peer"))
	case selects && p.IPBlock != nil:
		errs = append(errs, field.Forbidden(path, "may not specify both ipBlock and another peer"))
	}
	return errs
}

// validateBlocks checks the ranges. Those that parsers disagree on are refused, but not where the old policy
// has them: a change may move them about, so they are known by their text alone.
func validateBlocks(p *networkingv1.NetworkPolicy, old []string) field.ErrorList {
	var errs field.ErrorList
	for _, b := range blocks(p) {
		if b.CIDR == "" {
			errs = append(errs, field.Required(b.path.Child("cidr"), ""))
			continue
		}
		errs = append(errs, validation.IsValidCIDRForLegacyField(b.path.Child("cidr").Common(), b.CIDR, true, old)...)
		_, whole, err := netutils.ParseCIDRSloppy(b.CIDR)
		if err != nil {
			continue // and is reported
		}
		for i, text := range b.Except {
			path := b.path.Child("except").Index(i)
			errs = append(errs, validation.IsValidCIDRForLegacyField(path.Common(), text, true, old)...)
			_, part, err := netutils.ParseCIDRSloppy(text)
			if err != nil {
				continue
			}
			size, _ := whole.Mask.Size()
			if partSize, _ := part.Mask.Size(); !whole.Contains(part.IP) || size >= partSize {
				errs = append(errs, field.Invalid(path, text, "must be a strict subset of `cidr`"))
			}
		}
	}
	return errs
}

func warnNetworkPolicy(new, _ *networkingv1.NetworkPolicy) []string {
	var warnings []string
	for _, b := range blocks(new) {
		warnings = append(warnings, validation.GetWarningsForCIDR(b.path.Child("cidr").Common(), b.CIDR)...)
		for i, text := range b.Except {
			warnings = append(warnings, validation.GetWarningsForCIDR(b.path.Child("except").Index(i).Common(), text)...)
		}
	}
	return warnings
}
