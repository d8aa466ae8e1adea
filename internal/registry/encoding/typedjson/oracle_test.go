package typedjson_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/randfill"

	"github.com/proa-dev/proa/internal/registry/builtin"
	"github.com/proa-dev/proa/internal/registry/encoding/typedjson"
)

// roots are the Go types of everything that is served.
func roots() []reflect.Type {
	seen := map[reflect.Type]bool{}
	var found []reflect.Type
	for _, t := range builtin.Types(builtin.Options{}) {
		for _, v := range t.Versions {
			if typ := reflect.TypeOf(v.New()).Elem(); !seen[typ] {
				seen[typ] = true
				found = append(found, typ)
			}
		}
	}
	return append(found, reflect.TypeFor[metav1.Status](), reflect.TypeFor[metav1.DeleteOptions]())
}

// strange are texts that JSON has its own way with.
var strange = []string{
	"", "a", "plain text of some length", "with \"quotes\"", "back\\slash", "line\nfeed\ttab", "<b>&amp;</b>", "\u2028 \u2029",
	"grüße", "日本語のテキスト", "\xff broken \xc3", "\x00\x01\x1f\x7f", "\b\f\r", "emoji 😀", strings.Repeat("long ", 100), "null", "a/b",
}

func filler(seed int64) *randfill.Filler {
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	raw := func() []byte {
		texts := []string{`{}`, `{"a":[1,2.5e3,"x"]}`, `{ "f:b" : {} }`, `"<t>"`, `[]`, `7`}
		return []byte(texts[r.IntN(len(texts))])
	}
	quantities := []string{"0", "1", "100m", "1.5", "128Mi", "1e3", "1500Mi", "-3", "12E", "0.0001", "123456789012345678901234567890"}
	return randfill.NewWithSeed(seed).NilChance(0.3).NumElements(0, 3).MaxDepth(14).Funcs(
		func(s *string, _ randfill.Continue) { *s = strange[r.IntN(len(strange))] },
		func(t *metav1.Time, _ randfill.Continue) { *t = metav1.Unix(r.Int64N(1e10), 0) },
		func(t *metav1.MicroTime, _ randfill.Continue) {
			*t = metav1.NewMicroTime(time.UnixMicro(r.Int64N(1e16)))
		},
		func(d *metav1.Duration, _ randfill.Continue) { d.Duration = time.Duration(r.Int64N(1e12)) },
		func(q *resource.Quantity, _ randfill.Continue) {
			*q = resource.MustParse(quantities[r.IntN(len(quantities))])
		},
		func(v *intstr.IntOrString, _ randfill.Continue) {
			*v = intstr.FromInt32(r.Int32())
			if r.IntN(2) == 0 {
				*v = intstr.FromString(strange[r.IntN(len(strange))])
			}
		},
		func(v *runtime.RawExtension, _ randfill.Continue) { v.Raw = raw() },
		func(v *metav1.FieldsV1, _ randfill.Continue) { v.Raw = raw() },
	)
}

// Every type that is served has a plan: none is left to the libraries by a field that somebody added.
func TestEveryTypeHasAPlan(t *testing.T) {
	for _, typ := range roots() {
		if _, ok := typedjson.Append(nil, reflect.New(typ).Interface()); !ok {
			t.Errorf("%s has none", typ)
		}
	}
}

func TestAppendIsByteEqualToTheLibrary(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	fill := filler(seed)
	for _, typ := range roots() {
		for range 4 {
			o := reflect.New(typ).Interface()
			fill.Fill(o)
			want, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := typedjson.Append([]byte("x"), o)
			if !ok || string(got[1:]) != string(want) {
				t.Fatalf("%s: %t\n got %s\nwant %s", typ, ok, got, want)
			}
		}
	}
}

func TestDecodeIsEqualToTheLibrary(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	fill := filler(seed)
	r := rand.New(rand.NewPCG(uint64(seed), 2))
	for _, typ := range roots() {
		for range 4 {
			o := reflect.New(typ).Interface()
			fill.Fill(o)
			data, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			if r.IntN(2) == 0 {
				var spaced bytes.Buffer
				json.Indent(&spaced, data, " ", "\t")
				data = spaced.Bytes()
			}
			if !agree(t, typ, data) {
				t.Fatalf("%s: left to the library: %s", typ, data)
			}
			for range 8 {
				agree(t, typ, mutate(r, data))
			}
		}
	}
}

// agree tells whether Decode reads data; if it does, the library has to read the same without complaint.
func agree(t testing.TB, typ reflect.Type, data []byte) bool {
	t.Helper()
	before := bytes.Clone(data)
	got, want := reflect.New(typ), reflect.New(typ)
	if !typedjson.Decode(data, got.Interface()) {
		if !got.Elem().IsZero() {
			t.Fatalf("%s: the object has been touched: %s", typ, data)
		}
		return false
	}
	strict, err := kjson.UnmarshalStrict(before, want.Interface())
	if err != nil || len(strict) > 0 {
		t.Fatalf("%s: the library has %v and %v on %s", typ, err, strict, data)
	}
	clear(data) // nothing of it may be kept
	if !reflect.DeepEqual(got.Interface(), want.Interface()) {
		t.Fatalf("%s: %s\n got %+v\nwant %+v", typ, before, got, want)
	}
	return true
}

// mutate changes JSON here and there, mostly to something that is JSON still.
func mutate(r *rand.Rand, data []byte) []byte {
	out := bytes.Clone(data)
	snippets := []string{
		"null", "true", "0", "-1", "1.5", "01", "1e2", `"x"`, `"\u00e9"`, `"\ud800"`, `"\ud83d\ude00"`, `"\q"`, "{}", "[]", ",", ":", " ",
		`"metadata":{},`, `"kind":"K",`, `"no-such":1,`, `"Kind":"K",`, "\x00", "99999999999999999999", "\xff", "]", "}", `\`, `"`,
	}
	for range 1 + r.IntN(2) {
		if len(out) == 0 {
			break
		}
		at := r.IntN(len(out))
		switch r.IntN(4) {
		case 0:
			out[at] ^= 1 << r.IntN(8)
		case 1:
			out = append(out[:at:at], out[min(len(out), at+1+r.IntN(4)):]...)
		case 2:
			out = append(out[:at:at], append([]byte(snippets[r.IntN(len(snippets))]), out[at:]...)...)
		default:
			out = replaceValue(r, out, snippets[r.IntN(len(snippets))])
		}
	}
	return out
}

// replaceValue puts a snippet in the place of what follows some colon.
func replaceValue(r *rand.Rand, data []byte, snippet string) []byte {
	at := r.IntN(len(data))
	colon := bytes.IndexByte(data[at:], ':')
	if colon < 0 {
		return data
	}
	from := at + colon + 1
	d := json.NewDecoder(bytes.NewReader(data[from:]))
	var value json.RawMessage
	if d.Decode(&value) != nil {
		return data
	}
	return append(append(data[:from:from], snippet...), data[from+int(d.InputOffset()):]...)
}

func TestDecodeLeavesTheUnusualToTheLibrary(t *testing.T) {
	type inner struct {
		B int32 `json:"b"`
	}
	type object struct {
		A string            `json:"a"`
		M map[string]string `json:"m,omitempty"`
		I *inner            `json:"i,omitempty"`
	}
	for _, text := range []string{
		``, `null`, `[]`, `{`, `{"a":"x"} x`, `{"a":"x",}`, `{,"a":"x"}`, `{"a" "x"}`, `{"A":"x"}`, `{"a":"x","a":"y"}`, `{"\u0061":"x"}`,
		`{"a":1}`, `{"a":"\x"}`, "{\"a\":\"\n\"}", `{"m":{"k":"1","k":"2"}}`, `{"i":{"b":1.0}}`, `{"i":{"b":01}}`, `{"i":{"b":2147483648}}`,
		`{"i":{"b":"1"}}`, `{"i":[]}`, `{"z":1}`, `{"a":"x"`, `{"a":nul}`, `{"a":"x}`,
	} {
		var o object
		if typedjson.Decode([]byte(text), &o) {
			t.Errorf("%s is read as %+v", text, o)
		}
		if !reflect.DeepEqual(o, object{}) {
			t.Errorf("%s leaves %+v", text, o)
		}
	}
	used := object{A: "there"}
	if typedjson.Decode([]byte(`{}`), &used) || used.A != "there" {
		t.Errorf("an object in use is touched: %+v", used)
	}
	deep := strings.Repeat(`{"i":`, 100) + "null" + strings.Repeat("}", 100)
	if typedjson.Decode([]byte(deep), new(object)) {
		t.Error("what nests deeply is read")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(pod))
	f.Add([]byte(`{"kind":"Pod","metadata":{"labels":{"a":"\u00e9\ud83d\ude00"},"creationTimestamp":null}}`))
	types := roots()
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, typ := range types {
			agree(t, typ, bytes.Clone(data))
		}
	})
}
