package discovery

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	netutils "k8s.io/utils/net"

	"github.com/proa-dev/proa/internal/registry/core"
	"github.com/proa-dev/proa/internal/registry/field"
)

const (
	maxEndpoints = 1000
	maxAddresses = 100 // of one endpoint
	maxPorts     = 20000
	maxTopology  = 16
	maxHints     = 8 // of each kind
)

var (
	addressTypes  = []discoveryv1.AddressType{discoveryv1.AddressTypeFQDN, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6}
	portProtocols = []corev1.Protocol{corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP}
)

// validateEndpointSlice checks a slice. Endpoints that the old one has, nil on create, may stay as they are.
func validateEndpointSlice(s, old *discoveryv1.EndpointSlice) field.ErrorList {
	var errs field.ErrorList
	if s.AddressType == "" {
		errs = append(errs, field.Required(field.NewPath("addressType"), ""))
	} else if !slices.Contains(addressTypes, s.AddressType) {
		errs = append(errs, field.NotSupported(field.NewPath("addressType"), s.AddressType, addressTypes))
	}
	errs = append(errs, validatePorts(s.Ports)...)
	bad := validateEndpoints(s)
	if len(bad) > 0 && old != nil && equality.Semantic.DeepEqual(s.Endpoints, old.Endpoints) {
		return errs
	}
	return append(errs, bad...)
}

func validateEndpointSliceUpdate(new, old *discoveryv1.EndpointSlice) field.ErrorList {
	errs := validateEndpointSlice(new, old)
	return append(errs, apivalidation.ValidateImmutableField(new.AddressType, old.AddressType, field.NewPath("addressType").Common())...)
}

func validatePorts(ports []discoveryv1.EndpointPort) field.ErrorList {
	path := field.NewPath("ports")
	if len(ports) > maxPorts {
		return field.ErrorList{field.TooMany(path, len(ports), maxPorts)}
	}
	var errs field.ErrorList
	names := map[string]bool{}
	for i, p := range ports {
		path := path.Index(i)
		if *p.Name != "" {
			errs = append(errs, invalids(path.Child("name"), *p.Name, validation.IsDNS1123Label(*p.Name))...)
		}
		if names[*p.Name] {
			errs = append(errs, field.Duplicate(path.Child("name"), p.Name))
		}
		names[*p.Name] = true
		if !slices.Contains(portProtocols, *p.Protocol) {
			errs = append(errs, field.NotSupported(path.Child("protocol"), *p.Protocol, portProtocols))
		}
		if p.AppProtocol != nil {
			errs = append(errs, invalids(path.Child("appProtocol"), *p.AppProtocol, validation.IsQualifiedName(*p.AppProtocol))...)
		}
	}
	return errs
}

func validateEndpoints(s *discoveryv1.EndpointSlice) field.ErrorList {
	path := field.NewPath("endpoints")
	if len(s.Endpoints) > maxEndpoints {
		return field.ErrorList{field.TooMany(path, len(s.Endpoints), maxEndpoints)}
	}
	var errs field.ErrorList
	for i := range s.Endpoints {
		errs = append(errs, validateEndpoint(&s.Endpoints[i], s.AddressType, path.Index(i))...)
	}
	return errs
}

func validateEndpoint(e *discoveryv1.Endpoint, t discoveryv1.AddressType, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	addresses := path.Child("addresses")
	if len(e.Addresses) == 0 {
		errs = append(errs, field.Required(addresses, "must contain at least 1 address"))
	} else if len(e.Addresses) > maxAddresses {
		errs = append(errs, field.TooMany(addresses, len(e.Addresses), maxAddresses))
	}
	for i, address := range e.Addresses {
		errs = append(errs, validateAddress(address, t, addresses, i)...)
	}
	if e.NodeName != nil {
		errs = append(errs, invalids(path.Child("nodeName"), *e.NodeName, validation.IsDNS1123Subdomain(*e.NodeName))...)
	}
	topology := path.Child("deprecatedTopology")
	if n := len(e.DeprecatedTopology); n > maxTopology {
		errs = append(errs, field.TooMany(topology, n, maxTopology))
	}
	errs = append(errs, metavalidation.ValidateLabels(e.DeprecatedTopology, topology.Common())...)
	if _, ok := e.DeprecatedTopology[corev1.LabelTopologyZone]; ok {
		errs = append(errs, field.InternalError(topology.Key(corev1.LabelTopologyZone), fmt.Errorf("reserved key was not removed in conversion")))
	}
	if e.Hostname != nil {
		errs = append(errs, invalids(path.Child("hostname"), *e.Hostname, validation.IsDNS1123Label(*e.Hostname))...)
	}
	if e.Hints != nil {
		errs = append(errs, validateHints(e.Hints, path.Child("hints"))...)
	}
	return errs
}

// validateAddress checks addresses[i]. An address that is an IP but of the wrong family is reported at the
// list.
func validateAddress(address string, t discoveryv1.AddressType, list *field.Path, i int) field.ErrorList {
	path := list.Index(i)
	if t == discoveryv1.AddressTypeFQDN {
		return validation.IsFullyQualifiedDomainName(path.Common(), address)
	}
	if !slices.Contains(addressTypes, t) {
		return nil
	}
	var errs field.ErrorList
	if t == discoveryv1.AddressTypeIPv6 {
		errs = validation.IsValidIP(path.Common(), address)
	} else {
		errs = validation.IsValidIPForLegacyField(path.Common(), address, true, nil)
	}
	if len(errs) > 0 {
		return errs
	}
	if netutils.IsIPv6String(address) != (t == discoveryv1.AddressTypeIPv6) {
		errs = append(errs, field.Invalid(list, address, fmt.Sprintf("must be an %s address", t)))
	}
	return append(errs, core.ValidateEndpointIP(address, path)...)
}

func validateHints(h *discoveryv1.EndpointHints, path *field.Path) field.ErrorList {
	zones := make([]string, len(h.ForZones))
	for i, zone := range h.ForZones {
		zones[i] = zone.Name
	}
	if n := len(zones); n > maxHints {
		return field.ErrorList{field.TooMany(path.Child("forZones"), n, maxHints)}
	}
	errs := validateHintNames(zones, path.Child("forZones"), validation.IsValidLabelValue)
	nodes := make([]string, len(h.ForNodes))
	for i, node := range h.ForNodes {
		nodes[i] = node.Name
	}
	if n := len(nodes); n > maxHints {
		return append(errs, field.TooMany(path.Child("forNodes"), n, maxHints))
	}
	return append(errs, validateHintNames(nodes, path.Child("forNodes"), validation.IsDNS1123Subdomain)...)
}

func validateHintNames(names []string, path *field.Path, syntax func(string) []string) field.ErrorList {
	var errs field.ErrorList
	for i, name := range names {
		path := path.Index(i).Child("name")
		if slices.Contains(names[:i], name) {
			errs = append(errs, field.Duplicate(path, name))
		}
		errs = append(errs, invalids(path, name, syntax(name))...)
	}
	return errs
}

func invalids(path *field.Path, value string, texts []string) field.ErrorList {
	var errs field.ErrorList
	for _, text := range texts {
		errs = append(errs, field.Invalid(path, value, text))
	}
	return errs
}
