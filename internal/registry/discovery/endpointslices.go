// Package discovery defines the resources of discovery.k8s.io.
package discovery

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// EndpointSlices are the addresses behind a Service, some in each.
var EndpointSlices = registry.Resource[discoveryv1.EndpointSlice]{
	Group: discoveryv1.GroupName, Kind: "EndpointSlice", Name: "endpointslices",
	Namespaced:     true,
	Versions:       []registry.Version[discoveryv1.EndpointSlice]{registry.Hub[discoveryv1.EndpointSlice]("v1")},
	Default:        defaultEndpointSlice,
	PrepareCreate:  func(s *discoveryv1.EndpointSlice) { dropTopology(s, nil) },
	PrepareUpdate:  dropTopology,
	ValidateCreate: func(s *discoveryv1.EndpointSlice) field.ErrorList { return validateEndpointSlice(s, nil) },
	ValidateUpdate: validateEndpointSliceUpdate,
	Warn:           endpointSliceWarnings,
	Spec:           generationOf,
	Columns:        endpointSliceColumns(),
}

// generationOf is all but metadata, and the labels.
func generationOf(s *discoveryv1.EndpointSlice) any {
	type counted struct {
		AddressType discoveryv1.AddressType
		Endpoints   []discoveryv1.Endpoint
		Ports       []discoveryv1.EndpointPort
		Labels      map[string]string
	}
	return &counted{s.AddressType, s.Endpoints, s.Ports, s.Labels}
}

func defaultEndpointSlice(s *discoveryv1.EndpointSlice) {
	for i := range s.Ports {
		if p := &s.Ports[i]; p.Name == nil {
			p.Name = ptr.To("")
		}
		if p := &s.Ports[i]; p.Protocol == nil {
			p.Protocol = ptr.To(corev1.ProtocolTCP)
		}
	}
}

// dropTopology clears a field that v1 only carries for clients of v1beta1. A node name that an old slice
// had there goes to where it belongs now.
func dropTopology(new, old *discoveryv1.EndpointSlice) {
	had := map[string]bool{}
	if old != nil {
		if equality.Semantic.DeepEqual(new.Endpoints, old.Endpoints) {
			return
		}
		for _, e := range old.Endpoints {
			had[e.DeprecatedTopology[corev1.LabelHostname]] = true
		}
	}
	for i := range new.Endpoints {
		e := &new.Endpoints[i]
		name := e.DeprecatedTopology[corev1.LabelHostname]
		if e.NodeName == nil && had[name] && len(validation.IsDNS1123Subdomain(name)) == 0 {
			e.NodeName = &name
		}
		e.DeprecatedTopology = nil
	}
}

// endpointSliceWarnings spares the slices of our own controllers: they are many, large and well-formed.
func endpointSliceWarnings(new, old *discoveryv1.EndpointSlice) []string {
	var texts []string
	if old == nil && new.AddressType == discoveryv1.AddressTypeFQDN {
		texts = append(texts, "spec.addressType: FQDN endpoints are deprecated")
	}
	if by := new.Labels[discoveryv1.LabelManagedBy]; by == "endpointslice-controller.k8s.io" || by == "endpointslicemirroring-controller.k8s.io" {
		return texts
	}
	for i := range new.Endpoints {
		for j, address := range new.Endpoints[i].Addresses {
			path := field.NewPath("endpoints").Index(i).Child("addresses").Index(j)
			texts = append(texts, validation.GetWarningsForIP(path.Common(), address)...)
		}
	}
	return texts
}

func endpointSliceColumns() []registry.Column[discoveryv1.EndpointSlice] {
	type slice = discoveryv1.EndpointSlice
	doc := slice{}.SwaggerDoc()
	return []registry.Column[slice]{
		{Name: "AddressType", Description: doc["addressType"], Value: func(s *slice) any { return string(s.AddressType) }},
		{Name: "Ports", Description: doc["ports"], Value: func(s *slice) any {
			ports := make([]string, len(s.Ports))
			for i, p := range s.Ports {
				switch {
				case p.Port != nil:
					ports[i] = strconv.Itoa(int(*p.Port))
				case p.Name != nil:
					ports[i] = *p.Name
				default:
					ports[i] = "*"
				}
			}
			return firstOf(ports)
		}},
		{Name: "Endpoints", Description: doc["endpoints"], Value: func(s *slice) any {
			var addresses []string
			for i := range s.Endpoints {
				addresses = append(addresses, s.Endpoints[i].Addresses...)
			}
			return firstOf(addresses)
		}},
		registry.Age[slice](),
	}
}

// firstOf shows three texts and counts the others.
func firstOf(texts []string) string {
	const shown = 3
	text := strings.Join(texts[:min(len(texts), shown)], ",")
	if len(texts) > shown {
		return fmt.Sprintf("%s + %d more...", text, len(texts)-shown)
	}
	if text == "" {
		return "<unset>"
	}
	return text
}
