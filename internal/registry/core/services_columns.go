package core

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/proa-dev/proa/internal/registry"
)

func serviceColumns() []registry.Column[corev1.Service] {
	doc := corev1.ServiceSpec{}.SwaggerDoc()
	return []registry.Column[corev1.Service]{
		{Name: "Type", Description: doc["type"], Value: func(s *corev1.Service) any { return string(s.Spec.Type) }},
		{Name: "Cluster-IP", Description: doc["clusterIP"], Value: func(s *corev1.Service) any {
			if len(s.Spec.ClusterIPs) == 0 {
				return "<none>"
			}
			return s.Spec.ClusterIPs[0]
		}},
		{Name: "External-IP", Description: doc["externalIPs"], Value: func(s *corev1.Service) any { return externalAddresses(s) }},
		{Name: "Port(s)", Description: doc["ports"], Value: func(s *corev1.Service) any { return portsText(s.Spec.Ports) }},
		registry.Age[corev1.Service](),
		{Name: "Selector", Wide: true, Description: doc["selector"], Value: func(s *corev1.Service) any {
			return labels.FormatLabels(s.Spec.Selector)
		}},
	}
}

func externalAddresses(s *corev1.Service) string {
	addresses := s.Spec.ExternalIPs
	switch s.Spec.Type {
	case corev1.ServiceTypeExternalName:
		return s.Spec.ExternalName
	case corev1.ServiceTypeLoadBalancer:
		if balancer := balancerAddresses(s.Status.LoadBalancer.Ingress); balancer != "" {
			addresses = slices.Insert(slices.Clone(addresses), 0, balancer)
		}
		if len(addresses) == 0 {
			return "<pending>"
		}
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort:
		if len(addresses) == 0 {
			return "<none>"
		}
	default:
		return "<unknown>"
	}
	return strings.Join(addresses, ",")
}

func balancerAddresses(ingress []corev1.LoadBalancerIngress) string {
	var addresses []string
	for _, in := range ingress {
		if in.IP != "" {
			addresses = append(addresses, in.IP)
		} else if in.Hostname != "" {
			addresses = append(addresses, in.Hostname)
		}
	}
	slices.Sort(addresses)
	return strings.Join(slices.Compact(addresses), ",")
}

func portsText(ports []corev1.ServicePort) string {
	if len(ports) == 0 {
		return "<none>"
	}
	texts := make([]string, len(ports))
	for i, p := range ports {
		if p.NodePort > 0 {
			texts[i] = fmt.Sprintf("%d:%d/%s", p.Port, p.NodePort, p.Protocol)
		} else {
			texts[i] = fmt.Sprintf("%d/%s", p.Port, p.Protocol)
		}
	}
	return strings.Join(texts, ",")
}
