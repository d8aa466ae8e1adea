package clienttest

import (
	"context"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/proa-dev/proa/internal/client"
)

type record struct {
	resource    schema.GroupResource
	kind        watch.EventType
	old, object client.Object
}

// Watch streams the changes after the revision that is asked for, or from the present state on.
func (s *Server) Watch(ctx context.Context, r *client.Request) (client.Stream, error) {
	want, err := newSelection(r)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	w := &stream{
		server: s, ctx: ctx, cancel: cancel, ready: make(chan struct{}, 1),
		resource: r.Resource.GroupResource(), want: want, at: s.revision,
	}
	initial := r.List.SendInitialEvents != nil && *r.List.SendInitialEvents
	switch v := r.List.ResourceVersion; {
	case initial || v == "" || v == "0":
		w.begin(initial, r.New)
	default:
		if w.at, err = strconv.ParseInt(v, 10, 64); err != nil || w.at > s.revision {
			cancel()
			return nil, apierrors.NewBadRequest("clienttest: no revision " + v)
		}
	}
	s.streams[w] = struct{}{}
	w.wake()
	return w, nil
}

// Cut ends all watches with an error, io.EOF for a good end.
func (s *Server) Cut(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.streams {
		w.over = err
		w.wake()
	}
}

func (s *Server) tell(r record) {
	s.history = append(s.history, r)
	for w := range s.streams {
		if w.resource == r.resource {
			w.wake()
		}
	}
}

type stream struct {
	server   *Server
	ctx      context.Context
	cancel   context.CancelFunc
	ready    chan struct{}
	resource schema.GroupResource
	want     *selection

	first []client.Event // guarded by the server's lock, as all below
	at    int64
	over  error
}

var _ client.Stream = (*stream)(nil)

func (w *stream) begin(mark bool, empty func() client.Object) {
	for _, o := range w.server.sorted(w.resource) {
		if w.want.matches(o) {
			w.first = append(w.first, client.Event{Type: watch.Added, Object: w.want.view(o)})
		}
	}
	if mark {
		end := empty()
		end.SetResourceVersion(strconv.FormatInt(w.at, 10))
		end.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
		w.first = append(w.first, client.Event{Type: watch.Bookmark, Object: end})
	}
}

func (w *stream) wake() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// Next waits for events.
func (w *stream) Next() ([]client.Event, error) {
	for {
		if events, err := w.poll(); err != nil || len(events) > 0 {
			return events, err
		}
		select {
		case <-w.ready:
		case <-w.ctx.Done():
			return nil, w.ctx.Err()
		}
	}
}

// Stop ends the stream.
func (w *stream) Stop() {
	w.cancel()
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	delete(w.server.streams, w)
}

func (w *stream) poll() ([]client.Event, error) {
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	events := w.first
	w.first = nil
	for _, r := range w.server.history[w.at-firstRevision:] {
		if t, ok := w.sees(r); ok {
			events = append(events, client.Event{Type: t, Object: w.want.view(r.object)})
		}
	}
	w.at = w.server.revision
	if len(events) > 0 {
		return events, nil
	}
	return nil, w.over
}

// sees is what a change looks like through the watch's selection.
func (w *stream) sees(r record) (watch.EventType, bool) {
	if r.resource != w.resource {
		return "", false
	}
	before, after := w.want.matches(r.old), w.want.matches(r.object)
	switch {
	case r.kind == watch.Deleted:
		return watch.Deleted, before
	case after && !before:
		return watch.Added, true
	case !after && before:
		return watch.Deleted, true
	}
	return watch.Modified, after
}
