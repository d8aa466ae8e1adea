package encoding

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The envelope is runtime.Unknown after the magic: field 1 is TypeMeta{1: apiVersion, 2: kind}, field 2
// the object's own message, fields 3 and 4 the content encoding and type, both empty. In the object's
// message, field 1 is ObjectMeta, and in that field 6 is the resourceVersion.
const (
	envelopeTypeMeta = 1
	envelopeRaw      = 2
	objectMetaField  = 1
	revisionField    = 6
)

// envelopeTail is the empty content encoding and type.
var envelopeTail = []byte{3<<3 | 2, 0, 4<<3 | 2, 0}

var errEnvelope = errors.New("malformed protobuf envelope")

type envelope struct {
	apiVersion, kind []byte
	raw              []byte
	head             []byte // magic and TypeMeta, as they are
}

// openEnvelope takes an envelope apart without copying.
func openEnvelope(data []byte) (envelope, error) {
	var env envelope
	if !IsProtobuf(data) {
		return env, fmt.Errorf("%w: no magic number", errEnvelope)
	}
	rest := data[len(protoMagic):]
	for len(rest) > 0 {
		num, value, n := consumeBytes(rest)
		if n < 0 {
			return env, errEnvelope
		}
		switch num {
		case envelopeTypeMeta:
			if err := env.readTypeMeta(value); err != nil {
				return env, err
			}
			env.head = data[:len(data)-len(rest)+n]
		case envelopeRaw:
			env.raw = value
		}
		rest = rest[n:]
	}
	if env.head == nil {
		return env, fmt.Errorf("%w: no type", errEnvelope)
	}
	if env.raw == nil {
		env.raw = []byte{}
	}
	return env, nil
}

func (env *envelope) readTypeMeta(b []byte) error {
	for len(b) > 0 {
		num, value, n := consumeBytes(b)
		if n < 0 {
			return errEnvelope
		}
		switch num {
		case 1:
			env.apiVersion = value
		case 2:
			env.kind = value
		}
		b = b[n:]
	}
	return nil
}

// consumeBytes reads one length-delimited field; other wire types give a nil value. n is negative where
// the data is malformed.
func consumeBytes(b []byte) (num protowire.Number, value []byte, n int) {
	num, kind, tag := protowire.ConsumeTag(b)
	if tag < 0 {
		return 0, nil, -1
	}
	if kind != protowire.BytesType {
		size := protowire.ConsumeFieldValue(num, kind, b[tag:])
		if size < 0 {
			return 0, nil, -1
		}
		return num, nil, tag + size
	}
	value, size := protowire.ConsumeBytes(b[tag:])
	if size < 0 {
		return 0, nil, -1
	}
	return num, value, tag + size
}

// envelopeHead is everything before an object's message of the given size.
func envelopeHead(apiVersion, kind string, size int) []byte {
	inner := protowire.SizeTag(1) + protowire.SizeBytes(len(apiVersion)) + protowire.SizeTag(2) + protowire.SizeBytes(len(kind))
	b := make([]byte, 0, len(protoMagic)+inner+16)
	b = append(b, protoMagic...)
	b = protowire.AppendTag(b, envelopeTypeMeta, protowire.BytesType)
	b = binary.AppendUvarint(b, uint64(inner))
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendString(b, apiVersion)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendString(b, kind)
	b = protowire.AppendTag(b, envelopeRaw, protowire.BytesType)
	return binary.AppendUvarint(b, uint64(size))
}

// SameButRevision tells whether two stored protobuf values differ in their resourceVersions at most.
func SameButRevision(a, b []byte) (bool, error) {
	// A revision and the lengths that count it take a few dozen bytes.
	if n := len(a) - len(b); n > 64 || n < -64 {
		return false, nil
	}
	left, err := takeApart(a)
	if err != nil {
		return false, err
	}
	right, err := takeApart(b)
	return bytes.Equal(left.head, right.head) && bytes.Equal(left.before, right.before) &&
		bytes.Equal(left.after, right.after) && bytes.Equal(left.rest, right.rest), err
}

// apart is a stored protobuf value without its resourceVersion.
type apart struct {
	head          []byte // magic and TypeMeta
	before, after []byte // of the ObjectMeta
	rest          []byte // of the message
}

func takeApart(data []byte) (apart, error) {
	env, err := openEnvelope(data)
	if err != nil {
		return apart{}, err
	}
	num, meta, n := consumeBytes(env.raw)
	if n < 0 || num != objectMetaField {
		return apart{}, fmt.Errorf("%w: metadata is not its first field", errEnvelope)
	}
	a := apart{head: env.head, rest: env.raw[n:]}
	a.before, a.after, err = aroundRevision(meta)
	return a, err
}

// WithRevision returns a copy of a stored protobuf value with the revision as its resourceVersion.
func WithRevision(data []byte, revision int64) ([]byte, error) {
	v, err := takeApart(data)
	if err != nil {
		return nil, err
	}
	var text [20]byte
	rev := strconv.AppendInt(text[:0], revision, 10)
	revSize := 1 + protowire.SizeBytes(len(rev))
	metaSize := len(v.before) + revSize + len(v.after)
	rawSize := 1 + protowire.SizeBytes(metaSize) + len(v.rest)
	out := make([]byte, 0, len(v.head)+1+protowire.SizeBytes(rawSize)+len(envelopeTail))
	out = append(out, v.head...)
	out = protowire.AppendTag(out, envelopeRaw, protowire.BytesType)
	out = binary.AppendUvarint(out, uint64(rawSize))
	out = protowire.AppendTag(out, objectMetaField, protowire.BytesType)
	out = binary.AppendUvarint(out, uint64(metaSize))
	out = append(out, v.before...)
	out = protowire.AppendTag(out, revisionField, protowire.BytesType)
	out = protowire.AppendBytes(out, rev)
	out = append(out, v.after...)
	out = append(out, v.rest...)
	return append(out, envelopeTail...), nil
}

// aroundRevision splits an ObjectMeta message around its resourceVersion, which need not be there.
func aroundRevision(meta []byte) (before, after []byte, err error) {
	rest := meta
	for len(rest) > 0 {
		num, _, n := consumeBytes(rest)
		if n < 0 {
			return nil, nil, errEnvelope
		}
		at := len(meta) - len(rest)
		switch {
		case num == revisionField:
			return meta[:at], meta[at+n:], nil
		case num > revisionField:
			return meta[:at], meta[at:], nil
		}
		rest = rest[n:]
	}
	return meta, nil, nil
}

// Message returns the object's own message inside an envelope: what a protobuf list has as an item.
func Message(data []byte) ([]byte, error) {
	if !IsProtobuf(data) {
		return nil, errEnvelope
	}
	for rest := data[len(protoMagic):]; len(rest) > 0; {
		num, value, n := consumeBytes(rest)
		if n < 0 {
			return nil, errEnvelope
		}
		if num == envelopeRaw {
			return value, nil
		}
		rest = rest[n:]
	}
	return nil, nil
}

// Envelope returns what stands before and after a message of the given size.
func Envelope(gvk schema.GroupVersionKind, size int) (open, closing []byte) {
	apiVersion, kind := gvk.ToAPIVersionAndKind()
	return envelopeHead(apiVersion, kind, size), envelopeTail
}
