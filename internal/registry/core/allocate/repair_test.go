package allocate

import (
	"context"
	"fmt"
	"log/slog"
	"math/big"
	"net/netip"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/registry/encoding"
	"github.com/proa-dev/proa/internal/store"
)

// put stores an object as others might have left it, and returns it as it is read.
func put(t *testing.T, s *Services, a *networkingv1.IPAddress) *networkingv1.IPAddress {
	t.Helper()
	value, err := encoding.Stored(s.kind, a)
	if err != nil {
		t.Fatal(err)
	}
	revision, err := s.store.Commit(t.Context(), store.Op{Key: addressPrefix + a.Name, Value: value, Expect: store.AnyRevision})
	if err != nil {
		t.Fatal(err)
	}
	a.ResourceVersion = big.NewInt(revision).String()
	return a
}

func objects(addresses []*networkingv1.IPAddress, services ...*corev1.Service) Objects {
	return Objects{
		IPAddresses: func(context.Context) ([]*networkingv1.IPAddress, error) { return addresses, nil },
		Services:    func(context.Context) ([]*corev1.Service, error) { return services, nil },
	}
}

func TestRepair(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	st := newStore(t)
	s, err := New(Config{Store: st, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	claim := func(ip string, svc *corev1.Service, change func(*networkingv1.IPAddress)) *networkingv1.IPAddress {
		a := s.newAddress(netip.MustParseAddr(ip), svc)
		a.CreationTimestamp = metav1.NewTime(now.Add(-2 * grace))
		if change != nil {
			change(a)
		}
		return put(t, s, a)
	}
	unclaimed, kept, foreign, lost := service("unclaimed", "10.0.0.10", 30010), service("kept", "10.0.0.11"), service("foreign", "10.0.0.12"), service("lost", "10.0.0.13")
	double, odd, far, gone := service("double", "10.0.0.11"), service("odd", "10.0.0.14"), service("far", "10.7.0.1"), service("gone", "10.0.0.20")
	for _, svc := range []*corev1.Service{unclaimed, kept, foreign, lost, double, odd, far} {
		bare(t, s, svc)
	}
	there := []*networkingv1.IPAddress{
		claim("10.0.0.11", kept, nil),
		claim("10.0.0.12", foreign, func(a *networkingv1.IPAddress) { a.Spec.ParentRef.Resource = "gateways" }),
		claim("10.0.0.13", gone, nil),
		claim("10.0.0.14", odd, func(a *networkingv1.IPAddress) { a.Labels = nil }),
		claim("10.0.0.20", gone, nil),
		claim("10.0.0.21", gone, func(a *networkingv1.IPAddress) { a.CreationTimestamp = metav1.NewTime(now) }),
		claim("10.0.0.22", gone, func(a *networkingv1.IPAddress) { a.Labels = nil }), // not the allocator's
		claim("10.0.0.23", kept, nil),
	}
	// Port 30099 is nobody's.
	p := newPorts(DefaultNodePorts)
	op, err := p.op(p.change([]uint64{30099}, nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Commit(t.Context(), op); err != nil {
		t.Fatal(err)
	}
	all := objects(there, unclaimed, kept, foreign, lost, double, odd, far)
	if err := s.Repair(t.Context(), all, log); err != nil {
		t.Fatal(err)
	}
	owners := map[string]string{
		"10.0.0.10": "n/unclaimed", "10.0.0.11": "n/kept", "10.0.0.12": "n/foreign", "10.0.0.13": "n/lost", "10.0.0.14": "n/odd",
		"10.0.0.21": "n/gone", "10.0.0.22": "n/gone",
	}
	checkStored(t, s, owners, map[uint64]string{30010: "", 30099: ""})

	// A port is given back when it has been nobody's for a while.
	now = now.Add(grace)
	if err := s.Repair(t.Context(), objects(nil, unclaimed), log); err != nil {
		t.Fatal(err)
	}
	checkStored(t, s, owners, map[uint64]string{30010: ""})
}

// A claim that has changed since it was read is left alone.
func TestRepairBesideWriters(t *testing.T) {
	s := services(t, newStore(t), PortRange{})
	gone := service("gone", "10.0.0.20")
	a := s.newAddress(netip.MustParseAddr("10.0.0.20"), gone)
	a.CreationTimestamp = metav1.NewTime(time.Now().Add(-2 * grace))
	read := put(t, s, a).DeepCopy()
	put(t, s, a)
	created := service("created", "10.0.0.21", 30021)
	r := s.Request(created, nil)
	defer r.End()
	reads, late := 0, objects([]*networkingv1.IPAddress{read})
	late.Services = func(ctx context.Context) ([]*corev1.Service, error) {
		if reads++; reads > 1 {
			return nil, nil
		}
		// It is created after the claims were read, and the list of Services was made before.
		if err := takeAll(ctx, r, created); err != nil {
			return nil, err
		}
		return nil, commitOwn(r, store.MustNotExist)
	}
	if err := s.Repair(t.Context(), late, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	checkStored(t, s, map[string]string{"10.0.0.20": "n/gone", "10.0.0.21": "n/created"}, map[uint64]string{30021: ""})
}

// kube-apiserver's own bits are read, and written as it would.
func TestPortsAtRest(t *testing.T) {
	s := services(t, newStore(t), PortRange{})
	bits := new(big.Int)
	for _, port := range []int{30000, 30001, 31234, 32767} {
		bits.SetBit(bits, port-30000, 1)
	}
	stored := &corev1.RangeAllocation{Range: "30000-32767", Data: bits.Bytes()}
	value, err := encoding.Protobuf(stored, corev1.SchemeGroupVersion.WithKind("RangeAllocation"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.Commit(t.Context(), store.Op{Key: portsKey, Value: value}); err != nil {
		t.Fatal(err)
	}
	svc := service("a", "", 30002)
	r := s.Request(svc, nil)
	if err := takeAll(t.Context(), r, svc); err != nil {
		t.Fatal(err)
	}
	if err := commitOwn(r, store.MustNotExist); err != nil {
		t.Fatal(err)
	}
	r.End()
	got := &corev1.RangeAllocation{}
	kv, err := s.store.Get(t.Context(), portsKey)
	if err == nil {
		_, err = encoding.DecodeProtobuf(kv.Value, got)
	}
	bits.SetBit(bits, 2, 1)
	if err != nil || got.Range != stored.Range || new(big.Int).SetBytes(got.Data).Cmp(bits) != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestServiceCIDRsGiveRanges(t *testing.T) {
	s := services(t, nil, PortRange{}, "10.0.0.0/28")
	take := func(ip string) error {
		r := s.Request(nil, nil)
		defer r.End()
		return r.TakeAddress(t.Context(), netip.MustParseAddr(ip), same)
	}
	cidr := func(ready metav1.ConditionStatus, cidrs ...string) *networkingv1.ServiceCIDR {
		c := &networkingv1.ServiceCIDR{Spec: networkingv1.ServiceCIDRSpec{CIDRs: cidrs}}
		if ready != "" {
			c.Status.Conditions = []metav1.Condition{{Type: networkingv1.ServiceCIDRConditionReady, Status: ready}}
		}
		return c
	}
	going := cidr("True", "10.3.0.0/28")
	going.DeletionTimestamp = &metav1.Time{}
	for _, tt := range []struct {
		name string
		is   *networkingv1.ServiceCIDR
		bad  bool
		can  []string
		not  []string
	}{
		{"", nil, false, []string{"10.0.0.3"}, []string{"10.1.0.3"}},
		{"more", cidr("", "10.1.0.0/28", "fd00::/112"), false, []string{"10.1.0.3"}, []string{"10.0.0.3", "fd00::1"}},
		{"kubernetes", cidr("True", "10.0.0.0/28"), false, []string{"10.1.0.3", "10.0.0.3"}, nil},
		{"more", cidr("False", "10.1.0.0/28"), false, []string{"10.0.0.3"}, []string{"10.1.0.3"}},
		{"going", going, false, nil, []string{"10.3.0.3"}},
		{"tiny", cidr("True", "10.4.0.0/31"), true, []string{"10.0.0.3"}, []string{"10.4.0.1"}},
		{"within", cidr("True", "10.0.0.0/29"), true, []string{"10.0.0.3", "10.0.0.7"}, []string{"10.0.0.15"}},
		{"more", nil, true, []string{"10.0.0.3"}, []string{"10.1.0.3"}},
	} {
		if tt.name != "" {
			if err := s.RangeChanged(tt.name, tt.is); (err != nil) != tt.bad {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		for _, ip := range tt.can {
			if err := take(ip); err != nil {
				t.Errorf("after %s: %s: %v", tt.name, ip, err)
			}
		}
		for _, ip := range tt.not {
			if err := take(ip); err == nil {
				t.Errorf("after %s: %s was given out", tt.name, ip)
			}
		}
	}
	// What is taken of one range is taken of all that contain it.
	seen := map[netip.Addr]bool{}
	r := s.Request(nil, nil)
	defer r.End()
	for {
		ip, err := r.Address(corev1.IPv4Protocol)
		if err != nil {
			break
		}
		if seen[ip] {
			t.Fatalf("%s twice", ip)
		}
		seen[ip] = true
	}
	if len(seen) != 13 {
		t.Errorf("%d addresses of the outer range's 13", len(seen))
	}
}

// A Service comes after the claims were read and goes before they are mended: its claims went with it, and are not
// made again for nobody.
func TestRepairMissesAShortLife(t *testing.T) {
	s := services(t, newStore(t), PortRange{})
	brief, kept := service("brief", "10.0.0.21", 30021), service("kept", "10.0.0.22", 30022)
	bare(t, s, kept)
	reads, late := 0, objects(nil)
	late.Services = func(ctx context.Context) ([]*corev1.Service, error) {
		if reads++; reads > 1 {
			return []*corev1.Service{kept}, nil
		}
		r := s.Request(brief, nil)
		defer r.End()
		revision, err := int64(0), takeAll(ctx, r, brief)
		if err == nil {
			revision, err = r.Commit(ctx, store.Op{Key: serviceKey(brief), Value: []byte("x")})
		}
		if err == nil {
			err = commitOwn(s.Request(nil, brief), revision)
		}
		read := brief.DeepCopy()
		read.ResourceVersion = strconv.FormatInt(revision, 10)
		return []*corev1.Service{read, kept}, err
	}
	if err := s.Repair(t.Context(), late, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	checkStored(t, s, map[string]string{"10.0.0.22": "n/kept"}, map[uint64]string{30022: ""})
}

// Many claims take several commits, each of which etcd takes; a Service with two addresses is one condition.
func TestRepairOfMany(t *testing.T) {
	s := services(t, newStore(t), PortRange{}, "10.0.0.0/22", "fd00::/112")
	owners, used := map[string]string{}, map[uint64]string{}
	var all []*corev1.Service
	for i := range 200 {
		four, six, port := fmt.Sprintf("10.0.%d.%d", i/100, 10+i%100), fmt.Sprintf("fd00::%x", 16+i), int32(30100+i)
		svc := service(fmt.Sprint(i), four, port)
		svc.Spec.ClusterIPs = append(svc.Spec.ClusterIPs, six)
		owners[four], owners[six], used[uint64(port)] = keyOf(svc), keyOf(svc), ""
		bare(t, s, svc)
		all = append(all, svc)
	}
	commits, largest := 0, 0
	s.store = watched{s.store, func(ops []store.Op) { commits++; largest = max(largest, len(ops)) }}
	if err := s.Repair(t.Context(), objects(nil, all...), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	checkStored(t, s, owners, used)
	if largest > 128 || commits > 12 {
		t.Errorf("%d commits of up to %d operations", commits, largest)
	}
}

// watched is a store whose commits are seen.
type watched struct {
	store.Store
	see func([]store.Op)
}

func (w watched) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	w.see(ops)
	return w.Store.Commit(ctx, ops...)
}

// bare stores a Service that has no claims.
func bare(t *testing.T, s *Services, svc *corev1.Service) {
	t.Helper()
	revision, err := s.store.Commit(t.Context(), store.Op{Key: serviceKey(svc), Value: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	svc.ResourceVersion = strconv.FormatInt(revision, 10)
}
