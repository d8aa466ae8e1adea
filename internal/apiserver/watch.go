package apiserver

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/proa-dev/proa/internal/cache"
)

// Bookmarks tell an idle watcher how far it has come: every so often, and shortly before the end.
const (
	bookmarkEvery     = time.Minute
	bookmarkBeforeEnd = 2 * time.Second
	minWatchTimeout   = 30 * time.Minute
)

// watcher is a watch in progress, without its transport: what HTTP and in-process clients share.
type watcher struct {
	*cache.Watcher
	call *call
	// ctx ends with the client's request, the watch's time, or the server.
	ctx context.Context
	end func()
	// bookmarks tells whether the client wants any; initialEnd, whether it waits for the one that ends
	// the initial events.
	bookmarks, initialEnd bool
	// idle ends when the next bookmark is due.
	idle    context.Context
	endIdle context.CancelFunc
}

// openWatch begins a watch. Errors beyond parsing are reported within the stream, by the caller.
func (s *Server) openWatch(ctx context.Context, c *call, sel *selection, sharing *cache.Sharing) (*watcher, error) {
	o, err := s.watchOptions(ctx, c, sel)
	if err != nil {
		return nil, err
	}
	o.Sharing = sharing
	life, cancel := context.WithCancel(ctx)
	undrain := context.AfterFunc(s.draining, cancel)
	cw, err := c.res.table.Watch(life, o)
	if err != nil {
		undrain()
		cancel()
		return nil, err
	}
	// Its time runs from here: how long it may wait for a revision is another matter.
	ctx, expire := context.WithTimeout(life, c.watchTimeout())
	end := func() {
		undrain()
		expire()
		cancel()
	}
	w := &watcher{
		Watcher: cw, call: c, ctx: ctx, end: end, bookmarks: c.list.AllowWatchBookmarks,
		initialEnd: c.list.AllowWatchBookmarks && o.Initial,
	}
	w.beginIdle()
	return w, nil
}

func (s *Server) watchOptions(ctx context.Context, c *call, sel *selection) (cache.WatchOptions, error) {
	o := cache.WatchOptions{Selector: sel.Selector}
	revision, err := parseRevision(c.list.ResourceVersion)
	if err != nil {
		return o, err
	}
	initial := c.list.SendInitialEvents
	switch {
	case initial != nil && *initial, initial == nil && revision == 0:
		o.Initial = true
		o.At = initialAt(c.list.ResourceVersion, revision, initial != nil)
	case revision == 0:
		// sendInitialEvents=false without a revision: whatever happens from now on.
		o.After, err = s.store.Revision(ctx)
	default:
		o.After = revision
	}
	return o, err
}

// next waits for events, or for the time of a bookmark: due then, and the batch has none.
//
// Once its time is over it takes nothing more, however much there is, beyond what was ready at the end of a wait.
func (w *watcher) next() (b cache.Batch, due bool, err error) {
	for {
		if err := w.ctx.Err(); err != nil {
			return cache.Batch{}, false, err
		}
		b, err = w.Watcher.Next(w.idle)
		if err == nil || w.ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return b, false, err
		}
		w.endIdle()
		w.beginIdle()
		if reached := w.Reached(); w.bookmarks && reached > 0 {
			return cache.Batch{Reached: reached}, true, nil
		}
	}
}

// beginIdle sets the time of the next bookmark.
func (w *watcher) beginIdle() {
	deadline, _ := w.ctx.Deadline()
	w.idle, w.endIdle = context.WithDeadline(w.ctx, nextBookmark(time.Now(), deadline))
}

func (w *watcher) close() {
	w.endIdle()
	w.end()
	w.Watcher.Stop()
}

// initialAt is how fresh the initial events must be. A watch of the old kind, which did not ask for them,
// begins with whatever there is.
func initialAt(rv string, revision int64, asked bool) cache.At {
	switch {
	case asked && rv == "":
		return cache.At{Consistency: cache.Consistent}
	case revision > 0:
		return cache.At{Consistency: cache.NotOlderThan, Revision: revision}
	default:
		return cache.At{Consistency: cache.Any}
	}
}

// watchTimeout is how long a watch lasts.
func (c *call) watchTimeout() time.Duration {
	if t := c.list.TimeoutSeconds; t != nil && *t > 0 {
		return time.Duration(*t) * time.Second
	}
	return minWatchTimeout + rand.N(minWatchTimeout)
}

// namesWatch refuses an Accept header that names nothing that the path of a watch has: lists, and streams of them.
func (o offer) namesWatch(r *http.Request) error {
	o.media = slices.Clone(o.media)
	for _, m := range o.media {
		if m != mediaYAML {
			o.media = append(o.media, m+";stream=watch")
		}
	}
	_, err := o.clauses(r)
	return err
}

// serveWatch streams a watch over HTTP.
func (s *Server) serveWatch(w http.ResponseWriter, r *http.Request, c *call) error {
	o := c.offer(watchTransforms)
	if err := o.namesWatch(r); err != nil {
		return err
	}
	o.media = slices.DeleteFunc(slices.Clone(o.media), func(m string) bool { return m == mediaYAML })
	f, err := negotiate(r, o)
	if apierrors.IsNotAcceptable(err) {
		return notAcceptable([]string{strings.Join(o.media, ";stream=watch, ") + ";stream=watch"})
	}
	if err != nil {
		return err
	}
	sel, err := c.parseSelection()
	if err != nil {
		return err
	}
	if _, err := parseRevision(c.list.ResourceVersion); err != nil {
		return err
	}
	policy, err := includeObject(r)
	if err != nil {
		return err
	}
	out := &watchStream{call: c, path: r.URL.Path, format: f, policy: policy, grace: s.endGrace}
	if isWebSocket(r) {
		s.watchSocket(w, r, out, func(ctx context.Context) (*watcher, error) { return s.openWatch(ctx, c, sel, nil) })
		return nil
	}
	out.aside = asAside(w)
	sharing := s.share(out, r.RemoteAddr)
	open := func(ctx context.Context) (*watcher, error) { return s.openWatch(ctx, c, sel, sharing) }
	return out.stream(w, r, open)
}
