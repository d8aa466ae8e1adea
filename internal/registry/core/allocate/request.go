package allocate

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Request is what one write takes and gives back. It is used by one goroutine.
type Request struct {
	services *Services
	took     []netip.Addr
	tookPort []uint64
	done     bool
}

// Request begins one; Finish ends it.
func (s *Services) Request() *Request { return &Request{services: s} }

// Address takes a free address of the family, which must be one of Families.
func (r *Request) Address(family corev1.IPFamily) (netip.Addr, error) {
	r.services.mu.Lock()
	defer r.services.mu.Unlock()
	a := r.services.addresses[family]
	n, ok := a.pool.any()
	if !ok {
		return netip.Addr{}, ErrFull
	}
	ip := a.address(n)
	r.took = append(r.took, ip)
	return ip, nil
}

// TakeAddress takes the address that was asked for.
func (r *Request) TakeAddress(ip netip.Addr) error {
	r.services.mu.Lock()
	defer r.services.mu.Unlock()
	a := r.services.rangeOf(ip)
	if a == nil {
		return ErrForeignAddress
	}
	if err := a.take(ip); err != nil {
		return err
	}
	r.took = append(r.took, ip)
	return nil
}

// Port takes a free node port.
func (r *Request) Port() (int32, error) {
	r.services.mu.Lock()
	defer r.services.mu.Unlock()
	n, ok := r.services.ports.any()
	if !ok {
		return 0, ErrFull
	}
	r.tookPort = append(r.tookPort, n)
	return int32(n), nil
}

// TakePort takes the node port that was asked for.
func (r *Request) TakePort(port int32) error {
	r.services.mu.Lock()
	defer r.services.mu.Unlock()
	n := uint64(port)
	if port < 0 || !r.services.ports.contains(n) {
		return fmt.Errorf("provided port is not in the valid range. The range of valid ports is %s", r.services.portRange)
	}
	if !r.services.ports.take(n) {
		return ErrPortTaken
	}
	r.tookPort = append(r.tookPort, n)
	return nil
}

// Finish gives back what the write has left over: after a commit, what old held and new does not;
// otherwise, what the request took. Either may be nil. Further calls do nothing.
func (r *Request) Finish(committed bool, new, old *corev1.Service) {
	if r.done {
		return
	}
	r.done = true
	s := r.services
	s.mu.Lock()
	defer s.mu.Unlock()
	if !committed {
		for _, ip := range r.took {
			s.rangeOf(ip).release(ip)
		}
		for _, port := range r.tookPort {
			s.ports.release(port)
		}
		return
	}
	kept := heldAddresses(new)
	for _, ip := range heldAddresses(old) {
		if a := s.rangeOf(ip); a != nil && !slices.Contains(kept, ip) {
			a.release(ip)
		}
	}
	keptPorts := heldPorts(new)
	for _, port := range heldPorts(old) {
		if s.ports.contains(port) && !slices.Contains(keptPorts, port) {
			s.ports.release(port)
		}
	}
}
