package encoding

import (
	"reflect"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/proa-dev/proa/internal/registry"
)

// Sharer makes one of parts that decoded objects have in common. The pods of a set have the same containers, volumes,
// tolerations and labels; whoever keeps thousands of pods decoded keeps most of them once.
//
// A part is what a struct points to: a map, a slice, or another struct. Two of the same field are equal if their stored
// bytes are, which is found out without looking into them. Bytes are what decoding makes a part of, so what an object gets
// in place of its own part is what it would be decoded to, but for the nanoseconds of times, which are not stored; structs
// that stand within each other are gone through, so that a pod's containers and a set's template's are one. What is shared has no room to grow, so that appending to it copies.
//
// It remembers what was used lately, by the size of the bytes, in two generations: what is used moves to the young one,
// and when that is full the old one is forgotten. The zero value is ready.
type Sharer struct {
	mu         sync.Mutex
	young, old map[part]reflect.Value // guarded by mu
	size       int                    // of the young; guarded by mu
}

// part is a part of an object by what it is decoded from.
type part struct {
	field *field
	bytes string
}

const (
	// longestPart is how long the bytes of a part may be: longer ones are seldom equal, and would push others out.
	longestPart = 4 << 10
	// generation is the size of one, partOverhead what a part counts for beside its bytes.
	generation   = 256 << 10
	partOverhead = 128
)

// Share replaces parts of a hub object by equal ones of others. Nobody else may have the object yet, and nobody may change
// its parts any more. data is what Stored makes of it, but for the revision: it has every default that the object has, and
// the fields of a message in order.
func (s *Sharer) Share(t *registry.Type, o registry.Object, data []byte) {
	if !HasProtobuf(o) {
		return
	}
	env, err := openEnvelope(data)
	if err != nil || string(env.apiVersion) != t.Hub.GroupVersion.String() {
		return
	}
	v := reflect.ValueOf(o).Elem()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.message(fieldsOf(v.Type()), v, env.raw)
}

// message goes through the fields of a message, which is decoded in v.
func (s *Sharer) message(fields fields, v reflect.Value, msg []byte) {
	for len(msg) > 0 {
		number, value, n := consumeBytes(msg)
		if n < 0 {
			return
		}
		f := fields.of(number)
		if f == nil {
			msg = msg[n:]
			continue
		}
		if f.fields != nil {
			s.message(f.fields, v.Field(f.index), value)
			msg = msg[n:]
			continue
		}
		for n < len(msg) { // a list or a map has a field for each element
			next, _, more := consumeBytes(msg[n:])
			if more < 0 || next != number {
				break
			}
			n += more
		}
		if n <= longestPart {
			s.part(f, v.Field(f.index), msg[:n])
		}
		msg = msg[n:]
	}
}

// part replaces what v holds by what was decoded from the same bytes before, or remembers it.
func (s *Sharer) part(f *field, v reflect.Value, bytes []byte) {
	if v.IsNil() {
		return
	}
	if known, ok := s.young[part{f, string(bytes)}]; ok {
		v.Set(known)
		return
	}
	key := part{f, string(bytes)}
	known, ok := s.old[key]
	if !ok {
		known = exactly(v)
	}
	v.Set(known)
	if s.size >= generation || s.young == nil {
		s.old, s.young, s.size = s.young, map[part]reflect.Value{}, 0
	}
	s.size += len(bytes) + partOverhead
	s.young[key] = known
}

// exactly is a copy of what a field holds, that takes no more room than it needs.
func exactly(v reflect.Value) reflect.Value {
	if v.Kind() != reflect.Slice || v.Cap() == v.Len() {
		return reflect.ValueOf(v.Interface())
	}
	exact := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
	reflect.Copy(exact, v)
	return exact
}

// field is a field of a message that is a part, or has parts in it.
type field struct {
	index  int    // in the struct
	fields fields // of a struct within the struct; nil for a part
}

// fields are those of a struct by their numbers, with nil between them.
type fields []*field

func (fs fields) of(n protowire.Number) *field {
	if int(n) >= len(fs) {
		return nil
	}
	return fs[n]
}

// planned are the fields of each type that was asked for, by reflect.Type.
var planned sync.Map

// fieldsOf are the fields of a struct that are parts, or have parts in them.
func fieldsOf(t reflect.Type) fields {
	if fs, ok := planned.Load(t); ok {
		return fs.(fields)
	}
	var fs fields
	for i := range t.NumField() {
		f := partly(t.Field(i).Type, i)
		n := int(wireNumber(t.Field(i)))
		if f == nil || n == 0 {
			continue
		}
		if n >= len(fs) {
			fs = append(fs, make(fields, n+1-len(fs))...)
		}
		fs[n] = f
	}
	first, _ := planned.LoadOrStore(t, fs)
	return first.(fields)
}

// partly is a field of a type, nil if there are no parts in it.
func partly(t reflect.Type, index int) *field {
	switch t.Kind() {
	case reflect.Map:
		return &field{index: index}
	case reflect.Pointer, reflect.Slice:
		if t.Elem().Kind() != reflect.Uint8 {
			return &field{index: index}
		}
	case reflect.Struct:
		if fs := fieldsOf(t); len(fs) > 0 {
			return &field{index: index, fields: fs}
		}
	}
	return nil
}
