package simulated

import (
	"fmt"
	"net/netip"
)

// addresses are those that a node has for its pods. An address that was given back is the last to be given
// out again.
type addresses struct {
	prefix netip.Prefix
	last   netip.Addr // given out last; at first the gateway's, which is nobody's
	used   map[netip.Addr]struct{}
}

func newAddresses(prefix netip.Prefix) addresses {
	prefix = prefix.Masked()
	return addresses{prefix: prefix, last: prefix.Addr().Next(), used: map[netip.Addr]struct{}{}}
}

func (a *addresses) take() (netip.Addr, error) {
	at := a.last
	for range len(a.used) + 1 { // one of so many is free, or all there are were tried
		at = a.after(at)
		if _, taken := a.used[at]; !taken && a.prefix.Contains(at) {
			a.used[at] = struct{}{}
			a.last = at
			return at, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("no IP addresses available in range %s", a.prefix)
}

// after is the next address for pods: not the network's, the gateway's, nor the last, which is for broadcast.
func (a *addresses) after(at netip.Addr) netip.Addr {
	next := at.Next()
	if !a.prefix.Contains(next) || !a.prefix.Contains(next.Next()) {
		next = a.prefix.Addr().Next().Next()
	}
	return next
}

// hold takes an address that a pod has already.
func (a *addresses) hold(at netip.Addr) {
	if a.prefix.Contains(at) {
		a.used[at] = struct{}{}
	}
}

func (a *addresses) release(at netip.Addr) { delete(a.used, at) }
