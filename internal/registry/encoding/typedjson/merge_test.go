package typedjson_test

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	kjson "sigs.k8s.io/json"

	"github.com/proa-dev/proa/internal/registry/encoding/typedjson"
)

// The oracle is the library that merges JSON, and the one that reads the result.
func TestMergeIsEqualToTheLibraries(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	fill := filler(seed)
	r := rand.New(rand.NewPCG(uint64(seed), 3))
	merged, left := 0, 0
	for _, typ := range roots() {
		for range 6 {
			original := read(t, typ, encode(t, fill, typ))
			document, err := json.Marshal(original.Interface())
			if err != nil {
				t.Fatal(err)
			}
			for range 6 {
				patch := thin(r, encode(t, fill, typ))
				object := read(t, typ, document)
				if !typedjson.Merge(patch, object.Interface()) {
					left++
					continue
				}
				merged++
				out, err := jsonpatch.MergePatch(document, patch)
				if err != nil {
					t.Fatalf("%s: the library has %v of %s", typ, err, patch)
				}
				want := reflect.New(typ)
				if strict, err := kjson.UnmarshalStrict(out, want.Interface()); err != nil || len(strict) > 0 {
					t.Fatalf("%s: the library has %v and %v of %s", typ, err, strict, patch)
				}
				// Empty and absent may differ in memory; what is written of them does not.
				got, err := json.Marshal(read(t, typ, mustAppend(t, object.Interface())).Interface())
				if err != nil {
					t.Fatal(err)
				}
				if again := string(mustAppend(t, want.Interface())); string(got) != again {
					t.Fatalf("%s: patch %s of %s\n got %s\nwant %s", typ, patch, document, got, again)
				}
			}
		}
	}
	if merged < left/4 || left == 0 {
		t.Errorf("%d patches merged, %d left to the library: the test has lost its point", merged, left)
	}
}

func encode(t *testing.T, fill interface{ Fill(any) }, typ reflect.Type) []byte {
	t.Helper()
	o := reflect.New(typ).Interface()
	fill.Fill(o)
	return mustAppend(t, o)
}

func mustAppend(t *testing.T, o any) []byte {
	t.Helper()
	data, ok := typedjson.Append(nil, o)
	if !ok {
		t.Fatalf("%T is not written", o)
	}
	return data
}

func read(t *testing.T, typ reflect.Type, data []byte) reflect.Value {
	t.Helper()
	o := reflect.New(typ)
	if !typedjson.Decode(data, o.Interface()) {
		t.Fatalf("%s is not read: %s", typ, data)
	}
	return o
}

// thin makes a patch of an object: it leaves members out, and makes some null.
func thin(r *rand.Rand, data []byte) []byte {
	var tree map[string]any
	if err := json.Unmarshal(data, &tree); err != nil {
		panic(err)
	}
	var walk func(m map[string]any, depth int)
	walk = func(m map[string]any, depth int) {
		for k, v := range m {
			switch below, ok := v.(map[string]any); {
			case r.IntN(3) == 0:
				delete(m, k)
			case depth > 0 && r.IntN(6) == 0:
				m[k] = nil
			case ok:
				walk(below, depth+1)
			}
		}
	}
	walk(tree, 0)
	out, err := json.Marshal(tree)
	if err != nil {
		panic(err)
	}
	return out
}
