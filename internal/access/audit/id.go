// Package audit gives each request the id by which its events and its log lines are found.
package audit

import (
	"net/http"

	"github.com/google/uuid"
)

// Header carries the id, in requests whose sender has chosen one and in all answers. It is written as
// net/http does, which then need not rewrite it.
const Header = "Audit-Id"

// ID returns the id of a request: the client's own, or a new one.
func ID(r *http.Request) string {
	if id := r.Header.Get(Header); id != "" {
		return id
	}
	return uuid.NewString()
}

// Echo tells the client the id, unless who answers in our place, such as an extension server, has done so.
func Echo(h http.Header, id string) {
	if h.Get(Header) == "" {
		h.Set(Header, id)
	}
}
