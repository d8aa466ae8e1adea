package ownership

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// elementKind of a path element; the order of the kinds is the order of elements.
type elementKind uint8

const (
	fieldElement elementKind = iota // a name in a struct or map
	keyElement                      // an item of a keyed list, by its keys
	valueElement                    // an item of a set
	indexElement                    // an item of a list by position; only foreign entries have it
)

func (k elementKind) letter() byte { return "fkvi"[k] }

func elementKindOf(letter byte) (elementKind, bool) {
	i := strings.IndexByte("fkvi", letter)
	return elementKind(i), i >= 0
}

// compareElements orders path elements as structured-merge-diff does.
func compareElements(a, b *node) int {
	if a.kind != b.kind {
		return int(a.kind) - int(b.kind)
	}
	if a.text == b.text {
		return 0
	}
	if a.kind == fieldElement {
		if strings.IndexByte(a.text, '\\') < 0 && strings.IndexByte(b.text, '\\') < 0 {
			return strings.Compare(a.text, b.text)
		}
		return compareSlowly(a, b)
	}
	if order, ok := compareTexts(a.text, b.text); ok {
		return order
	}
	return compareSlowly(a, b)
}

// compareTexts orders two different keys or values by the first place where their texts differ. There,
// a quote ends a string, which is thereby the shorter and lesser one, and numbers count as numbers. It
// gives up on strings with escapes and on values of different types.
func compareTexts(a, b string) (order int, ok bool) {
	if strings.Contains(a, `\\`) || strings.Contains(b, `\\`) {
		return 0, false
	}
	at, inString := 0, false
	for at < len(a) && at < len(b) && a[at] == b[at] {
		if a[at] == '\\' {
			inString = !inString
		}
		at++
	}
	if inString {
		if at == len(a) || at == len(b) {
			return 0, false
		}
		if a[at] == '\\' || b[at] == '\\' {
			return boolOrder(b[at] == '\\'), true
		}
		return int(a[at]) - int(b[at]), true
	}
	start := at
	for start > 0 && (isDigit(a[start-1]) || a[start-1] == '-') {
		start--
	}
	x, ok1 := leadingInt(a[start:])
	y, ok2 := leadingInt(b[start:])
	if !ok1 || !ok2 || x == y {
		return 0, false
	}
	return boolOrder(x > y), true
}

func boolOrder(greater bool) int {
	if greater {
		return 1
	}
	return -1
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// leadingInt reads the integer that s starts with, if something else than a fraction follows.
func leadingInt(s string) (int64, bool) {
	end := 0
	for end < len(s) && (isDigit(s[end]) || end == 0 && s[end] == '-') {
		end++
	}
	if end < len(s) && strings.IndexByte(",}", s[end]) < 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(s[:end], 10, 64)
	return n, err == nil
}

// compareSlowly asks the library. Elements that it cannot read do not come here: entries pass through it
// before they are trusted.
func compareSlowly(a, b *node) int {
	return a.element().Compare(b.element())
}

// element is the library's form of the path element.
func (n *node) element() fieldpath.PathElement {
	var text string
	if err := json.Unmarshal([]byte(`"`+string(n.kind.letter())+`:`+n.text+`"`), &text); err != nil {
		panic(fmt.Sprintf("ownership: path element %q: %v", n.text, err))
	}
	e, err := fieldpath.DeserializePathElement(text)
	if err != nil {
		panic(fmt.Sprintf("ownership: path element %q: %v", n.text, err))
	}
	return e
}

// elementText is how the library writes an element, for those that are beyond the plain ones.
func elementText(e fieldpath.PathElement) string {
	text, err := fieldpath.NewSet(fieldpath.Path{e}).ToJSON()
	if err != nil {
		panic(fmt.Sprintf("ownership: path element %v: %v", e, err))
	}
	return string(text[len(`{"f:`) : len(text)-len(`":{}}`)])
}

// plain tells that the element's text is in its only form, so that equal elements have equal texts.
func (n *node) plain() bool {
	switch n.kind {
	case fieldElement:
		return plainName(n.text)
	case keyElement:
		return plainKeys(n.text)
	case valueElement:
		rest, ok := plainValue(n.text)
		return ok && rest == ""
	}
	return false
}

// plainName tells that a name stands for itself in JSON.
func plainName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			return false
		}
	}
	return true
}

// plainString tells the same of a string that JSON writes safe for HTML.
func plainString(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}

// plainKeys reads {\"a\":1,\"b\":\"x\"} with names in order.
func plainKeys(s string) bool {
	if len(s) < 2 || s[0] != '{' {
		return false
	}
	s = s[1:]
	for last := ""; ; {
		if !strings.HasPrefix(s, `\"`) {
			return false
		}
		end := strings.IndexByte(s[2:], '\\')
		if end < 0 {
			return false
		}
		name := s[2 : 2+end]
		if last != "" && name <= last || name == "" || !plainString(name) || !strings.HasPrefix(s[2+end:], `\":`) {
			return false
		}
		last = name
		rest, ok := plainValue(s[2+end+3:])
		if !ok {
			return false
		}
		if rest == "}" {
			return true
		}
		if rest == "" || rest[0] != ',' {
			return false
		}
		s = rest[1:]
	}
}

// plainValue reads one string, integer or boolean in its only form.
func plainValue(s string) (rest string, ok bool) {
	for _, word := range []string{"true", "false"} {
		if rest, ok = strings.CutPrefix(s, word); ok {
			return rest, true
		}
	}
	if text, quoted := strings.CutPrefix(s, `\"`); quoted {
		end := strings.IndexByte(text, '\\')
		if end < 0 || !plainString(text[:end]) || !strings.HasPrefix(text[end:], `\"`) {
			return "", false
		}
		return text[end+2:], true
	}
	end := 0
	for end < len(s) && (isDigit(s[end]) || end == 0 && s[end] == '-') {
		end++
	}
	n, err := strconv.ParseInt(s[:end], 10, 64)
	if err != nil || end > 15 || strconv.FormatInt(n, 10) != s[:end] {
		return "", false
	}
	return s[end:], true
}

// appendString appends a string value of a key or set item.
func appendString(dst []byte, s string) []byte {
	if plainString(s) {
		dst = append(dst, '\\', '"')
		dst = append(dst, s...)
		return append(dst, '\\', '"')
	}
	return append(dst, elementText(fieldpath.ValueElement(value.NewValueInterface(s)))...)
}
