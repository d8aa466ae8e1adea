package apiserver

import (
	"net/http"
	"net/http/pprof"
)

// addProfiles connects Go's profiles. They are paths like all others: who may not get them is refused.
func (s *Server) addProfiles() {
	s.Handle("/debug/pprof", http.RedirectHandler("/debug/pprof/", http.StatusFound))
	s.Handle("/debug/pprof/", http.HandlerFunc(pprof.Index))
	s.Handle("/debug/pprof/cmdline", http.HandlerFunc(pprof.Cmdline))
	s.Handle("/debug/pprof/profile", http.HandlerFunc(pprof.Profile))
	s.Handle("/debug/pprof/symbol", http.HandlerFunc(pprof.Symbol))
	s.Handle("/debug/pprof/trace", http.HandlerFunc(pprof.Trace))
}
