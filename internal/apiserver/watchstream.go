package apiserver

import (
	"context"
	"encoding/binary"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/proa-dev/proa/internal/cache"
	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/encoding"
)

// eventNames of cache's event types.
var eventNames = map[cache.EventType]watch.EventType{
	cache.Added: watch.Added, cache.Modified: watch.Modified, cache.Deleted: watch.Deleted,
}

// watchStream frames events for one client.
type watchStream struct {
	call   *call
	path   string
	format format
	policy metav1.IncludeObjectPolicy
	// grace is how long after the watch's end its client may leave what was written untaken.
	grace time.Duration
	// buf is events that are not written yet.
	buf   []byte
	write func([]byte) error
	flush func() error
	// writeUntil sets the time from which on writing fails.
	writeUntil func(time.Time) error
	// message sends an event; nil if events are written as they come, one after the other.
	message func([]byte) error
	// tableSent tells that a table's header has been sent: only the first event has it.
	tableSent bool

	// turn is held by whoever takes and writes events; pump.go tells who else than the handler does.
	turn   sync.Mutex
	aside  aside           // nil if the transport has none
	again  func()          // has the pump come by; nil until it has; guarded by turn
	ctx    context.Context // the watch's
	end    func()          // ends the watch
	over   bool            // the handler has come to its end; guarded by turn
	broken error           // why others have ended the watch; guarded by turn
}

const (
	// watchChunk is how many bytes of events are gathered before they are written.
	watchChunk = 16 << 10
	// keptEvents is the largest buffer that a watch keeps while it does nothing.
	keptEvents = 4 << 10
)

func (st *watchStream) media() string {
	if st.format.media == mediaProtobuf {
		return mediaProtobuf + ";stream=watch"
	}
	return st.format.media
}

// stream sends the watch as the body of an answer.
func (st *watchStream) stream(w http.ResponseWriter, r *http.Request, open func(context.Context) (*watcher, error)) error {
	rc := http.NewResponseController(w)
	st.flush, st.writeUntil = rc.Flush, rc.SetWriteDeadline
	st.write = func(b []byte) error {
		_, err := w.Write(b)
		return err
	}
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
	st.turn.Lock()
	defer func() {
		st.over = true
		st.turn.Unlock()
	}()
	wr, err := open(ctx)
	if err != nil {
		return st.fail(err)
	}
	defer wr.close()
	defer guardEnd(wr.ctx, st.grace, st.writeUntil)()
	st.ctx, st.end = wr.ctx, wr.end
	return st.run(wr)
}

// run pulls events until the watch ends. Each batch is written with one flush.
func (st *watchStream) run(w *watcher) error {
	for {
		batch, due, err := w.next()
		switch {
		case st.broken != nil:
			return st.broken
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
	if b.InitialDone && w.initialEnd {
		if err := st.gather(b.Events); err != nil {
			return err
		}
		return st.bookmark(b.Reached, true)
	}
	return st.events(b.Events)
}

// events sends changes.
func (st *watchStream) events(events []cache.Event) error {
	if err := st.gather(events); err != nil {
		return err
	}
	return st.send()
}

// gather writes changes, and forgets each, so that a client that stops reading holds none but those to come.
func (st *watchStream) gather(events []cache.Event) error {
	for n, e := range events {
		events[n] = cache.Event{}
		if err := st.event(e); err != nil {
			return err
		}
	}
	return nil
}

// event writes one change.
func (st *watchStream) event(e cache.Event) (err error) {
	if st.buf, err = st.appendEvent(st.buf, eventNames[e.Type], e.Item); err != nil {
		return err
	}
	return st.endEvent()
}

// object writes an event that is not an item's change.
func (st *watchStream) object(kind watch.EventType, o runtime.Object) (err error) {
	if st.buf, err = st.appendObject(st.buf, kind, o); err != nil {
		return err
	}
	return st.endEvent()
}

// endEvent sends what has been gathered if that is a message, or enough.
func (st *watchStream) endEvent() error {
	switch {
	case st.message != nil:
		defer func() { st.buf = st.buf[:0] }()
		return st.message(st.buf)
	case len(st.buf) >= watchChunk:
		return st.drain()
	default:
		return nil
	}
}

func (st *watchStream) drain() error {
	if len(st.buf) == 0 {
		return nil
	}
	err := st.write(st.buf)
	st.buf = st.buf[:0]
	return err
}

// send has all that was gathered sent.
func (st *watchStream) send() error {
	if err := st.drain(); err != nil {
		return err
	}
	if cap(st.buf) > keptEvents {
		st.buf = nil
	}
	return st.flush()
}

// appendEvent appends one change.
func (st *watchStream) appendEvent(b []byte, kind watch.EventType, item *cache.Item) ([]byte, error) {
	res := st.call.res
	if st.format.as != "" {
		o, err := res.object(item)
		if err != nil {
			return b, err
		}
		t, err := st.transform(o)
		if err != nil {
			return b, err
		}
		return st.appendObject(b, kind, t)
	}
	if st.format.media == mediaProtobuf {
		data, err := res.itemProtobuf(st.call.version, item)
		if err != nil {
			return b, err
		}
		return st.protobufFrame(b, kind, data)
	}
	data, err := res.itemJSON(st.call.version, item)
	if err != nil {
		return b, err
	}
	return jsonFrame(b, kind, res.forms[st.call.version].head, data), nil
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

// appendObject appends an event whose object has a kind of its own.
func (st *watchStream) appendObject(b []byte, kind watch.EventType, o runtime.Object) ([]byte, error) {
	if st.format.media == mediaProtobuf && encoding.HasProtobuf(o) {
		data, err := encoding.Protobuf(o, o.GetObjectKind().GroupVersionKind())
		if err != nil {
			return b, err
		}
		return st.protobufFrame(b, kind, data)
	}
	data, err := encoding.JSON(o)
	if err != nil {
		return b, err
	}
	return jsonFrame(b, kind, "", data), nil
}

// jsonFrame appends a JSON event and a newline. head is put in front of the object unless that says its type.
func jsonFrame(b []byte, kind watch.EventType, head string, data []byte) []byte {
	b = append(b, `{"type":"`...)
	b = append(b, kind...)
	b = append(b, `","object":`...)
	if head != "" && !saysType(data) {
		b = append(b, head...)
		data = data[1:]
	}
	b = append(b, data...)
	return append(b, "}\n"...)
}

// protobufFrame appends a WatchEvent{1: type, 2: RawExtension{1: raw}}, with its length unless it is a message.
func (st *watchStream) protobufFrame(b []byte, kind watch.EventType, data []byte) ([]byte, error) {
	e := metav1.WatchEvent{Type: string(kind), Object: runtime.RawExtension{Raw: data}}
	size := e.Size()
	if st.message == nil {
		b = binary.BigEndian.AppendUint32(b, uint32(size))
	}
	from := len(b)
	b = slices.Grow(b, size)[:from+size]
	_, err := e.MarshalToSizedBuffer(b[from:])
	return b, err
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
