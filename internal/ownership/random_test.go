package ownership

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/proa-dev/proa/internal/registry"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// filler fills and edits values of any API type.
type filler struct {
	*rand.Rand
	// odd strings need escapes in JSON.
	odd bool
}

func (f filler) chance(percent int) bool { return f.IntN(100) < percent }

func (f filler) text() string {
	plain := []string{"a", "ab", "b", "b!", "http", "TCP", "UDP", "x.y/z", "10.0.0.1", "9", "80"}
	if f.odd && f.chance(10) {
		return []string{`q"uote`, `back\slash`, "<&>", "ümlaut", "new\nline", "tab\t", "\u2028", "日本", "del\x7f"}[f.IntN(9)]
	}
	return plain[f.IntN(len(plain))]
}

// object makes a random object of the type.
func (f filler) object(typ *registry.Type) registry.Object {
	o := typ.New()
	f.fill(reflect.ValueOf(o).Elem(), 0)
	return f.tidy(o, typ)
}

// tidy sets what every object has, and passes the object through JSON as all real ones come. The library
// tells apart empty lists that JSON omits from nil ones where they are inside of an atomic list; we do not.
func (f filler) tidy(o registry.Object, typ *registry.Type) registry.Object {
	text, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	decoded := typ.New()
	if err := json.Unmarshal(text, decoded); err != nil {
		panic(err)
	}
	setKind(decoded, typ.Hub.GroupVersionKind())
	decoded.SetManagedFields(nil)
	decoded.SetUID("uid")
	decoded.SetName("name")
	return decoded
}

func (f filler) fill(v reflect.Value, depth int) {
	if f.special(v) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if f.chance(60-depth*3) && depth < 14 {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(v.Elem(), depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && (f.chance(75) || v.Field(i).Kind() == reflect.String) {
				f.fill(v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		f.fillSlice(v, depth)
	case reflect.Map:
		f.fillMap(v, depth)
	case reflect.String:
		if f.chance(85) {
			v.SetString(f.text())
		}
	case reflect.Bool:
		v.SetBool(f.chance(50))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(f.IntN(8)) / 2)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(f.IntN(200) - 10))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(uint64(f.IntN(120)))
	}
}

func (f filler) fillSlice(v reflect.Value, depth int) {
	n := f.IntN(4)
	if depth > 8 || f.chance(20) {
		n = 0
	}
	if n == 0 && f.chance(70) {
		v.SetZero()
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	for i := range n {
		f.fill(v.Index(i), depth+1)
		if e := v.Index(i); e.Kind() == reflect.Pointer && e.IsNil() {
			e.Set(reflect.New(e.Type().Elem()))
		}
	}
}

func (f filler) fillMap(v reflect.Value, depth int) {
	n := f.IntN(4)
	if n == 0 && f.chance(70) || depth > 10 {
		v.SetZero()
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for range n {
		e := reflect.New(v.Type().Elem()).Elem()
		f.fill(e, depth+1)
		v.SetMapIndex(reflect.ValueOf(f.text()).Convert(v.Type().Key()), e)
	}
}

// special fills the types whose JSON is not that of their Go value.
func (f filler) special(v reflect.Value) bool {
	switch p := v.Addr().Interface().(type) {
	case *metav1.Time:
		if f.chance(80) {
			*p = metav1.Unix(int64(f.IntN(3)), int64(f.IntN(2)))
		}
	case *metav1.MicroTime:
		*p = metav1.NewMicroTime(time.Unix(int64(f.IntN(2)), int64(f.IntN(3))*1500).UTC())
	case *metav1.Duration:
		p.Duration = time.Duration(f.IntN(3)) * time.Minute
	case *resource.Quantity:
		*p = resource.MustParse([]string{"0", "1", "1000m", "100m", "1Gi", "1.5", "1024Mi"}[f.IntN(7)])
	case *intstr.IntOrString:
		*p = intstr.FromInt32(int32(f.IntN(3)))
		if f.chance(50) {
			*p = intstr.FromString(f.text())
		}
	case *runtime.RawExtension:
		p.Raw = []byte([]string{`{"a":1}`, `{"a":{"b":[1,2]}}`, `[1]`, `"s"`, `null`, `{}`}[f.IntN(6)])
	case *metav1.FieldsV1:
		*p = *metav1.NewFieldsV1([]string{`{}`, `{"f:a":{}}`, `{"f:a":{"f:b":{}}}`}[f.IntN(3)])
	default:
		return false
	}
	return true
}

// edit changes a copy of the object here and there: rate in a thousand.
func (f filler) edit(o registry.Object, typ *registry.Type, rate int) registry.Object {
	edited := copyOf(o)
	f.change(reflect.ValueOf(edited).Elem(), rate)
	return f.tidy(edited, typ)
}

func (f filler) change(v reflect.Value, rate int) {
	if f.IntN(1000) < rate {
		v.SetZero()
		if f.chance(70) {
			f.fill(v, 6)
		}
		return
	}
	switch v.Addr().Interface().(type) {
	case *metav1.Time, *metav1.MicroTime, *metav1.FieldsV1, *runtime.RawExtension, *resource.Quantity, *intstr.IntOrString:
		return // changed as a whole, above
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			f.change(v.Elem(), rate)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				f.change(v.Field(i), rate)
			}
		}
	case reflect.Slice:
		f.changeSlice(v, rate)
	case reflect.Map:
		for _, k := range v.MapKeys() {
			e := reflect.New(v.Type().Elem()).Elem()
			e.Set(v.MapIndex(k))
			f.change(e, rate)
			v.SetMapIndex(k, e)
		}
	}
}

// changeSlice also moves, doubles and drops items.
func (f filler) changeSlice(v reflect.Value, rate int) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return
	}
	for i := range v.Len() {
		f.change(v.Index(i), rate)
		if e := v.Index(i); e.Kind() == reflect.Pointer && e.IsNil() {
			e.Set(reflect.New(e.Type().Elem()))
		}
	}
	n := v.Len()
	if n == 0 || f.IntN(1000) >= 3*rate {
		return
	}
	switch f.IntN(3) {
	case 0:
		reflect.Swapper(v.Interface())(f.IntN(n), f.IntN(n))
	case 1:
		v.Set(reflect.Append(v, v.Index(f.IntN(n))))
	default:
		v.Set(v.Slice(0, n-1))
	}
}

func name(typ *registry.Type) string {
	return fmt.Sprintf("%s %s", typ.Hub.GroupVersion, typ.Kind)
}
