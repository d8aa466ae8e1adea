package http2

import (
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// commonFields are the header fields that API requests and answers have, so that their names need not be
// made anew each time.
var commonFields = []string{
	"accept", "accept-encoding", "accept-language", "audit-id", "authorization", "cache-control", "connection",
	"content-encoding", "content-length", "content-type", "cookie", "date", "etag", "expect", "expires", "host",
	"if-none-match", "impersonate-group", "impersonate-uid", "impersonate-user", "keep-alive", "kubectl-command",
	"kubectl-session", "last-modified", "location", "origin", "referer", "retry-after", "te", "traceparent",
	"trailer", "transfer-encoding", "upgrade", "user-agent", "vary", "warning", "www-authenticate",
	"x-content-type-options", "x-forwarded-for", "x-kubernetes-pf-flowschema-uid",
	"x-kubernetes-pf-prioritylevel-uid",
}

// canonicalNames and fieldNames lead from a field's name on the wire to that in http.Header, and back.
var canonicalNames, fieldNames = func() (to, back map[string]string) {
	to, back = map[string]string{}, map[string]string{}
	for _, name := range commonFields {
		key := http.CanonicalHeaderKey(name)
		to[name], back[key] = key, name
	}
	return to, back
}()

func canonicalName(name string) string {
	if key, ok := canonicalNames[name]; ok {
		return key
	}
	return http.CanonicalHeaderKey(name)
}

func fieldName(key string) string {
	if name, ok := fieldNames[key]; ok {
		return name
	}
	return strings.ToLower(key)
}

// connectionFields speak of an HTTP/1 connection, and have no place here (RFC 9113 section 8.2.2).
var connectionFields = map[string]bool{
	"connection": true, "proxy-connection": true, "keep-alive": true, "transfer-encoding": true, "upgrade": true,
}

// passingFields have another value in every answer.
var passingFields = map[string]bool{"audit-id": true, "content-length": true, "etag": true}

// validName tells whether a field's name is one: a token without upper case.
func validName(name string) bool {
	if name == "" {
		return false
	}
	for i := range len(name) {
		b := name[i]
		if b >= 'A' && b <= 'Z' || b >= 0x80 || !httpguts.IsTokenRune(rune(b)) {
			return false
		}
	}
	return true
}

func validValue(v string) bool { return httpguts.ValidHeaderFieldValue(v) }
