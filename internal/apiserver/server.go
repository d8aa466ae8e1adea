package apiserver

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/access/admission"
	"github.com/proa-dev/proa/internal/access/authn"
	"github.com/proa-dev/proa/internal/ownership"
)

// Config is what a Server is made of.
type Config struct {
	Storage       *Storage
	Authenticator access.Authenticator
	Authorizer    access.Authorizer
	Admission     admission.Chain
	// Tokens issues the tokens of service accounts; nil leaves TokenRequest out.
	Tokens *authn.TokenRequests
	// Verifier tells whose a token is, for TokenReview; Audiences are the server's own.
	Verifier  authn.Tokens
	Audiences []string
	// Rules lists what a user may do, for SelfSubjectRulesReview.
	Rules access.RuleLister
	// Kubelets reaches node agents, with the server's credentials; nil if it has none. Pods reaches what pods
	// and nodes serve; nil is NewTransport's, which believes any certificate. Upgrades use the dialer and
	// the TLS configuration of either, so it must be an *http.Transport or wrap one.
	Kubelets, Pods http.RoundTripper
	// Components are looked at when somebody asks for componentstatuses, beside the store: nil is well.
	Components map[string]func(context.Context) error
	// Flags are the command line's, for /flagz; nil leaves that out.
	Flags map[string]string
	// SetVerbosity changes how much is logged, for /debug/flags/v; nil leaves that out.
	SetVerbosity func(v int)
	// Version that /version and User-Agents tell: "v1.36.3+proa0.1".
	Version string
	Logger  *slog.Logger
	// Clock is the real one if nil.
	Clock clock.PassiveClock
	// RequestTimeout bounds requests that are not watches; 0 is DefaultRequestTimeout.
	RequestTimeout time.Duration
	// MaxBody bounds a request's body in bytes; 0 is DefaultMaxBody.
	MaxBody int64
	// MaxInFlight and MaxMutatingInFlight bound how many requests that read, and that write, are under
	// way at a time, watches and the like excepted; 0 is the default, a negative number no bound.
	MaxInFlight, MaxMutatingInFlight int
	// GoawayChance is the chance, 0 to 1, that an HTTP/2 request makes its client connect anew.
	GoawayChance float64
}

// Defaults of Config.
const (
	DefaultRequestTimeout      = time.Minute
	DefaultMaxBody             = 3 << 20
	DefaultMaxInFlight         = 400
	DefaultMaxMutatingInFlight = 200
)

// Server answers requests for resources and for what there is to know about them.
type Server struct {
	*Storage
	authn     access.Authenticator
	authz     access.Authorizer
	admission *admission.Timed
	tokens    *authn.TokenRequests
	verifier  authn.Tokens
	audiences []string
	rules     access.RuleLister

	kubelets, kubeletsUnverified, pods http.RoundTripper

	version string
	log     *slog.Logger
	clock   clock.PassiveClock
	timeout time.Duration
	maxBody int64
	// endGrace is how long after a watch's end its client may leave what was written untaken.
	endGrace time.Duration

	goaway float64

	reading, mutating limit

	pumps pumps

	scaleOwner *ownership.Manager
	metrics    *metrics
	// paths are the handlers of what is no resource, by path; those that end with a slash serve all
	// below.
	paths map[string]http.Handler
	// discovered is what discovery made of the routes; nil until somebody asks.
	discovered atomic.Pointer[catalog]
	// checks are what the health endpoints look at.
	checks []healthCheck
	// components are what componentstatuses tell of, by name.
	components map[string]func(context.Context) error
	// started is when this server was made.
	started time.Time

	// active counts the requests under way.
	active *gate
	// unready makes /readyz fail.
	unready atomic.Bool
	// draining ends when the server begins to stop: watches end with it.
	draining context.Context
	drain    context.CancelFunc
}

// New makes a server. It serves once Handler is connected.
func New(c Config) *Server {
	s := &Server{
		Storage: c.Storage, authn: c.Authenticator, authz: c.Authorizer, admission: admission.NewTimed(c.Admission), tokens: c.Tokens,
		verifier: c.Verifier, audiences: c.Audiences, rules: c.Rules, kubelets: c.Kubelets,
		kubeletsUnverified: unverified(c.Kubelets), pods: c.Pods, goaway: c.GoawayChance,
		version: c.Version, log: c.Logger, clock: c.Clock, timeout: c.RequestTimeout, maxBody: c.MaxBody, endGrace: endGrace,
		scaleOwner: ownership.NewScale(), metrics: newMetrics(), paths: map[string]http.Handler{}, active: newGate(),
	}
	s.pumps = newPumps(s.panicked)
	if s.clock == nil {
		s.clock = clock.RealClock{}
	}
	if s.pods == nil {
		// Pods are asked by address, which no certificate names.
		s.pods = NewTransport(&tls.Config{InsecureSkipVerify: true}, nil)
	}
	s.reading.most = int64(cmp.Or(c.MaxInFlight, DefaultMaxInFlight))
	s.mutating.most = int64(cmp.Or(c.MaxMutatingInFlight, DefaultMaxMutatingInFlight))
	if s.timeout == 0 {
		s.timeout = DefaultRequestTimeout
	}
	if s.maxBody == 0 {
		s.maxBody = DefaultMaxBody
	}
	s.draining, s.drain = context.WithCancel(context.Background())
	s.started = s.clock.Now()
	s.addComponents(c.Components)
	s.addPaths()
	s.addZpages(c.Flags)
	s.addFlags(c.SetVerbosity)
	return s
}

// Handle serves a path that is no resource; one that ends with a slash serves all below it.
func (s *Server) Handle(path string, h http.Handler) { s.paths[path] = h }

// HandleStatic serves a document that does not change.
func (s *Server) HandleStatic(path, media string, data []byte) {
	s.Handle(path, s.readOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		if err := writeBody(w, r, format{media: media}, http.StatusOK, data); err != nil {
			s.log.Debug("write a document", "path", path, "err", err)
		}
	})))
}

// serve finds who answers the request. It runs inside the filters.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	info := infoOf(r)
	if info.isResource {
		s.serveResource(w, r, info)
		return
	}
	if h := s.pathHandler(r.URL.Path); h != nil {
		h.ServeHTTP(w, r)
		return
	}
	if s.belowGroup(r.URL.Path) {
		s.writeError(w, r, noSuchPath())
		return
	}
	http.NotFound(w, r)
}

// belowGroup tells whether a path is one of an API group that is served.
func (s *Server) belowGroup(path string) bool {
	parts := splitPath(path)
	switch {
	case len(parts) > 1 && parts[0] == "api":
		return true
	case len(parts) > 2 && parts[0] == "apis":
		return s.routes.Load().hasGroup(parts[1])
	}
	return false
}

func (s *Server) pathHandler(path string) http.Handler {
	if h := s.paths[path]; h != nil {
		return h
	}
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] != '/' {
			continue
		}
		if h := s.paths[path[:i+1]]; h != nil && i+1 > 1 {
			return h
		}
	}
	return nil
}

// pathNames lists the paths that are served, for the index.
func (s *Server) pathNames() []string {
	names := make([]string, 0, len(s.paths))
	for p := range s.paths {
		if p != "/" {
			names = append(names, p)
		}
	}
	slices.Sort(names)
	return names
}
