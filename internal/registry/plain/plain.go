// Package plain tells whether texts keep the naming rules of Kubernetes, without a regexp. It finds no words
// for those that do not: apimachinery has them.
package plain

const (
	maxLabel     = 63
	maxSubdomain = 253
)

// Label is a DNS label (RFC 1123), as of a namespace or a container.
func Label(s string) bool { return len(s) <= maxLabel && dnsLabel(s) }

// Subdomain is a DNS subdomain (RFC 1123), as most names are. Its parts are bounded by the whole alone.
func Subdomain(s string) bool {
	if len(s) > maxSubdomain {
		return false
	}
	from := 0
	for i := range len(s) {
		if s[i] != '.' {
			continue
		}
		if !dnsLabel(s[from:i]) {
			return false
		}
		from = i + 1
	}
	return dnsLabel(s[from:])
}

// LabelKey is what Kubernetes calls a qualified name: a name, after a subdomain and a slash if it likes.
func LabelKey(s string) bool {
	for i := range len(s) {
		if s[i] == '/' {
			return Subdomain(s[:i]) && word(s[i+1:])
		}
	}
	return word(s)
}

// LabelValue is the value of a label.
func LabelValue(s string) bool { return s == "" || word(s) }

func dnsLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !digit(c) && (c < 'a' || c > 'z') && c != '-' {
			return false
		}
	}
	return true
}

// word is the name part of a label's key, and a label's value.
func word(s string) bool {
	if s == "" || len(s) > maxLabel || !alphanumeric(s[0]) || !alphanumeric(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func alphanumeric(c byte) bool { return digit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' }
