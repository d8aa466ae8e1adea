package apiserver

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/proa-dev/proa/internal/cache"
	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/encoding"
)

// Bookmarks tell an idle watcher how far it has come: every so often, and shortly before the end.
const (
	bookmarkEvery     = time.Minute
	bookmarkBeforeEnd = 2 * time.Second
	minWatchTimeout   = 30 * time.Minute
)

// eventNames of cache's event types.
var eventNames = map[cache.EventType]watch.EventType{
	cache.Added: watch.Added, cache.Modified: watch.Modified, cache.Deleted: watch.Deleted,
}

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
func (s *Server) openWatch(ctx context.Context, c *call, sel *selection) (*watcher, error) {
	o, err := s.watchOptions(ctx, c, sel)
	if err != nil {
		return nil, err
	}
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
func (w *watcher) next() (b cache.Batch, due bool, err error) {
	for {
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

// serveWatch streams a watch over HTTP.
func (s *Server) serveWatch(w http.ResponseWriter, r *http.Request, c *call) error {
	o := c.offer(watchTransforms)
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
	open := func(ctx context.Context) (*watcher, error) { return s.openWatch(ctx, c, sel) }
	out := &watchStream{call: c, format: f, policy: policy}
	if isWebSocket(r) {
		s.watchSocket(w, r, out, open)
		return nil
	}
	return out.stream(w, r, open)
}

// watchStream frames events for one client.
type watchStream struct {
	call   *call
	format format
	policy metav1.IncludeObjectPolicy
	out    *bufio.Writer
	flush  func() error
	// message ends an event; nil if events need no end of their own.
	message func() error
	// tableSent tells that a table's header has been sent: only the first event has it.
	tableSent bool
}

func (st *watchStream) media() string {
	if st.format.media == mediaProtobuf {
		return mediaProtobuf + ";stream=watch"
	}
	return st.format.media
}

// stream sends the watch as the body of an answer.
func (st *watchStream) stream(w http.ResponseWriter, r *http.Request, open func(context.Context) (*watcher, error)) error {
	rc := http.NewResponseController(w)
	st.out, st.flush = bufio.NewWriterSize(w, 4<<10), rc.Flush
	return st.watch(r.Context(), func(ctx context.Context) (*watcher, error) {
		// The watch begins before its headers go out: what happens once a client has these is in it.
		wr, err := open(ctx)
		w.Header().Set("Content-Type", st.media())
		w.Header().Set("Transfer-Encoding", "chunked")
		w.WriteHeader(http.StatusOK)
		// The headers go out at once: a client must know that its watch has begun.
		if ferr := rc.Flush(); ferr != nil && err == nil {
			wr.close()
			return nil, ferr
		}
		return wr, err
	})
}

// watch opens a watch and sends it to its end.
func (st *watchStream) watch(ctx context.Context, open func(context.Context) (*watcher, error)) error {
	wr, err := open(ctx)
	if err != nil {
		return st.fail(err)
	}
	defer wr.close()
	return st.run(wr)
}

// run pulls events until the watch ends. Each batch is written with one flush.
func (st *watchStream) run(w *watcher) error {
	for {
		batch, due, err := w.next()
		switch {
		case err != nil && w.ctx.Err() != nil:
			return nil
		case err != nil:
			return st.fail(err)
		case due:
			err = st.bookmark(batch.Reached, false)
		default:
			err = st.batch(w, batch)
		}
		if err != nil {
			return err
		}
	}
}

// nextBookmark is in a minute, or shortly before the end if that comes sooner.
func nextBookmark(now, deadline time.Time) time.Time {
	next := now.Add(bookmarkEvery)
	if last := deadline.Add(-bookmarkBeforeEnd); next.After(last) && last.After(now) {
		return last
	}
	return next
}

func (st *watchStream) batch(w *watcher, b cache.Batch) error {
	for _, e := range b.Events {
		if err := st.event(eventNames[e.Type], e.Item); err != nil {
			return err
		}
	}
	if b.InitialDone && w.initialEnd {
		return st.bookmark(b.Reached, true)
	}
	return st.send()
}

func (st *watchStream) send() error {
	if err := st.out.Flush(); err != nil {
		return err
	}
	return st.flush()
}

// event writes one change.
func (st *watchStream) event(kind watch.EventType, item *cache.Item) error {
	res := st.call.res
	if st.format.as != "" {
		o, err := res.object(item)
		if err != nil {
			return err
		}
		t, err := st.transform(o)
		if err != nil {
			return err
		}
		return st.object(kind, t)
	}
	if st.format.media == mediaProtobuf {
		data, err := res.itemProtobuf(st.call.version, item)
		if err != nil {
			return err
		}
		return st.protobufFrame(kind, data)
	}
	data, err := res.itemJSON(st.call.version, item)
	if err != nil {
		return err
	}
	return st.jsonFrame(kind, res.forms[st.call.version].head, data)
}

func (st *watchStream) transform(o registry.Object) (runtime.Object, error) {
	if st.format.as == "PartialObjectMetadata" {
		return partial(o, st.format), nil
	}
	t := st.call.newTable(st.format)
	t.ResourceVersion = o.GetResourceVersion()
	if st.tableSent {
		t.ColumnDefinitions = nil
	}
	st.tableSent = true
	return t, st.call.addRow(t, o, st.policy, st.format)
}

// object writes an event whose object has a kind of its own.
func (st *watchStream) object(kind watch.EventType, o runtime.Object) error {
	if st.format.media == mediaProtobuf && encoding.HasProtobuf(o) {
		data, err := encoding.Protobuf(o, o.GetObjectKind().GroupVersionKind())
		if err != nil {
			return err
		}
		return st.protobufFrame(kind, data)
	}
	data, err := encoding.JSON(o)
	if err != nil {
		return err
	}
	return st.jsonFrame(kind, "", data)
}

// jsonFrame writes a JSON event and a newline. head is put in front of the object unless that says its type.
func (st *watchStream) jsonFrame(kind watch.EventType, head string, data []byte) error {
	st.out.WriteString(`{"type":"`)
	st.out.WriteString(string(kind))
	st.out.WriteString(`","object":`)
	if head != "" && !saysType(data) {
		st.out.WriteString(head)
		data = data[1:]
	}
	st.out.Write(data)
	// The first error sticks, so looking at the last is enough.
	if _, err := st.out.WriteString("}\n"); err != nil || st.message == nil {
		return err
	}
	return st.message()
}

// protobufFrame writes a length and a WatchEvent{1: type, 2: RawExtension{1: raw}}.
func (st *watchStream) protobufFrame(kind watch.EventType, data []byte) error {
	e := metav1.WatchEvent{Type: string(kind), Object: runtime.RawExtension{Raw: data}}
	msg, err := e.Marshal()
	if err != nil {
		return err
	}
	if st.message != nil {
		if _, err := st.out.Write(msg); err != nil {
			return err
		}
		return st.message()
	}
	var size [4]byte
	binary.BigEndian.PutUint32(size[:], uint32(len(msg)))
	st.out.Write(size[:])
	_, err = st.out.Write(msg)
	return err
}

// bookmark tells how far the watcher has come.
func (st *watchStream) bookmark(reached int64, initialEnd bool) error {
	o, err := st.call.bookmark(reached, initialEnd, st.format)
	if err != nil {
		return err
	}
	if err := st.object(watch.Bookmark, o); err != nil {
		return err
	}
	return st.send()
}

// bookmark is an object of the watched kind with nothing but a resourceVersion.
func (c *call) bookmark(reached int64, initialEnd bool, f format) (runtime.Object, error) {
	o := c.version.New()
	o.SetResourceVersion(strconv.FormatInt(reached, 10))
	if initialEnd {
		o.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	}
	switch f.as {
	case "PartialObjectMetadata":
		return partial(o, f), nil
	case "Table":
		t := c.newTable(f)
		t.ResourceVersion = o.GetResourceVersion()
		t.ColumnDefinitions = nil
		t.Rows = []metav1.TableRow{{Cells: []any{}, Object: runtime.RawExtension{Object: partial(o, f)}}}
		return t, nil
	}
	o.GetObjectKind().SetGroupVersionKind(c.version.GroupVersionKind())
	return o, nil
}

// fail ends the stream with an ERROR event.
func (st *watchStream) fail(err error) error {
	if err := st.object(watch.Error, statusOf(err)); err != nil {
		return err
	}
	return st.send()
}
