package node

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

const (
	// instanceType is the type of machine that a simulated node says it is.
	instanceType       = "proa-simulated"
	attachByController = "volumes.kubernetes.io/controller-managed-attach-detach"
)

// labels that a node has, whatever else it was given.
func (a *Agent) labels(m *member) map[string]string {
	l := map[string]string{
		corev1.LabelHostname:           m.name,
		corev1.LabelOSStable:           "linux",
		corev1.LabelArchStable:         runtime.GOARCH,
		"beta.kubernetes.io/os":        "linux",
		"beta.kubernetes.io/arch":      runtime.GOARCH,
		corev1.LabelInstanceTypeStable: instanceType,
	}
	maps.Copy(l, a.options.Labels)
	return l
}

// describe makes the Node object of a node that there is none of yet.
func (a *Agent) describe(m *member, now time.Time) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: m.name}}
	a.identify(m, n)
	n.Status = a.status(m, n, now)
	return n
}

// identify sets what a node says of itself outside of its status, and tells whether that changed anything.
func (a *Agent) identify(m *member, n *corev1.Node) (changed bool) {
	set := func(in *map[string]string, key, value string) {
		if *in == nil {
			*in = map[string]string{}
		}
		if (*in)[key] != value {
			(*in)[key], changed = value, true
		}
	}
	for key, value := range a.labels(m) {
		set(&n.Labels, key, value)
	}
	set(&n.Annotations, attachByController, "true")
	if n.Spec.PodCIDR == "" {
		n.Spec.PodCIDR, n.Spec.PodCIDRs = m.podCIDR.String(), []string{m.podCIDR.String()}
		changed = true
	}
	return changed
}

// status is what a node's status has to be. What others write is kept.
func (a *Agent) status(m *member, n *corev1.Node, now time.Time) corev1.NodeStatus {
	s := *n.Status.DeepCopy()
	s.Capacity, s.Allocatable = m.resources(), m.resources()
	s.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: m.hostIP}, {Type: corev1.NodeHostName, Address: m.name},
	}
	// No port: there is nothing behind a simulated node that could be asked for logs.
	s.DaemonEndpoints.KubeletEndpoint.Port = 0
	v := m.runtime
	version := a.options.Behaviour.Version
	name := instanceType
	if v != nil {
		name, version = v.Version().Name, v.Version().Version
	}
	s.NodeInfo = corev1.NodeSystemInfo{
		MachineID: m.id("machine")[:32], SystemUUID: uuid(m.id("system")), BootID: uuid(m.id("boot")),
		KernelVersion: "simulated", OSImage: "Proa simulated node",
		ContainerRuntimeVersion: name + "://" + version, KubeletVersion: a.options.Version,
		OperatingSystem: "linux", Architecture: runtime.GOARCH,
	}
	s.RuntimeHandlers = []corev1.NodeRuntimeHandler{{
		Features: &corev1.NodeRuntimeHandlerFeatures{RecursiveReadOnlyMounts: ptr.To(true), UserNamespaces: ptr.To(true)},
	}}
	s.Features = &corev1.NodeFeatures{SupplementalGroupsPolicy: ptr.To(true)}
	for _, c := range healthy {
		s.Conditions = withCondition(s.Conditions, c, now)
	}
	return s
}

// healthy are the conditions of a node that is well. Ready comes last.
var healthy = []corev1.NodeCondition{
	{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientMemory", Message: "kubelet has sufficient memory available"},
	{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasNoDiskPressure", Message: "kubelet has no disk pressure"},
	{Type: corev1.NodePIDPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientPID", Message: "kubelet has sufficient PID available"},
	{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status"},
}

// withCondition sets a condition. The time of its last transition stays unless its status changes.
func withCondition(all []corev1.NodeCondition, c corev1.NodeCondition, now time.Time) []corev1.NodeCondition {
	c.LastHeartbeatTime = metav1.NewTime(now.Truncate(time.Second))
	c.LastTransitionTime = c.LastHeartbeatTime
	i := slices.IndexFunc(all, func(o corev1.NodeCondition) bool { return o.Type == c.Type })
	if i < 0 {
		return append(all, c)
	}
	if all[i].Status == c.Status {
		c.LastTransitionTime = all[i].LastTransitionTime
	}
	all[i] = c
	return all
}

// resources of the node. Every node says that it has no huge pages.
func (m *member) resources() corev1.ResourceList {
	l := corev1.ResourceList{"hugepages-1Gi": resource.Quantity{Format: resource.DecimalSI}, "hugepages-2Mi": resource.Quantity{Format: resource.DecimalSI}}
	maps.Copy(l, m.capacity)
	return l
}

// id is 64 hexadecimal digits that are the node's own for a purpose.
func (m *member) id(purpose string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(purpose+"/"+m.name)))
}

func uuid(hex string) string {
	return hex[:8] + "-" + hex[8:12] + "-4" + hex[13:16] + "-8" + hex[17:20] + "-" + hex[20:32]
}
