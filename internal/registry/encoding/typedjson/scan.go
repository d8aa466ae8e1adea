package typedjson

import (
	"bytes"
	"encoding/binary"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// has tells whether one of eight bytes is c. It may also say so where a byte that follows c differs from it
// in the lowest bit.
func has(word uint64, c byte) uint64 {
	x := word ^ ones*uint64(c)
	return (x - ones) &^ x & highs
}

// controls tells of bytes below 0x20, and of some above 0x80.
func controls(word uint64) uint64 { return (word - ones*0x20) &^ word & highs }

// plainText tells whether nothing in s is escaped or has to be, and all of it is ASCII.
func plainText(s []byte) bool {
	for len(s) >= 8 {
		w := binary.LittleEndian.Uint64(s)
		if w&highs|controls(w)|has(w, '\\') != 0 {
			return false
		}
		s = s[8:]
	}
	for _, c := range s {
		if c < ' ' || c >= utf8.RuneSelf || c == '\\' {
			return false
		}
	}
	return true
}

// quoted reads a string and returns what is between its quotes; plain is false if it is not what it says.
func (d *decoder) quoted() (s []byte, plain bool) {
	if d.pos >= len(d.data) || d.data[d.pos] != '"' {
		return nil, false
	}
	rest := d.data[d.pos+1:]
	// Most strings are short, and the end is near.
	end := -1
	for i := 0; i < len(rest) && i < 16; i++ {
		if rest[i] == '"' {
			end = i
			break
		}
	}
	if end < 0 {
		if end = bytes.IndexByte(rest, '"'); end < 0 {
			return nil, false
		}
	}
	if s = rest[:end]; !plainText(s) {
		return nil, false
	}
	d.pos += end + 2
	return s, true
}

// unescaped reads a string and returns what it says; the bytes are the decoder's.
func (d *decoder) unescaped() ([]byte, bool) {
	if s, plain := d.quoted(); plain {
		return s, true
	}
	if d.pos >= len(d.data) || d.data[d.pos] != '"' {
		return nil, false
	}
	d.pos++
	var out []byte
	for d.pos < len(d.data) {
		switch c := d.data[d.pos]; {
		case c == '"':
			d.pos++
			return out, true
		case c == '\\':
			var ok bool
			if out, ok = d.escape(out); !ok {
				return nil, false
			}
		case c < ' ':
			return nil, false
		case c < utf8.RuneSelf:
			from := d.pos
			for d.pos < len(d.data) && d.data[d.pos] >= ' ' && d.data[d.pos] < utf8.RuneSelf && d.data[d.pos] != '"' && d.data[d.pos] != '\\' {
				d.pos++
			}
			out = append(out, d.data[from:d.pos]...)
		default:
			r, size := utf8.DecodeRune(d.data[d.pos:])
			d.pos += size
			out = utf8.AppendRune(out, r)
		}
	}
	return nil, false
}

// escape reads what a backslash begins.
func (d *decoder) escape(out []byte) ([]byte, bool) {
	if d.pos+1 >= len(d.data) {
		return out, false
	}
	c := d.data[d.pos+1]
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		return d.escapedRune(out)
	default:
		return out, false
	}
	d.pos += 2
	return append(out, c), true
}

func (d *decoder) escapedRune(out []byte) ([]byte, bool) {
	r, ok := d.hex(d.pos)
	if !ok {
		return out, false
	}
	d.pos += 6
	if utf16.IsSurrogate(r) {
		second, _ := d.hex(d.pos)
		if r = utf16.DecodeRune(r, second); r != unicode.ReplacementChar {
			d.pos += 6
		}
	}
	return utf8.AppendRune(out, r), true
}

// hex reads \uXXXX at a position.
func (d *decoder) hex(at int) (rune, bool) {
	if at+6 > len(d.data) || d.data[at] != '\\' || d.data[at+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range d.data[at+2 : at+6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// Strings up to maxPiece bytes share allocations of piecesSize bytes: an object has dozens of them, and
// they live and die together.
const (
	maxPiece   = 40
	piecesSize = 256
)

// text reads a string.
func (d *decoder) text() (string, bool) {
	s, ok := d.unescaped()
	switch {
	case len(s) == 0:
		return "", ok
	case len(s) > maxPiece:
		return string(s), ok
	}
	if cap(d.pieces)-len(d.pieces) < len(s) {
		d.pieces = make([]byte, 0, piecesSize)
	}
	from := len(d.pieces)
	d.pieces = append(d.pieces, s...)
	return unsafe.String(&d.pieces[from], len(s)), ok
}

// numeral reads a number; whole tells that it has no fraction and no exponent.
func (d *decoder) numeral() (token []byte, whole, ok bool) {
	from := d.pos
	d.accept("-")
	switch {
	case d.accept("0"):
	case d.digits():
	default:
		return nil, false, false
	}
	whole = true
	if d.accept(".") {
		if whole = false; !d.digits() {
			return nil, false, false
		}
	}
	if d.accept("eE") {
		d.accept("+-")
		if whole = false; !d.digits() {
			return nil, false, false
		}
	}
	return d.data[from:d.pos], whole, true
}

// accept reads one byte if it is one of those.
func (d *decoder) accept(these string) bool {
	if d.pos >= len(d.data) {
		return false
	}
	for i := range len(these) {
		if d.data[d.pos] == these[i] {
			d.pos++
			return true
		}
	}
	return false
}

func (d *decoder) digits() bool {
	from := d.pos
	for d.pos < len(d.data) && '0' <= d.data[d.pos] && d.data[d.pos] <= '9' {
		d.pos++
	}
	return d.pos > from
}

// skip reads any value.
func (d *decoder) skip() bool {
	switch c := d.space(); c {
	case '"':
		if _, plain := d.quoted(); plain {
			return true
		}
		_, ok := d.unescaped()
		return ok
	case '{', '[':
		return d.skipMembers(c)
	case 'n':
		return d.null()
	case 't', 'f':
		var b bool
		return d.boolean(&b)
	}
	_, _, ok := d.numeral()
	return ok
}

func (d *decoder) skipMembers(opening byte) bool {
	if d.depth++; d.depth > maxDepth {
		return false
	}
	d.pos++
	for n := 0; ; n++ {
		done, ok := d.more(n, opening+2) // in ASCII the closing bracket is the second after the opening one
		if done {
			d.depth--
			return true
		}
		if !ok {
			return false
		}
		if opening == '{' {
			if d.space() != '"' || !d.skip() || d.space() != ':' {
				return false
			}
			d.pos++
		}
		if !d.skip() {
			return false
		}
	}
}
