package core

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry"
)

// Nodes are the machines that pods run on. A kubelet registers its node with the status filled.
var Nodes = registry.Resource[corev1.Node]{
	Kind: "Node", Name: "nodes", Short: []string{"no"},
	StoredAs:       "minions", // what nodes were called before v1
	Versions:       []registry.Version[corev1.Node]{registry.Hub[corev1.Node]("v1")},
	Default:        defaultNode,
	PrepareCreate:  func(n *corev1.Node) { n.Spec.ConfigSource, n.Status.Config = nil, nil },
	PrepareUpdate:  prepareNodeUpdate,
	Validate:       validateNode,
	ValidateUpdate: validateNodeUpdate,
	Warn:           nodeWarnings,
	Status:         func(n *corev1.Node) any { return &n.Status },
	StatusOnCreate: true,
	PrepareStatus: func(new, old *corev1.Node) {
		if old.Status.Config == nil {
			new.Status.Config = nil
		}
	},
	ValidateStatus: validateNodeStatus,
	Actions: []registry.Action{{
		Name: "proxy", Kind: schema.GroupVersionKind{Version: "v1", Kind: "NodeProxyOptions"}, Verbs: proxyVerbs, Stream: true,
	}},
	Columns: nodeColumns(),
	Fields: []registry.Field[corev1.Node]{
		{Name: "spec.unschedulable", Value: func(n *corev1.Node) string { return strconv.FormatBool(n.Spec.Unschedulable) }},
	},
}

func defaultNode(n *corev1.Node) {
	roundUpToMilli(n.Status.Capacity)
	roundUpToMilli(n.Status.Allocatable)
	if n.Status.Allocatable == nil && n.Status.Capacity != nil {
		n.Status.Allocatable = maps.Clone(n.Status.Capacity)
	}
	// podCIDR is the first of podCIDRs, which came later. An old client changes the first alone.
	switch one, all := n.Spec.PodCIDR, n.Spec.PodCIDRs; {
	case one == "" && len(all) > 0:
		n.Spec.PodCIDR = all[0]
	case one != "" && (len(all) == 0 || all[0] != one):
		n.Spec.PodCIDRs = []string{one}
	}
}

func prepareNodeUpdate(new, old *corev1.Node) {
	if old.Spec.ConfigSource == nil {
		new.Spec.ConfigSource = nil
	}
}

func nodeWarnings(n, _ *corev1.Node) []string {
	var texts []string
	if n.Spec.ConfigSource != nil {
		texts = append(texts, "spec.configSource: the feature is removed")
	}
	if n.Spec.DoNotUseExternalID != "" {
		texts = append(texts, "spec.externalID: this field is deprecated, and is unused by Kubernetes")
	}
	for i, cidr := range n.Spec.PodCIDRs {
		texts = append(texts, validation.GetWarningsForCIDR(podCIDRsPath.Index(i).Common(), cidr)...)
	}
	return texts
}

func nodeColumns() []registry.Column[corev1.Node] {
	type node = corev1.Node
	status, info := corev1.NodeStatus{}.SwaggerDoc(), corev1.NodeSystemInfo{}.SwaggerDoc()
	return []registry.Column[node]{
		{Name: "Status", Description: "The status of the node", Value: func(n *node) any { return nodeCondition(n) }},
		{Name: "Roles", Description: "The roles of the node", Value: func(n *node) any { return nodeRoles(n) }},
		registry.Age[node](),
		{Name: "Version", Description: info["kubeletVersion"], Value: func(n *node) any { return n.Status.NodeInfo.KubeletVersion }},
		{Name: "Internal-IP", Wide: true, Description: status["addresses"], Value: func(n *node) any { return nodeAddress(n, corev1.NodeInternalIP) }},
		{Name: "External-IP", Wide: true, Description: status["addresses"], Value: func(n *node) any { return nodeAddress(n, corev1.NodeExternalIP) }},
		{Name: "OS-Image", Wide: true, Description: info["osImage"], Value: func(n *node) any { return orUnknown(n.Status.NodeInfo.OSImage) }},
		{Name: "Kernel-Version", Wide: true, Description: info["kernelVersion"], Value: func(n *node) any {
			kernel := orUnknown(n.Status.NodeInfo.KernelVersion)
			if arch := n.Status.NodeInfo.Architecture; arch != "" {
				return fmt.Sprintf("%s (%s)", kernel, arch)
			}
			return kernel
		}},
		{Name: "Container-Runtime", Wide: true, Description: info["containerRuntimeVersion"], Value: func(n *node) any {
			return orUnknown(n.Status.NodeInfo.ContainerRuntimeVersion)
		}},
	}
}

func nodeCondition(n *corev1.Node) string {
	text := "Unknown"
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			if text = "NotReady"; c.Status == corev1.ConditionTrue {
				text = "Ready"
			}
		}
	}
	if n.Spec.Unschedulable {
		text += ",SchedulingDisabled"
	}
	return text
}

// nodeRoles are told by labels, of today's form or an older one.
func nodeRoles(n *corev1.Node) string {
	var roles []string
	for key, value := range n.Labels {
		role, ok := strings.CutPrefix(key, "node-role.kubernetes.io/")
		if !ok && key == "kubernetes.io/role" {
			role = value
		} else if !ok {
			continue
		}
		if role != "" {
			roles = append(roles, role)
		}
	}
	if len(roles) == 0 {
		return "<none>"
	}
	slices.Sort(roles)
	return strings.Join(slices.Compact(roles), ",")
}

func nodeAddress(n *corev1.Node, t corev1.NodeAddressType) string {
	for _, a := range n.Status.Addresses {
		if a.Type == t {
			return a.Address
		}
	}
	return "<none>"
}

func orUnknown(text string) string {
	if text == "" {
		return "<unknown>"
	}
	return text
}
