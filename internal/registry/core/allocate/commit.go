package allocate

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/store"
)

// A commit is tried with what is known, and again with what it met, until it succeeds, the Service itself is
// not what it was, or a number that the request holds is another's:
//
//   - A taken address that is there already is lost.
//   - An address to give back whose IPAddress has changed, or is gone, is looked at again; one that belongs to
//     something else is left alone.
//   - Node ports that have changed are read again; if one of the request's is among them it is lost.

// commit is one attempt's operations and what follows from them.
type commit struct {
	*Request
	own         store.Op
	give        []netip.Addr
	there       map[netip.Addr]store.KV // the IPAddresses to give back, as they are
	takePorts   []uint64
	givePorts   []uint64
	ops         []store.Op
	changePorts func(store.Revision) // nil if they stay as they are
}

// Commit implements registry.Claim.
func (r *Request) Commit(ctx context.Context, own store.Op) (store.Revision, error) {
	c := &commit{Request: r, own: own, there: map[netip.Addr]store.KV{}}
	c.give, c.givePorts = r.gives()
	for _, t := range r.ports {
		c.takePorts = append(c.takePorts, t.number)
	}
	if len(c.takePorts)+len(c.givePorts) > 0 {
		select {
		case r.services.writing <- struct{}{}:
			defer func() { <-r.services.writing }()
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	for {
		if err := c.prepare(ctx); err != nil {
			return 0, err
		}
		revision, err := r.services.store.Commit(ctx, c.ops...)
		if err == nil {
			c.done(revision)
			return revision, nil
		}
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) || conflict.Key == own.Key {
			return 0, err
		}
		if err := c.met(conflict.Actual); err != nil {
			return 0, err
		}
	}
}

// prepare makes the operations.
func (c *commit) prepare(ctx context.Context) error {
	c.ops = append(c.ops[:0], c.own)
	for _, t := range c.took {
		op, err := c.services.takeOp(t.number, c.new)
		if err != nil {
			return err
		}
		c.ops = append(c.ops, op)
	}
	for _, ip := range c.give {
		if err := c.giveBack(ctx, ip); err != nil {
			return err
		}
	}
	return c.preparePorts(ctx)
}

// giveBack adds what gives an address back, if it is the Service's to give.
func (c *commit) giveBack(ctx context.Context, ip netip.Addr) error {
	kv, read := c.there[ip]
	if !read {
		var err error
		kv, err = c.services.store.Get(ctx, addressKey(ip))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		c.there[ip] = kv
	}
	if kv.Revision == 0 {
		return nil
	}
	a, err := c.services.decode(kv)
	if err != nil {
		return err
	}
	if ownerOf(a) != keyOf(c.old) {
		return nil
	}
	op, needed, err := c.services.giveOp(a, kv)
	if needed {
		c.ops = append(c.ops, op)
	}
	return err
}

func (c *commit) preparePorts(ctx context.Context) error {
	c.changePorts = nil
	if len(c.takePorts)+len(c.givePorts) == 0 {
		return nil
	}
	s := c.services
	// A port to give back that is free as far as is known: another server took it.
	if !s.allStored(c.givePorts) {
		if err := s.lookAtPorts(ctx); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Another request may have met what others took since this one held its ports.
	if err := c.lostPort(); err != nil {
		return err
	}
	bits := s.ports.change(c.takePorts, c.givePorts)
	if bits.Cmp(s.ports.stored) == 0 {
		return nil
	}
	op, err := s.ports.op(bits)
	c.ops = append(c.ops, op)
	c.changePorts = func(revision store.Revision) { s.ports.committed(bits, revision, c.givePorts) }
	return err
}

func (s *Services) allStored(ports []uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(ports, func(port uint64) bool { return !s.ports.isStored(port) })
}

// met takes in what a failed commit found in place of what it expected.
func (c *commit) met(actual store.KV) error {
	s := c.services
	if actual.Key == portsKey {
		return c.metPorts(actual)
	}
	for _, t := range c.took {
		if actual.Key != addressKey(t.number) {
			continue
		}
		var owner string
		if a, err := s.decode(actual); err == nil {
			owner = ownerOf(a)
		}
		s.mu.Lock()
		s.index.learn(t.number, actual.Revision, owner)
		s.mu.Unlock()
		return t.lost(ErrAddressTaken)
	}
	for _, ip := range c.give {
		if actual.Key == addressKey(ip) {
			c.there[ip] = actual
		}
	}
	return nil
}

func (c *commit) metPorts(actual store.KV) error {
	s := c.services
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ports.learn(actual)
}

// lostPort tells whether others have a port that the request holds.
func (c *commit) lostPort() error {
	for _, t := range c.ports {
		if c.services.ports.isStored(t.number) {
			return t.lost(ErrPortTaken)
		}
	}
	return nil
}

// done takes in that the commit succeeded.
func (c *commit) done(revision store.Revision) {
	s := c.services
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range c.took {
		s.index.learn(t.number, revision, keyOf(c.new))
	}
	for _, op := range c.ops[1:] {
		if ip, ok := addressOf(op.Key); ok && op.Value == nil {
			s.index.release(ip)
		}
	}
	if c.changePorts != nil {
		c.changePorts(revision)
	}
}

// addressOf is the address that an IPAddress's key is of.
func addressOf(key string) (netip.Addr, bool) {
	name, ok := strings.CutPrefix(key, addressPrefix)
	if !ok {
		return netip.Addr{}, false
	}
	ip, err := netip.ParseAddr(name)
	return ip, err == nil
}

// Changed tells the allocator of an IPAddress that has changed, or is gone. Changes are told in their order.
func (s *Services) Changed(name string, a *networkingv1.IPAddress) {
	ip, err := netip.ParseAddr(name)
	if err != nil {
		return // validation lets none through
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a == nil {
		if owner, news := s.index.forget(ip); news && owner != "" {
			select {
			case s.unclaimed <- struct{}{}:
			default:
			}
		}
		return
	}
	s.index.tell(ip, revisionOf(a), ownerOf(a))
}

// Unclaimed tells, some time after, that the IPAddress of a Service was deleted by others. The Service may have
// gone with it, at another server; if not, it must be claimed again (Repair).
func (s *Services) Unclaimed() <-chan struct{} { return s.unclaimed }

// revisionOf is an object's revision; 0 if it has none.
func revisionOf(o metav1.Object) store.Revision {
	revision, _ := strconv.ParseInt(o.GetResourceVersion(), 10, 64)
	return revision
}
