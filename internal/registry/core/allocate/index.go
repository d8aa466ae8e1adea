package allocate

import (
	"errors"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/store"
)

// index is what a server knows of the addresses that are taken: by the IPAddresses that it is told of, by its
// own commits, and by its requests under way.
//
// It is told of changes in their order, but later than it commits itself (tell, forget). What it has learnt
// before it is told (learn, release) must not be undone by what it is told of the time before; so an entry
// remembers its revision, and whether it has been told of it. Not every loss of memory matters: an address
// that is wrongly believed free costs a commit that fails, nothing else.
type index struct {
	ranges []*addresses
	known  map[netip.Addr]entry
	held   map[netip.Addr]bool // by requests under way
	// told is the highest revision that the index was told of.
	told store.Revision
}

// entry is what is known of one IPAddress.
type entry struct {
	revision store.Revision
	// owner is the key of the Service that it belongs to, namespace/name; "" if it is of something else.
	owner string
	// told of this revision.
	told bool
	// gone by this server's own commit, of which the index has not been told yet.
	gone bool
}

func newIndex() *index {
	return &index{known: map[netip.Addr]entry{}, held: map[netip.Addr]bool{}}
}

// setRanges replaces the ranges from which addresses are chosen. They may overlap. Those that cannot be used
// are left out, and named in the error.
func (x *index) setRanges(prefixes []netip.Prefix) error {
	var unusable error
	ranges := make([]*addresses, 0, len(prefixes))
	for _, prefix := range prefixes {
		if i := slices.IndexFunc(x.ranges, func(a *addresses) bool { return a.prefix == prefix.Masked() }); i >= 0 {
			ranges = append(ranges, x.ranges[i])
			continue
		}
		a, err := newAddresses(prefix)
		if err != nil {
			unusable = errors.Join(unusable, err)
			continue
		}
		for ip := range x.known {
			if x.taken(ip) {
				a.take(ip)
			}
		}
		for ip := range x.held {
			a.take(ip)
		}
		ranges = append(ranges, a)
	}
	x.ranges = ranges
	return unusable
}

func (x *index) contains(ip netip.Addr) bool {
	return slices.ContainsFunc(x.ranges, func(a *addresses) bool { return a.contains(ip) })
}

func (x *index) taken(ip netip.Addr) bool {
	e, known := x.known[ip]
	return x.held[ip] || known && !e.gone
}

// any holds some free address of the family.
func (x *index) any(family corev1.IPFamily) (netip.Addr, bool) {
	for _, a := range x.ranges {
		if a.family() != family {
			continue
		}
		if n, ok := a.pool.any(); ok {
			ip := a.address(n)
			x.hold(ip)
			return ip, true
		}
	}
	return netip.Addr{}, false
}

func (x *index) hold(ip netip.Addr) {
	x.held[ip] = true
	x.mark(ip)
}

func (x *index) letGo(ip netip.Addr) {
	delete(x.held, ip)
	x.mark(ip)
}

// mark brings the ranges' pools in line with what is known of an address.
func (x *index) mark(ip netip.Addr) {
	for _, a := range x.ranges {
		if x.taken(ip) {
			a.take(ip)
		} else {
			a.release(ip)
		}
	}
}

// learn that an address was taken at a revision, from a commit.
func (x *index) learn(ip netip.Addr, revision store.Revision, owner string) {
	if revision <= x.told || revision < x.known[ip].revision {
		return // the index has been told of it, or of more, already
	}
	x.known[ip] = entry{revision: revision, owner: owner}
	x.mark(ip)
}

// release an address, by a commit of this server.
func (x *index) release(ip netip.Addr) {
	e, known := x.known[ip]
	switch {
	case !known:
	case e.told:
		delete(x.known, ip)
	default:
		e.gone = true
		x.known[ip] = e
	}
	x.mark(ip)
}

// tell of an IPAddress that there is.
func (x *index) tell(ip netip.Addr, revision store.Revision, owner string) {
	x.told = max(x.told, revision)
	e, known := x.known[ip]
	switch {
	case known && revision < e.revision:
		return
	case known && revision == e.revision:
		e.told = true
		x.known[ip] = e
	default:
		x.known[ip] = entry{revision: revision, owner: owner, told: true}
	}
	x.mark(ip)
}

// forget an IPAddress that is told to be gone. It tells whose it was, if that is news.
func (x *index) forget(ip netip.Addr) (owner string, news bool) {
	e, known := x.known[ip]
	if !known || !e.told {
		return "", false // of the time before the entry
	}
	delete(x.known, ip)
	x.mark(ip)
	return e.owner, !e.gone
}
