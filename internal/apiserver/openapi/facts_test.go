package openapi

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var oracle = flag.String("oracle", "", "write the golden facts anew, from the documents of a kube-apiserver in this folder")

const goldenFacts = "testdata/facts.txt"

// The kinds whose facts are golden, with the documents they are in.
var factual = map[string][]string{
	"apis/apps/v1":  {"io.k8s.api.apps.v1.Deployment"},
	"apis/batch/v1": {"io.k8s.api.batch.v1.CronJob"},
	"api/v1":        {"io.k8s.api.core.v1.Pod", "io.k8s.api.core.v1.Service"},
}

// TestFacts holds what the documents say of some kinds, and of the operations on them, against what a
// kube-apiserver 1.36 says. Texts are not compared.
func TestFacts(t *testing.T) {
	if *oracle != "" {
		writeFacts(t)
	}
	data, err := os.ReadFile(goldenFacts)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(data)), "\n")
	var got []string
	set := builtinSet()
	for path, kinds := range factual {
		got = append(got, factsOf(decode(t, set.V3(path).JSON()), kinds)...)
	}
	slices.Sort(got)
	got = slices.Compact(got)
	if len(got) < 1100 {
		t.Errorf("only %d facts", len(got))
	}
	for _, line := range got {
		if _, ok := slices.BinarySearch(want, line); !ok {
			t.Errorf("we say  %s", line)
		}
	}
	for _, line := range want {
		if _, ok := slices.BinarySearch(got, line); !ok {
			t.Errorf("missing %s", line)
		}
	}
}

func writeFacts(t *testing.T) {
	var lines []string
	for path, kinds := range factual {
		data, err := os.ReadFile(filepath.Join(*oracle, strings.ReplaceAll(path, "/", "__")+"_openapi.json"))
		if err != nil {
			t.Fatal(err)
		}
		var doc map[string]any
		if err := json.Unmarshal(data, &doc); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, factsOf(doc, kinds)...)
	}
	slices.Sort(lines)
	if err := os.WriteFile(goldenFacts, []byte(strings.Join(slices.Compact(lines), "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// facts gathers them, one line each.
type facts struct {
	schemas map[string]any
	seen    map[string]bool
	lines   []string
}

func factsOf(doc map[string]any, kinds []string) []string {
	f := &facts{schemas: at(doc, "components", "schemas"), seen: map[string]bool{}}
	for _, kind := range kinds {
		f.schema(kind)
		f.operations(at(doc, "paths"), kind)
	}
	return f.lines
}

func at(m map[string]any, path ...string) map[string]any {
	for _, p := range path {
		m, _ = m[p].(map[string]any)
	}
	return m
}

func (f *facts) add(format string, args ...any) {
	f.lines = append(f.lines, strings.TrimSpace(fmt.Sprintf(format, args...)))
}

func (f *facts) schema(name string) {
	if f.seen[name] {
		return
	}
	f.seen[name] = true
	s := at(f.schemas, name)
	one := short(name)
	kinds := ""
	if !strings.HasSuffix(name, "DeleteOptions") { // of all groups that the server has
		kinds = value("kinds", s["x-kubernetes-group-version-kind"])
	}
	f.add("%s: %s%s%s%s", one, f.kind(s), value("required", s["required"]), value("map", s["x-kubernetes-map-type"]), kinds)
	for field, p := range at(s, "properties") {
		f.add("%s.%s: %s", one, field, f.property(p.(map[string]any)))
	}
}

func (f *facts) property(p map[string]any) string {
	list, share := p["x-kubernetes-list-type"], p["x-kubernetes-map-type"]
	if p["type"] == "array" && list == nil {
		list = "atomic" // says nothing, means the same
	}
	if p["type"] == "object" && share == "granular" {
		share = nil // likewise
	}
	return f.kind(p) + value("default", p["default"]) + value("list", list) + value("keys", p["x-kubernetes-list-map-keys"]) +
		value("map", share) + value("patch", p["x-kubernetes-patch-strategy"]) + value("by", p["x-kubernetes-patch-merge-key"])
}

// kind is a value's type in short. It follows references.
func (f *facts) kind(s map[string]any) string {
	if all, ok := s["allOf"].([]any); ok {
		s = all[0].(map[string]any)
	}
	if ref, ok := s["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, refV3)
		f.schema(name)
		return short(name)
	}
	format, _ := s["format"].(string)
	if items := at(s, "items"); items != nil {
		return "[]" + f.kind(items) + value("default", items["default"])
	}
	if values := at(s, "additionalProperties"); values != nil {
		return "{}" + f.kind(values) + value("default", values["default"])
	}
	if one, ok := s["oneOf"]; ok {
		return encode(one) + format
	}
	kind, _ := s["type"].(string)
	return kind + strings.TrimRight("/"+format, "/")
}

// operations are those at paths of a kind, as far as we serve them alike.
func (f *facts) operations(paths map[string]any, kind string) {
	for path, item := range paths {
		if strings.Contains(path, "/watch/") {
			continue
		}
		shared, _ := at(paths, path)["parameters"].([]any)
		for method, o := range item.(map[string]any) {
			op, ok := o.(map[string]any)
			if !ok || !strings.Contains(op["operationId"].(string), kind[strings.LastIndexByte(kind, '.')+1:]) {
				continue
			}
			own, _ := op["parameters"].([]any)
			f.add("%s %s: %s %s%s%s%s", method, path, op["operationId"], value("action", op["x-kubernetes-action"]),
				value("kind", op["x-kubernetes-group-version-kind"]), parameterFacts(slices.Concat(shared, own)), f.bodies(op))
		}
	}
}

func parameterFacts(list []any) string {
	var all []string
	for _, one := range list {
		p := one.(map[string]any)
		if p["name"] == "shardSelector" { // of a gate that is closed
			continue
		}
		all = append(all, fmt.Sprintf("%s:%s:%s%s", p["in"], p["name"], at(p, "schema")["type"], value("required", p["required"])))
	}
	slices.Sort(all)
	return " " + strings.Join(all, ",")
}

func (f *facts) bodies(op map[string]any) string {
	all := []string{"body" + f.content(at(op, "requestBody")) + value("required", at(op, "requestBody")["required"])}
	for code, r := range at(op, "responses") {
		all = append(all, code+f.content(r.(map[string]any)))
	}
	slices.Sort(all)
	return " " + strings.Join(all, " ")
}

func (f *facts) content(m map[string]any) string {
	var all []string
	for media, c := range at(m, "content") {
		if !strings.Contains(media, "cbor") { // of a gate that is closed
			all = append(all, media+"="+f.kind(at(c.(map[string]any), "schema")))
		}
	}
	slices.Sort(all)
	return encode(all)
}

func short(name string) string {
	return strings.NewReplacer("io.k8s.api.", "", "io.k8s.apimachinery.pkg.apis.", "", "io.k8s.apimachinery.pkg.", "").Replace(name)
}

func value(name string, v any) string {
	if v == nil {
		return ""
	}
	return " " + name + "=" + encode(v)
}

func encode(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}
