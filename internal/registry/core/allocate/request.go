package allocate

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/store"
)

// Request is what one write of a Service takes and gives back. It is used by one goroutine.
type Request struct {
	services *Services
	new, old *corev1.Service // nil on delete and on create
	took     []taken[netip.Addr]
	ports    []taken[uint64]
}

var _ registry.Claim = (*Request)(nil)

// taken is a number that the request holds in memory.
type taken[N any] struct {
	number N
	// refuse makes the answer to a client that asked for the number, which others have taken in the
	// meantime; nil if nobody asked for it.
	refuse func(reason error) error
}

// lost is the error when others have a number that the request holds.
func (t taken[N]) lost(reason error) error {
	if t.refuse == nil {
		return registry.ErrLost
	}
	return t.refuse(reason)
}

// Request begins one. It takes by Address, TakeAddress, Port and TakePort, and gives back what old has and new
// does not.
func (s *Services) Request(new, old *corev1.Service) *Request {
	return &Request{services: s, new: new, old: old}
}

// Address takes a free address of the family, which must be one of Families.
func (r *Request) Address(family corev1.IPFamily) (netip.Addr, error) {
	s := r.services
	s.mu.Lock()
	defer s.mu.Unlock()
	ip, ok := s.index.any(family)
	if !ok {
		return netip.Addr{}, ErrFull
	}
	r.took = append(r.took, taken[netip.Addr]{number: ip})
	return ip, nil
}

// TakeAddress takes the address that was asked for. refuse makes the client's answer of the reason for which
// it cannot have it.
func (r *Request) TakeAddress(ctx context.Context, ip netip.Addr, refuse func(reason error) error) error {
	s := r.services
	err := s.holdAddress(ip, false)
	if errors.Is(err, errBelieved) {
		if err = s.checkAddress(ctx, ip); err == nil {
			err = s.holdAddress(ip, true)
		}
	}
	if err != nil {
		return refuse(err)
	}
	r.took = append(r.took, taken[netip.Addr]{ip, refuse})
	return nil
}

// errBelieved tells that a number is taken as far as is known, which may be out of date.
var errBelieved = errors.New("believed to be taken")

// holdAddress holds an address that nobody has; sure is what the caller knows better than the index.
func (s *Services) holdAddress(ip netip.Addr, sure bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.index.contains(ip):
		return ErrForeignAddress
	case s.index.held[ip]:
		return ErrAddressTaken
	case !sure && s.index.taken(ip):
		return errBelieved
	}
	s.index.hold(ip)
	return nil
}

// checkAddress asks the store whether an address is taken.
func (s *Services) checkAddress(ctx context.Context, ip netip.Addr) error {
	_, err := s.store.Get(ctx, addressKey(ip))
	switch {
	case err == nil:
		return ErrAddressTaken
	case errors.Is(err, store.ErrNotFound):
		return nil
	}
	return err
}

// Port takes a free node port.
func (r *Request) Port() (int32, error) {
	s := r.services
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.ports.pool.any()
	if !ok {
		return 0, ErrFull
	}
	s.ports.hold(n)
	r.ports = append(r.ports, taken[uint64]{number: n})
	return int32(n), nil
}

// TakePort takes the node port that was asked for; refuse is as with TakeAddress.
func (r *Request) TakePort(ctx context.Context, port int32, refuse func(reason error) error) error {
	s, n := r.services, uint64(port)
	err := s.holdPort(n, port < 0)
	if errors.Is(err, errBelieved) {
		if err = s.lookAtPorts(ctx); err == nil {
			err = s.holdPort(n, port < 0)
		}
	}
	switch {
	case errors.Is(err, errBelieved):
		return refuse(ErrPortTaken)
	case err != nil:
		return refuse(err)
	}
	r.ports = append(r.ports, taken[uint64]{n, refuse})
	return nil
}

func (s *Services) holdPort(n uint64, negative bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case negative || !s.ports.contains(n):
		return s.ports.errRange()
	case s.ports.held[n]:
		return ErrPortTaken
	case s.ports.isStored(n):
		return errBelieved
	}
	s.ports.hold(n)
	return nil
}

// lookAtPorts learns which node ports are taken now.
func (s *Services) lookAtPorts(ctx context.Context) error {
	kv, err := s.store.Get(ctx, portsKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ports.learn(kv)
}

// End implements registry.Claim.
func (r *Request) End() {
	s := r.services
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range r.took {
		s.index.letGo(t.number)
	}
	for _, t := range r.ports {
		s.ports.letGo(t.number)
	}
	r.took, r.ports = nil, nil
}

// gives are the addresses and node ports that the write gives back.
func (r *Request) gives() (addresses []netip.Addr, ports []uint64) {
	kept, keptPorts := heldAddresses(r.new), heldPorts(r.new)
	for _, ip := range heldAddresses(r.old) {
		if !slices.Contains(kept, ip) {
			addresses = append(addresses, ip)
		}
	}
	for _, port := range heldPorts(r.old) {
		if !slices.Contains(keptPorts, port) && r.services.ports.contains(port) {
			ports = append(ports, port)
		}
	}
	return addresses, ports
}
