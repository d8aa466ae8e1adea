package typedjson

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
	"unsafe"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Append appends an object's JSON, as json.Marshal writes it, to a buffer. The object is a pointer to a
// struct. ok is false where the library has to be asked; the buffer's contents are as before then.
func Append(b []byte, object any) (out []byte, ok bool) {
	p := planOf(reflect.TypeOf(object))
	if p == nil {
		return b, false
	}
	v := reflect.ValueOf(object)
	if v.IsNil() {
		return b, false
	}
	if out, ok = p.append(b, v.UnsafePointer()); !ok {
		return out[:len(b)], false
	}
	return out, true
}

func (p *plan) append(b []byte, at unsafe.Pointer) ([]byte, bool) {
	switch p.kind {
	case structure:
		return p.appendStruct(b, at)
	case text:
		return appendText(b, *(*string)(at)), true
	case pointer:
		to := *(*unsafe.Pointer)(at)
		if to == nil {
			return append(b, "null"...), true
		}
		return p.elem.append(b, to)
	case list:
		return p.appendList(b, at)
	case boolean:
		return strconv.AppendBool(b, *(*bool)(at)), true
	case integer:
		return strconv.AppendInt(b, readInt(p.size, at), 10), true
	case texts, blobs, quantities:
		return p.appendCommonMap(b, at)
	case dictionary:
		return p.appendMap(b, at)
	case bytesValue:
		return appendBytes(b, *(*[]byte)(at)), true
	case timeValue:
		return appendTime(b, time.RFC3339, (*metav1.Time)(at).Time), true
	case microTime:
		return appendTime(b, metav1.RFC3339Micro, (*metav1.MicroTime)(at).Time), true
	case quantity:
		return appendQuantity(b, *(*resource.Quantity)(at)), true
	case intOrString:
		return appendIntOrString(b, (*intstr.IntOrString)(at))
	case unsigned, float:
		return appendLibrary(b, reflect.NewAt(p.typ, at).Elem().Interface())
	}
	return p.appendCustom(b, at)
}

// appendStruct writes every field with a comma before it; the first comma becomes the brace.
func (p *plan) appendStruct(b []byte, at unsafe.Pointer) ([]byte, bool) {
	from := len(b)
	for i := range p.fields {
		f := &p.fields[i]
		place := unsafe.Add(at, f.offset)
		if f.omitted(place) {
			continue
		}
		b = append(b, f.key...)
		var ok bool
		if b, ok = f.plan.append(b, place); !ok {
			return b, false
		}
	}
	if len(b) == from {
		return append(b, "{}"...), true
	}
	b[from] = '{'
	return append(b, '}'), true
}

func (p *plan) appendList(b []byte, at unsafe.Pointer) ([]byte, bool) {
	s := *(*[]byte)(at) // only its address and length are looked at
	if s == nil {
		return append(b, "null"...), true
	}
	b = append(b, '[')
	first := unsafe.Pointer(unsafe.SliceData(s))
	for i := range len(s) {
		if i > 0 {
			b = append(b, ',')
		}
		var ok bool
		if b, ok = p.elem.append(b, unsafe.Add(first, uintptr(i)*p.elem.size)); !ok {
			return b, false
		}
	}
	return append(b, ']'), true
}

// keyLists are lists of a map's keys, used again and again.
var keyLists = sync.Pool{New: func() any { return new([]string) }}

// appendCommonMap writes a map whose elements need no reflection, in the order of its keys.
func (p *plan) appendCommonMap(b []byte, at unsafe.Pointer) ([]byte, bool) {
	switch p.kind {
	case texts:
		return appendSorted(b, *(*map[string]string)(at), appendText), true
	case blobs:
		return appendSorted(b, *(*map[string][]byte)(at), appendBytes), true
	}
	return appendSorted(b, *(*map[string]resource.Quantity)(at), appendQuantity), true
}

func appendSorted[T any](b []byte, m map[string]T, appendElem func([]byte, T) []byte) []byte {
	if m == nil {
		return append(b, "null"...)
	}
	list := keyLists.Get().(*[]string)
	keys := (*list)[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, k), ':')
		b = appendElem(b, m[k])
	}
	clear(keys)
	*list = keys
	keyLists.Put(list)
	return append(b, '}')
}

func (p *plan) appendMap(b []byte, at unsafe.Pointer) ([]byte, bool) {
	m := reflect.NewAt(p.typ, at).Elem()
	if m.IsNil() {
		return append(b, "null"...), true
	}
	keys := m.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		if a.String() < b.String() {
			return -1
		}
		return 1
	})
	elem := reflect.New(p.elem.typ) // elements have no address of their own
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, k.String()), ':')
		elem.Elem().Set(m.MapIndex(k))
		var ok bool
		if b, ok = p.elem.append(b, elem.UnsafePointer()); !ok {
			return b, false
		}
	}
	return append(b, '}'), true
}

func readInt(size uintptr, at unsafe.Pointer) int64 {
	switch size {
	case 8:
		return *(*int64)(at)
	case 4:
		return int64(*(*int32)(at))
	case 2:
		return int64(*(*int16)(at))
	}
	return int64(*(*int8)(at))
}

func appendBytes(b, value []byte) []byte {
	if value == nil {
		return append(b, "null"...)
	}
	b = append(b, '"')
	b = base64.StdEncoding.AppendEncode(b, value)
	return append(b, '"')
}

func appendTime(b []byte, layout string, t time.Time) []byte {
	if t.IsZero() {
		return append(b, "null"...)
	}
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, layout)
	return append(b, '"')
}

// appendQuantity works on a copy: a quantity remembers its text, and objects are shared.
func appendQuantity(b []byte, q resource.Quantity) []byte {
	var room [32]byte
	number, suffix := q.CanonicalizeBytes(room[:0])
	b = append(b, '"')
	b = append(b, number...)
	b = append(b, suffix...)
	return append(b, '"')
}

func appendIntOrString(b []byte, v *intstr.IntOrString) ([]byte, bool) {
	switch v.Type {
	case intstr.Int:
		return strconv.AppendInt(b, int64(v.IntVal), 10), true
	case intstr.String:
		return appendText(b, v.StrVal), true
	}
	return b, false
}

func appendLibrary(b []byte, value any) ([]byte, bool) {
	data, err := json.Marshal(value)
	return append(b, data...), err == nil
}

// appendCustom takes what the type writes as it is, if there is nothing in it that encoding/json would
// rewrite.
func (p *plan) appendCustom(b []byte, at unsafe.Pointer) ([]byte, bool) {
	value := reflect.NewAt(p.typ, at)
	if k := p.typ.Kind(); k == reflect.Map || k == reflect.Slice {
		return appendLibrary(b, value.Elem().Interface())
	}
	data, err := value.Interface().(json.Marshaler).MarshalJSON()
	if err != nil {
		return b, false
	}
	if d := (decoder{data: data}); !compact(data) || !d.skip() || d.pos != len(data) {
		return appendLibrary(b, value.Interface())
	}
	return append(b, data...), true
}

// compact tells whether JSON has nothing in it that is white space or escaped: it may be both where it
// says no.
func compact(data []byte) bool {
	for _, c := range data {
		if c <= ' ' || c >= utf8.RuneSelf || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}
