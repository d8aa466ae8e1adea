package typedjson

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strconv"
	"time"
	"unsafe"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// maxDepth is how deep values may nest; what is deeper is the library's.
const maxDepth = 64

// Decode reads data into an object, a pointer to a struct that is zero. It is false, and the object is zero
// as before, where the library has to be asked. The object keeps nothing of data.
func Decode(data []byte, into any) bool {
	p := planOf(reflect.TypeOf(into))
	if p == nil {
		return false
	}
	v := reflect.ValueOf(into)
	if v.IsNil() || !v.Elem().IsZero() {
		return false
	}
	d := decoder{data: data}
	if d.space() != '{' || !d.structure(p, v.UnsafePointer()) || d.space() != 0 || d.pos != len(data) {
		v.Elem().SetZero()
		return false
	}
	return true
}

// decoder reads forward. Its methods are false when the library has to be asked.
type decoder struct {
	data  []byte
	pos   int
	depth int
	// patch tells that the data is a merge patch; merging, that what is being read is merged into what is there.
	// Elsewhere in a patch, which is in lists, null is the library's.
	patch, merging bool
	// pieces is where short strings are put, many into one allocation.
	pieces []byte
}

// space skips white space and returns the byte that follows, 0 at the end.
func (d *decoder) space() byte {
	for d.pos < len(d.data) {
		switch c := d.data[d.pos]; c {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return c
		}
	}
	return 0
}

// more goes to the next of the members between an opening bracket, which has been read, and a closing one,
// which it reads. n counts those before. done says that there is none.
func (d *decoder) more(n int, closing byte) (done, ok bool) {
	switch c := d.space(); {
	case c == closing:
		d.pos++
		return true, true
	case n == 0:
		return false, true
	case c != ',':
		return false, false
	}
	d.pos++
	return false, d.space() != closing
}

func (d *decoder) null() bool {
	if d.patch && !d.merging || !bytes.HasPrefix(d.data[d.pos:], []byte("null")) {
		return false
	}
	d.pos += 4
	return true
}

// value reads one value of the plan's type to its place, which is zero.
func (d *decoder) value(p *plan, at unsafe.Pointer) bool {
	c := d.space()
	if c == 'n' && p.kind != custom {
		return d.null() // nil, zero, or left as it is: all of them are zero
	}
	switch p.kind {
	case structure:
		return c == '{' && d.structure(p, at)
	case text:
		s, ok := d.text()
		*(*string)(at) = s
		return ok
	case pointer:
		to := reflect.New(p.elem.typ)
		*(*unsafe.Pointer)(at) = to.UnsafePointer()
		return d.value(p.elem, to.UnsafePointer())
	case list:
		return c == '[' && d.list(p, at)
	case texts, blobs, quantities, dictionary:
		return c == '{' && d.dictionary(p, at)
	case boolean:
		return d.boolean((*bool)(at))
	case integer:
		return d.integer(p.size, at)
	case bytesValue:
		return d.bytes((*[]byte)(at))
	case timeValue:
		return d.time(time.RFC3339, &(*metav1.Time)(at).Time)
	case microTime:
		return d.time(metav1.RFC3339Micro, &(*metav1.MicroTime)(at).Time)
	case quantity:
		return d.quantity((*resource.Quantity)(at))
	case intOrString:
		return d.intOrString((*intstr.IntOrString)(at))
	case unsigned, float:
		return d.number(reflect.NewAt(p.typ, at).Elem())
	}
	return d.custom(reflect.NewAt(p.typ, at).Interface())
}

func (d *decoder) structure(p *plan, at unsafe.Pointer) bool {
	if d.depth++; d.depth > maxDepth {
		return false
	}
	d.pos++
	var seen uint64
	for n := 0; ; n++ {
		done, ok := d.more(n, '}')
		if done {
			d.depth--
			return true
		}
		if !ok {
			return false
		}
		name, plain := d.quoted()
		if !plain {
			return false
		}
		f := p.field(name)
		if f == nil || seen&f.bit != 0 || d.space() != ':' {
			return false
		}
		seen |= f.bit
		d.pos++
		place := unsafe.Add(at, f.offset)
		if d.merging {
			ok = d.merge(f.plan, place)
		} else {
			ok = d.value(f.plan, place)
		}
		if !ok {
			return false
		}
	}
}

func (d *decoder) list(p *plan, at unsafe.Pointer) bool {
	if d.depth++; d.depth > maxDepth {
		return false
	}
	d.pos++
	v := reflect.NewAt(p.typ, at).Elem()
	for n := 0; ; n++ {
		done, ok := d.more(n, ']')
		if done {
			d.depth--
			if n == 0 {
				v.Set(reflect.MakeSlice(p.typ, 0, 0))
			}
			return true
		}
		if !ok {
			return false
		}
		if n == v.Cap() {
			v.Grow(1)
		}
		v.SetLen(n + 1)
		if !d.value(p.elem, unsafe.Add(v.UnsafePointer(), uintptr(n)*p.elem.size)) {
			return false
		}
	}
}

// dictionary reads a map. The kinds that are common are read without reflection; types of the same kind of
// key and element have the same form in memory, whatever their names.
func (d *decoder) dictionary(p *plan, at unsafe.Pointer) bool {
	if d.depth++; d.depth > maxDepth {
		return false
	}
	d.pos++
	reflect.NewAt(p.typ, at).Elem().Set(reflect.MakeMap(p.typ))
	for n := 0; ; n++ {
		done, ok := d.more(n, '}')
		if done {
			d.depth--
			return true
		}
		if !ok {
			return false
		}
		key, ok := d.text()
		if !ok || d.space() != ':' {
			return false
		}
		d.pos++
		if !d.entry(p, at, key, n) {
			return false
		}
	}
}

// entry reads the value of a key and puts it into a map of n entries. A key that is there already is the
// library's.
func (d *decoder) entry(p *plan, at unsafe.Pointer, key string, n int) bool {
	null := d.space() == 'n'
	switch p.kind {
	case texts:
		var s string
		ok := null && d.null()
		if !null {
			s, ok = d.text()
		}
		m := *(*map[string]string)(at)
		m[key] = s
		return ok && len(m) == n+1
	case blobs:
		var b []byte
		ok := null && d.null() || !null && d.bytes(&b)
		m := *(*map[string][]byte)(at)
		m[key] = b
		return ok && len(m) == n+1
	case quantities:
		var q resource.Quantity
		ok := null && d.null() || !null && d.quantity(&q)
		m := *(*map[string]resource.Quantity)(at)
		m[key] = q
		return ok && len(m) == n+1
	}
	elem := reflect.New(p.elem.typ)
	if !d.value(p.elem, elem.UnsafePointer()) {
		return false
	}
	m := reflect.NewAt(p.typ, at).Elem()
	m.SetMapIndex(reflect.ValueOf(key).Convert(p.typ.Key()), elem.Elem())
	return m.Len() == n+1
}

func (d *decoder) boolean(to *bool) bool {
	switch rest := d.data[d.pos:]; {
	case bytes.HasPrefix(rest, []byte("true")):
		*to = true
		d.pos += 4
	case bytes.HasPrefix(rest, []byte("false")):
		d.pos += 5
	default:
		return false
	}
	return true
}

// integer reads a number without fraction and exponent.
func (d *decoder) integer(size uintptr, at unsafe.Pointer) bool {
	token, whole, ok := d.numeral()
	if !ok || !whole {
		return false
	}
	n, err := strconv.ParseInt(unsafe.String(unsafe.SliceData(token), len(token)), 10, 64)
	if err != nil {
		return false
	}
	if bits := 8 * size; n<<(64-bits)>>(64-bits) != n {
		return false
	}
	switch size {
	case 8:
		*(*int64)(at) = n
	case 4:
		*(*int32)(at) = int32(n)
	case 2:
		*(*int16)(at) = int16(n)
	default:
		*(*int8)(at) = int8(n)
	}
	return true
}

func (d *decoder) number(to reflect.Value) bool {
	token, whole, ok := d.numeral()
	if !ok {
		return false
	}
	if to.CanUint() {
		n, err := strconv.ParseUint(string(token), 10, to.Type().Bits())
		to.SetUint(n)
		return err == nil && whole
	}
	n, err := strconv.ParseFloat(string(token), to.Type().Bits())
	to.SetFloat(n)
	return err == nil
}

func (d *decoder) bytes(to *[]byte) bool {
	s, ok := d.unescaped()
	if !ok {
		return false
	}
	b := make([]byte, base64.StdEncoding.DecodedLen(len(s)))
	n, err := base64.StdEncoding.Decode(b, s)
	*to = b[:n]
	return err == nil
}

func (d *decoder) time(layout string, to *time.Time) bool {
	s, plain := d.quoted()
	if !plain {
		return false
	}
	t, err := time.Parse(layout, unsafe.String(unsafe.SliceData(s), len(s)))
	*to = t.Local()
	return err == nil
}

func (d *decoder) quantity(to *resource.Quantity) bool {
	var token []byte
	var ok bool
	if d.data[d.pos] == '"' {
		token, ok = d.quoted()
	} else {
		token, _, ok = d.numeral()
	}
	if !ok {
		return false
	}
	q, err := resource.ParseQuantity(string(bytes.TrimSpace(token)))
	*to = q
	return err == nil
}

func (d *decoder) intOrString(to *intstr.IntOrString) bool {
	if d.data[d.pos] != '"' {
		to.Type = intstr.Int
		return d.integer(4, unsafe.Pointer(&to.IntVal))
	}
	s, ok := d.text()
	to.Type, to.StrVal = intstr.String, s
	return ok
}

// custom lets the type read its own bytes.
func (d *decoder) custom(to any) bool {
	from := d.pos
	return d.skip() && to.(json.Unmarshaler).UnmarshalJSON(d.data[from:d.pos]) == nil
}
