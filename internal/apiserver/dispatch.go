package apiserver

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/registry"
)

// applyPatch is the media type of server-side apply.
const applyPatch = types.ApplyYAMLPatchType

// patchTypes are the bodies of PATCH. Custom resources have no strategic merge.
var patchTypes = []string{
	string(types.JSONPatchType), string(types.MergePatchType), string(types.StrategicMergePatchType), string(applyPatch),
}

// serveResource carries out a request for a resource.
func (s *Server) serveResource(w http.ResponseWriter, r *http.Request, info *requestInfo) {
	if info.astray() || !s.routes.Load().hasGroup(info.group) {
		http.NotFound(w, r)
		return
	}
	c, err := s.newCall(w, r, info)
	defer c.release()
	if err == nil {
		err = s.carryOut(w, r, c)
	}
	if err != nil {
		s.writeError(w, r, err)
	}
}

// newCall makes a call of a request.
func (s *Server) newCall(w http.ResponseWriter, r *http.Request, info *requestInfo) (*call, error) {
	rt := stateOf(r.Context()).route
	if rt == nil {
		return nil, noSuchPath()
	}
	c := &call{
		user: userOf(r.Context()), res: rt.res, typ: rt.res.Type, version: rt.version,
		verb: info.verb, namespace: info.namespace, name: info.name, subresource: info.subresource, rest: info.rest,
		warn: (&warnings{header: w.Header()}).add,
	}
	if !rt.res.Namespaced {
		c.namespace = ""
	}
	if err := c.checkRoute(info, r.Method); err != nil {
		return nil, err
	}
	if c.name != "" {
		if texts := path.IsValidPathSegmentName(c.name); len(texts) > 0 {
			return nil, badRequest("Name parameter invalid: %q: %s", c.name, strings.Join(texts, ";"))
		}
	}
	if rt.version.Deprecated != "" {
		c.warn(rt.version.Deprecated)
	}
	if err := s.readBody(w, r, c); err != nil {
		return c, err
	}
	return c, c.parseOptions(info.query, r.UserAgent())
}

// checkRoute refuses paths that lead nowhere, and methods that a path has not.
func (c *call) checkRoute(info *requestInfo, method string) error {
	switch {
	case !c.routed() && !info.unnamed, info.prefixWatch && (c.subresource != "" || !c.typ.Has("watch")):
		return noSuchPath()
	case info.prefixWatch && method != http.MethodGet:
		return noSuchMethod()
	case c.verb == "watch" && c.allows("list") && !c.allows("watch"):
		c.warn(c.version.Deprecated)
		return apierrors.NewMethodNotSupported(c.groupResource(), c.verb)
	case info.unnamed && method != http.MethodHead && (c.name != "" || c.verb != "list" && c.verb != "watch"):
		return badRequest("Namespace parameter required.")
	case !c.allowsMethod(method):
		return noSuchMethod()
	}
	return nil
}

func (r *resource) hasSubresource(name string) bool {
	switch name {
	case "status":
		return r.Status != nil
	case "scale":
		return r.Scale != nil
	}
	return r.view(name) != nil || r.action(name) != nil
}

func (r *resource) view(name string) *registry.TypeView {
	for i := range r.Views {
		if r.Views[i].Name == name {
			return &r.Views[i]
		}
	}
	return nil
}

func (r *resource) action(name string) *registry.Action {
	for i := range r.Actions {
		if r.Actions[i].Name == name {
			return &r.Actions[i]
		}
	}
	return nil
}

func (c *call) view() *registry.TypeView { return c.res.view(c.subresource) }

func (c *call) action() *registry.Action { return c.res.action(c.subresource) }

// allowsMethod tells whether the path has the method. Proxies take all that HTTP knows of.
func (c *call) allowsMethod(method string) bool {
	if c.proxies() && (method == http.MethodHead || method == http.MethodOptions) {
		return true
	}
	return method != http.MethodHead && c.allows(c.verb)
}

// proxies tells whether the call is for what a pod, a service or a node serves.
func (c *call) proxies() bool { return c.subresource == "proxy" }

var subresourceVerbs = []string{"get", "patch", "update"}

func (c *call) allows(verb string) bool {
	if !c.fitsPath(verb) {
		return false
	}
	if c.subresource == "" {
		if c.typ.Namespaced && c.namespace == "" && verb != "list" && verb != "watch" && c.typ.Has("get") {
			return false
		}
		return c.typ.Has(verb)
	}
	if v := c.view(); v != nil {
		return slices.Contains(v.Verbs, verb)
	}
	if a := c.action(); a != nil {
		return slices.Contains(a.Verbs, verb)
	}
	return slices.Contains(subresourceVerbs, verb)
}

// routed tells whether the path leads anywhere: an object of a namespaced type is found in its namespace only, and one
// that is not kept nowhere.
func (c *call) routed() bool {
	return c.name == "" || c.typ.Has("get") && (!c.typ.Namespaced || c.namespace != "")
}

// fitsPath tells whether the verb is one for what the path names: a collection or an object.
func (c *call) fitsPath(verb string) bool {
	switch verb {
	case "get", "update", "patch", "delete":
		return c.name != ""
	case "create":
		return c.name == "" || c.subresource != ""
	default:
		return true
	}
}

// readBody reads the body of a write, bounded.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, c *call) error {
	if a := c.action(); r.Body == nil || c.verb == "get" || c.verb == "list" || c.verb == "watch" || a != nil && a.Stream {
		return nil
	}
	var err error
	if c.verb == "patch" {
		if c.body.media, err = bodyMedia(r, c.patchMedia()); err != nil {
			return unsupportedPatch()
		}
		if !slices.Contains(c.patchMedia(), c.body.media) {
			return unsupportedPatch()
		}
		c.patchType = types.PatchType(c.body.media)
	} else if c.body.media, err = bodyMedia(r, c.offer(nil).media); err != nil {
		return err
	}
	if body, ok := r.Body.(wholeBody); ok {
		if data, ok := body.Whole(); ok {
			c.body.data = data
			if int64(len(data)) > s.maxBody {
				return &http.MaxBytesError{Limit: s.maxBody}
			}
			return nil
		}
	}
	// Room for what is announced, within reason: an announcement costs its sender nothing.
	buf := bodies.Get().(*bytes.Buffer)
	buf.Grow(int(min(max(r.ContentLength, 0), maxBodyKept)) + bytes.MinRead)
	stop := guardReads(r.Context(), w)
	_, err = buf.ReadFrom(http.MaxBytesReader(w, r.Body, s.maxBody))
	c.body.data, c.body.room = buf.Bytes(), buf
	if !stop() && err != nil {
		return r.Context().Err()
	}
	return err
}

// wholeBody is a body that may have come before its request is handled: it is read where it lies, and nobody needs to
// look at the clock.
type wholeBody interface {
	Whole() (data []byte, ok bool)
}

// maxBodyKept is how large a buffer is kept for the next body.
const maxBodyKept = 64 << 10

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// release gives up the body: whatever was made of it keeps nothing of it. There may be no call.
func (c *call) release() {
	if c == nil || c.body.room == nil || c.body.room.Cap() > 2*maxBodyKept {
		return
	}
	c.body.room.Reset()
	bodies.Put(c.body.room)
	c.body = body{}
}

func unsupportedPatch() error {
	return serverResponse(http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType, "415: Unsupported Media Type")
}

func (c *call) patchMedia() []string {
	if len(c.offer(nil).media) == len(allMedia) {
		return patchTypes
	}
	return slices.DeleteFunc(slices.Clone(patchTypes), func(m string) bool { return m == string(types.StrategicMergePatchType) })
}

// carryOut does what the call says and sends the answer.
func (s *Server) carryOut(w http.ResponseWriter, r *http.Request, c *call) error {
	switch {
	case c.action() != nil && c.action().Stream:
		return s.connect(w, r, c)
	case c.verb == "watch":
		return s.serveWatch(w, r, c)
	case c.verb == "list":
		return s.serveList(w, r, c)
	}
	transforms := objectTransforms
	if c.verb == "deletecollection" {
		transforms = listTransforms
	}
	f, err := negotiate(r, c.offer(transforms))
	if err != nil {
		return err
	}
	a, err := s.do(r.Context(), c)
	if err != nil {
		return err
	}
	return s.write(w, r, c, f, a)
}

// do carries out a call that ends by itself and answers with one object.
func (s *Server) do(ctx context.Context, c *call) (*answer, error) {
	switch {
	case c.subresource == "scale":
		return s.doScale(ctx, c)
	case c.action() != nil:
		return s.doAction(ctx, c)
	case !c.typ.Has("get"):
		return s.doReview(ctx, c)
	}
	switch c.verb {
	case "get":
		return s.get(ctx, c)
	case "create":
		return s.create(ctx, c)
	case "update":
		return s.update(ctx, c)
	case "patch":
		return s.patch(ctx, c)
	case "delete":
		return s.delete(ctx, c)
	case "deletecollection":
		return s.deleteCollection(ctx, c)
	default:
		return nil, apierrors.NewMethodNotSupported(c.groupResource(), c.verb)
	}
}

func (s *Server) doScale(ctx context.Context, c *call) (*answer, error) {
	switch c.verb {
	case "get":
		return s.getScale(ctx, c)
	case "update":
		return s.updateScale(ctx, c)
	default:
		return s.patchScale(ctx, c)
	}
}
