package apiserver

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/cache"
	"github.com/proa-dev/proa/internal/registry/encoding"
)

// page is what a list found.
type page struct {
	items []*cache.Item
	meta  metav1.ListMeta
}

// continueToken says where the next page begins. It is kube-apiserver's own form, so that a client may
// take it from one to the other.
type continueToken struct {
	APIVersion      string `json:"v"`
	ResourceVersion int64  `json:"rv"`
	StartKey        string `json:"start"`
}

const continueVersion = "meta.k8s.io/v1"

func (t continueToken) encode() string {
	// A struct of strings and a number always encodes.
	data, _ := json.Marshal(t)
	return base64.RawURLEncoding.EncodeToString(data)
}

// parseContinue reads a token and checks that its key cannot leave the resource.
func parseContinue(s string) (continueToken, error) {
	var t continueToken
	data, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return t, badRequest("invalid continue token: continue key is not valid: %v", err)
	}
	if err := json.Unmarshal(data, &t); err != nil {
		return t, badRequest("invalid continue token: continue key is not valid: %v", err)
	}
	switch {
	case t.APIVersion != continueVersion:
		return t, badRequest("invalid continue token: continue key is not valid: server does not recognize this encoded version %v", t.APIVersion)
	case t.ResourceVersion == 0:
		return t, badRequest("invalid continue token: continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)")
	case t.StartKey == "":
		return t, badRequest("invalid continue token: continue key is not valid: encoded start key empty (version meta.k8s.io/v1)")
	case strings.Contains("/"+t.StartKey, "/../"):
		return t, badRequest("invalid continue token: continue key is not valid: %s", t.StartKey)
	}
	return t, nil
}

// listAt says how fresh a list must be, and after which key it begins.
func (c *call) listAt() (cache.At, string, error) {
	o := &c.list
	if o.Continue != "" {
		return c.continueAt()
	}
	revision, err := parseRevision(o.ResourceVersion)
	if err != nil {
		return cache.At{}, "", badRequest("invalid resource version: %v", err)
	}
	exact := o.ResourceVersionMatch == metav1.ResourceVersionMatchExact ||
		o.ResourceVersionMatch == "" && o.Limit > 0 && revision > 0
	switch {
	case o.ResourceVersion == "":
		return cache.At{Consistency: cache.Consistent}, "", nil
	case revision == 0:
		return cache.At{Consistency: cache.Any}, "", nil
	case exact:
		return cache.At{Consistency: cache.Exact, Revision: revision}, "", nil
	default:
		return cache.At{Consistency: cache.NotOlderThan, Revision: revision}, "", nil
	}
}

func (c *call) continueAt() (cache.At, string, error) {
	if rv := c.list.ResourceVersion; rv != "" && rv != "0" {
		return cache.At{}, "", badRequest("specifying resource version is not allowed when using continue")
	}
	t, err := parseContinue(c.list.Continue)
	if err != nil {
		return cache.At{}, "", err
	}
	after := strings.TrimSuffix(t.StartKey, "\x00")
	if c.namespace != "" {
		after = c.namespace + "/" + after
	}
	if t.ResourceVersion < 0 {
		return cache.At{Consistency: cache.Consistent}, after, nil
	}
	return cache.At{Consistency: cache.Exact, Revision: t.ResourceVersion}, after, nil
}

// findPage carries out a list.
func (s *Server) findPage(ctx context.Context, c *call) (*page, error) {
	if c.typ.Computed {
		return s.computePage(ctx, c)
	}
	sel, err := c.parseSelection()
	if err != nil {
		return nil, err
	}
	at, after, err := c.listAt()
	if err != nil {
		return nil, err
	}
	snap, err := c.res.table.Snapshot(ctx, at)
	if err != nil {
		return nil, c.expired(err, after)
	}
	p := &page{items: []*cache.Item{}}
	p.meta.ResourceVersion = strconv.FormatInt(snap.Revision(), 10)
	prefix := sel.prefix(c.typ.Namespaced)
	more := false
	snap.Range(prefix, after, func(i *cache.Item) bool {
		if !sel.selects(i) {
			return true
		}
		if c.list.Limit > 0 && int64(len(p.items)) == c.list.Limit {
			more = true
			return false
		}
		p.items = append(p.items, i)
		return true
	})
	if more {
		last := p.items[len(p.items)-1].Key
		p.meta.Continue = continueToken{
			APIVersion: continueVersion, ResourceVersion: snap.Revision(), StartKey: c.below(last) + "\x00",
		}.encode()
		if !sel.narrow() {
			left := int64(snap.CountFrom(prefix, last))
			p.meta.RemainingItemCount = &left
		}
	}
	return p, nil
}

// prefix is what all selected keys begin with.
func (s *selection) prefix(namespaced bool) string {
	switch {
	case !namespaced:
		return s.Name
	case s.Namespace == "":
		return ""
	default:
		return s.Namespace + "/" + s.Name
	}
}

// below is a key as continue tokens have it: relative to the namespace that was asked for.
func (c *call) below(key string) string {
	if c.namespace == "" {
		return key
	}
	return strings.TrimPrefix(key, c.namespace+"/")
}

// expired is a 410; where a token is too old it carries one that goes on at the present revision.
func (c *call) expired(err error, after string) error {
	var e *cache.ExpiredError
	if !errors.As(err, &e) {
		return err
	}
	if c.list.Continue == "" {
		return apierrors.NewResourceExpired(e.Error())
	}
	s := apierrors.NewResourceExpired("The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.")
	s.ErrStatus.ListMeta.Continue = continueToken{APIVersion: continueVersion, ResourceVersion: -1, StartKey: c.below(after) + "\x00"}.encode()
	return s
}

// serveList answers a list over HTTP.
func (s *Server) serveList(w http.ResponseWriter, r *http.Request, c *call) error {
	f, err := negotiate(r, c.offer(listTransforms))
	if err != nil {
		return err
	}
	p, err := s.findPage(r.Context(), c)
	if err != nil {
		return err
	}
	return c.writePage(w, r, f, p)
}

// writePage sends a list in the format the client wants.
func (c *call) writePage(w http.ResponseWriter, r *http.Request, f format, p *page) error {
	var parts [][]byte
	var err error
	switch {
	case f.as == "Table":
		parts, err = c.listTable(r, f, p)
	case f.as != "":
		parts, err = c.listPartial(f, p)
	case f.media == mediaProtobuf:
		parts, err = c.listProtobuf(p)
	default:
		parts, err = c.listJSON(f, p)
	}
	if err != nil {
		return err
	}
	return writeBody(w, r, f, http.StatusOK, parts...)
}

func (c *call) listKind() schema.GroupVersionKind {
	return c.version.GroupVersion.WithKind(c.version.Kind + "List")
}

var comma = []byte(",")

func (c *call) listJSON(f format, p *page) ([][]byte, error) {
	meta, err := json.Marshal(p.meta)
	if err != nil {
		return nil, err
	}
	parts := make([][]byte, 0, 2*len(p.items)+2)
	parts = append(parts, []byte(typeMetaJSON(c.listKind())+`"metadata":`+string(meta)+`,"items":[`))
	for i, item := range p.items {
		data, err := c.res.itemJSON(c.version, item)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			parts = append(parts, comma)
		}
		parts = append(parts, data)
	}
	parts = append(parts, []byte("]}\n"))
	if f.media == mediaJSON && !f.pretty {
		return parts, nil
	}
	return f.finish(parts)
}

// finish joins JSON parts and turns them into what the format wants to see.
func (f format) finish(parts [][]byte) ([][]byte, error) {
	var whole []byte
	for _, p := range parts {
		whole = append(whole, p...)
	}
	whole, err := f.finishJSON(whole)
	return [][]byte{whole}, err
}

// maxFrame is the most that an item's tag and length take.
const maxFrame = 1 + 5

// listProtobuf writes the list message by hand around the items' own bytes: field 1 is ListMeta, field 2
// an item, in every list of Kubernetes.
func (c *call) listProtobuf(p *page) ([][]byte, error) {
	meta, err := p.meta.Marshal()
	if err != nil {
		return nil, err
	}
	head := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), meta)
	size := len(head)
	messages := make([][]byte, 0, 2*len(p.items))
	frames := make([]byte, 0, maxFrame*len(p.items))
	for _, item := range p.items {
		data, err := c.res.itemProtobuf(c.version, item)
		if err != nil {
			return nil, err
		}
		msg, err := encoding.Message(data)
		if err != nil {
			return nil, err
		}
		begin := len(frames)
		frames = protowire.AppendVarint(protowire.AppendTag(frames, 2, protowire.BytesType), uint64(len(msg)))
		frame := frames[begin:]
		size += len(frame) + len(msg)
		messages = append(messages, frame, msg)
	}
	open, closing := encoding.Envelope(c.listKind(), size)
	parts := append(make([][]byte, 0, len(messages)+3), open, head)
	return append(append(parts, messages...), closing), nil
}

func (c *call) listTable(r *http.Request, f format, p *page) ([][]byte, error) {
	policy, err := includeObject(r)
	if err != nil {
		return nil, err
	}
	t := c.newTable(f)
	t.ListMeta = p.meta
	for _, item := range p.items {
		o, err := c.res.object(item)
		if err != nil {
			return nil, err
		}
		if err := c.addRow(t, o, policy, f); err != nil {
			return nil, err
		}
	}
	data, err := f.object(t)
	return [][]byte{data}, err
}

func (c *call) listPartial(f format, p *page) ([][]byte, error) {
	l := &metav1.PartialObjectMetadataList{ListMeta: p.meta, Items: make([]metav1.PartialObjectMetadata, 0, len(p.items))}
	l.SetGroupVersionKind(schema.GroupVersionKind{Group: metav1.GroupName, Version: f.asVersion, Kind: "PartialObjectMetadataList"})
	for _, item := range p.items {
		o, err := c.res.object(item)
		if err != nil {
			return nil, err
		}
		l.Items = append(l.Items, *partial(o, f))
	}
	data, err := f.object(l)
	return [][]byte{data}, err
}

// offer is what the call's resource can be answered in.
func (c *call) offer(as []string) offer {
	o := offer{media: treeMedia, as: as, kind: c.version.Kind, list: slices.Contains(as, "PartialObjectMetadataList")}
	if c.res.protobuf {
		o.media = allMedia
	}
	return o
}
