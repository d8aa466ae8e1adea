package apiserver

import (
	"crypto/sha512"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/proa-dev/proa/internal/apiserver/openapi"
)

// apiDocuments answers what the API looks like. Like discovery it derives from the routes.
type apiDocuments struct {
	server *Server

	mu sync.Mutex
	// routes that set was made of; guarded by mu, nil until somebody asks.
	routes *routes
	set    *openapi.Set // guarded by mu
}

func (s *Server) addOpenAPI() {
	d := &apiDocuments{server: s}
	s.Handle("/openapi/v2", http.HandlerFunc(d.serveV2))
	s.Handle("/openapi/v3", http.HandlerFunc(d.serveIndex))
	s.Handle("/openapi/v3/", http.HandlerFunc(d.serveV3))
}

// current returns the documents of the present routes. Those that a change of routes does not touch stay.
func (d *apiDocuments) current() *openapi.Set {
	now := d.server.Storage.routes.Load()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.routes != now {
		d.routes, d.set = now, openapi.New(d.server.version, documented(now), d.set)
	}
	return d.set
}

// documented describes the routes.
func documented(rs *routes) []openapi.Resource {
	var all []openapi.Resource
	for _, r := range rs.types {
		all = append(all, openapi.Describe(r.Type)...)
	}
	return all
}

// Media types of the documents in protobuf, without "application/". The older spelling is no media type by
// the rules, and what clients ask for.
const (
	protoV2    = "com.github.proto-openapi.spec.v2.v1.0+protobuf"
	protoV2Old = "com.github.proto-openapi.spec.v2@v1.0+protobuf"
	protoV3    = "com.github.proto-openapi.spec.v3.v1.0+protobuf"
	protoV3Old = "com.github.proto-openapi.spec.v3@v1.0+protobuf"
)

func (d *apiDocuments) serveV2(w http.ResponseWriter, r *http.Request) {
	d.serve(w, r, d.current().V2(), protoV2, protoV2Old)
}

func (d *apiDocuments) serveIndex(w http.ResponseWriter, r *http.Request) {
	data := d.current().Index()
	h := w.Header()
	if notModified(w, r, fmt.Sprintf("%X", sha512.Sum512(data))) {
		return
	}
	h.Set("Content-Type", mediaJSON)
	h.Set("Content-Length", strconv.Itoa(len(data)))
	if _, err := w.Write(data); err != nil {
		d.server.log.Debug("write the index of the API's documents", "err", err)
	}
}

// serveV3 answers with one document. The URL's hash is the client's promise to ask by another URL when the
// document changes, so what it gets is good for ever.
func (d *apiDocuments) serveV3(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/openapi/v3/")
	e := d.current().V3(path)
	if e == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if hash := r.URL.Query().Get("hash"); hash != "" {
		if hash != e.Hash {
			h := w.Header()
			h.Set("Vary", "Accept")
			h.Set("ETag", strconv.Quote(e.Hash))
			h.Set("Content-Type", mediaJSON)
			h.Set("Location", e.URL(path))
			w.WriteHeader(http.StatusMovedPermanently)
			return
		}
		w.Header().Set("Cache-Control", "public, immutable")
		w.Header().Set("Expires", d.server.clock.Now().UTC().AddDate(1, 0, 0).Format(http.TimeFormat))
	}
	d.serve(w, r, e, protoV3, protoV3Old)
}

func (d *apiDocuments) serve(w http.ResponseWriter, r *http.Request, e *openapi.Entry, proto, protoOld string) {
	h := w.Header()
	h.Set("Vary", "Accept")
	media := documentMedia(r, "json", proto, protoOld)
	if media != "" || proto == protoV2 {
		h.Add("Vary", "Accept-Encoding")
	}
	if media == "" {
		h.Set("Cache-Control", cacheNothing)
		h.Del("Expires")
		w.WriteHeader(http.StatusNotAcceptable)
		return
	}
	if notModified(w, r, e.Hash) {
		return
	}
	make := e.JSON
	if media != "json" {
		media, make = proto, e.Protobuf
	}
	h.Set("Content-Type", "application/"+media)
	if err := writeDocument(w, r, make()); err != nil {
		d.server.log.Debug("write a document of the API", "path", r.URL.Path, "err", err)
	}
}

// documentMedia is the first of the offers that the client likes best, "" if it likes none.
func documentMedia(r *http.Request, offers ...string) string {
	header := r.Header.Get("Accept")
	if header == "" {
		header = "*/*"
	}
	for _, c := range parseAccept(header) {
		for _, o := range offers {
			if (c.kind == "application" || c.kind == "*") && (c.sub == o || c.sub == "*") {
				return o
			}
		}
	}
	return ""
}

// notModified sets the ETag, and answers if the client has what it stands for.
func notModified(w http.ResponseWriter, r *http.Request, hash string) bool {
	tag := strconv.Quote(hash)
	w.Header().Set("ETag", tag)
	for known := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if known = strings.TrimPrefix(strings.TrimSpace(known), "W/"); known == tag || known == "*" {
			w.WriteHeader(http.StatusNotModified)
			return true
		}
	}
	return false
}

// writeDocument sends a document compressed, as it is kept, to clients that take it so.
func writeDocument(w http.ResponseWriter, r *http.Request, e *openapi.Encoded) error {
	h := w.Header()
	if acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		h.Set("Content-Length", strconv.Itoa(len(e.Gzip)))
		_, err := w.Write(e.Gzip)
		return err
	}
	h.Set("Content-Length", strconv.Itoa(e.Size))
	if r.Method == http.MethodHead {
		return nil
	}
	plain, err := e.Reader()
	if err != nil {
		return err
	}
	_, err = io.Copy(w, plain)
	return err
}
