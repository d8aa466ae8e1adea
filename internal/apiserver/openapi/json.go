package openapi

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// text writes JSON. Each value and each key first writes the comma that must stand before it.
type text struct {
	buf []byte
	// swagger tells that the document is one of Swagger 2.
	swagger bool
}

func (w *text) comma() {
	if n := len(w.buf); n > 0 {
		if last := w.buf[n-1]; last != '{' && last != '[' && last != ':' {
			w.buf = append(w.buf, ',')
		}
	}
}

func (w *text) key(k string) {
	w.string(k)
	w.buf = append(w.buf, ':')
}

func (w *text) object(members func()) {
	w.comma()
	w.buf = append(w.buf, '{')
	members()
	w.buf = append(w.buf, '}')
}

func (w *text) array(items func()) {
	w.comma()
	w.buf = append(w.buf, '[')
	items()
	w.buf = append(w.buf, ']')
}

func (w *text) bool(v bool) {
	w.comma()
	w.buf = fmt.Appendf(w.buf, "%t", v)
}

const hex = "0123456789abcdef"

func (w *text) string(s string) {
	w.comma()
	if !utf8.ValidString(s) {
		w.buf = append(w.buf, encoded(s)...)
		return
	}
	w.buf = append(w.buf, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		w.buf = append(w.buf, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			w.buf = append(w.buf, '\\', c)
		case '\n':
			w.buf = append(w.buf, '\\', 'n')
		default:
			w.buf = append(w.buf, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	w.buf = append(append(w.buf, s[from:]...), '"')
}

// value writes what is no text of the document's own: defaults and extensions.
func (w *text) value(v any) {
	if s, ok := v.(string); ok {
		w.string(s)
		return
	}
	w.comma()
	w.buf = append(w.buf, encoded(v)...)
}

func encoded(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("openapi: %v does not encode: %v", v, err))
	}
	return data
}

// member writes a key with a string, unless that is empty.
func (w *text) member(k, s string) {
	if s != "" {
		w.key(k)
		w.string(s)
	}
}

func (w *text) strings(k string, list []string) {
	if len(list) == 0 {
		return
	}
	w.key(k)
	w.array(func() {
		for _, s := range list {
			w.string(s)
		}
	})
}

func (w *text) extensions(list []Extension) {
	for _, e := range list {
		w.key(e.Name)
		w.value(e.Value)
	}
}

func (w *text) info(d *Document) {
	w.key("info")
	w.object(func() {
		w.member("title", title)
		w.member("version", d.Version)
	})
}

// title of all documents.
const title = "Kubernetes"

// bearer is how clients prove who they are, as the documents show it.
var bearer = struct{ name, kind, header, in, description string }{
	"BearerToken", "apiKey", "authorization", "header", "Bearer Token authentication",
}

func (w *text) bearer() {
	w.key(bearer.name)
	w.object(func() {
		w.member("description", bearer.description)
		w.member("in", bearer.in)
		w.member("name", bearer.header)
		w.member("type", bearer.kind)
	})
}

// schema writes a schema. A reference with something beside it is put into an allOf by OpenAPI 3, which
// would not look at what stands beside it; Swagger 2, as Kubernetes uses it, would.
func (w *text) schema(s *Schema) {
	w.object(func() {
		w.reference(s)
		if s.Default != nil && !w.swagger {
			w.key("default")
			w.value(s.Default)
		}
		w.member("description", s.Description)
		w.member("format", s.Format)
		if s.Items != nil {
			w.key("items")
			w.schema(s.Items)
		}
		w.oneOf(s.OneOf)
		if len(s.Properties) > 0 {
			w.key("properties")
			w.object(func() {
				for _, p := range s.Properties {
					w.key(p.Name)
					w.schema(p.Schema)
				}
			})
		}
		w.strings("required", s.Required)
		w.member("type", s.Type)
		if s.Values != nil {
			w.key("additionalProperties")
			w.schema(s.Values)
		}
		w.extensions(s.Extensions)
	})
}

func (w *text) reference(s *Schema) {
	switch {
	case s.Ref == "":
	case w.swagger || s.alone():
		w.member("$ref", w.target(s.Ref))
	default:
		w.key("allOf")
		w.array(func() { w.object(func() { w.member("$ref", w.target(s.Ref)) }) })
	}
}

const (
	refV2 = "#/definitions/"
	refV3 = "#/components/schemas/"
)

func (w *text) target(name string) string {
	if w.swagger {
		return refV2 + name
	}
	return refV3 + name
}

func (w *text) oneOf(types []string) {
	switch {
	case len(types) == 0:
	case w.swagger:
		w.member("type", "string")
	default:
		w.key("oneOf")
		w.array(func() {
			for _, t := range types {
				w.object(func() { w.member("type", t) })
			}
		})
	}
}
