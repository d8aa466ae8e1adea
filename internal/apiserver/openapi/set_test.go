package openapi

import (
	"encoding/json"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	v2 "github.com/google/gnostic-models/openapiv2"
	v3 "github.com/google/gnostic-models/openapiv3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/yaml"

	"github.com/proa-dev/proa/internal/registry/builtin"
)

func builtinSet() *Set { return New("v1.36.3+proa0.0", builtinResources(), nil) }

func builtinResources() []Resource {
	var all []Resource
	for _, t := range builtin.Types(builtin.Options{}) {
		all = append(all, Describe(t)...)
	}
	return all
}

func read(t testing.TB, e *Encoded) []byte {
	t.Helper()
	r, err := e.Reader()
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil || len(data) != e.Size {
		t.Fatalf("%d bytes of %d: %v", len(data), e.Size, err)
	}
	return data
}

func decode(t testing.TB, e *Encoded) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(read(t, e), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

var refs = regexp.MustCompile(`"\$ref":"([^"]*)"`)

// TestReferencesResolve: all that is referred to is there, and all that is there is referred to.
func TestReferencesResolve(t *testing.T) {
	set := builtinSet()
	check := func(path, prefix string, e *Entry, schemas func(map[string]any) map[string]any) {
		used := map[string]bool{}
		for _, m := range refs.FindAllStringSubmatch(string(read(t, e.JSON())), -1) {
			name, ok := strings.CutPrefix(m[1], prefix)
			if !ok {
				t.Errorf("%s: strange reference %s", path, m[1])
			}
			used[name] = true
		}
		there := schemas(decode(t, e.JSON()))
		for name := range used {
			if there[name] == nil {
				t.Errorf("%s: nothing is called %s", path, name)
			}
		}
		for name := range there {
			if !used[name] {
				t.Errorf("%s: nothing refers to %s", path, name)
			}
		}
	}
	for path, e := range set.v3 {
		check(path, refV3, e, func(m map[string]any) map[string]any { return at(m, "components", "schemas") })
	}
	check("v2", refV2, set.V2(), func(m map[string]any) map[string]any { return at(m, "definitions") })
}

// TestOneSchemaAKind: a client that looks for a kind by its group, version and kind finds one schema.
func TestOneSchemaAKind(t *testing.T) {
	found := map[kindValue]string{}
	for name, s := range at(decode(t, builtinSet().V2().JSON()), "definitions") {
		var one struct {
			Kinds []kindValue `json:"x-kubernetes-group-version-kind"`
		}
		if err := json.Unmarshal([]byte(encode(s)), &one); err != nil {
			t.Fatal(err)
		}
		for _, k := range one.Kinds {
			if other, taken := found[k]; taken {
				t.Errorf("%v is %s and %s", k, name, other)
			}
			found[k] = name
		}
	}
	for _, r := range builtinResources() {
		if found[valueOf(r.GroupVersionKind)] == "" {
			t.Errorf("%v has no schema", r.GroupVersionKind)
		}
	}
	for kind, name := range map[kindValue]string{
		{"batch", "CronJob", "v1"}:                "io.k8s.api.batch.v1.CronJob",
		{"batch", "CronJob", "v1beta1"}:           "io.k8s.api.batch.v1beta1.CronJob",
		{"batch", "CronJob", "v2alpha1"}:          "io.k8s.api.batch.v2alpha1.CronJob",
		{"batch", "CronJobList", "v2alpha1"}:      "io.k8s.api.batch.v2alpha1.CronJobList",
		{"events.k8s.io", "Event", "v1"}:          "io.k8s.api.events.v1.Event",
		{"autoscaling", "Scale", "v1"}:            "io.k8s.api.autoscaling.v1.Scale",
		{"policy", "Eviction", "v1"}:              "io.k8s.api.policy.v1.Eviction",
		{"storage.k8s.io", "DeleteOptions", "v1"}: "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
	} {
		if found[kind] != name {
			t.Errorf("%v is %q, not %s", kind, found[kind], name)
		}
	}
}

// TestContainedKinds: a kind that another one contains is known as a kind there too.
func TestContainedKinds(t *testing.T) {
	doc := decode(t, builtinSet().V3("apis/apps/v1").JSON())
	claim := at(doc, "components", "schemas", "io.k8s.api.core.v1.PersistentVolumeClaim")
	if got := encode(claim["x-kubernetes-group-version-kind"]); got != `[{"group":"","kind":"PersistentVolumeClaim","version":"v1"}]` {
		t.Error(got)
	}
}

// TestKubeOpenAPIReads: Kubernetes' own types take in the documents and write the same ones.
func TestKubeOpenAPIReads(t *testing.T) {
	set := builtinSet()
	for path, e := range set.v3 {
		again := &spec3.OpenAPI{}
		if err := json.Unmarshal(read(t, e.JSON()), again); err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		same(t, path, decode(t, e.JSON()), again)
	}
	again := &spec.Swagger{}
	if err := json.Unmarshal(read(t, set.V2().JSON()), again); err != nil {
		t.Fatal(err)
	}
	same(t, "v2", decode(t, set.V2().JSON()), again)
}

func same(t *testing.T, path string, ours map[string]any, theirs any) {
	t.Helper()
	var again map[string]any
	if err := json.Unmarshal([]byte(encode(theirs)), &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ours, again); diff != "" {
		t.Errorf("%s: reads differently: %s", path, diff)
	}
}

// TestProtobufSaysWhatJSONSays: gnostic makes of our JSON the message that we send.
func TestProtobufSaysWhatJSONSays(t *testing.T) {
	set := builtinSet()
	for path, e := range set.v3 {
		want, err := v3.ParseDocument(read(t, e.JSON()))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		got := &v3.Document{}
		sameMessage(t, path, e, got, want)
	}
	want, err := v2.ParseDocument(read(t, set.V2().JSON()))
	if err != nil {
		t.Fatal(err)
	}
	sameMessage(t, "v2", set.V2(), &v2.Document{}, want)
}

func sameMessage(t *testing.T, path string, e *Entry, got, want proto.Message) {
	t.Helper()
	if err := proto.Unmarshal(read(t, e.Protobuf()), got); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if canonical(t, got) == 0 && path != "version" && path[:3] == "api" && strings.Count(path, "/") > 1 {
		t.Errorf("%s: no extensions", path)
	}
	canonical(t, want)
	if !proto.Equal(got, want) {
		t.Errorf("%s: the message differs from the JSON: %s", path, cmp.Diff(want, got, protocmp.Transform()))
	}
}

// canonical brings extensions, which are text of YAML, into one form. It counts them.
func canonical(t *testing.T, m proto.Message) int {
	t.Helper()
	n := 0
	err := protorange.Range(m.ProtoReflect(), func(p protopath.Values) error {
		last := p.Index(-1)
		msg, ok := last.Value.Interface().(protoreflect.Message)
		if !ok || msg.Descriptor().Name() != "Any" {
			return nil
		}
		field := msg.Descriptor().Fields().ByName("yaml")
		j, err := yaml.YAMLToJSON([]byte(msg.Get(field).String()))
		if err != nil {
			return err
		}
		n++
		msg.Set(field, protoreflect.ValueOfString(string(j)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestNothingIsMadeBeforeItIsAsked, and then once.
func TestNothingIsMadeBeforeItIsAsked(t *testing.T) {
	var made atomic.Int32
	set := New("v1", []Resource{custom(&made, "1")}, nil)
	set.Index()
	if n := made.Load(); n != 0 {
		t.Fatalf("made %d times", n)
	}
	e := set.V3("apis/stable.example.com/v1")
	first := e.JSON()
	if e.JSON() != first || made.Load() != 1 {
		t.Errorf("made %d times", made.Load())
	}
}

// custom is a resource as a definition would make one.
func custom(made *atomic.Int32, edition string) Resource {
	kind := schema.GroupVersionKind{Group: "stable.example.com", Version: "v1", Kind: "Shirt"}
	return Resource{
		Kind: Kind{GroupVersionKind: kind, Edition: edition, Define: func(s *Schemas) string {
			made.Add(1)
			return s.Add("com.example.stable.v1.Shirt", func() *Schema {
				one := &Schema{Type: "object", Properties: []Property{{"color", &Schema{Type: "string"}}}}
				one.extend(kindExtension, []kindValue{valueOf(kind)})
				return one
			})
		}},
		Name: "shirts", Namespaced: true, Tree: true,
		Verbs: []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"},
	}
}

// TestCustomResources have schemas of any origin, no protobuf and no strategic merge.
func TestCustomResources(t *testing.T) {
	var made atomic.Int32
	set := New("v1", append(builtinResources(), custom(&made, "1")), nil)
	doc := decode(t, set.V3("apis/stable.example.com/v1").JSON())
	item := at(doc, "paths", "/apis/stable.example.com/v1/namespaces/{namespace}/shirts/{name}")
	if id := at(item, "get")["operationId"]; id != "readStableExampleComV1NamespacedShirt" {
		t.Error(id)
	}
	var media []string
	for m := range at(item, "patch", "requestBody", "content") {
		media = append(media, m)
	}
	slices.Sort(media)
	if got, want := strings.Join(media, " "), "application/apply-patch+yaml application/json-patch+json application/merge-patch+json"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
	if at(item, "get", "responses", "200", "content")["application/vnd.kubernetes.protobuf"] != nil {
		t.Error("comes in protobuf")
	}
	if at(doc, "components", "schemas", "com.example.stable.v1.ShirtList") == nil {
		t.Error("has no list")
	}
}

// TestWhatDoesNotChangeStays: a new resource makes a new document of its own group and of all together, and
// leaves the others.
func TestWhatDoesNotChangeStays(t *testing.T) {
	var made atomic.Int32
	before := builtinSet()
	after := New("v1.36.3+proa0.0", append(builtinResources(), custom(&made, "1")), before)
	for path, e := range before.v3 {
		if after.v3[path] != e {
			t.Errorf("%s was made anew", path)
		}
	}
	if after.V2() == before.V2() || after.V2().Hash == before.V2().Hash {
		t.Error("the document of all does not know the new resource")
	}
	again := New("v1.36.3+proa0.0", append(builtinResources(), custom(&made, "2")), after)
	const path = "apis/stable.example.com/v1"
	if again.V3(path).Hash == after.V3(path).Hash {
		t.Error("another edition has the same hash")
	}
	if New("v1.36.4", builtinResources(), before).V3("api/v1").Hash == before.V3("api/v1").Hash {
		t.Error("another version of the server has the same hash")
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "plain", "\"quoted\" \\ and\nmore\ttabs", "\x00\x1f\x7f", "ümläut  ", "\xff bad"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w := &text{}
		w.object(func() { w.member("k", s); w.key("l"); w.array(func() { w.string(s); w.string(s) }) })
		var got struct {
			K string
			L []string
		}
		if err := json.Unmarshal(w.buf, &got); err != nil {
			t.Fatalf("%q: %v", w.buf, err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); got.K != want && strings.ToValidUTF8(s, "") == s {
			t.Errorf("%q became %q", s, got.K)
		}
		if len(got.L) != 2 || got.L[0] != got.K {
			t.Errorf("%q became %q", s, got.L)
		}
	})
}

func BenchmarkAll(b *testing.B) {
	resources := builtinResources()
	b.ReportAllocs()
	for b.Loop() {
		set := New("v1.36.3", resources, nil)
		for _, e := range set.v3 {
			e.JSON()
		}
	}
}

func BenchmarkDocument(b *testing.B) {
	resources := builtinResources()
	for name, make := range map[string]func(*Set) *Encoded{
		"new":           func(s *Set) *Encoded { return nil },
		"core.json":     func(s *Set) *Encoded { return s.V3("api/v1").JSON() },
		"core.protobuf": func(s *Set) *Encoded { return s.V3("api/v1").Protobuf() },
		"apps.json":     func(s *Set) *Encoded { return s.V3("apis/apps/v1").JSON() },
		"v2.json":       func(s *Set) *Encoded { return s.V2().JSON() },
		"v2.protobuf":   func(s *Set) *Encoded { return s.V2().Protobuf() },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				make(New("v1.36.3", resources, nil))
			}
		})
	}
}
