package cache

import (
	"bytes"
	"encoding/binary"
	"iter"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// Labels is an immutable set of labels in one string: key and value by turns in the order of the keys,
// each after its length. A map of three labels takes over 400 bytes, this about 100. The zero value is
// the empty set, and equal sets are ==.
//
// Pass a pointer where labels.Labels is asked for: that costs no allocation.
type Labels struct{ packed string }

var _ labels.Labels = Labels{}

// MakeLabels packs a map.
func MakeLabels(m map[string]string) Labels {
	if len(m) == 0 {
		return Labels{}
	}
	size := 0
	for k, v := range m {
		size += len(k) + len(v) + 2
	}
	packed := make([]byte, 0, size)
	for _, k := range slices.Sorted(maps.Keys(m)) {
		packed = appendPiece(packed, k)
		packed = appendPiece(packed, m[k])
	}
	return Labels{string(packed)}
}

// LabelPacker packs labels that come in the order of their keys, as they are stored, without a map. The zero value
// is ready.
type LabelPacker struct {
	packed    []byte
	last      []byte // the key before
	unordered bool
}

// Add adds a label. The bytes stay as they are until Labels.
func (p *LabelPacker) Add(key, value []byte) {
	p.unordered = p.unordered || p.packed != nil && bytes.Compare(p.last, key) >= 0
	p.last = key
	p.packed = append(binary.AppendUvarint(p.packed, uint64(len(key))), key...)
	p.packed = append(binary.AppendUvarint(p.packed, uint64(len(value))), value...)
}

// Labels is the set, and whether it may be relied upon: the labels did come in order, each once.
func (p *LabelPacker) Labels() (l Labels, ordered bool) {
	return Labels{string(p.packed)}, !p.unordered
}

// Has says whether there is a label with the key.
func (l Labels) Has(key string) bool {
	_, ok := l.Lookup(key)
	return ok
}

// Get returns the label's value, or "".
func (l Labels) Get(key string) string {
	value, _ := l.Lookup(key)
	return value
}

// Lookup returns the label's value and whether it is there.
func (l Labels) Lookup(key string) (string, bool) {
	for k, v := range l.All() {
		switch strings.Compare(k, key) {
		case 0:
			return v, true
		case 1:
			return "", false
		}
	}
	return "", false
}

// All yields the labels in the order of their keys.
func (l Labels) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		rest := l.packed
		for rest != "" {
			var k, v string
			k, rest = cutPiece(rest)
			v, rest = cutPiece(rest)
			if !yield(k, v) {
				return
			}
		}
	}
}

// Len is the number of labels.
func (l Labels) Len() int {
	n := 0
	for range l.All() {
		n++
	}
	return n
}

// Map unpacks the set; it is nil if there are none.
func (l Labels) Map() map[string]string {
	if l.packed == "" {
		return nil
	}
	return maps.Collect(l.All())
}

func appendPiece(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// cutPiece takes the first piece off a packed string.
func cutPiece(packed string) (piece, rest string) {
	length, digits := 0, 0
	for shift := 0; ; shift += 7 {
		c := packed[digits]
		digits++
		length |= int(c&0x7f) << shift
		if c < 0x80 {
			break
		}
	}
	return packed[digits : digits+length], packed[digits+length:]
}
