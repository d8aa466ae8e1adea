package allocate

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/store"
)

// repairAttempts is how often the node ports are looked through anew because writers changed them meanwhile.
const repairAttempts = 5

// readPorts reads which node ports are taken into a copy that stays as it is while others write.
func (s *Services) readPorts(ctx context.Context) (*ports, error) {
	kv, err := s.store.Get(ctx, portsKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	p := newPorts(s.ports.rang)
	return p, p.learn(kv)
}

// repairPorts sets the bits of node ports that Services have, and clears those that no Service has had for a
// while. p was read before the Services; if it has changed since, the error is a conflict.
func (s *Services) repairPorts(ctx context.Context, p *ports, services []*corev1.Service, log *slog.Logger) error {
	lacking, used := p.compare(services)
	leaked := s.leaked(p, used)
	if len(leaked) > 0 || p.revision == 0 || p.object.Range != p.rang.String() {
		if err := s.change(ctx, p, nil, leaked); err != nil {
			return err
		}
		for _, port := range leaked {
			log.Warn("a node port that no Service has is given back", "port", port)
		}
	}
	for batch := range slices.Chunk(lacking, repairBatch) {
		if err := s.change(ctx, p, batch, nil); err != nil {
			return err
		}
		for _, l := range batch {
			log.Warn("node ports were not claimed", "ports", l.ports, "service", keyOf(l.service))
		}
	}
	return nil
}

// lack is a Service and those of its node ports that are not claimed.
type lack struct {
	service *corev1.Service
	ports   []uint64
}

// compare finds the Services that lack a claim, and all ports that Services have.
func (p *ports) compare(services []*corev1.Service) (lacking []lack, used map[uint64]bool) {
	used = map[uint64]bool{}
	for _, svc := range services {
		l := lack{service: svc}
		for _, port := range heldPorts(svc) {
			if p.contains(port) && !used[port] && !p.isStored(port) {
				l.ports = append(l.ports, port)
			}
			used[port] = true
		}
		if len(l.ports) > 0 {
			lacking = append(lacking, l)
		}
	}
	return lacking, used
}

// leaked are the ports that are claimed, and that no Service had this time nor some time ago. Who claims a port and
// gives it back in between is not noticed, but then p has changed when the bits are.
func (s *Services) leaked(p *ports, used map[uint64]bool) (leaked []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for port := uint64(p.rang.First); port <= uint64(p.rang.Last); port++ {
		if !p.isStored(port) || used[port] {
			delete(s.leaks, port)
			continue
		}
		since, flagged := s.leaks[port]
		if !flagged {
			s.leaks[port] = s.now()
		} else if s.now().Sub(since) >= grace {
			leaked = append(leaked, port)
		}
	}
	return leaked
}

// change claims ports for Services that are as they were read, and gives some back. p is what is stored then.
func (s *Services) change(ctx context.Context, p *ports, lacking []lack, give []uint64) error {
	var take []uint64
	var conditions []store.Op
	for _, l := range lacking {
		take = append(take, l.ports...)
		conditions = append(conditions, unchanged(l.service))
	}
	op, err := p.op(p.change(take, give))
	if err != nil {
		return err
	}
	revision, err := s.store.Commit(ctx, append(conditions, op)...)
	if err != nil {
		return err
	}
	stored := store.KV{Key: portsKey, Value: op.Value, Revision: revision}
	if err := p.learn(stored); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ports.learn(stored)
}
