// Package encoding turns objects into bytes and back: the JSON and protobuf of the wire, and the stored
// form, which is that of kube-apiserver: the `k8s\0` protobuf envelope for Go types, JSON for custom
// resources.
package encoding

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/encoding/typedjson"
)

// protoMagic begins every protobuf envelope.
var protoMagic = []byte("k8s\x00")

// message is what the Go types of k8s.io/api can do.
type message interface {
	MarshalToSizedBuffer([]byte) (int, error)
	Unmarshal([]byte) error
	Size() int
}

// HasProtobuf tells whether the object's Go type has a protobuf form.
func HasProtobuf(o runtime.Object) bool {
	_, ok := o.(message)
	return ok
}

// IsProtobuf tells whether data is a protobuf envelope.
func IsProtobuf(data []byte) bool { return bytes.HasPrefix(data, protoMagic) }

// rooms are where JSON is made before its size is known.
var rooms = sync.Pool{New: func() any { return new([]byte) }}

// maxRoom is what is kept for the next object.
const maxRoom = 64 << 10

// JSON encodes an object as it is, without a final newline.
func JSON(o runtime.Object) ([]byte, error) {
	room := rooms.Get().(*[]byte)
	defer rooms.Put(room)
	data, err := AppendJSON((*room)[:0], o)
	if err != nil {
		return nil, err
	}
	if cap(data) <= maxRoom {
		*room = data
	}
	return bytes.Clone(data), nil
}

// AppendJSON is JSON into a buffer.
func AppendJSON(b []byte, o runtime.Object) ([]byte, error) {
	if data, ok := typedjson.Append(b, o); ok {
		return data, nil
	}
	buf := bytes.NewBuffer(b)
	if err := json.NewEncoder(buf).Encode(o); err != nil {
		return b, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// Merge applies a JSON merge patch to an object that nobody shares, if that can be done without its JSON and
// without any complaint; otherwise the object is spoilt.
func Merge(patch []byte, o runtime.Object) bool { return typedjson.Merge(patch, o) }

// Protobuf encodes an object in its envelope, which names gvk.
func Protobuf(o runtime.Object, gvk schema.GroupVersionKind) ([]byte, error) {
	m, ok := o.(message)
	if !ok {
		return nil, fmt.Errorf("%s has no protobuf form", gvk.Kind)
	}
	apiVersion, kind := gvk.ToAPIVersionAndKind()
	size := m.Size()
	head := envelopeHead(apiVersion, kind, size)
	out := make([]byte, len(head)+size+len(envelopeTail))
	copy(out, head)
	if _, err := m.MarshalToSizedBuffer(out[len(head) : len(head)+size]); err != nil {
		return nil, err
	}
	copy(out[len(head)+size:], envelopeTail)
	return out, nil
}

// Stored encodes a hub object in its type's storage version. It does not keep or change the object,
// which has no resourceVersion.
func Stored(t *registry.Type, o registry.Object) ([]byte, error) {
	if !t.Storage.IsHub {
		v, err := t.Storage.FromHub(o.DeepCopyObject().(registry.Object))
		if err != nil {
			return nil, err
		}
		o = v
	}
	if _, ok := o.(*unstructured.Unstructured); ok {
		return JSON(o)
	}
	return Protobuf(o, t.Storage.GroupVersionKind())
}

// DecodeStored reads a stored value in any version that the type serves and returns the hub, defaulted.
func DecodeStored(t *registry.Type, data []byte) (registry.Object, error) {
	gvk, raw, err := sniff(data)
	if err != nil {
		return nil, err
	}
	v := t.Version(gvk.GroupVersion())
	if v == nil {
		return nil, fmt.Errorf("stored in %s, a version that %s does not have", gvk.GroupVersion(), t.GroupResource())
	}
	o := v.New()
	if raw != nil {
		m, ok := o.(message)
		if !ok {
			return nil, fmt.Errorf("%s has no protobuf form", gvk.Kind)
		}
		err = m.Unmarshal(raw)
	} else {
		err = kjson.UnmarshalCaseSensitivePreserveInts(data, o)
	}
	if err != nil {
		return nil, decodeError(t, err)
	}
	return ToHub(t, v, o)
}

func decodeError(t *registry.Type, err error) error {
	return fmt.Errorf("decode stored %s: %w", t.GroupResource(), err)
}

// ToHub converts an object to the hub and fills its defaults. The argument is used up. The result has
// no apiVersion and kind.
func ToHub(t *registry.Type, v *registry.TypeVersion, o registry.Object) (registry.Object, error) {
	h, err := v.ToHub(o)
	if err != nil {
		return nil, err
	}
	if _, ok := h.(*unstructured.Unstructured); !ok {
		h.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	}
	t.Default(h)
	return h, nil
}

// sniff tells the version of encoded data; raw is the message inside a protobuf envelope, nil for JSON.
func sniff(data []byte) (gvk schema.GroupVersionKind, raw []byte, err error) {
	if IsProtobuf(data) {
		env, err := openEnvelope(data)
		if err != nil {
			return gvk, nil, err
		}
		return schema.FromAPIVersionAndKind(string(env.apiVersion), string(env.kind)), env.raw, nil
	}
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return gvk, nil, fmt.Errorf("neither protobuf nor JSON: %w", err)
	}
	return schema.FromAPIVersionAndKind(head.APIVersion, head.Kind), nil, nil
}

// DecodeJSON reads JSON into an object. The strict errors name unknown and duplicate fields, and do not
// keep the object from being used.
func DecodeJSON(data []byte, into runtime.Object) (strict []error, err error) {
	if u, ok := into.(*unstructured.Unstructured); ok {
		return decodeTree(data, u)
	}
	if typedjson.Decode(data, into) {
		return nil, nil
	}
	return kjson.UnmarshalStrict(data, into)
}

func decodeTree(data []byte, u *unstructured.Unstructured) (strict []error, err error) {
	var tree map[string]any
	strict, err = kjson.UnmarshalStrict(data, &tree)
	if err == nil && tree == nil {
		err = fmt.Errorf("expected an object")
	}
	u.Object = tree
	return strict, err
}

// DecodeProtobuf reads an envelope and the message in it.
func DecodeProtobuf(data []byte, into runtime.Object) (schema.GroupVersionKind, error) {
	env, err := openEnvelope(data)
	if err != nil {
		return schema.GroupVersionKind{}, err
	}
	m, ok := into.(message)
	if !ok {
		return schema.GroupVersionKind{}, fmt.Errorf("%T has no protobuf form", into)
	}
	return schema.FromAPIVersionAndKind(string(env.apiVersion), string(env.kind)), m.Unmarshal(env.raw)
}

// YAMLToJSON converts a YAML document; strict names duplicate keys.
func YAMLToJSON(data []byte) (out []byte, strict error, err error) {
	out, strict = yaml.YAMLToJSONStrict(data)
	if strict == nil {
		return out, nil, nil
	}
	out, err = yaml.YAMLToJSON(data)
	return out, strict, err
}
