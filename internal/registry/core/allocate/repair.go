package allocate

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/proa-dev/proa/internal/store"
)

// Claims change with their Services, so they need no care as long as everybody keeps to that. A store that
// others wrote may be different: a data directory from before there were IPAddresses; kube-apiserver, which
// writes claims first and Services later and may die in between; a user who deletes an IPAddress. Repair
// brings the claims in line with the Services, as kube-apiserver's own repair does.
//
// It works beside writers, here and at other servers. Claims are read before Services: then a Service that is
// not there has either gone since, and its claims with it, or is still to come from a kube-apiserver, which is
// given a minute. What is repaired must be as it was read, or is left for the next time.

// Objects are read by Repair, as of now.
type Objects struct {
	IPAddresses func(context.Context) ([]*networkingv1.IPAddress, error)
	Services    func(context.Context) ([]*corev1.Service, error)
}

// grace is for how long a claim may be without its Service: no request takes longer.
const grace = time.Minute

// Repair makes the claims that Services lack and takes away those that have none.
func (s *Services) Repair(ctx context.Context, o Objects, log *slog.Logger) error {
	if err := s.lookAtPorts(ctx); err != nil {
		return err
	}
	addresses, err := o.IPAddresses(ctx)
	if err != nil {
		return err
	}
	services, err := o.Services(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	found := flaws(addresses, services, s.now(), s.index.contains)
	s.mu.Unlock()
	for batch := range slices.Chunk(found, repairBatch) {
		if err := s.mend(ctx, batch, log); err != nil {
			return err
		}
	}
	return s.repairPorts(ctx, services, log)
}

// flaw is an address whose claim is not as it should be.
type flaw struct {
	ip netip.Addr
	// wrong is to be taken away; nil if there is nothing.
	wrong *networkingv1.IPAddress
	// service shall have the address; nil if none.
	service *corev1.Service
	// double is a Service whose address is another's; it is for the operator to see to.
	double bool
	why    string
}

// flaws compares claims with Services. inRange tells whether an address may be claimed.
func flaws(addresses []*networkingv1.IPAddress, services []*corev1.Service, now time.Time, inRange func(netip.Addr) bool) []flaw {
	claims := map[string]*networkingv1.IPAddress{}
	for _, a := range addresses {
		claims[a.Name] = a
	}
	holders := map[string]*corev1.Service{}
	for _, svc := range services {
		holders[keyOf(svc)] = svc
	}
	var found []flaw
	right := map[string]bool{} // the addresses that are seen to by their Services
	for _, svc := range services {
		for _, ip := range heldAddresses(svc) {
			a := claims[ip.String()]
			if f, ok := flawOf(ip, svc, a, holders); ok && (inRange(ip) || a != nil) && !right[ip.String()] {
				found = append(found, f)
			}
			right[ip.String()] = true
		}
	}
	for _, a := range addresses {
		if a.Labels[networkingv1.LabelManagedBy] != managedBy || right[a.Name] {
			continue
		}
		ip, err := netip.ParseAddr(a.Name)
		if err != nil || ownerOf(a) != "" && now.Sub(a.CreationTimestamp.Time) < grace {
			continue
		}
		found = append(found, flaw{ip: ip, wrong: a, why: "no Service has the address"})
	}
	return found
}

// flawOf looks at an address of a Service. a is its IPAddress, nil if there is none.
func flawOf(ip netip.Addr, svc *corev1.Service, a *networkingv1.IPAddress, holders map[string]*corev1.Service) (flaw, bool) {
	if a == nil {
		return flaw{ip: ip, service: svc, why: "the Service's address has no IPAddress"}, true
	}
	if owner := ownerOf(a); owner != keyOf(svc) {
		if other := holders[owner]; other != nil && slices.Contains(heldAddresses(other), ip) {
			return flaw{ip: ip, service: svc, double: true, why: "the address belongs to several Services; please recreate this one"}, true
		}
		return flaw{ip: ip, wrong: a, service: svc, why: "the IPAddress names something else"}, true
	}
	if a.Labels[networkingv1.LabelManagedBy] != managedBy || a.Labels[networkingv1.LabelIPAddressFamily] != string(familyOf(ip)) {
		return flaw{ip: ip, wrong: a, service: svc, why: "the IPAddress has other labels"}, true
	}
	return flaw{}, false
}

// repairBatch is how many claims are mended in one commit.
const repairBatch = 64

// mend repairs claims in one commit; where that meets a claim that has changed meanwhile, one by one, without
// those.
func (s *Services) mend(ctx context.Context, batch []flaw, log *slog.Logger) error {
	var give, take []store.Op
	for _, f := range batch {
		service := ""
		if f.service != nil {
			service = keyOf(f.service)
		}
		log.Warn("repairing the claim of an address", "address", f.ip.String(), "service", service, "why", f.why)
		if f.double {
			continue
		}
		if f.wrong != nil {
			give = append(give, store.Op{Key: addressKey(f.ip), Expect: revisionOf(f.wrong)})
		}
		if f.service == nil {
			continue
		}
		op, err := s.takeOp(f.ip, f.service)
		if err != nil {
			return err
		}
		take = append(take, op)
	}
	if err := s.commitEach(ctx, give); err != nil {
		return err
	}
	return s.commitEach(ctx, take)
}

func (s *Services) commitEach(ctx context.Context, ops []store.Op) error {
	if len(ops) == 0 {
		return nil
	}
	_, err := s.store.Commit(ctx, ops...)
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	for _, op := range ops {
		if _, err := s.store.Commit(ctx, op); err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return nil
}

// repairPorts sets the bits of node ports that Services have, and clears those that no Service has had for a
// while. The bits were read before the Services; if they change meanwhile, the next time is soon enough.
func (s *Services) repairPorts(ctx context.Context, services []*corev1.Service, log *slog.Logger) error {
	op, err := s.portsRepaired(services, log)
	if err != nil || op == nil {
		return err
	}
	revision, err := s.store.Commit(ctx, *op)
	var conflict *store.ConflictError
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.As(err, &conflict):
		return s.ports.learn(conflict.Actual)
	case err != nil:
		return err
	}
	return s.ports.learn(store.KV{Key: portsKey, Value: op.Value, Revision: revision})
}

// portsRepaired is what the bits should be, nil if they are so.
func (s *Services) portsRepaired(services []*corev1.Service, log *slog.Logger) (*store.Op, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.ports
	used := map[uint64]bool{}
	var missing, leaked []uint64
	for _, svc := range services {
		for _, port := range heldPorts(svc) {
			if p.contains(port) && !used[port] && !p.isStored(port) {
				missing = append(missing, port)
				log.Warn("repairing the claim of a node port", "port", port, "service", keyOf(svc))
			}
			used[port] = true
		}
	}
	for i := range p.stored.BitLen() {
		port := uint64(p.rang.First) + uint64(i)
		if p.stored.Bit(i) == 0 || used[port] || p.held[port] {
			delete(s.leaks, port)
			continue
		}
		since, flagged := s.leaks[port]
		if !flagged {
			s.leaks[port] = s.now()
		} else if s.now().Sub(since) >= grace {
			leaked = append(leaked, port)
			log.Warn("giving back a node port that no Service has", "port", port)
		}
	}
	bits := p.change(missing, leaked)
	if p.revision != 0 && p.object.Range == p.rang.String() && bits.Cmp(p.stored) == 0 {
		return nil, nil
	}
	op, err := p.op(bits)
	return &op, err
}
