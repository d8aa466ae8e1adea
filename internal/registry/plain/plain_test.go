package plain

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// The oracle is apimachinery.
func agree(t *testing.T, s string) {
	t.Helper()
	for _, rule := range []struct {
		name string
		got  bool
		want []string
	}{
		{"Label", Label(s), validation.IsDNS1123Label(s)},
		{"Subdomain", Subdomain(s), validation.IsDNS1123Subdomain(s)},
		{"LabelKey", LabelKey(s), validation.IsQualifiedName(s)},
		{"LabelValue", LabelValue(s), validation.IsValidLabelValue(s)},
	} {
		if rule.got != (len(rule.want) == 0) {
			t.Errorf("%s(%q) = %t, apimachinery says %q", rule.name, s, rule.got, rule.want)
		}
	}
}

func TestRulesAreThoseOfApimachinery(t *testing.T) {
	for _, s := range []string{
		"", "a", "-", "a-", "-a", "a.b", "a..b", ".a", "a.", "A", "a/b", "/b", "a/", "a/b/c", "A/b", "a/B_c.d-e", "a_b", "é", "a b", "a\n", "\na",
		strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 253), strings.Repeat("a", 254),
		strings.Repeat("a.", 126) + "a", strings.Repeat("a.", 127) + "a", strings.Repeat("a", 253) + "/b", strings.Repeat("a", 254) + "/b",
		"a/" + strings.Repeat("b", 63), "a/" + strings.Repeat("b", 64), "@", "[", "`", "{", "K",
	} {
		agree(t, s)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	const letters = "abzABZ019-_./@ é"
	for range 20000 {
		s := make([]byte, r.IntN(12))
		for i := range s {
			s[i] = letters[r.IntN(len(letters))]
		}
		agree(t, string(s))
	}
}

func FuzzRules(f *testing.F) {
	f.Add("a.b/c")
	f.Fuzz(agree)
}
