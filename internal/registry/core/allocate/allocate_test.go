package allocate

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func services(t *testing.T, ports PortRange, prefixes ...string) *Services {
	t.Helper()
	c := Config{NodePorts: ports}
	for _, p := range prefixes {
		c.ClusterIPRanges = append(c.ClusterIPRanges, netip.MustParsePrefix(p))
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRangesThatCannotBe(t *testing.T) {
	for _, tt := range []struct {
		name string
		c    Config
	}{
		{"IPv6 too large", Config{ClusterIPRanges: []netip.Prefix{netip.MustParsePrefix("fd00::/63")}}},
		{"too small", Config{ClusterIPRanges: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/31")}}},
		{"two of one family", Config{ClusterIPRanges: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("10.0.1.0/24")}}},
		{"ports upside down", Config{NodePorts: PortRange{2, 1}}},
	} {
		if _, err := New(tt.c); err == nil {
			t.Errorf("%s: no error", tt.name)
		}
	}
}

// Unasked addresses come from the upper part until it is used up, then from the lower, never the base,
// the first or the broadcast address.
func TestAddressOrder(t *testing.T) {
	for _, tt := range []struct {
		prefix       string
		upper, total int
		lowestUpper  string
	}{
		{"10.0.0.0/24", 254 - 16, 253, "10.0.0.17"},
		{"10.0.0.0/28", 13, 13, "10.0.0.2"},
		{"10.0.0.0/27", 30 - 16, 29, "10.0.0.17"},
		{"10.0.0.0/20", 4094 - 256, 4093, "10.0.1.1"},
		{"fd00::/120", 255 - 16, 254, "fd00::11"},
	} {
		s := services(t, PortRange{}, tt.prefix)
		r, seen := s.Request(), map[netip.Addr]bool{}
		for i := range tt.total {
			ip, err := r.Address(s.Families()[0])
			if err != nil {
				t.Fatalf("%s: address %d: %v", tt.prefix, i, err)
			}
			if seen[ip] {
				t.Fatalf("%s: %s twice", tt.prefix, ip)
			}
			seen[ip] = true
			if upper := !ip.Less(netip.MustParseAddr(tt.lowestUpper)); upper != (i < tt.upper) {
				t.Fatalf("%s: address %d is %s", tt.prefix, i, ip)
			}
		}
		if _, err := r.Address(s.Families()[0]); !errors.Is(err, ErrFull) {
			t.Errorf("%s: one more: %v", tt.prefix, err)
		}
		first := netip.MustParsePrefix(tt.prefix).Addr().Next()
		if got := s.APIServerAddress(); got != first {
			t.Errorf("%s: the API server's address is %s", tt.prefix, got)
		}
		if err := r.TakeAddress(first); err != nil {
			t.Errorf("%s: the first address: %v", tt.prefix, err)
		}
	}
}

func TestLargestIPv6Range(t *testing.T) {
	s := services(t, PortRange{}, "fd00:1::/64")
	r := s.Request()
	prefix := netip.MustParsePrefix("fd00:1::/64")
	for range 1000 {
		ip, err := r.Address(corev1.IPv6Protocol)
		if err != nil || !prefix.Contains(ip) {
			t.Fatal(ip, err)
		}
	}
	if err := r.TakeAddress(netip.MustParseAddr("fd00:1::ffff:ffff:ffff:ffff")); err != nil {
		t.Error(err)
	}
}

func TestTexts(t *testing.T) {
	s := services(t, PortRange{})
	r := s.Request()
	take := func(ip string) error { return r.TakeAddress(netip.MustParseAddr(ip)) }
	if err := take("10.0.0.5"); err != nil {
		t.Fatal(err)
	}
	if err := r.TakePort(30080); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{take("10.0.0.5"), "provided IP is already allocated"},
		{take("10.0.0.0"), "the provided IP (10.0.0.0) is not in the valid range. The range of valid IPs is 10.0.0.0/24"},
		{take("10.0.0.255"), "the provided IP (10.0.0.255) is not in the valid range. The range of valid IPs is 10.0.0.0/24"},
		{take("10.0.1.1"), "the provided network does not match the current range"},
		{take("fd00::1"), "the provided network does not match the current range"},
		{r.TakePort(30080), "provided port is already allocated"},
		{r.TakePort(80), "provided port is not in the valid range. The range of valid ports is 30000-32767"},
		{r.TakePort(-1), "provided port is not in the valid range. The range of valid ports is 30000-32767"},
	} {
		if tt.err == nil || tt.err.Error() != tt.want {
			t.Errorf("got %v, want %s", tt.err, tt.want)
		}
	}
}

func TestHeldAtStart(t *testing.T) {
	s := services(t, PortRange{})
	s.Hold(&corev1.Service{Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeLoadBalancer, ClusterIPs: []string{"10.0.0.5", "fd00::9"}, HealthCheckNodePort: 31000,
		Ports: []corev1.ServicePort{{NodePort: 30053, Protocol: "TCP"}, {NodePort: 30053, Protocol: "UDP"}, {NodePort: 80}},
	}})
	s.Hold(&corev1.Service{Spec: corev1.ServiceSpec{ClusterIPs: []string{"None"}}})
	r := s.Request()
	if err := r.TakeAddress(netip.MustParseAddr("10.0.0.5")); !errors.Is(err, ErrAddressTaken) {
		t.Error(err)
	}
	for _, port := range []int32{30053, 31000} {
		if err := r.TakePort(port); !errors.Is(err, ErrPortTaken) {
			t.Error(port, err)
		}
	}
}

// Random histories against a plain model: what a live Service holds is taken, all else is free.
func TestRandomHistory(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	s := services(t, PortRange{30000, 30040}, "10.0.0.0/27")
	var live []*corev1.Service
	for step := range 5000 {
		r := s.Request()
		var new, old *corev1.Service
		if len(live) > 0 && rnd.IntN(3) > 0 {
			old = live[rnd.IntN(len(live))]
		}
		if old == nil || rnd.IntN(2) == 0 {
			new = &corev1.Service{}
			if old != nil && rnd.IntN(2) == 0 {
				new = old.DeepCopy()
			} else if ip, err := r.Address(corev1.IPv4Protocol); err == nil {
				new.Spec.ClusterIPs = []string{ip.String()}
			}
			if port, err := r.Port(); err == nil {
				new.Spec.Ports = append(new.Spec.Ports, corev1.ServicePort{NodePort: port})
			}
		}
		committed := rnd.IntN(3) > 0
		r.Finish(committed, new, old)
		r.Finish(!committed, new, old)
		if committed {
			next := live[:0:0]
			for _, l := range live {
				if l != old {
					next = append(next, l)
				}
			}
			if live = next; new != nil {
				live = append(live, new)
			}
		}
		ips, ports := map[netip.Addr]bool{}, map[uint64]bool{}
		for _, l := range live {
			for _, ip := range heldAddresses(l) {
				if ips[ip] {
					t.Fatalf("step %d: %s held twice", step, ip)
				}
				ips[ip] = true
			}
			for _, port := range heldPorts(l) {
				if ports[port] {
					t.Fatalf("step %d: port %d held twice", step, port)
				}
				ports[port] = true
			}
		}
		if got := s.addresses[corev1.IPv4Protocol].pool.count(); got != len(ips) {
			t.Fatalf("step %d: %d addresses taken, %d held", step, got, len(ips))
		}
		if got := s.ports.count(); got != len(ports) {
			t.Fatalf("step %d: %d ports taken, %d held", step, got, len(ports))
		}
	}
}

func TestConcurrentRequestsGetDifferentNumbers(t *testing.T) {
	s := services(t, PortRange{30000, 30099})
	var mu sync.Mutex
	seen := map[int32]bool{}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range 10 {
				r := s.Request()
				port, err := r.Port()
				if err != nil {
					t.Error(err)
				}
				r.Finish(true, nil, nil)
				mu.Lock()
				if seen[port] {
					t.Errorf("port %d twice", port)
				}
				seen[port] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}
