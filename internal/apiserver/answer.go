package apiserver

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/proa-dev/proa/internal/cache"
	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/encoding"
)

// answer is what a verb returns: one of item, page, object and other.
type answer struct {
	code int
	// item is an object at rest.
	item *cache.Item
	// page is a list of them.
	page *page
	// object is a hub object that was just written.
	object registry.Object
	// other is an object of a kind of its own, such as a Status or a Scale, with its kind in it.
	other runtime.Object
}

func ok(o registry.Object) *answer { return &answer{code: http.StatusOK, object: o} }

// compressAbove is the size from which on answers are compressed, if the client wants that.
const compressAbove = 128 << 10

// typeMetaJSON is the beginning of a top-level object in JSON; a list's items lack it.
func typeMetaJSON(gvk schema.GroupVersionKind) string {
	apiVersion, kind := gvk.ToAPIVersionAndKind()
	return `{"kind":` + strconv.Quote(kind) + `,"apiVersion":` + strconv.Quote(apiVersion) + `,`
}

// itemJSON is an item in a version, without kind and apiVersion unless it is a custom resource.
func (r *resource) itemJSON(v *registry.TypeVersion, item *cache.Item) ([]byte, error) {
	return item.Encoding(r.forms[v].json, func() ([]byte, error) {
		o, err := r.object(item)
		if err != nil {
			return nil, err
		}
		return versionJSON(v, o)
	})
}

func versionJSON(v *registry.TypeVersion, hub registry.Object) ([]byte, error) {
	o, err := inVersion(v, hub)
	if err != nil {
		return nil, err
	}
	return encoding.JSON(o)
}

// inVersion converts a shared hub object.
func inVersion(v *registry.TypeVersion, hub registry.Object) (registry.Object, error) {
	if v.IsHub {
		return hub, nil
	}
	return v.FromHub(hub.DeepCopyObject().(registry.Object))
}

// itemProtobuf is an item in a version, in its envelope.
func (r *resource) itemProtobuf(v *registry.TypeVersion, item *cache.Item) ([]byte, error) {
	if v == r.Storage {
		return item.Value, nil
	}
	return item.Encoding(r.forms[v].protobuf, func() ([]byte, error) {
		o, err := r.object(item)
		if err != nil {
			return nil, err
		}
		if o, err = inVersion(v, o); err != nil {
			return nil, err
		}
		return encoding.Protobuf(o, v.GroupVersionKind())
	})
}

// write sends an answer in the format the client wants.
func (s *Server) write(w http.ResponseWriter, r *http.Request, c *call, f format, a *answer) error {
	if scale, ok := a.other.(*autoscalingv1.Scale); ok && f.as != "" {
		return s.writeTransformed(w, r, c, f, a.code, scale)
	}
	if a.other != nil {
		return s.writeObject(w, r, f, a.code, a.other)
	}
	if a.page != nil {
		return c.writePage(w, r, f, a.page)
	}
	if f.as != "" {
		o, err := s.hubOf(c.res, a)
		if err != nil {
			return err
		}
		return s.writeTransformed(w, r, c, f, a.code, o)
	}
	if a.object != nil && f.media == mediaJSON && !f.pretty && c.res.protobuf {
		return c.writeWritten(w, r, f, a)
	}
	parts, err := c.encode(f, a)
	if err != nil {
		return err
	}
	return writeBody(w, r, f, a.code, parts...)
}

// maxAnswer is how large a buffer is kept for the next answer.
const maxAnswer = 64 << 10

var answers = sync.Pool{New: func() any { return new([]byte) }}

// writeWritten sends an object that was just written: its JSON is not kept, so it goes out of a buffer that
// the next answer uses. After a write that failed nobody uses it again, for the connection may still hold it.
func (c *call) writeWritten(w http.ResponseWriter, r *http.Request, f format, a *answer) error {
	o, err := inVersion(c.version, a.object)
	if err != nil {
		return err
	}
	buf := answers.Get().(*[]byte)
	head := c.res.forms[c.version].head
	last := len(head) - 1 // the comma, in whose place the object's brace is written first
	data, err := encoding.AppendJSON(append((*buf)[:0], head[:last]...), o)
	if err != nil {
		return err
	}
	data[last] = head[last]
	data = append(data, '\n')
	err = writeBody(w, r, f, a.code, data)
	if err == nil && cap(data) <= maxAnswer {
		*buf = data
		answers.Put(buf)
	}
	return err
}

func (s *Server) writeTransformed(w http.ResponseWriter, r *http.Request, c *call, f format, code int, o registry.Object) error {
	t, err := c.transform(r, f, o)
	if err != nil {
		return err
	}
	return s.writeObject(w, r, f, code, t)
}

func (s *Server) hubOf(r *resource, a *answer) (registry.Object, error) {
	if a.item != nil {
		return r.object(a.item)
	}
	return a.object, nil
}

// encode returns the parts of an answer. What is at rest is not copied.
func (c *call) encode(f format, a *answer) ([][]byte, error) {
	if f.media == mediaProtobuf {
		data, err := c.encodeProtobuf(a)
		return [][]byte{data}, err
	}
	var data []byte
	var err error
	if a.item != nil {
		data, err = c.res.itemJSON(c.version, a.item)
	} else {
		data, err = versionJSON(c.version, a.object)
	}
	switch {
	case err != nil:
		return nil, err
	case f.media != mediaJSON || f.pretty:
		data, err = f.finishJSON(c.res.withTypeMeta(c.version, data))
		return [][]byte{data}, err
	case saysType(data):
		return [][]byte{data, newline}, nil
	default:
		return [][]byte{[]byte(c.res.forms[c.version].head), data[1:], newline}, nil
	}
}

var newline = []byte("\n")

func (c *call) encodeProtobuf(a *answer) ([]byte, error) {
	if a.item != nil {
		return c.res.itemProtobuf(c.version, a.item)
	}
	o, err := inVersion(c.version, a.object)
	if err != nil {
		return nil, err
	}
	return encoding.Protobuf(o, c.version.GroupVersionKind())
}

// saysType tells whether an object's JSON has its kind and apiVersion: a custom resource's does.
func saysType(data []byte) bool { return bytes.HasPrefix(data, []byte(`{"apiVersion"`)) }

// withTypeMeta puts kind and apiVersion in front of an object's JSON, into a new slice.
func (r *resource) withTypeMeta(v *registry.TypeVersion, data []byte) []byte {
	if saysType(data) {
		return bytes.Clone(data)
	}
	head := r.forms[v].head
	out := make([]byte, 0, len(head)+len(data))
	return append(append(out, head...), data[1:]...)
}

// writeObject sends an object of a kind of its own.
func (s *Server) writeObject(w http.ResponseWriter, r *http.Request, f format, code int, o runtime.Object) error {
	data, err := f.object(o)
	if err != nil {
		return err
	}
	return writeBody(w, r, f, code, data)
}

func (f format) object(o runtime.Object) ([]byte, error) {
	if f.media == mediaProtobuf && encoding.HasProtobuf(o) {
		return encoding.Protobuf(o, o.GetObjectKind().GroupVersionKind())
	}
	data, err := encoding.JSON(o)
	if err != nil {
		return nil, err
	}
	return f.finishJSON(data)
}

// finishJSON turns JSON into what the format wants to see.
func (f format) finishJSON(data []byte) ([]byte, error) {
	switch {
	case f.media == mediaYAML:
		return yaml.JSONToYAML(data)
	case f.pretty:
		var buf bytes.Buffer
		if err := json.Indent(&buf, data, "", "  "); err != nil {
			return nil, err
		}
		return buf.Bytes(), nil
	default:
		return append(data, '\n'), nil
	}
}

func writeBody(w http.ResponseWriter, r *http.Request, f format, code int, parts ...[]byte) error {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	h := w.Header()
	h.Set("Content-Type", f.media)
	if size > compressAbove && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		h.Add("Vary", "Accept-Encoding")
		w.WriteHeader(code)
		return writeCompressed(w, parts)
	}
	h.Set("Content-Length", strconv.Itoa(size))
	w.WriteHeader(code)
	if len(parts) == 1 {
		_, err := w.Write(parts[0])
		return err
	}
	return writeJoined(w, parts)
}

// joinedWrite is how much of a list goes out at a time: enough for a write to an HTTP/2 stream, which has its turn of the
// connection each time, to cost little for a byte, and no more than what the processor's nearest cache still holds when it
// is copied on.
const joinedWrite = 32 << 10

var joiners = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, joinedWrite) }}

// writeJoined does not use its buffer again after a write that failed: the connection may still hold it.
func writeJoined(w io.Writer, parts [][]byte) error {
	joined := joiners.Get().(*bufio.Writer)
	joined.Reset(w)
	for _, p := range parts {
		if _, err := joined.Write(p); err != nil {
			return err
		}
	}
	if err := joined.Flush(); err != nil {
		return err
	}
	joined.Reset(nil)
	joiners.Put(joined)
	return nil
}

var gzipWriters = sync.Pool{New: func() any {
	zw, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed) // the level is valid, so there is no error
	return zw
}}

func writeCompressed(w io.Writer, parts [][]byte) error {
	zw := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(zw)
	zw.Reset(w)
	for _, p := range parts {
		if _, err := zw.Write(p); err != nil {
			return err
		}
	}
	return zw.Close()
}

func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name != "gzip" {
			continue
		}
		_, weight, weighted := strings.Cut(strings.ReplaceAll(params, " ", ""), "q=")
		q, err := strconv.ParseFloat(weight, 64)
		return !weighted || err != nil || q > 0
	}
	return false
}

// writeError sends an error as a Status, unless an answer has begun: there is no room for it then.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	s.writeErrorIn(w, r, err, allMedia)
}

// writeErrorIn sends an error where not every media type is served.
func (s *Server) writeErrorIn(w http.ResponseWriter, r *http.Request, err error, media []string) {
	if rec, ok := w.(*recorder); ok && rec.code != 0 {
		s.log.Debug("an answer broke off", "path", r.URL.Path, "err", err)
		return
	}
	status := statusOf(err)
	if status.Details != nil && status.Details.RetryAfterSeconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(status.Details.RetryAfterSeconds)))
	}
	f, nerr := negotiate(r, offer{media: media, lenient: true})
	if nerr != nil {
		f = format{media: mediaJSON, pretty: true}
	}
	data, err := f.object(status)
	if err != nil {
		s.log.Error("encode a status", "err", err)
		return
	}
	if err := writeBody(w, r, f, int(status.Code), data); err != nil {
		s.log.Debug("write a status", "err", err)
	}
}
