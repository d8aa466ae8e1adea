package informer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/proa-dev/proa/internal/client"
)

// server is a server of config maps that a test makes do whatever servers do: write, forget its history, cut
// connections, go down. It serves our informers and client-go's from the same state.
type server struct {
	noWatchList bool // answers 422 to watches that begin with all objects

	mu        sync.Mutex
	revision  int64
	objects   map[Key]*corev1.ConfigMap
	history   []record
	compacted int64 // history up to this revision is forgotten
	goneEarly bool  // a forgotten revision is refused at once, not by an event of the stream
	refuse    error // what every request is answered with, nil for service as usual
	breaks    int   // watches to come that break off amid the first objects
	streams   map[*serverStream]struct{}
	lists     int
	watches   int
	complete  int // watches that began with all objects
}

type record struct {
	revision int64
	event    client.Event
}

func newServer() *server {
	return &server{revision: 100, objects: map[Key]*corev1.ConfigMap{}, streams: map[*serverStream]struct{}{}}
}

var errRefused = fmt.Errorf("dial: %w", syscall.ECONNREFUSED)

func (s *server) put(k Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: k.Namespace, Name: k.Name, ResourceVersion: rv(s.revision), UID: types.UID(rv(s.revision)),
	}}
	t := watch.Added
	if old := s.objects[k]; old != nil {
		o.UID, t = old.UID, watch.Modified
	}
	s.objects[k] = o
	s.record(t, o)
}

func (s *server) remove(k Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.objects[k]
	if old == nil {
		return
	}
	s.revision++
	o := old.DeepCopy()
	o.ResourceVersion = rv(s.revision)
	delete(s.objects, k)
	s.record(watch.Deleted, o)
}

func (s *server) record(t watch.EventType, o *corev1.ConfigMap) {
	s.history = append(s.history, record{revision: s.revision, event: client.Event{Type: t, Object: o}})
	s.wake()
}

// compact forgets the history and tells those who depend on it.
func (s *server) compact() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.compacted = s.revision
	s.history = nil
	s.wake()
}

// cut ends all streams.
func (s *server) cut(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for stream := range s.streams {
		stream.end(err)
	}
	s.wake()
}

// setRefuse makes the server answer every request with an error, or serve again if it is nil.
func (s *server) setRefuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = err
}

// breakOff cuts all streams, forgets what they saw, and breaks their successors off amid the first objects.
func (s *server) breakOff() {
	s.mu.Lock()
	s.breaks = len(s.streams)
	s.mu.Unlock()
	s.cut(apierrors.NewResourceExpired("too old resource version"))
}

// bookmark tells every stream how far the server is.
func (s *server) bookmark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for stream := range s.streams {
		stream.bookmark = true
	}
	s.wake()
}

func (s *server) wake() {
	for stream := range s.streams {
		select {
		case stream.ready <- struct{}{}:
		default:
		}
	}
}

func (s *server) list() ([]*corev1.ConfigMap, metav1.ListMeta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	if s.refuse != nil {
		return nil, metav1.ListMeta{}, s.refuse
	}
	var items []*corev1.ConfigMap
	for _, o := range s.objects {
		items = append(items, o)
	}
	return items, metav1.ListMeta{ResourceVersion: rv(s.revision)}, nil
}

func (s *server) watch(ctx context.Context, o metav1.ListOptions) (*serverStream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches++
	if s.refuse != nil {
		return nil, s.refuse
	}
	ctx, cancel := context.WithCancel(ctx)
	stream := &serverStream{server: s, ctx: ctx, cancel: cancel, ready: make(chan struct{}, 1)}
	if o.SendInitialEvents != nil && *o.SendInitialEvents {
		if s.noWatchList {
			cancel()
			return nil, apierrors.NewInvalid(schema.GroupKind{Group: "meta.k8s.io", Kind: "ListOptions"}, "", nil)
		}
		s.complete++
		for _, o := range s.objects {
			stream.first = append(stream.first, client.Event{Type: watch.Added, Object: o.DeepCopy()})
		}
		end := mark(s.revision)
		end.Object.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
		stream.first = append(stream.first, end)
		stream.at = s.revision
		if s.breaks > 0 {
			s.breaks--
			stream.first = stream.first[:len(s.objects)/2]
			stream.broken = true
		}
	} else {
		at, err := strconv.ParseInt(o.ResourceVersion, 10, 64)
		if err != nil {
			panic("watch from revision " + o.ResourceVersion)
		}
		if s.goneEarly && at < s.compacted {
			cancel()
			return nil, apierrors.NewResourceExpired("too old resource version")
		}
		stream.at = at
	}
	s.streams[stream] = struct{}{}
	stream.ready <- struct{}{}
	return stream, nil
}

type serverStream struct {
	server *server
	ctx    context.Context
	cancel context.CancelFunc
	ready  chan struct{}

	first    []client.Event
	at       int64
	bookmark bool
	broken   bool // after first
	over     error
}

func (s *serverStream) end(err error) {
	s.over = err
	delete(s.server.streams, s)
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

func (s *serverStream) Stop() {
	s.cancel()
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	delete(s.server.streams, s)
}

func (s *serverStream) Next() ([]client.Event, error) {
	for {
		if events, err := s.poll(); err != nil || len(events) > 0 {
			return events, err
		}
		select {
		case <-s.ready:
		case <-s.ctx.Done():
			return nil, s.ctx.Err()
		}
	}
}

func (s *serverStream) poll() ([]client.Event, error) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if s.over != nil {
		return nil, s.over
	}
	if s.at < s.server.compacted {
		return nil, apierrors.NewResourceExpired("too old resource version")
	}
	events := s.first
	s.first = nil
	if s.broken {
		s.over = io.ErrUnexpectedEOF
		return events, nil
	}
	from := s.at
	for _, r := range s.server.history {
		if r.revision > from {
			events = append(events, r.event)
			s.at = r.revision
		}
	}
	if s.bookmark {
		events = append(events, mark(s.server.revision))
		s.bookmark = false
	}
	return events, nil
}

func mark(revision int64) client.Event {
	return client.Event{Type: watch.Bookmark, Object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{ResourceVersion: rv(revision)}}}
}

func rv(n int64) string { return strconv.FormatInt(n, 10) }

// ours serves our informers.
type ours struct{ *server }

func (s ours) Do(_ context.Context, r *client.Request) (*client.Response, error) {
	items, meta, err := s.list()
	if err != nil {
		return nil, err
	}
	res := &client.Response{List: meta}
	for _, o := range items {
		res.Items = append(res.Items, o)
	}
	return res, nil
}

func (s ours) Watch(ctx context.Context, r *client.Request) (client.Stream, error) {
	return s.watch(ctx, r.List)
}

func (s ours) Discover(context.Context) ([]metav1.APIResourceList, error) {
	return nil, errors.ErrUnsupported
}

// theirs serves client-go's.
type theirs struct{ *server }

func (s theirs) List(metav1.ListOptions) (*corev1.ConfigMapList, error) {
	items, meta, err := s.list()
	if err != nil {
		return nil, err
	}
	l := &corev1.ConfigMapList{ListMeta: meta}
	for _, o := range items {
		l.Items = append(l.Items, *o)
	}
	return l, nil
}

func (s theirs) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	stream, err := s.watch(ctx, o)
	if err != nil {
		return nil, err
	}
	results := make(chan watch.Event)
	proxy := watch.NewProxyWatcher(results)
	go func() {
		defer close(results)
		send := func(e watch.Event) bool {
			select {
			case results <- e:
				return true
			case <-proxy.StopChan():
				return false
			}
		}
		go func() {
			select {
			case <-proxy.StopChan():
				stream.Stop()
			case <-stream.ctx.Done():
			}
		}()
		for {
			events, err := stream.Next()
			for _, e := range events {
				if !send(watch.Event{Type: e.Type, Object: e.Object}) {
					return
				}
			}
			var status *apierrors.StatusError
			if errors.As(err, &status) {
				send(watch.Event{Type: watch.Error, Object: &status.ErrStatus})
			}
			if err != nil {
				stream.Stop()
				return
			}
		}
	}()
	return proxy, nil
}

func cause(t metav1.CauseType) metav1.StatusCause { return metav1.StatusCause{Type: t} }
