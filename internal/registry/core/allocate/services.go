package allocate

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/networking"
	"github.com/proa-dev/proa/internal/store"
)

// Config says which ranges there are, and where it is kept what is taken of them.
type Config struct {
	// ClusterIPRanges is one range, or one of each IP family, the primary family's first. The default is
	// DefaultClusterIPRange. They are used as long as there are no ServiceCIDRs.
	ClusterIPRanges []netip.Prefix
	// NodePorts is the range of node ports; the default is DefaultNodePorts.
	NodePorts PortRange
	// Store keeps what is taken. Without one there are ranges, but nothing can be committed.
	Store store.Store
	// Now is the time; nil is time.Now.
	Now func() time.Time
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
	first    netip.Addr        // of the primary range
	store    store.Store
	now      func() time.Time
	kind     *registry.Type // of IPAddresses
	// writing is held by the commit that changes the node ports, so that those of one process wait for each
	// other instead of failing.
	writing   chan struct{}
	unclaimed chan struct{}

	mu       sync.Mutex
	index    *index                               // guarded by mu
	ports    *ports                               // guarded by mu
	cidrs    map[string]*networkingv1.ServiceCIDR // guarded by mu; all there are
	leaks    map[uint64]time.Time                 // guarded by mu; node ports that no Service has, since when
	defaults []netip.Prefix                       // the ranges while there are no ServiceCIDRs
}

// New returns an allocator that knows nothing yet of what is taken.
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
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Services{
		store: c.Store, now: c.Now, kind: networking.IPAddresses.Erase(),
		writing: make(chan struct{}, 1), unclaimed: make(chan struct{}, 1),
		index: newIndex(), ports: newPorts(c.NodePorts),
		cidrs: map[string]*networkingv1.ServiceCIDR{}, leaks: map[uint64]time.Time{}, defaults: c.ClusterIPRanges,
	}
	for i, prefix := range c.ClusterIPRanges {
		a, err := newAddresses(prefix)
		if err != nil {
			return nil, err
		}
		if i > 0 && a.family() == s.families[0] {
			return nil, errors.New("service cluster IP ranges must be of different IP families")
		}
		if i == 0 {
			s.first = a.address(1)
		}
		s.families = append(s.families, a.family())
	}
	return s, s.index.setRanges(c.ClusterIPRanges)
}

// Default returns an allocator over the default ranges, without a store.
func Default() *Services {
	s, err := New(Config{})
	if err != nil {
		panic("allocate: the default ranges are invalid: " + err.Error())
	}
	return s
}

// Families that the server has ranges for, the primary first.
func (s *Services) Families() []corev1.IPFamily { return s.families }

// APIServerAddress is the first address of the primary range. None gets it unasked: it is for the Service
// "kubernetes" in namespace default, which asks for it.
func (s *Services) APIServerAddress() netip.Addr { return s.first }

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
