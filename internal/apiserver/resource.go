package apiserver

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/cache"
	"github.com/proa-dev/proa/internal/ownership"
	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/encoding"
	"github.com/proa-dev/proa/internal/store"
)

// resource is a type with what the server keeps for it.
type resource struct {
	*registry.Type
	// table holds its objects; nil for types that are not stored, such as reviews.
	table *cache.Table
	// skimmer reads what an item says of its value.
	skimmer *encoding.Skimmer
	// sharer makes equal parts of objects one, once kept says that a component of this process keeps them decoded.
	sharer *encoding.Sharer
	kept   atomic.Bool
	// owner keeps track of whose its fields are.
	owner *ownership.Manager
	// protobuf tells whether its objects have that form.
	protobuf bool
	forms    map[*registry.TypeVersion]form
}

// form is what is said again and again of the objects of one version.
type form struct {
	// head begins a top-level object in JSON.
	head string
	// json and protobuf are what items remember these encodings by.
	json, protobuf string
}

func newResource(t *registry.Type, sharer *encoding.Sharer) *resource {
	r := &resource{
		Type: t, skimmer: encoding.NewSkimmer(t), sharer: sharer, owner: ownership.New(t), protobuf: encoding.HasProtobuf(t.Hub.New()), forms: map[*registry.TypeVersion]form{},
	}
	for _, v := range t.Versions {
		r.forms[v] = form{
			head: typeMetaJSON(v.GroupVersionKind()), json: "json:" + v.Version + v.Group, protobuf: "protobuf:" + v.Version + v.Group,
		}
	}
	return r
}

// hint is what a writer tells the cache of the value it commits: the hub object that the value encodes,
// without a resourceVersion. It is taken once, so that the store, which keeps the latest events, does not
// keep their objects with them.
type hint struct {
	taken  atomic.Bool
	object registry.Object // of whoever sets taken, who leaves nil
}

func newHint(o registry.Object) *hint { return &hint{object: o} }

// take returns the object to the first who asks, nil to others.
func (h *hint) take() registry.Object {
	if h.taken.Swap(true) {
		return nil
	}
	o := h.object
	h.object = nil
	return o
}

// describe makes the cache's item of a stored value.
func (r *resource) describe(kv store.KV, h any) (*cache.Item, error) {
	value, err := withRevision(kv.Value, kv.Revision)
	if err != nil {
		return nil, err
	}
	item := &cache.Item{Key: strings.TrimPrefix(kv.Key, r.Prefix), Revision: kv.Revision, Value: value}
	var object registry.Object
	if written, ok := h.(*hint); ok {
		object = written.take()
	}
	if object == nil {
		return item, r.skim(item)
	}
	object.SetResourceVersion(strconv.FormatInt(kv.Revision, 10))
	if r.kept.Load() {
		r.sharer.Share(r.Type, object, value)
	}
	item.Share(object)
	item.UID, item.Labels = string(object.GetUID()), cache.MakeLabels(object.GetLabels())
	item.Fields = r.fieldsOf(object)
	return item, nil
}

// skim fills in an item out of its value alone.
func (r *resource) skim(item *cache.Item) error {
	var labels cache.LabelPacker
	uid, known := r.skimmer.Header(item.Value, labels.Add)
	packed, ordered := labels.Labels()
	if !known || !ordered {
		object, err := encoding.DecodeStored(r.Type, item.Value)
		if err != nil {
			return err
		}
		item.UID, item.Labels = string(object.GetUID()), cache.MakeLabels(object.GetLabels())
		item.Fields = r.fieldsOf(object)
		return nil
	}
	item.UID, item.Labels = string(uid), packed
	if len(r.Fields) == 0 {
		return nil
	}
	object, err := r.skimmer.Read(item.Value)
	if err != nil {
		return err
	}
	item.Fields = r.fieldsOf(object)
	return nil
}

// fieldsOf are the values of an object's selectable fields.
func (r *resource) fieldsOf(object registry.Object) cache.Fields {
	if len(r.Fields) == 0 {
		return cache.Fields{}
	}
	values := make([]string, len(r.Fields))
	for i, f := range r.Fields {
		values[i] = f.Value(object)
	}
	return cache.MakeFields(values...)
}

// withRevision returns a stored value with its revision in it.
func withRevision(value []byte, revision store.Revision) ([]byte, error) {
	if encoding.IsProtobuf(value) {
		return encoding.WithRevision(value, revision)
	}
	var tree unstructured.Unstructured
	if _, err := encoding.DecodeJSON(value, &tree); err != nil {
		return nil, err
	}
	tree.SetResourceVersion(strconv.FormatInt(revision, 10))
	return encoding.JSON(&tree)
}

// schema is how the cache keeps the resource.
func (r *resource) schema() cache.Schema {
	s := cache.Schema{Resource: r.GroupResource().String(), Prefix: r.Prefix, Describe: r.describe}
	for i, f := range r.Fields {
		if f.Indexed {
			s.Indexed = append(s.Indexed, i)
		}
	}
	return s
}

// object returns the item as a hub object, which is shared: nobody may change it.
func (r *resource) object(item *cache.Item) (registry.Object, error) {
	o, err := item.Object(func() (any, error) { return encoding.DecodeStored(r.Type, item.Value) })
	if err != nil {
		return nil, err
	}
	return o.(registry.Object), nil
}

// keep is object for those who keep it: what it has in common with others is there once.
func (r *resource) keep(item *cache.Item) (registry.Object, error) {
	o, err := item.Object(func() (any, error) {
		o, err := encoding.DecodeStored(r.Type, item.Value)
		if err == nil && r.storedAs(o, item.Value) {
			r.sharer.Share(r.Type, o, item.Value)
		}
		return o, err
	})
	if err != nil {
		return nil, err
	}
	return o.(registry.Object), nil
}

// storedAs tells whether an object that was decoded from a value would be stored as that value: defaults that came later
// have changed nothing.
func (r *resource) storedAs(o registry.Object, value []byte) bool {
	if !r.protobuf {
		return false
	}
	again, err := encoding.Stored(r.Type, o)
	return err == nil && bytes.Equal(again, value)
}

// shallow returns a copy of an object that shares all but the top.
func shallow(o registry.Object) registry.Object {
	if u, ok := o.(*unstructured.Unstructured); ok {
		return u.DeepCopy()
	}
	dup := reflect.New(reflect.TypeOf(o).Elem())
	dup.Elem().Set(reflect.ValueOf(o).Elem())
	return dup.Interface().(registry.Object)
}

// routes find a resource by where it is served. They are replaced whole when types come and go.
type routes struct {
	byVersion map[schema.GroupVersion]map[string]*route
	// types in the order of their registration.
	types []*resource
}

type route struct {
	res     *resource
	version *registry.TypeVersion
}

// find is the route of a resource, nil if there is none.
func (rs *routes) find(gv schema.GroupVersion, name string) *route { return rs.byVersion[gv][name] }

// of is where a request leads, nil if nowhere.
func (rs *routes) of(i *requestInfo) *route {
	if !i.isResource || i.hole || i.rest != "" && i.subresource != "proxy" {
		return nil
	}
	rt := rs.find(i.groupVersion(), i.resource)
	if rt == nil || i.unnamed && !rt.res.Namespaced {
		return nil
	}
	if i.namespace != "" && !rt.res.Namespaced && i.resource != "namespaces" {
		return nil
	}
	if i.resource == "namespaces" && i.namespace != "" && i.namespace != i.name {
		return nil
	}
	if i.subresource != "" && !rt.res.hasSubresource(i.subresource) {
		return nil
	}
	return rt
}

// hasGroup tells whether any version of a group is served.
func (rs *routes) hasGroup(group string) bool {
	for gv := range rs.byVersion {
		if gv.Group == group {
			return true
		}
	}
	return false
}

// byResource finds a stored resource whatever the version.
func (rs *routes) byResource(gr schema.GroupResource) *resource {
	i := slices.IndexFunc(rs.types, func(r *resource) bool { return r.GroupResource() == gr })
	if i < 0 {
		return nil
	}
	return rs.types[i]
}

func makeRoutes(types []*resource) (*routes, error) {
	rs := &routes{byVersion: map[schema.GroupVersion]map[string]*route{}, types: types}
	for _, r := range types {
		for _, v := range r.Versions {
			byName := rs.byVersion[v.GroupVersion]
			if byName == nil {
				byName = map[string]*route{}
				rs.byVersion[v.GroupVersion] = byName
			}
			if _, taken := byName[r.Name]; taken {
				return nil, fmt.Errorf("two resources are called %s in %s", r.Name, v.GroupVersion)
			}
			byName[r.Name] = &route{res: r, version: v}
		}
	}
	return rs, nil
}

// splitKey takes an item's key apart.
func splitKey(t *registry.Type, key string) (namespace, name string) {
	if !t.Namespaced {
		return "", key
	}
	namespace, name, _ = strings.Cut(key, "/")
	return namespace, name
}
