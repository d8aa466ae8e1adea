package apiserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/cache"
	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/encoding"
)

// local is the transport of components in this process. A call passes authorization, admission and
// validation like any other, but is neither encoded nor decoded: objects at rest are decoded once and
// shared by all readers, objects to be written are copied.
type local struct {
	server *Server
	user   *access.User
	agent  string
}

var _ client.Transport = (*local)(nil)

// Local returns a transport for a component in this process, which acts as the user. The agent names it
// as the manager of the fields it writes.
func (s *Server) Local(user *access.User, agent string) client.Transport {
	return &local{server: s, user: user, agent: agent}
}

// Do implements client.Transport.
func (l *local) Do(ctx context.Context, r *client.Request) (res *client.Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = l.server.panicked(p, "verb", r.Verb, "resource", r.Resource.Resource, "user", l.user.Name)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, l.server.timeout)
	defer cancel()
	c, err := l.call(ctx, r)
	if err != nil {
		return nil, localError(err)
	}
	if c.verb == "list" {
		res, err = l.list(ctx, c, r)
		return res, localError(err)
	}
	a, err := l.server.do(ctx, c)
	if err != nil {
		return nil, localError(err)
	}
	o, err := l.object(c, r, a)
	return &client.Response{Object: o}, localError(err)
}

// call makes a call of a request and sees that it is authorized.
func (l *local) call(ctx context.Context, r *client.Request) (*call, error) {
	rt := l.server.routes.Load().of(&requestInfo{
		isResource: true, group: r.Resource.Group, version: r.Resource.Version, resource: r.Resource.Resource,
		namespace: r.Namespace, name: r.Name, subresource: r.Subresource,
	})
	if rt == nil {
		return nil, l.notServed(r)
	}
	c := &call{
		user: l.user, res: rt.res, typ: rt.res.Type, version: rt.version,
		verb: r.Verb, namespace: r.Namespace, name: r.Name, subresource: r.Subresource,
		list: r.List, get: r.Get, create: r.Create, update: r.Update, patch: r.PatchO, delete: r.Delete,
		patchType: r.PatchType, warn: func(string) {},
	}
	c.list.Watch = r.Verb == "watch"
	if c.verb == "create" && c.subresource == "" {
		c.name = "" // that of a new object is in the object
	}
	if r.Object != nil {
		c.body.object = r.Object
	} else {
		c.body = body{data: r.Patch, media: string(r.PatchType)}
	}
	if err := l.server.authorize(ctx, c.attributes()); err != nil {
		return nil, err
	}
	if !c.routed() {
		return nil, noSuchPath()
	}
	if !c.allows(c.verb) {
		return nil, noSuchMethod()
	}
	if err := c.settleOptions(l.agent); err != nil {
		return nil, err
	}
	if c.verb == "delete" || c.verb == "deletecollection" {
		return c, c.settleDelete()
	}
	return c, nil
}

// notServed is the error that clients make of HTTP's 404. Where not even the group is known, that is no Status.
func (l *local) notServed(r *client.Request) error {
	if l.server.routes.Load().hasGroup(r.Resource.Group) {
		return noSuchPath()
	}
	methods := map[string]string{"create": "post", "update": "put", "list": "get", "watch": "get", "deletecollection": "delete"}
	method := cmp.Or(methods[r.Verb], r.Verb)
	return apierrors.NewGenericServerResponse(http.StatusNotFound, method, r.Resource.GroupResource(), r.Name, "404 page not found", 0, true)
}

func (l *local) list(ctx context.Context, c *call, r *client.Request) (*client.Response, error) {
	p, err := l.server.findPage(ctx, c)
	if err != nil {
		return nil, err
	}
	res := &client.Response{List: p.meta, Items: make([]client.Object, len(p.items))}
	read := reader(c, r)
	for i, item := range p.items {
		if res.Items[i], err = read(item); err != nil {
			return nil, err
		}
	}
	return res, nil
}

// reader turns items into what the request's New makes. Metadata alone is read out of an item's bytes: who wants
// that wants it of very many objects, none of which need be decoded for it, or kept alive by it. managedFields are
// not in it, for they can be larger than all the rest and no component reads them there.
func reader(c *call, r *client.Request) func(*cache.Item) (client.Object, error) {
	convert := converter(c, r)
	whole := func(item *cache.Item) (client.Object, error) {
		o, err := c.res.keep(item)
		if err != nil {
			return nil, err
		}
		return convert(o)
	}
	if !wantsMetadata(r) {
		return whole
	}
	kind := c.version.GroupVersionKind()
	return func(item *cache.Item) (client.Object, error) {
		if !encoding.IsProtobuf(item.Value) {
			return whole(item)
		}
		p, err := encoding.Metadata(item.Value)
		if err != nil {
			return nil, err
		}
		p.SetGroupVersionKind(kind)
		// The item's own texts, so that each is there once.
		p.Namespace, p.Name = splitKey(c.typ, item.Key)
		p.UID = types.UID(item.UID)
		return p, nil
	}
}

func wantsMetadata(r *client.Request) bool {
	if r.New == nil {
		return false
	}
	_, ok := r.New().(*metav1.PartialObjectMetadata)
	return ok
}

// object is the answer's object as the request wants it, nil for a Status.
func (l *local) object(c *call, r *client.Request, a *answer) (client.Object, error) {
	if a.page != nil {
		return nil, nil
	}
	if a.other != nil {
		o, ok := a.other.(client.Object)
		if !ok {
			return nil, nil
		}
		return o, nil
	}
	o, err := l.server.hubOf(c.res, a)
	if err != nil {
		return nil, err
	}
	return converter(c, r)(o)
}

// converter turns hub objects into what the request's New makes.
func converter(c *call, r *client.Request) func(registry.Object) (client.Object, error) {
	if r.New == nil {
		return func(o registry.Object) (client.Object, error) { return o, nil }
	}
	if wantsMetadata(r) {
		f := format{asVersion: "v1"}
		return func(o registry.Object) (client.Object, error) {
			p := partial(o, f)
			p.SetGroupVersionKind(c.version.GroupVersionKind())
			return p, nil
		}
	}
	want := reflect.TypeOf(r.New())
	return func(o registry.Object) (client.Object, error) {
		v, err := inVersion(c.version, o)
		if err == nil && reflect.TypeOf(v) != want {
			err = fmt.Errorf("%s is a %T, not a %s", c.groupResource(), v, want)
		}
		return v, err
	}
}

// localError gives callers the StatusError they expect.
func localError(err error) error {
	if err == nil {
		return nil
	}
	var status *apierrors.StatusError
	if errors.As(err, &status) {
		return status
	}
	return &apierrors.StatusError{ErrStatus: *statusOf(err)}
}

// Watch implements client.Transport.
func (l *local) Watch(ctx context.Context, r *client.Request) (client.Stream, error) {
	asked := *r
	asked.Verb = "watch"
	c, err := l.call(ctx, &asked)
	if err != nil {
		return nil, localError(err)
	}
	sel, err := c.parseSelection()
	if err != nil {
		return nil, localError(err)
	}
	if !wantsMetadata(r) {
		c.res.kept.Store(true)
	}
	w, err := l.server.openWatch(ctx, c, sel, nil)
	if err != nil {
		return nil, localError(err)
	}
	return &localStream{watcher: w, read: reader(c, r), convert: converter(c, r)}, nil
}

// localStream is a watch in this process.
type localStream struct {
	*watcher
	read    func(*cache.Item) (client.Object, error)
	convert func(registry.Object) (client.Object, error) // for bookmarks
}

// Next implements client.Stream.
func (s *localStream) Next() ([]client.Event, error) {
	b, due, err := s.watcher.next()
	if err != nil {
		if s.ctx.Err() != nil {
			return nil, io.EOF
		}
		return nil, localError(err)
	}
	events := make([]client.Event, 0, len(b.Events)+1)
	for _, e := range b.Events {
		v, err := s.read(e.Item)
		if err != nil {
			return nil, localError(err)
		}
		events = append(events, client.Event{Type: eventNames[e.Type], Object: v})
	}
	if ended := b.InitialDone && s.initialEnd; ended || due {
		mark, err := s.mark(b.Reached, ended)
		if err != nil {
			return nil, localError(err)
		}
		events = append(events, mark)
	}
	return events, nil
}

// mark is a bookmark.
func (s *localStream) mark(reached int64, initialEnd bool) (client.Event, error) {
	o := s.call.typ.Hub.New()
	o.SetResourceVersion(strconv.FormatInt(reached, 10))
	if initialEnd {
		o.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	}
	v, err := s.convert(o)
	return client.Event{Type: watch.Bookmark, Object: v}, err
}

// Stop implements client.Stream.
func (s *localStream) Stop() { s.close() }

// Discover implements client.Transport.
func (l *local) Discover(context.Context) ([]metav1.APIResourceList, error) {
	return l.server.resourceLists(), nil
}
