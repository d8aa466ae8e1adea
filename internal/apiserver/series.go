package apiserver

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// seriesKey is what tells the metrics of requests apart. All of it is from fixed sets: what a client can
// make up is left empty.
type seriesKey struct{ verb, dryRun, group, version, resource, subresource, scope, component string }

// series are the metrics of one kind of request, looked up once.
type series struct {
	requests   *prometheus.CounterVec // by code
	aborts     prometheus.Counter
	duration   prometheus.Observer
	size       prometheus.Observer // nil if the answer's size tells nothing
	long       prometheus.Gauge    // nil if the request is meant to end
	deprecated prometheus.Gauge    // nil if what is asked for is not
	mu         sync.Mutex
	byCode     map[int]prometheus.Counter // guarded by mu
}

// componentName is what kube-apiserver calls itself in metrics, and at /statusz and /flagz.
const componentName = "apiserver"

// metricVerbs bounds what a client can make up. A deletion of a collection is told by its scope.
var metricVerbs = map[string]string{
	"get": "GET", "list": "LIST", "watch": "WATCH", "create": "POST", "update": "PUT", "patch": "PATCH",
	"delete": "DELETE", "deletecollection": "DELETE", "post": "POST", "put": "PUT", "head": "GET",
}

// instrumented are the paths that kube-apiserver counts although they are no resource, each with the labels
// that say so.
var instrumented = map[string]seriesKey{
	"/healthz": {subresource: "/healthz"},
	"/livez":   {subresource: "/livez"},
	"/readyz":  {subresource: "/readyz"},
	"/statusz": {resource: "statusz", component: componentName},
	"/flagz":   {resource: "flagz", component: componentName},
}

func (st *state) seriesKey(r *http.Request) seriesKey {
	i := st.info
	k := seriesKey{component: componentName}
	if known, ok := instrumented[i.path]; ok {
		k = known
	}
	k.verb = i.metricVerb(r)
	if len(i.query["dryRun"]) > 0 {
		k.dryRun = dryRunLabel(i.query["dryRun"])
	}
	if st.route == nil {
		return k
	}
	k.group, k.version, k.resource, k.subresource, k.scope = i.group, i.version, i.resource, i.subresource, "cluster"
	switch {
	case i.name != "" || i.verb == "create":
		k.scope = "resource"
	case i.namespace != "":
		k.scope = "namespace"
	}
	return k
}

func (i *requestInfo) metricVerb(r *http.Request) string {
	verb, ok := metricVerbs[i.verb]
	switch {
	case !ok:
		return "other"
	case i.isResource && longRunningSubresources[i.subresource]:
		return "CONNECT"
	case verb == "PATCH" && r.Header.Get("Content-Type") == string(applyPatch):
		return "APPLY"
	}
	return verb
}

func dryRunLabel(values []string) string {
	if slices.ContainsFunc(values, func(v string) bool { return v != metav1.DryRunAll }) {
		return "invalid"
	}
	return metav1.DryRunAll
}

// of returns the metrics of a request.
func (m *metrics) of(k seriesKey, rt *route) *series {
	if s, ok := (*m.known.Load())[k]; ok {
		return s
	}
	m.learning.Lock()
	defer m.learning.Unlock()
	known := *m.known.Load()
	if s, ok := known[k]; ok {
		return s
	}
	more := maps.Clone(known)
	more[k] = m.newSeries(k, rt)
	m.known.Store(&more)
	return more[k]
}

func (m *metrics) newSeries(k seriesKey, rt *route) *series {
	labels := prometheus.Labels{
		"verb": k.verb, "group": k.group, "version": k.version, "resource": k.resource, "subresource": k.subresource, "scope": k.scope,
	}
	s := &series{aborts: m.aborts.With(labels), byCode: map[int]prometheus.Counter{}}
	labels["component"] = k.component
	reads := k.verb == "GET" || k.verb == "LIST" || k.verb == "WATCH"
	if k.verb == "WATCH" || longRunningSubresources[k.subresource] {
		s.long = m.long.With(labels)
	}
	if reads {
		s.size = m.sizes.With(labels)
	}
	labels["dry_run"] = k.dryRun
	s.duration, s.requests = m.duration.With(labels), m.requests.MustCurryWith(labels)
	if rt != nil && rt.version.Deprecated != "" {
		s.deprecated = m.deprecated.WithLabelValues(k.group, k.version, k.resource, k.subresource, rt.version.Removed)
	}
	return s
}

func (s *series) count(code int) {
	s.mu.Lock()
	c := s.byCode[code]
	if c == nil {
		c = s.requests.WithLabelValues(strconv.Itoa(code))
		s.byCode[code] = c
	}
	s.mu.Unlock()
	c.Inc()
}
