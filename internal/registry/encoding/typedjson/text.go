package typedjson

import (
	"encoding/binary"
	"unicode/utf8"
)

// safeWord tells whether eight bytes can stand in a string as they are.
func safeWord(w uint64) bool {
	// '<' and '>' differ in one bit.
	return w&highs|controls(w)|has(w, '"')|has(w, '\\')|has(w, '&')|has(w|ones*('<'^'>'), '>') == 0
}

func safeByte(c byte) bool {
	switch c {
	case '"', '\\', '&', '<', '>':
		return false
	}
	return c >= ' ' && c < utf8.RuneSelf
}

// appendText appends a string in quotes, with escapes for what HTML would take for its own.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	from, i := 0, 0
	for i < len(s) {
		if i+8 <= len(s) && safeWord(word(s[i:])) {
			i += 8
			continue
		}
		if safeByte(s[i]) {
			i++
			continue
		}
		b = append(b, s[from:i]...)
		var size int
		b, size = appendEscaped(b, s[i:])
		i += size
		from = i
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

func word(s string) uint64 {
	var eight [8]byte
	copy(eight[:], s[:8])
	return binary.LittleEndian.Uint64(eight[:])
}

const hexDigits = "0123456789abcdef"

// appendEscaped appends the first rune of a string, and tells how many bytes it has.
func appendEscaped(b []byte, s string) ([]byte, int) {
	c := s[0]
	switch c {
	case '"', '\\':
		return append(b, '\\', c), 1
	case '\b':
		return append(b, `\b`...), 1
	case '\f':
		return append(b, `\f`...), 1
	case '\n':
		return append(b, `\n`...), 1
	case '\r':
		return append(b, `\r`...), 1
	case '\t':
		return append(b, `\t`...), 1
	}
	if c < utf8.RuneSelf {
		return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15]), 1
	}
	r, size := utf8.DecodeRuneInString(s)
	switch {
	case r == utf8.RuneError && size == 1:
		return append(b, `\ufffd`...), 1
	case r == '\u2028', r == '\u2029':
		return append(b, '\\', 'u', '2', '0', '2', hexDigits[r&15]), size
	}
	return append(b, s[:size]...), size
}
