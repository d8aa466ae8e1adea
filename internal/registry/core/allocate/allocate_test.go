package allocate

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/store"
	"github.com/proa-dev/proa/internal/store/embedded"
)

func newStore(t *testing.T) store.Store {
	t.Helper()
	engine, err := embedded.Open(embedded.Options{Durability: embedded.Memory, MemTableBytes: 1 << 20, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	return engine
}

func services(t *testing.T, st store.Store, ports PortRange, prefixes ...string) *Services {
	t.Helper()
	c := Config{NodePorts: ports, Store: st}
	for _, p := range prefixes {
		c.ClusterIPRanges = append(c.ClusterIPRanges, netip.MustParsePrefix(p))
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func same(reason error) error { return reason }

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
		s := services(t, nil, PortRange{}, tt.prefix)
		r, seen := s.Request(nil, nil), map[netip.Addr]bool{}
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
		if err := r.TakeAddress(t.Context(), first, same); err != nil {
			t.Errorf("%s: the first address: %v", tt.prefix, err)
		}
	}
}

func TestLargestIPv6Range(t *testing.T) {
	s := services(t, nil, PortRange{}, "fd00:1::/64")
	r := s.Request(nil, nil)
	prefix := netip.MustParsePrefix("fd00:1::/64")
	for range 1000 {
		ip, err := r.Address(corev1.IPv6Protocol)
		if err != nil || !prefix.Contains(ip) {
			t.Fatal(ip, err)
		}
	}
	if err := r.TakeAddress(t.Context(), netip.MustParseAddr("fd00:1::ffff:ffff:ffff:ffff"), same); err != nil {
		t.Error(err)
	}
}

func TestTexts(t *testing.T) {
	r := services(t, nil, PortRange{}).Request(nil, nil)
	take := func(ip string) error { return r.TakeAddress(t.Context(), netip.MustParseAddr(ip), same) }
	port := func(port int32) error { return r.TakePort(t.Context(), port, same) }
	if err := take("10.0.0.5"); err != nil {
		t.Fatal(err)
	}
	if err := port(30080); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{take("10.0.0.5"), "provided IP is already allocated"},
		{take("10.0.0.0"), "the provided network does not match the current range"},
		{take("10.0.0.255"), "the provided network does not match the current range"},
		{take("10.0.1.1"), "the provided network does not match the current range"},
		{take("fd00::1"), "the provided network does not match the current range"},
		{port(30080), "provided port is already allocated"},
		{port(80), "provided port is not in the valid range. The range of valid ports is 30000-32767"},
		{port(-1), "provided port is not in the valid range. The range of valid ports is 30000-32767"},
	} {
		if tt.err == nil || tt.err.Error() != tt.want {
			t.Errorf("got %v, want %s", tt.err, tt.want)
		}
	}
}

// What is stored is what counts: a server that has never heard of a claim keeps to it, and one that believes in
// a claim that has gone gives the number out.
func TestTheStoreDecides(t *testing.T) {
	st := newStore(t)
	one, two := services(t, st, PortRange{}), services(t, st, PortRange{})
	svc := service("a", "10.0.0.5", 30080)
	create := func(s *Services) error {
		r := s.Request(svc, nil)
		defer r.End()
		return errors.Join(takeAll(t.Context(), r, svc), commitOwn(r, store.AnyRevision))
	}
	if err := create(one); err != nil {
		t.Fatal(err)
	}
	if err := create(two); !errors.Is(err, ErrAddressTaken) {
		t.Fatalf("the other server: %v", err)
	}
	if err := create(two); !errors.Is(err, ErrAddressTaken) {
		t.Fatalf("the other server, which knows now: %v", err)
	}
	r := two.Request(nil, svc)
	if err := commitOwn(r, store.AnyRevision); err != nil {
		t.Fatal(err)
	}
	r.End()
	if err := create(one); err != nil {
		t.Fatalf("what the other has given back: %v", err)
	}
	bare := service("b", "", 30080)
	r = two.Request(bare, nil)
	defer r.End()
	if err := errors.Join(takeAll(t.Context(), r, bare), commitOwn(r, store.AnyRevision)); !errors.Is(err, ErrPortTaken) {
		t.Fatalf("a port that the other has: %v", err)
	}
}

// A request holds a port; another request of its server learns that others have taken that very port; then the
// first commits. It must not believe that the port is its own.
func TestAPortIsLostBeforeItsCommit(t *testing.T) {
	st := newStore(t)
	one, two := services(t, st, PortRange{}), services(t, st, PortRange{})
	create := func(s *Services, name string, port int32) *Request {
		svc := service(name, "", port)
		r := s.Request(svc, nil)
		if err := takeAll(t.Context(), r, svc); err != nil {
			t.Fatal(err)
		}
		return r
	}
	slow := create(one, "slow", 30080)
	if err := commitOwn(create(two, "fast", 30080), store.MustNotExist); err != nil {
		t.Fatal(err)
	}
	if err := commitOwn(create(one, "third", 30081), store.MustNotExist); err != nil {
		t.Fatal(err)
	}
	if err := commitOwn(slow, store.MustNotExist); !errors.Is(err, ErrPortTaken) {
		t.Fatal(err)
	}
}

func service(name, ip string, ports ...int32) *corev1.Service {
	svc := &corev1.Service{}
	svc.Namespace, svc.Name = "n", name
	if ip != "" {
		svc.Spec.ClusterIPs = []string{ip}
	}
	for _, p := range ports {
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{NodePort: p})
	}
	return svc
}

// takeAll takes what a Service asks for.
func takeAll(ctx context.Context, r *Request, svc *corev1.Service) error {
	for _, ip := range heldAddresses(svc) {
		if err := r.TakeAddress(ctx, ip, same); err != nil {
			return err
		}
	}
	for _, port := range heldPorts(svc) {
		if err := r.TakePort(ctx, int32(port), same); err != nil {
			return err
		}
	}
	return nil
}

// commitOwn commits a request whose Service is no more than a key.
func commitOwn(r *Request, expect store.Revision) error {
	_, err := commitAt(r, expect)
	return err
}

func commitAt(r *Request, expect store.Revision) (store.Revision, error) {
	svc, op := r.new, store.Op{Value: []byte("x"), Expect: expect}
	if svc == nil {
		svc, op.Value = r.old, nil
	}
	op.Key = serviceKey(svc)
	return r.Commit(context.Background(), op)
}
