package node

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/node/container"
	"github.com/proa-dev/proa/internal/node/lifecycle"
)

// member is one of the agent's nodes.
type member struct {
	name     string
	index    int
	hostIP   string
	podCIDR  netip.Prefix // asked for; the Node object may have another, which holds
	capacity corev1.ResourceList
	run      func(pods netip.Prefix) container.Runtime

	// Set when the node is registered, before any pod is worked on.
	runtime container.Runtime
	node    *corev1.Node

	// Of the heartbeat, of which there is one at a time.
	lease    *coordinationv1.Lease // as last written; nil if it has to be read
	reported time.Time             // when the status was last written

	mu    sync.Mutex
	usage lifecycle.Usage // guarded by mu
}

func (m *member) String() string { return m.name }

// The networks of simulated nodes: one /24 for the pods of each, from 10.244.0.0 on, and all of 10.128.0.0/9
// before any is used twice; and one address of 172.16.0.0/12 for the node itself.
const (
	firstPodNetwork = 10<<16 | 244<<8
	podNetworks     = 10<<16 | 128<<8
	firstHost       = 172<<24 | 18<<16 | 2
)

func newMember(o Options, index int) *member {
	network := uint32(podNetworks + (firstPodNetwork-podNetworks+index)%maxNodes)
	return &member{
		name: fmt.Sprint(o.NamePrefix, index), index: index, capacity: o.Capacity,
		hostIP:  addressOf(uint32(firstHost + index)).String(),
		podCIDR: netip.PrefixFrom(addressOf(network<<8), 24),
	}
}

func addressOf(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// reference is the node as events are about it: by its name, in place of the UID, as kubelets do.
func (m *member) reference() corev1.ObjectReference {
	return corev1.ObjectReference{Kind: "Node", APIVersion: "v1", Name: m.name, UID: types.UID(m.name)}
}

// admit counts a pod in. If checked, one that does not fit is refused.
func (m *member) admit(p *corev1.Pod, node *corev1.Node, d lifecycle.Demand, checked bool) *lifecycle.Rejection {
	m.mu.Lock()
	defer m.mu.Unlock()
	if checked {
		if r := lifecycle.Admit(p, d, node, &m.usage); r != nil {
			return r
		}
	}
	m.usage.Add(d)
	return nil
}

func (m *member) release(d lifecycle.Demand) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.usage.Remove(d)
}
