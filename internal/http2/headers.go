package http2

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"
)

// head collects a request's header fields while the reader decodes them.
type head struct {
	dec   *hpack.Decoder
	limit int // bytes of fields

	method, scheme, path, authority string
	header                          http.Header
	spare                           []string // room for the values of the header: one allocation for many
	size                            int
	regular                         bool // a field that is no pseudo-header has been seen
	malformed                       bool
	tooLarge                        bool
}

func (h *head) init(limit int) {
	h.limit = limit
	h.dec = hpack.NewDecoder(defaultTableSize, h.field)
	h.dec.SetMaxStringLength(limit)
}

// begin is for the next header block.
func (h *head) begin() {
	*h = head{dec: h.dec, limit: h.limit, spare: h.spare, header: make(http.Header, 8)}
	h.dec.SetEmitEnabled(true)
}

// fieldOverhead is what RFC 9113 section 6.5.2 adds to the length of a field.
const fieldOverhead = 32

func (h *head) field(f hpack.HeaderField) {
	h.size += len(f.Name) + len(f.Value) + fieldOverhead
	if h.size > h.limit {
		h.tooLarge = true
		h.dec.SetEmitEnabled(false)
		return
	}
	if !validValue(f.Value) {
		h.malformed = true
		return
	}
	if strings.HasPrefix(f.Name, ":") {
		h.pseudo(f)
		return
	}
	h.regular = true
	if !validName(f.Name) || connectionFields[f.Name] || f.Name == "te" && f.Value != "trailers" {
		h.malformed = true
		return
	}
	key := canonicalName(f.Name)
	if values, ok := h.header[key]; ok {
		if f.Name == "cookie" { // a client may cut it into pieces
			values[0] += "; " + f.Value
			return
		}
		h.header[key] = append(values, f.Value)
		return
	}
	if len(h.spare) == 0 {
		h.spare = make([]string, 16)
	}
	h.spare[0] = f.Value
	h.header[key], h.spare = h.spare[:1:1], h.spare[1:]
}

func (h *head) pseudo(f hpack.HeaderField) {
	var to *string
	switch f.Name {
	case ":method":
		to = &h.method
	case ":scheme":
		to = &h.scheme
	case ":path":
		to = &h.path
	case ":authority":
		to = &h.authority
	}
	if to == nil || *to != "" || f.Value == "" || h.regular {
		h.malformed = true
		return
	}
	*to = f.Value
}

// request fills in a request from the fields. It tells whether they make one.
func (h *head) request(c *conn, r *http.Request, complete bool) (ok bool) {
	if h.malformed || !validMethod(h.method) {
		return false
	}
	r.Method, r.Proto, r.ProtoMajor, r.Header, r.Body = h.method, "HTTP/2.0", 2, h.header, http.NoBody
	r.Host, r.RequestURI, r.RemoteAddr, r.TLS = h.authority, h.path, c.remote, c.tlsState
	if r.Host == "" {
		r.Host = h.header.Get("Host")
	}
	if !httpguts.ValidHostHeader(r.Host) || !h.target(r) || !h.length(r, complete) {
		return false
	}
	h.header.Del("Host")
	h.header.Del("Trailer")
	return true
}

// target finds out what the request is for.
func (h *head) target(r *http.Request) (ok bool) {
	if r.Method == http.MethodConnect {
		r.URL, r.RequestURI = &url.URL{Host: r.Host}, r.Host
		return h.path == "" && h.scheme == "" && h.authority != ""
	}
	if h.path == "" || h.scheme != "https" && h.scheme != "http" {
		return false
	}
	var err error
	r.URL, err = url.ParseRequestURI(h.path)
	return err == nil
}

// length finds out how long the body is said to be.
func (h *head) length(r *http.Request, complete bool) (ok bool) {
	values := h.header["Content-Length"]
	if len(values) == 0 {
		if !complete {
			r.ContentLength = -1
		}
		return true
	}
	n, err := strconv.ParseUint(values[0], 10, 63)
	for _, other := range values[1:] {
		if other != values[0] {
			return false
		}
	}
	r.ContentLength = int64(n)
	return err == nil && (!complete || n == 0)
}

func validMethod(m string) bool {
	for i := range len(m) {
		if !httpguts.IsTokenRune(rune(m[i])) {
			return false
		}
	}
	return m != ""
}
