// Package clienttest is an API server in memory, for the tests of components: a client.Transport that
// stores, lists and watches objects of any type, and remembers what was asked of it. It keeps the rules that
// components depend on (revisions, conflicts, generations, the status subresource, finalizers, graceful
// deletion of pods) and no others: nothing is defaulted, validated or collected.
package clienttest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/proa-dev/proa/internal/client"
)

// Server is the whole of it. Objects it stores are never changed, only replaced.
type Server struct {
	// Resources is what Discover answers.
	Resources []metav1.APIResourceList

	mu       sync.Mutex
	revision int64
	uids     int
	objects  map[schema.GroupResource]map[types.NamespacedName]client.Object
	history  []record // one for each revision after the first
	streams  map[*stream]struct{}
	actions  []Action
	reactors []Reactor
}

var _ client.Transport = (*Server)(nil)

// Reactor can answer a request in the server's place, or let it pass by handled == false. It may call
// the server.
type Reactor func(r *client.Request) (handled bool, res *client.Response, err error)

const firstRevision = 100

// New makes a server that holds some objects, as Put would have them.
func New(objects ...client.Object) *Server {
	s := &Server{
		revision: firstRevision,
		objects:  map[schema.GroupResource]map[types.NamespacedName]client.Object{},
		streams:  map[*stream]struct{}{},
	}
	for _, o := range objects {
		s.Put(o)
	}
	return s
}

// React makes all requests but watches go through a reactor first, the newest before the others.
func (s *Server) React(f Reactor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reactors = append([]Reactor{f}, s.reactors...)
}

// Do carries out a request, and remembers it if it is a write.
func (s *Server) Do(ctx context.Context, r *client.Request) (*client.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if isWrite(r.Verb) {
		s.actions = append(s.actions, actionOf(r))
	}
	reactors := s.reactors
	s.mu.Unlock()
	for _, f := range reactors {
		if handled, res, err := f(r); handled {
			return res, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Verb {
	case "get":
		return answer(r)(s.get(r))
	case "list":
		return s.list(r)
	case "create":
		return answer(r)(s.create(r))
	case "update":
		return answer(r)(s.update(r))
	case "patch":
		return answer(r)(s.patch(r))
	case "delete":
		return answer(r)(s.delete(r, r.Name))
	case "deletecollection":
		return s.deleteCollection(r)
	}
	return nil, apierrors.NewMethodNotSupported(r.Resource.GroupResource(), r.Verb)
}

// Discover answers with Resources.
func (s *Server) Discover(context.Context) ([]metav1.APIResourceList, error) { return s.Resources, nil }

// Put stores an object as it is, as if another client had written it: all of it, status too. Only what is
// missing is filled in (UID and, always, the resourceVersion).
func (s *Server) Put(o client.Object) client.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	o = copyOf(o)
	r := resourceOf(o)
	old := s.objects[r][keyOf(o)]
	if o.GetUID() == "" {
		o.SetUID(s.newUID())
		if old != nil {
			o.SetUID(old.GetUID())
		}
	}
	return s.store(r, old, o)
}

// Remove drops an object at once, whatever its finalizers, as if another client had.
func (s *Server) Remove(o client.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := resourceOf(o)
	if old := s.objects[r][keyOf(o)]; old != nil {
		s.drop(r, old)
	}
}

// Get is the stored object of a kind; nil if there is none.
func Get[T any](s *Server, k client.Kind[T], namespace, name string) *T {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, _ := any(s.objects[k.Resource.GroupResource()][types.NamespacedName{Namespace: namespace, Name: name}]).(*T)
	return o
}

// List is all stored objects of a kind, sorted by namespace and name.
func List[T any](s *Server, k client.Kind[T]) []*T {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*T
	for _, o := range s.sorted(k.Resource.GroupResource()) {
		all = append(all, any(o).(*T))
	}
	return all
}

func (s *Server) sorted(r schema.GroupResource) []client.Object {
	var all []client.Object
	for _, o := range s.objects[r] {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b client.Object) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return all
}

func (s *Server) newUID() types.UID {
	s.uids++
	return types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", s.uids))
}

// store writes an object, whose revision it sets, and tells the watchers.
func (s *Server) store(r schema.GroupResource, old, o client.Object) client.Object {
	s.revision++
	o.SetResourceVersion(strconv.FormatInt(s.revision, 10))
	if s.objects[r] == nil {
		s.objects[r] = map[types.NamespacedName]client.Object{}
	}
	s.objects[r][keyOf(o)] = o
	t := watch.Added
	if old != nil {
		t = watch.Modified
	}
	s.tell(record{resource: r, kind: t, old: old, object: o})
	return o
}

func (s *Server) drop(r schema.GroupResource, old client.Object) client.Object {
	s.revision++
	o := copyOf(old)
	o.SetResourceVersion(strconv.FormatInt(s.revision, 10))
	delete(s.objects[r], keyOf(o))
	s.tell(record{resource: r, kind: watch.Deleted, old: old, object: o})
	return o
}

func copyOf(o client.Object) client.Object { return o.DeepCopyObject().(client.Object) }

func keyOf(o client.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

// resourceOf guesses as clients without discovery do.
func resourceOf(o client.Object) schema.GroupResource {
	gvk := client.KindOf(o)
	if gvk.Kind == "" {
		panic(fmt.Sprintf("clienttest: a %T does not say what it is", o))
	}
	plural, _ := meta.UnsafeGuessKindToResource(gvk)
	return plural.GroupResource()
}
