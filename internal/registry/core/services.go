package core

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/core/allocate"
	"github.com/proa-dev/proa/internal/registry/field"
)

// Services give sets of pods a name and an address. The allocator holds the addresses and node ports of
// all of them.
func Services(a *allocate.Services) registry.Resource[corev1.Service] {
	return registry.Resource[corev1.Service]{
		Kind: "Service", Name: "services", Short: []string{"svc"}, Categories: []string{"all"},
		Namespaced:     true,
		StoredAs:       "services/specs",
		Versions:       []registry.Version[corev1.Service]{registry.Hub[corev1.Service]("v1")},
		Default:        defaultService,
		PrepareCreate:  func(s *corev1.Service) { pluralizeClusterIP(s, nil) },
		PrepareUpdate:  prepareServiceUpdate,
		ValidateCreate: func(s *corev1.Service) field.ErrorList { return validateService(s, nil) },
		ValidateUpdate: validateServiceUpdate,
		ValidateName:   apivalidation.NameIsDNSLabel,
		Warn:           serviceWarnings,
		Begin:          serviceAllocator{a}.begin,
		Status:         func(s *corev1.Service) any { return &s.Status },
		ValidateStatus: validateServiceStatus,
		Actions: []registry.Action{{
			Name: "proxy", Kind: schema.GroupVersionKind{Version: "v1", Kind: "ServiceProxyOptions"}, Verbs: proxyVerbs, Stream: true,
		}},
		Columns: serviceColumns(),
		Fields: []registry.Field[corev1.Service]{
			{Name: "spec.clusterIP", Value: func(s *corev1.Service) string { return s.Spec.ClusterIP }},
			{Name: "spec.type", Value: func(s *corev1.Service) string { return string(s.Spec.Type) }},
		},
		CreateOnUpdate: true,
		AnswersDeleted: true,
	}
}

// proxyVerbs are those by which discovery shows a proxy subresource.
var proxyVerbs = []string{"create", "delete", "get", "patch", "update"}

func defaultService(s *corev1.Service) {
	spec := &s.Spec
	if spec.SessionAffinity == "" {
		spec.SessionAffinity = corev1.ServiceAffinityNone
	}
	switch spec.SessionAffinity {
	case corev1.ServiceAffinityNone:
		spec.SessionAffinityConfig = nil
	case corev1.ServiceAffinityClientIP:
		if c := spec.SessionAffinityConfig; c == nil || c.ClientIP == nil || c.ClientIP.TimeoutSeconds == nil {
			spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{
				ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: ptr.To(corev1.DefaultClientIPServiceAffinitySeconds)},
			}
		}
	}
	if spec.Type == "" {
		spec.Type = corev1.ServiceTypeClusterIP
	}
	for i := range spec.Ports {
		defaultServicePort(&spec.Ports[i])
	}
	if externallyAccessible(s) && spec.ExternalTrafficPolicy == "" {
		spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster
	}
	switch {
	case spec.Type == corev1.ServiceTypeExternalName:
		spec.InternalTrafficPolicy = nil
	case spec.InternalTrafficPolicy == nil && isServiceType(spec.Type):
		spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyCluster)
	}
	if spec.Type == corev1.ServiceTypeLoadBalancer {
		defaultLoadBalancer(s)
	}
}

func defaultServicePort(p *corev1.ServicePort) {
	if p.Protocol == "" {
		p.Protocol = corev1.ProtocolTCP
	}
	if p.TargetPort == intstr.FromInt32(0) || p.TargetPort == intstr.FromString("") {
		p.TargetPort = intstr.FromInt32(p.Port)
	}
}

func defaultLoadBalancer(s *corev1.Service) {
	if s.Spec.AllocateLoadBalancerNodePorts == nil {
		s.Spec.AllocateLoadBalancerNodePorts = ptr.To(true)
	}
	for i := range s.Status.LoadBalancer.Ingress {
		if ingress := &s.Status.LoadBalancer.Ingress[i]; ingress.IP != "" && ingress.IPMode == nil {
			ingress.IPMode = ptr.To(corev1.LoadBalancerIPModeVIP)
		}
	}
}

// What a Service is, told from its spec.

var serviceTypes = []corev1.ServiceType{
	corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort,
}

func isServiceType(t corev1.ServiceType) bool { return slices.Contains(serviceTypes, t) }

func isLoadBalancer(s *corev1.Service) bool { return s.Spec.Type == corev1.ServiceTypeLoadBalancer }

func hasClusterIP(s *corev1.Service) bool { return s.Spec.Type != corev1.ServiceTypeExternalName }

// isHeadless tells whether the Service has no address by its own wish.
func isHeadless(s *corev1.Service) bool {
	return len(s.Spec.ClusterIPs) == 1 && s.Spec.ClusterIPs[0] == corev1.ClusterIPNone
}

// mayHaveNodePorts tells whether the type goes with node ports.
func mayHaveNodePorts(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeNodePort || isLoadBalancer(s)
}

// wantsNodePorts tells whether ports without a node port get one.
func wantsNodePorts(s *corev1.Service) bool {
	if isLoadBalancer(s) {
		return ptr.Deref(s.Spec.AllocateLoadBalancerNodePorts, true)
	}
	return s.Spec.Type == corev1.ServiceTypeNodePort
}

func needsHealthCheck(s *corev1.Service) bool {
	return isLoadBalancer(s) && s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

func externallyAccessible(s *corev1.Service) bool {
	return mayHaveNodePorts(s) || s.Spec.Type == corev1.ServiceTypeClusterIP && len(s.Spec.ExternalIPs) > 0
}
