package cache

// Fields are the values of an item's selectable fields, by position, in one string: each after its length.
// The zero value has none, and equal values are ==.
type Fields struct{ packed string }

// MakeFields packs values.
func MakeFields(values ...string) Fields {
	if len(values) == 0 {
		return Fields{}
	}
	size := 0
	for _, v := range values {
		size += len(v) + 1
	}
	packed := make([]byte, 0, size)
	for _, v := range values {
		packed = appendPiece(packed, v)
	}
	return Fields{string(packed)}
}

// At returns the n-th value; "" where there is none.
func (f Fields) At(n int) string {
	rest := f.packed
	for ; rest != ""; n-- {
		var value string
		if value, rest = cutPiece(rest); n == 0 {
			return value
		}
	}
	return ""
}
