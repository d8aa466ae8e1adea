package twin

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// names gives what differs from run to run a name that does not: the first uid of a script is <uid1>
// wherever it appears, the first resource version of its object
// <uid1.rv1>. That two answers bear the same name
// is thereby compared too.
type names struct {
	host      string
	uids      map[string]string
	revisions map[string]string
	generated []*regexp.Regexp  // names made from generateName
	seen      map[string]int    // how many revisions of an object have a name
	addresses map[string]string // cluster addresses
	ports     map[string]string // node ports
}

func newNames(host string) *names {
	return &names{
		host: host, seen: map[string]int{}, uids: map[string]string{}, revisions: map[string]string{},
		addresses: map[string]string{}, ports: map[string]string{},
	}
}

func name(of map[string]string, kind, v string) string {
	if _, ok := of[v]; !ok {
		of[v] = fmt.Sprintf("<%s%d>", kind, len(of)+1)
	}
	return of[v]
}

var (
	uuidPattern    = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	timePattern    = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`)
	jwtPattern     = regexp.MustCompile(`eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+`)
	addressPattern = regexp.MustCompile(`\b10\.0\.0\.\d+\b`)
	agePattern     = regexp.MustCompile(`^(\d+(ms|s|m))+$`)
	accountVolume  = regexp.MustCompile(`kube-api-access-[a-z0-9]{5}\b`)
	numberPattern  = regexp.MustCompile(`(^|[^\w:.])(\d{2,})\b`) // those after a colon are values of quoted objects
)

// Messages of kube-apiserver tell of the inside of its program: the names of its Go types, and the line where
// its scheme is made.
var (
	goPattern     = regexp.MustCompile(`\(\*?\w+\.(\w+)\)`)
	valuePattern  = regexp.MustCompile(`Go value of type \S+`)
	schemePattern = regexp.MustCompile(` in scheme "[^"]*"`)
)

// text replaces what can be told by its shape.
func (n *names) text(s string) string {
	s = strings.ReplaceAll(s, n.host, "<server>")
	s = goPattern.ReplaceAllString(s, "($1)")
	s = valuePattern.ReplaceAllString(s, "Go value of type <type>")
	s = schemePattern.ReplaceAllString(s, "")
	s = uuidPattern.ReplaceAllStringFunc(s, func(u string) string { return name(n.uids, "uid", u) })
	s = timePattern.ReplaceAllStringFunc(s, maskTime)
	s = jwtPattern.ReplaceAllString(s, "<token>")
	s = accountVolume.ReplaceAllString(s, "kube-api-access-<random>")
	s = addressPattern.ReplaceAllStringFunc(s, func(a string) string {
		if a == "10.0.0.1" || a == "10.0.0.0" {
			return a
		}
		return name(n.addresses, "ip", a)
	})
	for _, generated := range n.generated {
		s = generated.ReplaceAllString(s, "${1}<random>")
	}
	return n.current(s)
}

// generate tells that the server may make names of a prefix. It cuts it if there is no room for the rest.
func (n *names) generate(prefix string) {
	cut := regexp.QuoteMeta(prefix[:min(len(prefix), 58)])
	n.generated = append(n.generated, regexp.MustCompile("("+cut+")[bcdfghjklmnpqrstvwxz2456789]{5}\\b"))
}

// currentPattern finds where errors tell the server's present revision.
var currentPattern = regexp.MustCompile(`(current: |resource version: \d+ \()\d+`)

func (n *names) current(s string) string { return currentPattern.ReplaceAllString(s, "${1}<rv>") }

// maskTime leaves times alone that a script gave: those are not of today.
func maskTime(s string) string {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || time.Since(t).Abs() > 48*time.Hour {
		return s
	}
	if strings.Contains(s, ".") {
		return "<time.micro>"
	}
	return "<time>"
}

// render is a value as YAML with sorted keys.
func (n *names) render(v any, without []string) (string, error) {
	n.learn(v)
	v = n.walk(v, "")
	for _, path := range without {
		remove(v, strings.Split(path, "."))
	}
	var b strings.Builder
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	err := e.Encode(v)
	return b.String(), err
}

// number is what YAML writes without quotes.
func number(v json.Number) any {
	if i, err := v.Int64(); err == nil {
		return i
	}
	f, err := v.Float64()
	if err != nil {
		return v.String()
	}
	return f
}

// learn finds generated names and revisions before anything is replaced, in the order of the answer.
func (n *names) learn(v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			n.learn(item)
		}
	case map[string]any:
		if meta, ok := v["metadata"].(map[string]any); ok {
			n.learnMeta(meta)
		}
		for _, key := range sortedKeys(v) {
			n.learn(v[key])
		}
	}
}

func (n *names) learnMeta(meta map[string]any) {
	called, _ := meta["name"].(string)
	if rv, ok := meta["resourceVersion"].(string); ok && called != "" && rv != "" {
		n.revision(rv, fmt.Sprint(meta["uid"], meta["namespace"], called))
	}
}

// revision names a resource version after its object: the second that is seen of it is <uid1.rv2>.
func (n *names) revision(rv, object string) {
	if _, known := n.revisions[rv]; known {
		return
	}
	n.seen[object]++
	prefix := ""
	if uid := uuidPattern.FindString(object); uid != "" {
		prefix = strings.Trim(name(n.uids, "uid", uid), "<>") + "."
	}
	n.revisions[rv] = fmt.Sprintf("<%srv%d>", prefix, n.seen[object])
}

func (n *names) walk(v any, key string) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, 0, len(v))
		for _, item := range v {
			if isBookmark(item) {
				continue // when they come is the server's choice
			}
			item = n.walk(item, key)
			if key == "causes" && toldBefore(out, item) {
				continue // kube-apiserver checks metadata twice in an update, and lists those causes twice
			}
			out = append(out, item)
		}
		if key == "managedFields" {
			// They are ordered by their times, which a script does not choose.
			slices.SortFunc(out, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
		return out
	case map[string]any:
		if v["fieldsType"] == "FieldsV1" {
			return n.entry(v)
		}
		if key == "metadata" && v["name"] == nil && v["resourceVersion"] != nil && v["resourceVersion"] != "" {
			v["resourceVersion"] = "<rv>" // of a list or a bookmark: others' writes count too
		}
		for _, k := range sortedKeys(v) {
			v[k] = n.walk(v[k], k)
		}
		n.port(v)
		return v
	case string:
		return n.scalar(v, key)
	case json.Number:
		return number(v)
	}
	return v
}

func (n *names) port(v map[string]any) {
	if p, ok := v["nodePort"].(int64); ok && p >= 30100 { // scripts ask for lower ones
		v["nodePort"] = name(n.ports, "port", strconv.FormatInt(p, 10))
	}
}

func (n *names) scalar(s, key string) any {
	switch key {
	case "resourceVersion":
		if as, ok := n.revisions[s]; ok {
			return as
		}
		if s == "0" || s == "" {
			return s
		}
		return "<rv>"
	case "continue":
		return n.continuation(s)
	case "cells":
		if agePattern.MatchString(s) {
			return "<age>"
		}
	case "message":
		s = n.current(s)
		s = numberPattern.ReplaceAllStringFunc(s, func(d string) string {
			digits := strings.TrimLeftFunc(d, func(r rune) bool { return r < '0' || r > '9' })
			if as, ok := n.revisions[digits]; ok {
				return strings.TrimSuffix(d, digits) + as
			}
			return d
		})
	}
	return n.text(s)
}

// continuation shows where a page ends.
func (n *names) continuation(s string) string {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return s
	}
	var t map[string]any
	if json.Unmarshal(raw, &t) != nil {
		return s
	}
	// Where a page ends is told from the namespace or from below it; clients take it as it is.
	start := strings.TrimLeft(fmt.Sprint(t["start"]), "/")
	return n.text(fmt.Sprintf("<continue after %q>", start))
}

// entry is one of managedFields, in a line.
func (n *names) entry(e map[string]any) any {
	fields, _ := json.Marshal(e["fieldsV1"])
	when := "no time"
	if t, ok := e["time"].(string); ok {
		when = maskTime(t)
	}
	line := fmt.Sprintf("%v %v %v %s", e["operation"], e["manager"], e["apiVersion"], when)
	if sub, ok := e["subresource"]; ok {
		line += fmt.Sprintf(" /%v", sub)
	}
	return n.text(line + " " + string(fields))
}

func toldBefore(before []any, item any) bool {
	return slices.ContainsFunc(before, func(b any) bool { return reflect.DeepEqual(b, item) })
}

// isBookmark: but the one that ends the initial events is no accident.
func isBookmark(v any) bool {
	e, ok := v.(map[string]any)
	if !ok || e["type"] != "BOOKMARK" {
		return false
	}
	_, err := field(e, "object.metadata.annotations")
	return err != nil
}

// remove takes a field out; * is every key or item.
func remove(v any, path []string) {
	switch at := v.(type) {
	case map[string]any:
		if len(path) == 1 {
			delete(at, path[0])
			return
		}
		for key, child := range at {
			if path[0] == "*" || path[0] == key {
				remove(child, path[1:])
			}
		}
	case []any:
		for i, item := range at {
			if path[0] == "*" || path[0] == strconv.Itoa(i) {
				remove(item, path[1:])
			}
		}
	}
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return slices.Clip(keys)
}
