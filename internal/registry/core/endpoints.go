package core

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// Endpoints are the addresses behind a Service; EndpointSlices have taken their place.
var Endpoints = registry.Resource[corev1.Endpoints]{
	Kind: "Endpoints", Name: "endpoints", Short: []string{"ep"},
	Namespaced: true,
	StoredAs:   "services/endpoints",
	Versions: []registry.Version[corev1.Endpoints]{
		registry.Hub[corev1.Endpoints]("v1").DeprecatedWith("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
	},
	Default:        defaultEndpoints,
	ValidateCreate: validateEndpoints,
	ValidateUpdate: func(new, old *corev1.Endpoints) field.ErrorList {
		errs := validateEndpoints(new)
		if len(errs) > 0 && equality.Semantic.DeepEqual(new.Subsets, old.Subsets) {
			return nil // what was valid once may stay
		}
		return errs
	},
	Warn: endpointsWarnings,
	Columns: []registry.Column[corev1.Endpoints]{
		{
			Name: "Endpoints", Description: corev1.Endpoints{}.SwaggerDoc()["subsets"],
			Value: func(e *corev1.Endpoints) any { return endpointsText(e.Subsets) },
		},
		registry.Age[corev1.Endpoints](),
	},
	CreateOnUpdate: true,
}

func defaultEndpoints(e *corev1.Endpoints) {
	for i := range e.Subsets {
		for j := range e.Subsets[i].Ports {
			if p := &e.Subsets[i].Ports[j]; p.Protocol == "" {
				p.Protocol = corev1.ProtocolTCP
			}
		}
	}
}

func validateEndpoints(e *corev1.Endpoints) field.ErrorList {
	var errs field.ErrorList
	for i := range e.Subsets {
		subset, path := &e.Subsets[i], field.NewPath("subsets").Index(i)
		if len(subset.Addresses) == 0 && len(subset.NotReadyAddresses) == 0 {
			errs = append(errs, field.Required(path, "must specify `addresses` or `notReadyAddresses`"))
		}
		for j := range subset.Addresses {
			errs = append(errs, validateEndpointAddress(&subset.Addresses[j], path.Child("addresses").Index(j))...)
		}
		for j := range subset.NotReadyAddresses {
			errs = append(errs, validateEndpointAddress(&subset.NotReadyAddresses[j], path.Child("notReadyAddresses").Index(j))...)
		}
		for j := range subset.Ports {
			errs = append(errs, validateEndpointPort(&subset.Ports[j], len(subset.Ports) > 1, path.Child("ports").Index(j))...)
		}
	}
	return errs
}

func validateEndpointAddress(a *corev1.EndpointAddress, path *field.Path) field.ErrorList {
	errs := checkIP(a.IP, path.Child("ip"))
	if a.Hostname != "" {
		errs = append(errs, checkDNSLabel(a.Hostname, path.Child("hostname"))...)
	}
	if a.NodeName != nil {
		errs = append(errs, checkDNSSubdomain(*a.NodeName, path.Child("nodeName"))...)
	}
	return append(errs, ValidateEndpointIP(a.IP, path.Child("ip"))...)
}

func validateEndpointPort(p *corev1.EndpointPort, nameRequired bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if p.Name != "" {
		errs = append(errs, checkDNSLabel(p.Name, path.Child("name"))...)
	} else if nameRequired {
		errs = append(errs, field.Required(path.Child("name"), ""))
	}
	errs = append(errs, invalids(path.Child("port"), p.Port, validation.IsValidPortNum(int(p.Port)))...)
	errs = append(errs, checkProtocol(p.Protocol, path.Child("protocol"))...)
	if p.AppProtocol != nil {
		errs = append(errs, checkQualifiedName(*p.AppProtocol, path.Child("appProtocol"))...)
	}
	return errs
}

// endpointsWarnings spares the objects of the endpoints controller: they are many, large and well-formed.
func endpointsWarnings(e, _ *corev1.Endpoints) []string {
	if e.Labels["endpoints.kubernetes.io/managed-by"] == "endpoint-controller" {
		return nil
	}
	var texts []string
	for i := range e.Subsets {
		path := field.NewPath("subsets").Index(i)
		for j, a := range e.Subsets[i].Addresses {
			texts = append(texts, validation.GetWarningsForIP(path.Child("addresses").Index(j).Child("ip").Common(), a.IP)...)
		}
		for j, a := range e.Subsets[i].NotReadyAddresses {
			texts = append(texts, validation.GetWarningsForIP(path.Child("notReadyAddresses").Index(j).Child("ip").Common(), a.IP)...)
		}
	}
	return texts
}

// endpointsText shows the first three ready addresses, each with each port.
func endpointsText(subsets []corev1.EndpointSubset) string {
	if len(subsets) == 0 {
		return "<none>"
	}
	const shown = 3
	var first []string
	total := 0
	show := func(text string) {
		if total++; len(first) < shown {
			first = append(first, text)
		}
	}
	for i := range subsets {
		s := &subsets[i]
		if len(s.Ports) == 0 {
			for _, a := range s.Addresses {
				show(a.IP)
			}
		}
		for _, p := range s.Ports {
			for _, a := range s.Addresses {
				show(net.JoinHostPort(a.IP, strconv.Itoa(int(p.Port))))
			}
		}
	}
	text := strings.Join(first, ",")
	if total > shown {
		return fmt.Sprintf("%s + %d more...", text, total-shown)
	}
	return text
}
