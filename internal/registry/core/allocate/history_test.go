package allocate

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/store"
)

// server is an allocator that is told of changes when the test says so.
type server struct {
	*Services
	stream  store.Stream
	pending []store.Event
}

// hear reads what has been committed, and tells the allocator of some of it, or of all.
func (s *server) hear(t *testing.T, rnd *rand.Rand, all bool) {
	t.Helper()
	revision, err := s.store.Revision(t.Context())
	for err == nil && s.stream.Reached() < revision {
		var events []store.Event
		events, err = s.stream.Next(t.Context())
		s.pending = append(s.pending, events...)
	}
	if err != nil {
		t.Fatal(err)
	}
	n := len(s.pending)
	if !all {
		n = rnd.IntN(n + 1)
	}
	for _, e := range s.pending[:n] {
		name, ok := strings.CutPrefix(e.Key, addressPrefix)
		switch {
		case !ok:
		case e.Value == nil:
			s.Changed(name, nil)
		default:
			a, err := s.decode(store.KV{Value: e.Value})
			if err != nil {
				t.Fatal(err)
			}
			a.ResourceVersion = strconv.FormatInt(e.Revision, 10)
			s.Changed(name, a)
		}
	}
	s.pending = s.pending[n:]
}

// history is random writes at two servers, against a plain model. Now and then a server repairs the claims, and
// writes go on between what that reads and what it writes.
type history struct {
	t       *testing.T
	rnd     *rand.Rand
	st      store.Store
	servers [2]*server
	live    map[string]*corev1.Service
	now     time.Time
	losses  int
	repairs int // writes of repairs
}

// What is stored after every step is what the live Services hold: no address or node port is another's, and
// none is left behind. Whoever is refused was refused for a reason.
func TestRandomHistory(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	h := &history{t: t, rnd: rand.New(rand.NewPCG(seed, 0)), st: newStore(t), live: map[string]*corev1.Service{}, now: time.Unix(1e9, 0)}
	for i := range h.servers {
		stream, err := h.st.Events(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		h.servers[i] = &server{Services: services(t, h.st, PortRange{30000, 30020}, "10.0.0.0/27"), stream: stream}
		h.servers[i].now = func() time.Time { return h.now }
	}
	for step := range 4000 {
		s := h.servers[h.rnd.IntN(2)]
		if h.rnd.IntN(3) == 0 {
			s.hear(t, h.rnd, false)
		}
		h.writeSome(s)
		if h.rnd.IntN(10) == 0 {
			h.repair(s)
		}
		h.now = h.now.Add(grace / 4)
		h.check(step)
	}
	for _, s := range h.servers {
		s.hear(t, h.rnd, true)
		for ip := range s.index.known {
			if _, err := h.st.Get(t.Context(), addressKey(ip)); err != nil {
				t.Errorf("%s is believed to be taken: %v", ip, err)
			}
		}
		if n := s.index.ranges[0].pool.count(); n != len(s.index.known) || len(s.index.held)+len(s.ports.held) > 0 {
			t.Errorf("%d addresses are marked, %d known; held: %v %v", n, len(s.index.known), s.index.held, s.ports.held)
		}
	}
	if h.losses == 0 {
		t.Error("no two servers ever chose the same")
	}
	if h.repairs == 0 {
		t.Error("no repair ever believed that it had to write")
	}
	t.Logf("%d losses, %d commits tried by repairs", h.losses, h.repairs)
}

func (h *history) writeSome(s *server) { h.write(s, "s"+strconv.Itoa(h.rnd.IntN(30))) }

// repair reads and writes as a server does whose requests go on meanwhile, and the other's too.
func (h *history) repair(s *server) {
	var slow watched
	others := func() {
		s.store = h.st
		for range h.rnd.IntN(6) {
			h.writeSome(h.servers[h.rnd.IntN(2)])
		}
		s.store = slow
	}
	slow = watched{h.st, func([]store.Op) { h.repairs++; others() }}
	o := Objects{
		IPAddresses: func(context.Context) ([]*networkingv1.IPAddress, error) {
			defer others()
			return s.stored(h.t), nil
		},
		Services: func(context.Context) ([]*corev1.Service, error) {
			defer others()
			return slices.Collect(maps.Values(h.live)), nil
		},
	}
	s.store = slow
	if err := s.Repair(h.t.Context(), o, slog.New(slog.DiscardHandler)); err != nil {
		h.t.Fatal(err)
	}
	s.store = h.st
}

// stored are the IPAddresses that there are.
func (s *server) stored(t *testing.T) (all []*networkingv1.IPAddress) {
	snap, err := s.store.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	err = snap.Range(store.Prefix(addressPrefix), func(kv store.KV) bool {
		a, err := s.decode(kv)
		if err != nil {
			t.Fatal(err)
		}
		a.ResourceVersion = strconv.FormatInt(kv.Revision, 10)
		all = append(all, a)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// write creates, changes or deletes a Service, begins anew when something is lost, and gives up at times.
func (h *history) write(s *server, name string) {
	old := h.live[name]
	remove := old != nil && h.rnd.IntN(2) == 0
	for range 100 {
		var new *corev1.Service
		if !remove {
			new = service(name, "")
		}
		r := s.Request(new, old)
		err := h.fill(r, new, old)
		if err == nil && h.rnd.IntN(8) > 0 {
			var revision store.Revision
			revision, err = commitAt(r, store.AnyRevision)
			if err == nil && remove {
				delete(h.live, name)
			} else if err == nil {
				new.ResourceVersion = strconv.FormatInt(revision, 10)
				h.live[name] = new
			}
		}
		r.End()
		if !errors.Is(err, registry.ErrLost) {
			return
		}
		h.losses++
	}
	h.t.Fatal("a hundred losses in a row")
}

// fill takes an address, unless the Service has one, and node ports, by choice or by name.
func (h *history) fill(r *Request, new, old *corev1.Service) (err error) {
	if new == nil {
		return nil
	}
	var ip netip.Addr
	switch {
	case len(heldAddresses(old)) > 0 && h.rnd.IntN(4) > 0:
		ip = heldAddresses(old)[0]
	case len(heldAddresses(old)) > 0: // it lets go of it
	case h.rnd.IntN(2) == 0:
		ip, err = r.Address(corev1.IPv4Protocol)
	default:
		ip = netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + h.rnd.IntN(30))})
		err = r.TakeAddress(context.Background(), ip, h.refusal(r, func(o *corev1.Service) bool { return holdsAddress(o, ip) }))
	}
	if err != nil {
		return err
	}
	if ip.IsValid() {
		new.Spec.ClusterIPs = []string{ip.String()}
	}
	for range h.rnd.IntN(3) {
		port := int32(30000 + h.rnd.IntN(21))
		held := false
		for _, p := range append(heldPorts(old), heldPorts(new)...) {
			held = held || p == uint64(port)
		}
		switch {
		case held:
		case h.rnd.IntN(2) == 0:
			port, err = r.Port()
		default:
			err = r.TakePort(context.Background(), port, h.refusal(r, func(o *corev1.Service) bool { return holdsPort(o, port) }))
		}
		if err != nil {
			return err
		}
		new.Spec.Ports = append(new.Spec.Ports, corev1.ServicePort{NodePort: port})
	}
	return nil
}

// refusal fails the test if nobody holds what is refused.
func (h *history) refusal(r *Request, holds func(*corev1.Service) bool) func(error) error {
	return func(reason error) error {
		h.t.Helper()
		for _, o := range h.live {
			if holds(o) {
				return reason
			}
		}
		if holds(r.new) {
			return reason
		}
		h.t.Fatalf("refused for no reason: %v", reason)
		return reason
	}
}

func holdsAddress(svc *corev1.Service, ip netip.Addr) bool {
	for _, held := range heldAddresses(svc) {
		if held == ip {
			return true
		}
	}
	return false
}

func holdsPort(svc *corev1.Service, port int32) bool {
	for _, held := range heldPorts(svc) {
		if held == uint64(port) {
			return true
		}
	}
	return false
}

func (h *history) check(step int) {
	h.t.Helper()
	owners, ports := map[string]string{}, map[uint64]string{}
	for _, svc := range h.live {
		for _, ip := range heldAddresses(svc) {
			if other, twice := owners[ip.String()]; twice {
				h.t.Fatalf("step %d: %s and %s have %s", step, other, keyOf(svc), ip)
			}
			owners[ip.String()] = keyOf(svc)
		}
		for _, port := range heldPorts(svc) {
			if other, twice := ports[port]; twice {
				h.t.Fatalf("step %d: %s and %s have port %d", step, other, keyOf(svc), port)
			}
			ports[port] = keyOf(svc)
		}
	}
	checkStored(h.t, h.servers[0].Services, owners, ports)
}

// checkStored compares what is claimed with what should be.
func checkStored(t *testing.T, s *Services, owners map[string]string, used map[uint64]string) {
	t.Helper()
	snap, err := s.store.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	n := 0
	err = snap.Range(store.Prefix(addressPrefix), func(kv store.KV) bool {
		a, err := s.decode(kv)
		if err != nil {
			t.Fatal(err)
		}
		if ownerOf(a) != owners[a.Name] {
			t.Fatalf("%s is claimed by %q, held by %q", a.Name, ownerOf(a), owners[a.Name])
		}
		n++
		return true
	})
	if err != nil || n != len(owners) {
		t.Fatalf("%d claims of %d addresses, %v", n, len(owners), err)
	}
	kv, err := snap.Get(portsKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	p := newPorts(s.ports.rang)
	if err := p.learn(kv); err != nil {
		t.Fatal(err)
	}
	for port := uint64(p.rang.First); port <= uint64(p.rang.Last); port++ {
		if _, is := used[port]; is != p.isStored(port) {
			t.Fatalf("port %d is held: %v, claimed: %v", port, is, p.isStored(port))
		}
	}
}
