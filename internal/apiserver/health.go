package apiserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// healthCheck is one line of /healthz?verbose.
type healthCheck struct {
	name  string
	check func(context.Context) error
	// readyOnly checks say whether to send requests here, liveOnly ones whether the process is well.
	readyOnly, liveOnly bool
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
	stored := func(ctx context.Context) error {
		_, err := s.store.Revision(ctx)
		return err
	}
	s.AddCheck("etcd", false, stored)
	s.AddCheck("etcd-readiness", true, stored)
	s.AddCheck("informer-sync", true, s.cache.Ready)
	s.AddCheck("shutdown", true, func(context.Context) error {
		if s.unready.Load() {
			return errors.New("process is shutting down")
		}
		return nil
	})
}

// hooks are what kube-apiserver starts after it has begun to serve, and monitors ask for by name, as far as there is
// something like it here.
var hooks = []string{
	"start-apiserver-admission-initializer", "generic-apiserver-start-informers", "start-system-namespaces-controller",
	"start-cluster-authentication-info-controller", "storage-readiness", "start-service-ip-repair-controllers",
	"rbac/bootstrap-roles", "scheduling/bootstrap-system-priority-classes", "bootstrap-controller",
	"start-kubernetes-service-cidr-controller",
}

// AddHooks adds the checks of the hooks. /readyz passes them once started is closed, when all that they stand for is
// there; the others at once, for a process that has still to begin is not ill. They are added before the server serves.
func (s *Server) AddHooks(started <-chan struct{}) {
	begun := func(context.Context) error {
		select {
		case <-started:
			return nil
		default:
			return errors.New("what every cluster has is still being written")
		}
	}
	for _, hook := range hooks {
		name := "poststarthook/" + hook
		s.checks = append(s.checks, healthCheck{name: name, check: begun, readyOnly: true},
			healthCheck{name: name, check: func(context.Context) error { return nil }, liveOnly: true})
	}
	s.addHealthPaths()
}

func (s *Server) addHealthPaths() {
	for _, endpoint := range []string{"healthz", "livez", "readyz"} {
		others := func(c healthCheck) bool { return c.readyOnly }
		if endpoint == "readyz" {
			others = func(c healthCheck) bool { return c.liveOnly }
		}
		checks := slices.DeleteFunc(slices.Clone(s.checks), others)
		s.Handle("/"+endpoint, s.healthHandler(endpoint, checks))
		for _, c := range checks {
			s.Handle("/"+endpoint+"/"+c.name, singleCheck(c))
		}
	}
}

// singleCheck answers for one check. Whoever may ask for it by name is told why it failed.
func singleCheck(c healthCheck) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
		defer cancel()
		if err := c.check(ctx); err != nil {
			http.Error(w, fmt.Sprintf("internal server error: %v", err), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, "ok")
	})
}

func (s *Server) healthHandler(endpoint string, checks []healthCheck) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		exclude := slices.Compact(slices.Sorted(slices.Values(query["exclude"])))
		ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
		defer cancel()
		var lines strings.Builder
		var failed []string
		var first error
		for _, c := range checks {
			if i, found := slices.BinarySearch(exclude, c.name); found {
				exclude = slices.Delete(exclude, i, i+1)
				fmt.Fprintf(&lines, "[+]%s excluded: ok\n", c.name)
				continue
			}
			err := c.check(ctx)
			s.metrics.health.observe(c.name, endpoint, err)
			if err != nil {
				failed, first = append(failed, c.name), cmp.Or(first, err)
				fmt.Fprintf(&lines, "[-]%s failed: reason withheld\n", c.name)
				continue
			}
			fmt.Fprintf(&lines, "[+]%s ok\n", c.name)
		}
		if len(failed) > 0 {
			s.log.Warn("health check failed", "endpoint", endpoint, "checks", failed, "err", first)
		}
		if len(exclude) > 0 {
			fmt.Fprintf(&lines, "warn: some health checks cannot be excluded: no matches for %s\n", quoted(exclude))
		}
		writeHealth(w, endpoint, lines.String(), len(failed) > 0, query.Has("verbose"))
	})
}

func quoted(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strconv.Quote(n)
	}
	return strings.Join(out, ",")
}

// writeHealth says what each check found only if one failed, or somebody wants to know.
func writeHealth(w http.ResponseWriter, endpoint, lines string, failed, verbose bool) {
	if failed {
		http.Error(w, fmt.Sprintf("%s%s check failed", lines, endpoint), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if verbose {
		fmt.Fprintf(w, "%s%s check passed\n", lines, endpoint)
		return
	}
	fmt.Fprint(w, "ok")
}
