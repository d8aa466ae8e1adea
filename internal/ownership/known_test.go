package ownership

import (
	"fmt"
	"strings"
	"testing"
)

func TestEqualFieldsAreOneAndOthersAreNot(t *testing.T) {
	k := newKnown()
	var text []byte
	for round := range 3 {
		for n := range 3 * knownFields { // more than there are places
			want := fmt.Sprintf(`{"f:data":{"f:%d":{}}}`, n)
			text = append(text[:0], want...)
			first := k.fields(text)
			if second := k.fields(text); first != second {
				t.Fatalf("round %d: %s twice", round, want)
			}
			clear(text)
			if got := first.GetRawString(); got != want {
				t.Fatalf("round %d: %s, not %s", round, got, want)
			}
		}
	}
	long := []byte(strings.Repeat("a", largestKnown+1))
	if k.fields(long) == k.fields(long) {
		t.Error("a long text is kept")
	}
}
