package apiserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/access/audit"
	"github.com/proa-dev/proa/internal/access/authn"
)

// The filters, outermost first: account (Audit-ID, log line, metrics, panics), deadline, authentication,
// impersonation, the limit of requests under way, authorization. Each one calls the next.

type contextKey int

const stateKey contextKey = iota

// state is what the filters know of a request.
type state struct {
	info *requestInfo
	// route is where the request leads; nil for paths that are no resource, and for those that name one
	// that is not served.
	route *route
	user  *access.User
	rec   recorder
}

func stateOf(ctx context.Context) *state { s, _ := ctx.Value(stateKey).(*state); return s }

func infoOf(r *http.Request) *requestInfo { return stateOf(r.Context()).info }

func userOf(ctx context.Context) *access.User { return stateOf(ctx).user }

// Handler is the whole server.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.account(w, r, nil) })
}

// Unprotected is the server for those who asked for plain HTTP: whoever reaches it may do anything.
func (s *Server) Unprotected() http.Handler {
	everyone := &access.User{Name: "system:unsecured", Groups: []string{access.MastersGroup, access.AuthenticatedGroup}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.account(w, r, everyone) })
}

// cacheNothing is the Cache-Control of nearly all answers.
const cacheNothing = "no-cache, private"

// account gives the request its ID, and counts and logs it when it is over. user is nil where the request
// has to say who sends it.
func (s *Server) account(w http.ResponseWriter, r *http.Request, user *access.User) {
	st := &state{info: parseRequest(r), user: user, rec: recorder{ResponseWriter: w}}
	st.route = s.routes.Load().of(st.info)
	r, cancel, derr := s.bound(r, st)
	defer cancel()
	h := w.Header()
	id := audit.ID(r)
	audit.Echo(h, id)
	h.Set("Cache-Control", cacheNothing)
	if s.goaway > 0 && r.ProtoMajor == 2 && rand.Float64() < s.goaway {
		h.Set("Connection", "close") // in HTTP/2, GOAWAY
	}
	begin := time.Now()
	rec := &st.rec
	counts := s.metrics.begin(st, r)
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			s.recovered(rec, r, id, p)
		} else if p != nil {
			counts.aborts.Inc()
			defer panic(p)
		}
		took := time.Since(begin)
		s.metrics.end(counts, st, rec, took)
		s.logRequest(r, st, rec, id, took)
	}()
	if !s.admitted(r) {
		s.refused(rec, r)
		return
	}
	rec.inside = s.active
	if !longRunning(st.info) {
		rec.bounded = r.Context()
	}
	defer rec.end()
	if derr != nil {
		s.writeError(rec, r, derr)
		return
	}
	s.authenticate(rec, r)
}

// recovered answers for a handler that panicked. Other requests notice nothing.
func (s *Server) recovered(w *recorder, r *http.Request, id string, p any) {
	s.writeError(w, r, s.panicked(p, "method", r.Method, "path", r.URL.Path, "audit-id", id))
}

// panicked reports a panic, and returns what its request is answered with.
func (s *Server) panicked(p any, request ...any) error {
	s.metrics.panics.Inc()
	s.log.Error("request panicked", append(request, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))...)
	return apierrors.NewInternalError(errors.New("this request caused apiserver to panic. Look in the logs for details"))
}

func (s *Server) logRequest(r *http.Request, st *state, w *recorder, id string, took time.Duration) {
	if !s.log.Enabled(r.Context(), LevelRequests) {
		return
	}
	user := ""
	if st.user != nil {
		user = st.user.Name
	}
	s.log.Log(r.Context(), LevelRequests, "request", "verb", st.info.verb, "uri", r.URL.RequestURI(), "code", w.status(),
		"bytes", w.bytes, "took", took, "user", user, "agent", r.UserAgent(), "from", r.RemoteAddr, "audit-id", id)
}

// ownContext is a context that is the request's alone, such as a stream of HTTP/2 is: what others are wrapped for can be
// put into it.
type ownContext interface {
	Keep(key, value any, limit time.Duration)
}

// bound returns the request with its state in its context, which ends when the request has to.
func (s *Server) bound(r *http.Request, st *state) (*http.Request, context.CancelFunc, error) {
	limit, err := s.timeLimit(st.info)
	if own, ok := r.Context().(ownContext); ok {
		own.Keep(stateKey, st, limit)
		return r, func() {}, err
	}
	ctx, cancel := context.WithValue(r.Context(), stateKey, st), context.CancelFunc(func() {})
	if limit > 0 {
		ctx, cancel = context.WithTimeout(ctx, limit)
	}
	return r.WithContext(ctx), cancel, err
}

// timeLimit is how long a request may take; 0 if it is meant to last.
func (s *Server) timeLimit(i *requestInfo) (time.Duration, error) {
	if longRunning(i) {
		return 0, nil
	}
	text := i.query.Get("timeout")
	if text == "" {
		return s.timeout, nil
	}
	asked, err := time.ParseDuration(text)
	if err != nil {
		return 0, badRequest("invalid timeout specified in the request URL - %v", err)
	}
	if asked <= 0 {
		return s.timeout, nil
	}
	return min(s.timeout, asked), nil
}

var longRunningSubresources = map[string]bool{"attach": true, "exec": true, "proxy": true, "log": true, "portforward": true}

func longRunning(i *requestInfo) bool {
	if !i.isResource {
		return strings.HasPrefix(i.path, "/debug/pprof/")
	}
	return i.verb == "watch" || longRunningSubresources[i.subresource]
}

// authenticate finds out who is asking.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) {
	st := stateOf(r.Context())
	if st.user == nil {
		user, err := s.authn.Authenticate(r)
		if err != nil || user == nil {
			s.log.Debug("authentication failed", "err", err, "path", r.URL.Path)
			s.writeError(w, r, apierrors.NewUnauthorized("Unauthorized"))
			return
		}
		st.user = user
	}
	s.impersonate(w, r, st)
}

// impersonate lets a user act as another one.
func (s *Server) impersonate(w http.ResponseWriter, r *http.Request, st *state) {
	as, err := authn.Impersonate(r.Context(), r.Header, st.user, s.authz)
	if err != nil {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		s.writeError(w, r, err)
		return
	}
	if as != nil {
		st.user = as
	}
	s.limit(w, r, st)
}

// limit refuses requests while too many are under way.
func (s *Server) limit(w http.ResponseWriter, r *http.Request, st *state) {
	if !longRunning(st.info) {
		l := &s.reading
		if mutating[st.info.verb] {
			l = &s.mutating
		}
		if !l.enter(st.user) {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "Too many requests, please try again later.", http.StatusTooManyRequests)
			return
		}
		defer l.leave()
	}
	if err := s.authorize(r.Context(), requestAttributes(r, st)); err != nil {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		s.writeError(w, r, err)
		return
	}
	s.serve(w, r)
}

// requestAttributes are what authorization decides on before the resource is looked up.
func requestAttributes(r *http.Request, st *state) *access.Attributes {
	i := st.info
	a := &access.Attributes{
		User: st.user, Verb: i.verb, IsResource: i.isResource, Path: i.path,
		Group: i.group, Version: i.version, Resource: i.resource, Subresource: i.subresource,
		Namespace: i.namespace, Name: i.name,
	}
	if !i.isResource || i.prefixWatch || i.verb != "list" && i.verb != "watch" && i.verb != "deletecollection" {
		return a
	}
	q := i.query
	if text := q.Get("fieldSelector"); text != "" {
		if sel, err := fields.ParseSelector(text); err == nil {
			a.Fields = sel.Requirements()
			name, ok := sel.RequiresExactMatch("metadata.name")
			if ok && a.Name == "" && i.verb != "deletecollection" && len(path.IsValidPathSegmentName(name)) == 0 {
				a.Name = name
			}
		}
	}
	if text := q.Get("labelSelector"); text != "" {
		if sel, err := labels.Parse(text); err == nil {
			a.Labels, _ = sel.Requirements()
		}
	}
	return a
}

// authorize returns the 403 of a request that may not proceed.
func (s *Server) authorize(ctx context.Context, a *access.Attributes) error {
	decision, reason, err := s.authz.Authorize(ctx, a)
	if decision == access.Allow {
		return nil
	}
	if err != nil && reason == "" {
		reason = err.Error()
	}
	return access.Forbidden(a, reason)
}

// recorder notes what was answered.
type recorder struct {
	http.ResponseWriter
	code  int // 0 until the answer begins
	bytes int64
	// inside is what the request is counted in; nil if it is not, or no longer.
	inside *gate
	// bounded ends when the answer must have been written; nil if there is no such time.
	bounded context.Context
	// guard ends the watch over slow writes; nil if there is none yet.
	guard func() bool
}

// leave makes the request count no longer as one under way.
func (w *recorder) leave() {
	if w.inside != nil {
		w.inside.leave()
		w.inside = nil
	}
}

func (w *recorder) end() {
	if w.guard != nil {
		w.guard()
	}
	w.leave()
}

func (w *recorder) WriteHeader(code int) {
	if w.code == 0 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	if w.guard == nil && w.bounded != nil && w.bytes+int64(len(b)) > unguarded {
		w.guard = guardWrites(w.bounded, w.ResponseWriter)
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// aside is a ResponseWriter below which a goroutine can write to many answers without waiting for any: see
// http2.response.
type aside interface {
	HasRoom(again func()) bool
	TryWrite(b []byte) (taken bool, err error)
	FlushAside() error
}

// asAside is what a handler writes to as an aside; nil if it is none.
func asAside(w http.ResponseWriter) aside {
	if r, ok := w.(*recorder); ok {
		if _, ok := r.ResponseWriter.(aside); ok {
			return r
		}
	}
	return nil
}

// HasRoom implements aside.
func (w *recorder) HasRoom(again func()) bool { return w.ResponseWriter.(aside).HasRoom(again) }

// TryWrite implements aside.
func (w *recorder) TryWrite(b []byte) (taken bool, err error) {
	if taken, err = w.ResponseWriter.(aside).TryWrite(b); taken {
		w.bytes += int64(len(b))
	}
	return taken, err
}

// FlushAside implements aside.
func (w *recorder) FlushAside() error { return w.ResponseWriter.(aside).FlushAside() }

// Hijack implements http.Hijacker, for HTTP/1.1 alone. The request no longer holds up the server's end.
func (w *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.code = http.StatusSwitchingProtocols
		w.leave()
	}
	return conn, buf, err
}

// Unwrap lets http.ResponseController reach what is below.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorder) status() int {
	if w.code == 0 {
		return http.StatusOK
	}
	return w.code
}
