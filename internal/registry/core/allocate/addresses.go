package allocate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// The errors of taking an address or a port. Clients see their texts.
var (
	ErrFull           = errors.New("range is full")
	ErrAddressTaken   = errors.New("provided IP is already allocated")
	ErrForeignAddress = errors.New("the provided network does not match the current range")
	ErrPortTaken      = errors.New("provided port is already allocated")
)

// addresses is the pool of one IP range. A number in it is an address's distance from the range's base.
type addresses struct {
	prefix netip.Prefix
	pool   *pool
}

// minIPv6Bits keeps distances within 64 bits.
const minIPv6Bits = 64

func newAddresses(prefix netip.Prefix) (*addresses, error) {
	prefix = prefix.Masked()
	if prefix.Addr().Is6() && prefix.Bits() < minIPv6Bits {
		return nil, fmt.Errorf("shortest allowed prefix length for service CIDR is %d, got %d", minIPv6Bits, prefix.Bits())
	}
	hostBits := prefix.Addr().BitLen() - prefix.Bits()
	if hostBits < 2 {
		return nil, fmt.Errorf("service CIDR %s is too small", prefix)
	}
	last := uint64(1)<<(hostBits-1) - 1
	last = last<<1 | 1
	whole := last // one less than the range's size, which may not fit
	if prefix.Addr().Is4() {
		last-- // the broadcast address
	}
	// The first address is for the Service of the API server itself, so no other gets it unasked.
	return &addresses{prefix: prefix, pool: newPool(1, last, 2, 1+staticPart(whole, 16, 16, 256))}, nil
}

// staticPart is how many numbers at a range's start are kept for those who ask by name: one in step, at
// least least and at most most. last is one less than the range's size.
func staticPart(last, step, least, most uint64) uint64 {
	if last < least {
		return 0
	}
	part := last / step
	if last%step == step-1 {
		part++ // last+1 may not fit in 64 bits
	}
	return min(max(part, least), most)
}

func (a *addresses) family() corev1.IPFamily {
	if a.prefix.Addr().Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

// number of the address, which must be in the prefix.
func (a *addresses) number(ip netip.Addr) uint64 { return low64(ip) - low64(a.prefix.Addr()) }

func (a *addresses) address(n uint64) netip.Addr {
	base := a.prefix.Addr().As16()
	binary.BigEndian.PutUint64(base[8:], low64(a.prefix.Addr())+n)
	ip := netip.AddrFrom16(base)
	if a.prefix.Addr().Is4() {
		return ip.Unmap()
	}
	return ip
}

func low64(ip netip.Addr) uint64 {
	b := ip.As16()
	return binary.BigEndian.Uint64(b[8:])
}

// contains tells whether the range may hand the address out.
func (a *addresses) contains(ip netip.Addr) bool {
	return a.prefix.Contains(ip) && a.pool.contains(a.number(ip))
}

// take marks an address, if it is of the range.
func (a *addresses) take(ip netip.Addr) {
	if a.contains(ip) {
		a.pool.take(a.number(ip))
	}
}

func (a *addresses) release(ip netip.Addr) {
	if a.contains(ip) {
		a.pool.release(a.number(ip))
	}
}
