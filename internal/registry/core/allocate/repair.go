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
// It works beside writers, here and at other servers, by three rules:
//
//   - Claims are read before Services. Then a Service that is not there has either gone since, and its claims with
//     it, or is still to come from a kube-apiserver, which is given a minute.
//   - What is mended must be as it was read. A claim is made for a Service only if the Service is as it was read too,
//     in the same commit: it may have come after the claims were read and be gone by now.
//   - What has changed meanwhile is left for the next time.

// Objects are read by Repair, as of now.
type Objects struct {
	IPAddresses func(context.Context) ([]*networkingv1.IPAddress, error)
	Services    func(context.Context) ([]*corev1.Service, error)
}

// grace is for how long a claim may be without its Service: no request takes longer.
const grace = time.Minute

// Repair makes the claims that Services lack and takes away those that have none.
func (s *Services) Repair(ctx context.Context, o Objects, log *slog.Logger) error {
	ports, err := s.readPorts(ctx)
	if err != nil {
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
	for range repairAttempts {
		if err = s.repairPorts(ctx, ports, services, log); !errors.Is(err, store.ErrConflict) {
			return err
		}
		if ports, err = s.readPorts(ctx); err != nil {
			return err
		}
		if services, err = o.Services(ctx); err != nil {
			return err
		}
	}
	log.Info("node ports change too fast to be looked through; the next time will do")
	return nil
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

func (f *flaw) tell(log *slog.Logger) {
	service := ""
	if f.service != nil {
		service = keyOf(f.service)
	}
	log.Warn("the claim of an address was not as it should be", "address", f.ip.String(), "service", service, "why", f.why)
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

// repairBatch is how many claims are mended in one commit: each makes two comparisons, of which etcd takes 128.
const repairBatch = 60

// mend repairs claims in one commit; where that meets something that has changed meanwhile, one by one, without
// those.
func (s *Services) mend(ctx context.Context, batch []flaw, log *slog.Logger) error {
	var mended []flaw
	var all [][]store.Op
	for _, f := range batch {
		if f.double {
			f.tell(log)
			continue
		}
		ops, err := s.mending(f)
		if err != nil {
			return err
		}
		mended, all = append(mended, f), append(all, ops)
	}
	if len(all) == 0 {
		return nil
	}
	_, err := s.store.Commit(ctx, together(all)...)
	oneByOne := errors.Is(err, store.ErrConflict)
	for i, ops := range all {
		if oneByOne {
			_, err = s.store.Commit(ctx, ops...)
		}
		switch {
		case err == nil:
			mended[i].tell(log)
		case !errors.Is(err, store.ErrConflict):
			return err
		}
	}
	return nil
}

// mending is what repairs a claim.
func (s *Services) mending(f flaw) ([]store.Op, error) {
	present := store.MustNotExist
	if f.wrong != nil {
		present = revisionOf(f.wrong)
	}
	if f.service == nil {
		return []store.Op{{Key: addressKey(f.ip), Expect: present}}, nil
	}
	op, err := s.takeOp(f.ip, f.service)
	op.Expect = present
	return []store.Op{op, unchanged(f.service)}, err
}

// unchanged is the condition that a Service is as it was read.
func unchanged(svc *corev1.Service) store.Op {
	return store.Op{Key: serviceKey(svc), Expect: revisionOf(svc), Check: true}
}

// together makes one commit of several. Two addresses of a Service have the same condition.
func together(all [][]store.Op) []store.Op {
	ops := slices.Concat(all...)
	seen := map[string]bool{}
	return slices.DeleteFunc(ops, func(op store.Op) bool {
		twice := seen[op.Key]
		seen[op.Key] = true
		return twice
	})
}
