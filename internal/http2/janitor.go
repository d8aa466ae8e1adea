package http2

import (
	"maps"
	"slices"
	"time"
)

// janitorEvery is how often the janitor comes by. It works only while there are connections.
const janitorEvery = 5 * time.Second

// janitor looks after the server's connections until there are none.
func (s *Server) janitor() {
	t := time.NewTicker(janitorEvery)
	defer t.Stop()
	// A stall is noticed when a connection's writer is where it was a timeout ago.
	stall := time.Now()
	for now := range t.C {
		stalled := now.Sub(stall) >= s.stallTimeout()
		if stalled {
			stall = now
		}
		conns := s.present()
		if conns == nil {
			return
		}
		for _, c := range conns {
			if c.tick(now, stalled) != nil {
				c.net.Close()
			}
		}
	}
}

// present lists the connections. If there are none, the janitor's work is over. Workers that are too many end.
func (s *Server) present() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) == 0 {
		s.workers.review(true)
		s.conns = nil
		return nil
	}
	s.workers.review(false)
	return slices.Collect(maps.Keys(s.conns))
}
