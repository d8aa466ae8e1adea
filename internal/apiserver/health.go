package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// healthCheck is one line of /healthz?verbose.
type healthCheck struct {
	name  string
	check func(context.Context) error
	// readyOnly checks say whether to send requests here, not whether the process is well.
	readyOnly bool
}

// healthTimeout bounds one check.
const healthTimeout = 2 * time.Second

// AddCheck adds a check to the health endpoints, of /readyz alone if readyOnly. Checks are added before
// the server serves.
func (s *Server) AddCheck(name string, readyOnly bool, check func(context.Context) error) {
	s.checks = append(s.checks, healthCheck{name: name, check: check, readyOnly: readyOnly})
	s.addHealthPaths()
}

func (s *Server) addHealth() {
	s.AddCheck("ping", false, func(context.Context) error { return nil })
	s.AddCheck("log", false, func(context.Context) error { return nil })
	s.AddCheck("etcd", false, func(ctx context.Context) error {
		_, err := s.store.Revision(ctx)
		return err
	})
	s.AddCheck("informer-sync", true, s.cache.Ready)
	s.AddCheck("shutdown", true, func(context.Context) error {
		if s.unready.Load() {
			return errors.New("process is shutting down")
		}
		return nil
	})
}

func (s *Server) addHealthPaths() {
	for _, endpoint := range []string{"healthz", "livez", "readyz"} {
		checks := s.checks
		if endpoint != "readyz" {
			checks = slices.DeleteFunc(slices.Clone(checks), func(c healthCheck) bool { return c.readyOnly })
		}
		s.Handle("/"+endpoint, s.healthHandler(endpoint, checks))
		for _, c := range checks {
			s.Handle("/"+endpoint+"/"+c.name, s.healthHandler(endpoint, []healthCheck{c}))
		}
	}
}

func (s *Server) healthHandler(endpoint string, checks []healthCheck) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		exclude := r.URL.Query()["exclude"]
		ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
		defer cancel()
		var lines strings.Builder
		failed := false
		for _, c := range checks {
			if i := slices.Index(exclude, c.name); i >= 0 {
				exclude = slices.Delete(exclude, i, i+1)
				fmt.Fprintf(&lines, "[+]%s excluded: ok\n", c.name)
				continue
			}
			if err := c.check(ctx); err != nil {
				failed = true
				s.log.Warn("health check failed", "endpoint", endpoint, "check", c.name, "err", err)
				fmt.Fprintf(&lines, "[-]%s failed: reason withheld\n", c.name)
				continue
			}
			fmt.Fprintf(&lines, "[+]%s ok\n", c.name)
		}
		for _, name := range exclude {
			fmt.Fprintf(&lines, "warn: some health checks cannot be excluded: no matches for %q\n", name)
		}
		writeHealth(w, r, endpoint, lines.String(), failed)
	})
}

func writeHealth(w http.ResponseWriter, r *http.Request, endpoint, lines string, failed bool) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if r.URL.Path == "/"+endpoint { // and not for a single check, as kube-apiserver has it
		w.Header().Set("X-Content-Type-Options", "nosniff")
	}
	switch {
	case failed:
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "%s%s check failed\n", lines, endpoint)
	case r.URL.Query().Has("verbose"):
		fmt.Fprintf(w, "%s%s check passed\n", lines, endpoint)
	default:
		fmt.Fprint(w, "ok")
	}
}
