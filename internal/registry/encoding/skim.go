package encoding

import (
	"reflect"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/proa-dev/proa/internal/registry"
)

// Skimmer reads of a type's stored objects what indexes and selectors ask for, and skips the rest: a message
// of the few fields that matter is cut out of the stored one, and decoded, defaulted and asked as a whole one
// would be. What matters is the name, and what selectable fields are called after or say that they read: for
// "spec.nodeName" that is the field nodeName of spec. A name that the Go type does not have keeps the deepest
// field it leads to. What is asked of every object, UID and labels, needs no decoding at all (Header).
type Skimmer struct {
	typ     *registry.Type
	version string // the hub's apiVersion
	keep    *keep
}

// keep is which fields of a message stay.
type keep struct {
	whole  bool // all of them
	fields map[protowire.Number]*keep
}

func (k *keep) add(n protowire.Number) *keep {
	if k.fields[n] == nil {
		if k.fields == nil {
			k.fields = map[protowire.Number]*keep{}
		}
		k.fields[n] = &keep{}
	}
	return k.fields[n]
}

// Fields of ObjectMeta.
const (
	metaName      = 1
	metaNamespace = 3
	metaUID       = 5
	metaLabels    = 11
)

// NewSkimmer makes the skimmer of a type.
func NewSkimmer(t *registry.Type) *Skimmer {
	s := &Skimmer{typ: t, version: t.Hub.GroupVersion.String(), keep: &keep{}}
	meta := s.keep.add(objectMetaField)
	for _, n := range []protowire.Number{metaName, metaNamespace} {
		meta.add(n).whole = true
	}
	if HasProtobuf(t.Hub.New()) {
		for _, f := range t.Fields {
			for _, path := range append([]string{f.Name}, f.Reads...) {
				s.keep.follow(reflect.TypeOf(t.Hub.New()).Elem(), strings.Split(path, "."))
			}
		}
	}
	return s
}

// follow keeps the field at a path of JSON names.
func (k *keep) follow(t reflect.Type, path []string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if len(path) > 0 && t.Kind() == reflect.Struct {
		if number, field, ok := wireField(t, path[0]); ok {
			k.add(number).follow(field, path[1:])
			return
		}
	}
	k.whole = true
}

// wireField finds a struct's field by its JSON name.
func wireField(t reflect.Type, name string) (protowire.Number, reflect.Type, bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		called, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if number := wireNumber(f); called == name && number != 0 {
			return number, f.Type, true
		}
	}
	return 0, nil, false
}

// wireNumber is a field's number in its message, 0 if it has none.
func wireNumber(f reflect.StructField) protowire.Number {
	_, rest, _ := strings.Cut(f.Tag.Get("protobuf"), ",")
	digits, _, _ := strings.Cut(rest, ",")
	number, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		return 0
	}
	return protowire.Number(number)
}

// Read is the hub of a stored value, with nothing in it but what matters. Values in other versions than
// the hub, and custom resources, are decoded as a whole.
func (s *Skimmer) Read(data []byte) (registry.Object, error) {
	gvk, raw, err := sniff(data)
	if err != nil {
		return nil, err
	}
	o, ok := s.typ.Hub.New().(message)
	if raw == nil || !ok || gvk.GroupVersion() != s.typ.Hub.GroupVersion {
		return DecodeStored(s.typ, data)
	}
	var room [512]byte
	few, err := s.keep.cut(room[:0], raw)
	if err == nil {
		err = o.Unmarshal(few)
	}
	if err != nil {
		return nil, decodeError(s.typ, err)
	}
	return ToHub(s.typ, s.typ.Hub, o.(registry.Object))
}

// Header reads the UID out of a stored value, and passes on the labels in the order in which they stand. The bytes
// are parts of data. It is false for what has to be decoded for that: a value that is not in the hub's version, not
// protobuf, or not as it should be, and types whose defaults are labels.
func (s *Skimmer) Header(data []byte, label func(key, value []byte)) (uid []byte, ok bool) {
	env, err := openEnvelope(data)
	if err != nil || s.typ.DefaultLabels || string(env.apiVersion) != s.version {
		return nil, false
	}
	seen := false
	for rest := env.raw; len(rest) > 0; {
		number, value, n := consumeBytes(rest)
		if n < 0 || number == objectMetaField && seen {
			return nil, false
		}
		if number == objectMetaField {
			seen = true
			if uid, ok = readHeader(value, label); !ok {
				return nil, false
			}
		}
		rest = rest[n:]
	}
	return uid, seen
}

func readHeader(meta []byte, label func(key, value []byte)) (uid []byte, ok bool) {
	for len(meta) > 0 {
		number, value, n := consumeBytes(meta)
		if n < 0 {
			return nil, false
		}
		switch {
		case value == nil && (number == metaUID || number == metaLabels):
			return nil, false // not text
		case number == metaUID:
			uid = value
		case number == metaLabels:
			key, text, ok := readEntry(value)
			if !ok {
				return nil, false
			}
			label(key, text)
		}
		meta = meta[n:]
	}
	return uid, true
}

// readEntry reads an entry of a map of strings.
func readEntry(entry []byte) (key, value []byte, ok bool) {
	for len(entry) > 0 {
		number, text, n := consumeBytes(entry)
		switch {
		case n < 0 || text == nil:
			return nil, nil, false
		case number == 1:
			key = text
		case number == 2:
			value = text
		}
		entry = entry[n:]
	}
	return key, value, true
}

// lengthRoom is how many bytes the length of a cut message takes: it is written after the message, always in
// as many bytes, of which the first ones may be idle.
const lengthRoom = 4

// cut appends a message's fields that stay.
func (k *keep) cut(out, msg []byte) ([]byte, error) {
	if k.whole {
		return append(out, msg...), nil
	}
	for len(msg) > 0 {
		number, value, n := consumeBytes(msg)
		if n < 0 {
			return out, errEnvelope
		}
		field := msg[:n]
		msg = msg[n:]
		switch inner := k.fields[number]; {
		case inner == nil:
		case inner.whole || value == nil || len(value) >= 1<<(7*lengthRoom):
			out = append(out, field...)
		default:
			out = protowire.AppendTag(out, number, protowire.BytesType)
			begin := len(out) + lengthRoom
			var err error
			if out, err = inner.cut(append(out, make([]byte, lengthRoom)...), value); err != nil {
				return out, err
			}
			putLength(out[begin-lengthRoom:begin], len(out)-begin)
		}
	}
	return out, nil
}

// putLength writes a varint that fills its room.
func putLength(room []byte, n int) {
	for i := range room {
		room[i] = byte(n>>(7*i))&0x7f | 0x80
	}
	room[len(room)-1] &= 0x7f
}
