package ownership

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"unsafe"

	"github.com/proa-dev/proa/internal/registry/shape"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// walker compares two objects and writes down what changed. Its buffers are used again and again: trees,
// and texts in them, are good until it is released.
type walker struct {
	nodes tree
	texts []byte   // where the texts of keys lie
	names []string // a stack of map keys
	items []item   // a stack of list items
	work  tree     // for the entries
	out   []byte
	known *known
	err   error
}

// item of a list on one side.
type item struct {
	node  node // with the item's path element
	index int
}

const maxPooled = 4096

var walkers = sync.Pool{New: func() any { return &walker{known: newKnown()} }}

func newWalker() *walker { return walkers.Get().(*walker) }

// release lets go of what the buffers refer to. Buffers that an uncommonly large object has grown are not
// kept.
func (w *walker) release() {
	if cap(w.nodes)+cap(w.work)+cap(w.items) > maxPooled || cap(w.texts)+cap(w.out) > 64*maxPooled {
		return
	}
	clear(w.nodes[:cap(w.nodes)])
	clear(w.names[:cap(w.names)])
	clear(w.items[:cap(w.items)])
	clear(w.work[:cap(w.work)])
	*w = walker{nodes: w.nodes[:0], texts: w.texts[:0], names: w.names[:0], items: w.items[:0], work: w.work[:0], out: w.out[:0], known: w.known}
	walkers.Put(w)
}

// compare two objects of the plan's type. The tree may be empty.
func (w *walker) compare(p *plan, l, r unsafe.Pointer) (tree, error) {
	from := len(w.nodes)
	w.walkStruct(p, side{l, present}, side{r, present})
	return w.nodes[from:], w.err
}

// visit compares what stands at one path.
func (w *walker) visit(kind elementKind, text string, p *plan, l, r side) {
	if p.leaf() || p.hollow(l) && p.hollow(r) {
		// Null, empty and absent differ; hence values without parts are compared as wholes.
		if f := compareLeaf(p, l, r); f != 0 {
			w.nodes = append(w.nodes, node{text: text, kind: kind, flags: f, size: 1})
		}
		return
	}
	at := len(w.nodes)
	w.nodes = append(w.nodes, node{text: text, kind: kind, size: 1})
	switch p.kind {
	case shape.Struct:
		w.walkStruct(p, l, r)
	case shape.Map:
		w.walkMap(p, l, r)
	case shape.List:
		w.walkList(p, l, r)
	}
	switch {
	case l.state == absent:
		w.nodes[at].flags |= added
	case r.state == absent:
		w.nodes[at].flags |= removed
	}
	w.nodes = w.nodes.close(at)
}

func compareLeaf(p *plan, l, r side) flags {
	switch {
	case l.state == absent && r.state == absent:
		return 0
	case l.state == absent:
		return added
	case r.state == absent:
		return removed
	case !p.equalSides(l, r):
		return modified
	}
	return 0
}

func (w *walker) walkStruct(p *plan, l, r side) {
	for i := range p.visit {
		f := &p.visit[i]
		fl, fr := f.readIn(l), f.readIn(r)
		if fl.state != absent || fr.state != absent {
			w.visit(fieldElement, f.text, f.plan, fl, fr)
		}
	}
}

func (w *walker) walkMap(p *plan, l, r side) {
	from := len(w.names)
	w.names = p.sortedKeys(w.names, l, r)
	for i := from; i < len(w.names); i++ {
		key := w.names[i]
		if p.elem.kind == shape.String && !p.elem.ptr {
			w.visitString(key, l, r)
			continue
		}
		w.visit(fieldElement, nameText(key), p.elem, p.entry(l, key), p.entry(r, key))
	}
	w.names = w.names[:from]
}

// visitString is visit for the most common maps, without copying the values.
func (w *walker) visitString(key string, l, r side) {
	old, inOld := stringEntry(l, key)
	new, inNew := stringEntry(r, key)
	n := node{text: nameText(key), size: 1}
	switch {
	case !inOld:
		n.flags = added
	case !inNew:
		n.flags = removed
	case old != new:
		n.flags = modified
	default:
		return
	}
	w.nodes = append(w.nodes, n)
}

// walkList compares the items of a set or keyed list, wherever they stand. Items that share an element are
// one thing with the element's path.
func (w *walker) walkList(p *plan, l, r side) {
	from := len(w.items)
	w.index(p, l)
	middle := len(w.items)
	w.index(p, r)
	end := len(w.items)
	for i, j := from, middle; i < middle || j < end; {
		ni, nj := w.same(i, middle), w.same(j, end)
		switch order := w.order(i, middle, j, end); {
		case order < 0:
			nj = 0
		case order > 0:
			ni = 0
		}
		w.visitItems(p, l, r, i, ni, j, nj)
		i, j = i+ni, j+nj
	}
	w.items = w.items[:from]
}

// index puts the items of one side on the stack, in the order of their elements.
func (w *walker) index(p *plan, s side) {
	from := len(w.items)
	for i := range listLen(s) {
		kind, text, err := w.element(p, p.item(s, i))
		if err != nil {
			w.err = err
			continue
		}
		w.items = append(w.items, item{node{text: text, kind: kind, size: 1}, i})
	}
	sorted := w.items[from:]
	if len(sorted) > 1 {
		slices.SortStableFunc(sorted, func(a, b item) int { return compareElements(&a.node, &b.node) })
	}
}

// same counts the items from i on that share their element.
func (w *walker) same(i, end int) int {
	n := 0
	for i+n < end && compareElements(&w.items[i].node, &w.items[i+n].node) == 0 {
		n++
	}
	return n
}

// order of the next items of both sides; a side that is through comes last.
func (w *walker) order(i, middle, j, end int) int {
	switch {
	case i == middle:
		return 1
	case j == end:
		return -1
	}
	return compareElements(&w.items[i].node, &w.items[j].node)
}

// visitItems compares ni items of the old list with nj of the new one, all with the same element.
// Several of them count as one value: they turn up, change and go together.
func (w *walker) visitItems(p *plan, l, r side, i, ni, j, nj int) {
	var old, new side
	var e node
	if nj > 0 {
		e, new = w.items[j].node, p.item(r, w.items[j].index)
	}
	if ni > 0 {
		e, old = w.items[i].node, p.item(l, w.items[i].index)
	}
	switch {
	case ni <= 1 && nj <= 1:
		w.visit(e.kind, e.text, p.elem, old, new)
	case ni > 1 && nj > 1:
		if !w.equalItems(p, l, r, i, ni, j, nj) {
			e.flags = modified
			w.nodes = append(w.nodes, e)
		}
	case ni > 1:
		w.visitFlagged(e, p.elem, side{}, new, removed)
	default:
		w.visitFlagged(e, p.elem, old, side{}, added)
	}
}

// visitFlagged compares an item and flags its own path besides.
func (w *walker) visitFlagged(e node, p *plan, l, r side, f flags) {
	at := len(w.nodes)
	if l.state != absent || r.state != absent {
		w.visit(e.kind, e.text, p, l, r)
	}
	if len(w.nodes) == at {
		w.nodes = append(w.nodes, e)
	}
	w.nodes[at].flags |= f
}

func (w *walker) equalItems(p *plan, l, r side, i, ni, j, nj int) bool {
	if ni != nj {
		return false
	}
	for k := range ni {
		if !p.elem.equalSides(p.item(l, w.items[i+k].index), p.item(r, w.items[j+k].index)) {
			return false
		}
	}
	return true
}

var (
	errNullItem = errors.New("a list whose items have keys has a null item")
	errNoKeys   = errors.New("a list item has none of its keys")
)

// element is the path element of a list item.
func (w *walker) element(p *plan, s side) (elementKind, string, error) {
	if s.state != present {
		return 0, "", errNullItem
	}
	from := len(w.texts)
	if p.merge == shape.Set {
		w.texts = appendScalar(w.texts, p.elem, s)
		return valueElement, w.text(from), nil
	}
	w.texts = append(w.texts, '{')
	for i := range p.keys {
		w.appendKey(&p.keys[i], s, from+1)
	}
	if len(w.texts) == from+1 {
		return 0, "", errNoKeys
	}
	w.texts = append(w.texts, '}')
	return keyElement, w.text(from), nil
}

// appendKey writes one key of an item, or its default; a key with neither is left out.
func (w *walker) appendKey(f *planField, item side, first int) {
	s := f.read(item.at)
	if s.state == absent && f.byDefault == "" {
		return
	}
	if len(w.texts) > first {
		w.texts = append(w.texts, ',')
	}
	w.texts = append(w.texts, '\\', '"')
	w.texts = append(w.texts, f.text...)
	w.texts = append(w.texts, '\\', '"', ':')
	if s.state == absent {
		w.texts = append(w.texts, f.byDefault...)
		return
	}
	w.texts = appendScalar(w.texts, f.plan, s)
}

// text is what was appended since from. It stays when the buffer moves: the old memory is not written again
// before release.
func (w *walker) text(from int) string {
	written := w.texts[from:]
	return unsafe.String(unsafe.SliceData(written), len(written))
}

func appendScalar(dst []byte, p *plan, s side) []byte {
	if s.state == null {
		return append(dst, "null"...)
	}
	switch p.kind {
	case shape.String:
		return appendString(dst, *(*string)(s.at))
	case shape.Integer:
		return strconv.AppendInt(dst, p.integer(s.at), 10)
	case shape.Boolean:
		return strconv.AppendBool(dst, *(*bool)(s.at))
	case shape.IntOrString:
		if v := (*intstr.IntOrString)(s.at); v.Type == intstr.Int {
			return strconv.AppendInt(dst, int64(v.IntVal), 10)
		} else {
			return appendString(dst, v.StrVal)
		}
	}
	panic("ownership: " + p.typ.String() + " cannot tell list items apart")
}
