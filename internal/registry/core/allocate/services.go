package allocate

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	corev1 "k8s.io/api/core/v1"
)

// Config says which ranges there are.
type Config struct {
	// ClusterIPRanges is one range, or one of each IP family, the primary family's first. The default is
	// DefaultClusterIPRange.
	ClusterIPRanges []netip.Prefix
	// NodePorts is the range of node ports; the default is DefaultNodePorts.
	NodePorts PortRange
}

// PortRange is the ports from First to Last, both inside.
type PortRange struct{ First, Last uint16 }

func (r PortRange) String() string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

// The ranges of a server that was told none.
var (
	DefaultClusterIPRange = netip.MustParsePrefix("10.0.0.0/24")
	DefaultNodePorts      = PortRange{30000, 32767}
)

// Services allocates for all Services of one server. It is safe for concurrent use.
type Services struct {
	families []corev1.IPFamily // the primary first

	mu        sync.Mutex
	addresses map[corev1.IPFamily]*addresses // the map is fixed, its pools are guarded by mu
	ports     *pool                          // guarded by mu
	portRange PortRange
}

// New returns an allocator of which nothing is taken.
func New(c Config) (*Services, error) {
	if len(c.ClusterIPRanges) == 0 {
		c.ClusterIPRanges = []netip.Prefix{DefaultClusterIPRange}
	}
	if c.NodePorts == (PortRange{}) {
		c.NodePorts = DefaultNodePorts
	}
	if c.NodePorts.First == 0 || c.NodePorts.Last < c.NodePorts.First {
		return nil, fmt.Errorf("node port range %s is not a range of ports", c.NodePorts)
	}
	s := &Services{addresses: map[corev1.IPFamily]*addresses{}, portRange: c.NodePorts}
	for _, prefix := range c.ClusterIPRanges {
		a, err := newAddresses(prefix)
		if err != nil {
			return nil, err
		}
		if s.addresses[a.family()] != nil {
			return nil, errors.New("service cluster IP ranges must be of different IP families")
		}
		s.addresses[a.family()] = a
		s.families = append(s.families, a.family())
	}
	first, last := uint64(c.NodePorts.First), uint64(c.NodePorts.Last)
	s.ports = newPool(first, last, first, first+staticPortPart(last-first+1))
	return s, nil
}

func staticPortPart(size uint64) uint64 {
	if size <= 16 {
		return 0
	}
	return min(max(size/32, 16), 128)
}

// Default returns an allocator over the default ranges.
func Default() *Services {
	s, err := New(Config{})
	if err != nil {
		panic("allocate: the default ranges are invalid: " + err.Error())
	}
	return s
}

// Families that the server has ranges for, the primary first.
func (s *Services) Families() []corev1.IPFamily { return s.families }

// Hold takes what a stored Service holds. It is called for each of them at the start of a server. What is
// outside of the ranges, or held by another too, is left: the Service keeps it until it changes.
func (s *Services) Hold(svc *corev1.Service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ip := range heldAddresses(svc) {
		if a := s.rangeOf(ip); a != nil {
			_ = a.take(ip)
		}
	}
	for _, port := range heldPorts(svc) {
		if s.ports.contains(port) {
			s.ports.take(port)
		}
	}
}

// rangeOf is the addresses of an address's family, nil if there is no such range.
func (s *Services) rangeOf(ip netip.Addr) *addresses {
	if ip.Is4() {
		return s.addresses[corev1.IPv4Protocol]
	}
	return s.addresses[corev1.IPv6Protocol]
}

// heldAddresses of a Service, which may be nil. Addresses in spellings of old ("010.0.0.1") are left out:
// no range of today has handed them out.
func heldAddresses(svc *corev1.Service) []netip.Addr {
	if svc == nil || svc.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	var held []netip.Addr
	for _, text := range svc.Spec.ClusterIPs {
		if ip, err := netip.ParseAddr(text); err == nil {
			held = append(held, ip)
		}
	}
	return held
}

// heldPorts of a Service, which may be nil. Two of its ports may share a node port, with different
// protocols; it is held once then.
func heldPorts(svc *corev1.Service) []uint64 {
	if svc == nil {
		return nil
	}
	var held []uint64
	add := func(port int32) {
		for _, h := range held {
			if h == uint64(port) {
				return
			}
		}
		if port > 0 {
			held = append(held, uint64(port))
		}
	}
	for i := range svc.Spec.Ports {
		add(svc.Spec.Ports[i].NodePort)
	}
	add(svc.Spec.HealthCheckNodePort)
	return held
}

// APIServerAddress is the first address of the primary range. None gets it unasked: it is for the Service
// "kubernetes" in namespace default, which asks for it.
func (s *Services) APIServerAddress() netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addresses[s.families[0]].address(1)
}
