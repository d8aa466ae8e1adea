package openapi

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Set is the documents of all that is served. Making one costs a few hashes; each document is made when it
// is first asked for, in the form that is asked for.
type Set struct {
	v3    map[string]*Entry
	v2    *Entry
	index []byte
}

// Entry is one document in its two forms.
type Entry struct {
	// Hash of what the document is made from. Two servers of the same build that serve the same resources
	// have the same.
	Hash     string
	json     func() *Encoded
	protobuf func() *Encoded
}

// JSON returns the document in JSON.
func (e *Entry) JSON() *Encoded { return e.json() }

// Protobuf returns the document as gnostic's message.
func (e *Entry) Protobuf() *Encoded { return e.protobuf() }

// Encoded is a document, compressed.
type Encoded struct {
	// Gzip is shared: nobody may change it.
	Gzip []byte
	// Size of the document when it is not compressed.
	Size int
}

// Reader reads the document as it was before it was compressed.
func (e *Encoded) Reader() (io.Reader, error) { return gzip.NewReader(bytes.NewReader(e.Gzip)) }

// New describes the documents of some resources. The version is the server's. Documents that before has with
// the same hash are taken from there; it may be nil.
func New(version string, resources []Resource, before *Set) *Set {
	from := &source{version: version, resources: map[schema.GroupVersion][]*Resource{}}
	for i := range resources {
		r := &resources[i]
		from.resources[r.GroupVersion()] = append(from.resources[r.GroupVersion()], r)
	}
	from.versions = slices.SortedFunc(maps.Keys(from.resources), func(a, b schema.GroupVersion) int {
		return cmp.Compare(pathOf(a), pathOf(b))
	})
	s := &Set{v3: map[string]*Entry{}}
	s.addEntries(from)
	s.keep(before)
	s.index = s.makeIndex()
	return s
}

// V3 is the OpenAPI 3 document of a path such as "apis/apps/v1", nil if there is none.
func (s *Set) V3(path string) *Entry { return s.v3[path] }

// V2 is the Swagger 2 document.
func (s *Set) V2() *Entry { return s.v2 }

// Index lists the OpenAPI 3 documents, in JSON.
func (s *Set) Index() []byte { return s.index }

// URL is where a document is found, with its hash.
func (e *Entry) URL(path string) string { return "/openapi/v3/" + path + "?hash=" + e.Hash }

func (s *Set) addEntries(from *source) {
	build := buildID()
	whole := from.newHash(build)
	for _, gv := range from.versions {
		h := from.newHash(build)
		for _, r := range from.resources[gv] {
			r.describe(io.MultiWriter(h, whole))
		}
		s.v3[pathOf(gv)] = newEntry(sum(h), func() *Document { return from.document(gv) }, jsonV3, protoV3)
	}
	for path, add := range plainPaths(groupsOf(from.versions)) {
		h := from.newHash(build)
		io.WriteString(h, path)
		s.v3[path] = newEntry(sum(h), func() *Document { return from.plainDocument(add) }, jsonV3, protoV3)
	}
	s.v2 = newEntry(sum(whole), from.wholeDocument, jsonV2, protoV2)
}

// keep takes over what has not changed.
func (s *Set) keep(before *Set) {
	if before == nil {
		return
	}
	for path, e := range s.v3 {
		if was := before.v3[path]; was != nil && was.Hash == e.Hash {
			s.v3[path] = was
		}
	}
	if before.v2.Hash == s.v2.Hash {
		s.v2 = before.v2
	}
}

func newEntry(hash string, make func() *Document, toJSON func(*Document) []byte, toProto func(*Document) proto.Message) *Entry {
	return &Entry{
		Hash: hash,
		json: sync.OnceValue(func() *Encoded { return compress(toJSON(make())) }),
		protobuf: sync.OnceValue(func() *Encoded {
			data, err := proto.Marshal(toProto(make()))
			if err != nil {
				panic(fmt.Sprintf("openapi: a document does not encode: %v", err))
			}
			return compress(data)
		}),
	}
}

func compress(data []byte) *Encoded {
	var buf bytes.Buffer
	zw := compressors.Get().(*gzip.Writer)
	defer compressors.Put(zw)
	zw.Reset(&buf)
	_, err := zw.Write(data)
	if err == nil {
		err = zw.Close()
	}
	if err != nil {
		panic(fmt.Sprintf("openapi: writing to memory fails: %v", err))
	}
	return &Encoded{Gzip: slices.Clone(buf.Bytes()), Size: len(data)}
}

// compressors are costly to make.
var compressors = sync.Pool{New: func() any { return gzip.NewWriter(io.Discard) }}

func (s *Set) makeIndex() []byte {
	type link struct {
		URL string `json:"serverRelativeURL"`
	}
	paths := map[string]link{}
	for path, e := range s.v3 {
		paths[path] = link{e.URL(path)}
	}
	data, err := json.Marshal(map[string]any{"paths": paths})
	if err != nil {
		panic(fmt.Sprintf("openapi: the index does not encode: %v", err))
	}
	return data
}

// newHash begins one with what all documents depend on: the program.
func (s *source) newHash(build string) hash.Hash {
	h := sha512.New()
	fmt.Fprintf(h, "%s\n%s\n", s.version, build)
	return h
}

func sum(h hash.Hash) string { return fmt.Sprintf("%X", h.Sum(nil)) }

// buildID tells builds apart as far as Go knows: the revision, whether it was changed, and the modules.
func buildID() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.String()
	}
	return ""
}

// describe writes all that the resource's part of a document follows from.
func (r *Resource) describe(w io.Writer) {
	fmt.Fprintf(w, "%s %s %t %q %t %t %s\n", r.GroupVersionKind, r.Name, r.Namespaced, r.Verbs, r.AnswersDeleted, r.Tree, r.Edition)
	for _, sub := range r.Subresources {
		fmt.Fprintf(w, "  %s %s %q %t %t %v %s\n", sub.Name, sub.GroupVersionKind, sub.Verbs, sub.Connect, sub.Text, sub.Options, sub.Edition)
	}
}
