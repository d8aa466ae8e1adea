package ownership

import "strings"

// tree is a set of field paths: a forest in preorder, siblings in the order of path elements. A node's
// children follow it and fill the rest of its size. Nodes without flags are there for their children.
type tree []node

type node struct {
	// text of the path element as it stands in JSON between the quotes, without the kind and its colon:
	// `spec`, or `{\"name\":\"a\"}`.
	text string
	// size of the subtree, the node included.
	size  int32
	kind  elementKind
	flags flags
}

type flags uint8

const (
	member   flags = 1 << iota // of an owner's set
	added                      // in the new object only
	modified                   // in both, with another value
	removed                    // in the old object only

	gained  = added | modified
	changed = added | modified | removed
)

// kids of the i-th node.
func (t tree) kids(i int) tree { return t[i+1 : i+int(t[i].size)] }

// next sibling of the i-th node.
func (t tree) next(i int) int { return i + int(t[i].size) }

// has tells whether any node has one of the flags.
func (t tree) has(mask flags) bool {
	for i := range t {
		if t[i].flags&mask != 0 {
			return true
		}
	}
	return false
}

// close gives the node at index at the size of what was appended since, or takes it back if it has
// neither flags nor children.
func (t tree) close(at int) tree {
	if len(t) == at+1 && t[at].flags == 0 {
		return t[:at]
	}
	t[at].size = int32(len(t) - at)
	return t
}

// subtract appends the members of a that b has not flagged. touched tells whether any was lost.
func subtract(dst, a, b tree, mask flags) (_ tree, touched bool) {
	j := 0
	for i := 0; i < len(a); i = a.next(i) {
		for j < len(b) && compareElements(&b[j], &a[i]) < 0 {
			j = b.next(j)
		}
		if j == len(b) || compareElements(&b[j], &a[i]) != 0 {
			dst = append(dst, a[i:a.next(i)]...)
			continue
		}
		at := len(dst)
		dst = append(dst, a[i])
		if b[j].flags&mask != 0 && a[i].flags&member != 0 {
			dst[at].flags, touched = 0, true
		}
		var below bool
		dst, below = subtract(dst, a.kids(i), b.kids(j), mask)
		dst, touched = dst.close(at), touched || below
	}
	return dst, touched
}

// union appends the members of a and what b has flagged, as members.
func union(dst, a, b tree, mask flags) tree {
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		order := 0
		switch {
		case i == len(a):
			order = 1
		case j == len(b):
			order = -1
		default:
			order = compareElements(&a[i], &b[j])
		}
		if order < 0 {
			dst = append(dst, a[i:a.next(i)]...)
			i = a.next(i)
			continue
		}
		at := len(dst)
		n, below := b[j], tree(nil)
		n.flags = 0
		if b[j].flags&mask != 0 {
			n.flags = member
		}
		if order == 0 {
			n.flags |= a[i].flags & member
			below = a.kids(i)
			i = a.next(i)
		}
		dst = append(dst, n)
		dst = union(dst, below, b.kids(j), mask).close(at)
		j = b.next(j)
	}
	return dst
}

// encode appends the FieldsV1 text of the nodes that have one of the flags.
func (t tree) encode(dst []byte, mask flags) []byte {
	dst = append(dst, '{')
	dst = t.encodeSiblings(dst, len(dst), mask)
	return append(dst, '}')
}

// encodeSiblings writes into an object that was opened at open: from there on, commas separate.
func (t tree) encodeSiblings(dst []byte, open int, mask flags) []byte {
	for i := 0; i < len(t); i = t.next(i) {
		before := len(dst)
		if before > open {
			dst = append(dst, ',')
		}
		dst = append(dst, '"', t[i].kind.letter(), ':')
		dst = append(dst, t[i].text...)
		dst = append(dst, '"', ':', '{')
		own, inner := t[i].flags&mask != 0, len(dst)
		if t[i].size > 1 {
			if own {
				dst = append(dst, `".":{}`...)
			}
			self := len(dst)
			dst = t.kids(i).encodeSiblings(dst, inner, mask)
			if len(dst) == self { // nothing below is flagged
				dst = dst[:inner]
			}
		}
		if len(dst) == inner && !own {
			dst = dst[:before]
			continue
		}
		dst = append(dst, '}')
	}
	return dst
}

// parse appends the tree of a FieldsV1 text. It takes only what encode would write; ok is false for all
// else, which the caller brings into form first. Text that is trusted to be in order and in form may also
// contain elements that are beyond the plain ones.
func parse(dst tree, raw string, trusted bool) (_ tree, ok bool) {
	p := parser{rest: raw, nodes: dst, trusted: trusted}
	dot := p.object()
	if p.failed || dot || p.rest != "" {
		return dst, false
	}
	return p.nodes, true
}

type parser struct {
	rest            string
	nodes           tree
	trusted, failed bool
}

func (p *parser) take(prefix string) bool {
	if !strings.HasPrefix(p.rest, prefix) {
		return false
	}
	p.rest = p.rest[len(prefix):]
	return true
}

// object reads one object's members as siblings. dot tells that the object's own path is a member.
func (p *parser) object() (dot bool) {
	if !p.take("{") {
		p.failed = true
		return false
	}
	if p.take("}") {
		return false
	}
	if p.take(`".":{}`) {
		if dot = true; !p.take(",") { // an object with nothing but "." is written {}
			p.failed = true
			return dot
		}
	}
	last := -1
	for !p.failed {
		at := len(p.nodes)
		p.pair()
		if !p.failed && last >= 0 && !p.trusted && compareElements(&p.nodes[last], &p.nodes[at]) >= 0 {
			p.failed = true
		}
		last = at
		if p.take(",") {
			continue
		}
		if !p.take("}") {
			p.failed = true
		}
		break
	}
	return dot
}

// pair reads `"f:name":{...}`.
func (p *parser) pair() {
	if len(p.rest) < 4 || p.rest[0] != '"' || p.rest[2] != ':' {
		p.failed = true
		return
	}
	kind, known := elementKindOf(p.rest[1])
	end := closingQuote(p.rest, 3)
	if !known || end < 0 {
		p.failed = true
		return
	}
	n := node{text: p.rest[3:end], kind: kind, size: 1}
	if !p.trusted && !n.plain() {
		p.failed = true
		return
	}
	p.rest = p.rest[end+1:]
	at := len(p.nodes)
	p.nodes = append(p.nodes, n)
	if !p.take(":") {
		p.failed = true
		return
	}
	if dot := p.object(); dot || len(p.nodes) == at+1 {
		p.nodes[at].flags = member
	}
	p.nodes[at].size = int32(len(p.nodes) - at)
}

// closingQuote finds the quote that ends a JSON string whose text starts at from.
func closingQuote(s string, from int) int {
	for i := from; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}
