package apiserver

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Media types that bodies come in.
const (
	mediaJSON     = "application/json"
	mediaYAML     = "application/yaml"
	mediaProtobuf = "application/vnd.kubernetes.protobuf"
)

// format is what a client wants its answer to look like.
type format struct {
	media string
	// as is "", Table, PartialObjectMetadata or PartialObjectMetadataList, in version asVersion of
	// meta.k8s.io.
	as        string
	asVersion string
	pretty    bool
	// stream asks for watch framing of protobuf.
	stream bool
}

// offer is what an endpoint can answer with.
type offer struct {
	media []string
	// as are the transformations of objects it has.
	as []string
	// kind is that of the answer; list tells whether it is one.
	kind string
	list bool
	// lenient offers, those of errors and logs, look at parameters of media types that nobody knows too.
	lenient bool
}

var (
	allMedia  = []string{mediaJSON, mediaYAML, mediaProtobuf}
	treeMedia = []string{mediaJSON, mediaYAML}
)

// clause is one part of an Accept header.
type clause struct {
	kind, sub string
	params    map[string]string // nil if there are none
	q         float64
}

// negotiate picks the format of the answer. Of clauses with equal weight the first that can be served wins.
// Where kube-apiserver differs from RFC 9110, so does this: a wildcard for all subtypes is none, names are
// compared by case, and a weight of 0 is merely the least.
func negotiate(r *http.Request, o offer) (format, error) {
	clauses, err := o.clauses(r)
	if err != nil {
		return format{}, err
	}
	for _, c := range clauses {
		if f, ok := o.serve(c); ok {
			f.pretty = wantsPretty(r, c)
			return f, nil
		}
	}
	for _, c := range clauses {
		if err := o.otherShape(c); err != nil {
			return format{}, err
		}
	}
	return format{}, notAcceptable(o.media)
}

// clauses are those of the Accept header. One that names no media type of the endpoint at all leads no further.
func (o offer) clauses(r *http.Request) ([]clause, error) {
	header := r.Header.Get("Accept")
	if header == "" {
		header = "*/*"
	}
	clauses := parseAccept(header)
	known := func(c clause) bool {
		return c.kind == "*" && c.sub == "*" || slices.Contains(o.media, c.kind+"/"+c.sub)
	}
	if !o.lenient && !slices.ContainsFunc(clauses, known) {
		return nil, serverResponse(http.StatusNotAcceptable, metav1.StatusReasonNotAcceptable,
			"406: Not Acceptable\n\nAvailable representations: "+strings.Join(o.media, ", "))
	}
	return clauses, nil
}

// otherShape is the error of a clause that takes a list for an object, or an object for a list.
func (o offer) otherShape(c clause) error {
	as := c.params["as"]
	switch {
	case o.kind == "" || c.params["g"] != metav1.GroupName:
		return nil
	case o.list && as == "PartialObjectMetadata":
		return serverStatus(http.StatusNotAcceptable, metav1.StatusReasonNotAcceptable,
			"you requested PartialObjectMetadata, but the requested object is a list (*v1."+o.kind+"List)")
	case !o.list && as == "PartialObjectMetadataList":
		return serverStatus(http.StatusNotAcceptable, metav1.StatusReasonNotAcceptable,
			"you requested PartialObjectMetadataList, but the requested object is not a list (*v1."+o.kind+")")
	}
	return nil
}

// converts tells whether a clause asks for another kind, if only by half.
func (c clause) converts() bool { return c.has("as") || c.has("g") || c.has("v") }

func (c clause) has(param string) bool {
	_, ok := c.params[param]
	return ok
}

// matches tells whether a clause takes a media type.
func (c clause) matches(media string) bool {
	kind, sub, _ := strings.Cut(media, "/")
	return c.kind == "*" || c.kind == kind && (c.sub == "*" || c.sub == sub)
}

func (o offer) serve(c clause) (format, bool) {
	for _, media := range o.media {
		if !c.matches(media) {
			continue
		}
		stream, version := c.params["stream"], c.params["sv"]
		if stream != "" && (stream != "watch" || media == mediaYAML) || version != "" && version != "v1" {
			continue
		}
		f := format{media: media, stream: stream == "watch"}
		as := c.params["as"]
		if !c.converts() {
			return f, true
		}
		if !o.transforms(c) || as == "Table" && media == mediaProtobuf {
			continue
		}
		f.as, f.asVersion = as, c.params["v"]
		return f, true
	}
	return format{}, false
}

func (o offer) transforms(c clause) bool {
	gv := schema.GroupVersion{Group: c.params["g"], Version: c.params["v"]}
	if gv.Group != metav1.GroupName || gv.Version != "v1" && gv.Version != "v1beta1" {
		return false
	}
	return slices.Contains(o.as, c.params["as"])
}

// parseAccept returns the clauses by descending weight. A weight that is no number is 0.
func parseAccept(header string) []clause {
	var clauses []clause
	for part := range strings.SplitSeq(header, ",") {
		fields := strings.Split(part, ";")
		c := clause{q: 1}
		c.kind, c.sub, _ = strings.Cut(strings.TrimSpace(fields[0]), "/")
		if c.kind == "" {
			continue
		}
		for _, p := range fields[1:] {
			k, v, _ := strings.Cut(p, "=")
			k, v = strings.TrimSpace(k), strings.TrimSpace(v)
			if k == "q" {
				c.q = weight(v)
				continue
			}
			if c.params == nil {
				c.params = map[string]string{}
			}
			c.params[k] = v
		}
		clauses = append(clauses, c)
	}
	slices.SortStableFunc(clauses, func(a, b clause) int {
		return cmp.Or(cmp.Compare(b.q, a.q), cmp.Compare(a.breadth(), b.breadth()))
	})
	return clauses
}

// breadth is how many of a clause's two names are wildcards: the narrower comes first.
func (c clause) breadth() int {
	return strings.Count(c.kind, "*") + strings.Count(c.sub, "*")
}

func weight(text string) float64 {
	q, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return q
}

// wantsPretty follows kube-apiserver: the media type's parameter decides if it is 1, then the query's, then
// whether a person at a terminal or in a browser seems to be asking.
func wantsPretty(r *http.Request, c clause) bool {
	if c.params["pretty"] == "1" {
		return true
	}
	if strings.Contains(r.URL.RawQuery, "pretty") {
		if text := r.URL.Query().Get("pretty"); text != "" {
			pretty, err := strconv.ParseBool(text)
			return err == nil && pretty
		}
	}
	agent := r.UserAgent()
	return strings.HasPrefix(agent, "curl") || strings.HasPrefix(agent, "Wget") || strings.HasPrefix(agent, "Mozilla/5.0")
}

func notAcceptable(supported []string) error {
	return serverStatus(http.StatusNotAcceptable, metav1.StatusReasonNotAcceptable,
		"only the following media types are accepted: "+strings.Join(supported, ", "))
}

// bodyMedia is the media type of a request's body.
func bodyMedia(r *http.Request, supported []string) (string, error) {
	header := r.Header.Get("Content-Type")
	media, _, _ := strings.Cut(header, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	if header == "" {
		return mediaJSON, nil
	}
	if !slices.Contains(supported, media) {
		return "", unsupportedMedia(header, supported)
	}
	return media, nil
}

func unsupportedMedia(got string, supported []string) error {
	return serverStatus(http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType,
		"the body of the request was in an unknown format - accepted media types include: "+strings.Join(supported, ", "))
}
