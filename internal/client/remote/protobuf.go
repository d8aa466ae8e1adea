package remote

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/proa-dev/proa/internal/client"
)

// Protobuf comes in an envelope: four magic bytes, then a runtime.Unknown that says the kind and holds the
// object's own message. Envelopes, lists and watch events are read field by field here, without copies
// and without knowing a list's type: every list has its metadata as field 1 and its items as field 2.

var magic = []byte("k8s\x00")

// message is what the Go types of built-in kinds are.
type message interface {
	Reset()
	Unmarshal(data []byte) error
}

type envelope struct {
	apiVersion, kind string
	raw              []byte // part of the body
}

var errProtobuf = errors.New("malformed protobuf")

func openEnvelope(body []byte) (e envelope, err error) {
	data, ok := bytes.CutPrefix(body, magic)
	if !ok {
		return e, errors.New("not a protobuf envelope")
	}
	err = fields(data, func(number uint64, value []byte) error {
		switch number {
		case 1:
			return fields(value, func(number uint64, value []byte) error {
				switch number {
				case 1:
					e.apiVersion = string(value)
				case 2:
					e.kind = string(value)
				}
				return nil
			})
		case 2:
			e.raw = value
		}
		return nil
	})
	return e, err
}

func decodeListProtobuf(body []byte, empty func() client.Object) (*client.Response, error) {
	e, err := openEnvelope(body)
	if err != nil {
		return nil, err
	}
	res := &client.Response{}
	err = fields(e.raw, func(number uint64, value []byte) error {
		switch number {
		case 1:
			return res.List.Unmarshal(value)
		case 2:
			o := empty()
			m, ok := o.(message)
			if !ok {
				return errors.New("a type that does not know protobuf")
			}
			res.Items = append(res.Items, o)
			return m.Unmarshal(value)
		}
		return nil
	})
	return res, err
}

// fields calls f for each field of a message that has a length, and skips the others.
func fields(data []byte, f func(number uint64, value []byte) error) error {
	for len(data) > 0 {
		tag, n := binary.Uvarint(data)
		if n <= 0 {
			return errProtobuf
		}
		data = data[n:]
		size, skip := uint64(0), 0
		switch tag & 7 {
		case 0:
			_, skip = binary.Uvarint(data)
			if skip <= 0 {
				return errProtobuf
			}
		case 1:
			size = 8
		case 2:
			size, skip = binary.Uvarint(data)
			if skip <= 0 {
				return errProtobuf
			}
		case 5:
			size = 4
		default:
			return errProtobuf
		}
		data = data[skip:]
		if size > uint64(len(data)) {
			return errProtobuf
		}
		if tag&7 == 2 {
			if err := f(tag>>3, data[:size:size]); err != nil {
				return err
			}
		}
		data = data[size:]
	}
	return nil
}
