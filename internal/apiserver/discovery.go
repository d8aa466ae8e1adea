package apiserver

import (
	"cmp"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"

	"github.com/proa-dev/proa/internal/registry"
)

// Discovery tells clients what is served. It derives from the routes, is made when somebody asks and kept
// until the routes change.

// groupPriority orders groups, the most important first; groups that are not here come last, by name.
var groupPriority = map[string]int{
	"": 18000, "apiregistration.k8s.io": 17900, "apps": 17800, "events.k8s.io": 17750, "authentication.k8s.io": 17700,
	"authorization.k8s.io": 17600, "autoscaling": 17500, "batch": 17400, "certificates.k8s.io": 17300,
	"networking.k8s.io": 17200, "policy": 17100, "rbac.authorization.k8s.io": 17000, "storage.k8s.io": 16800,
	"apiextensions.k8s.io": 16700, "admissionregistration.k8s.io": 16700, "scheduling.k8s.io": 16600,
	"coordination.k8s.io": 16500, "node.k8s.io": 16300, "discovery.k8s.io": 16200, "resource.k8s.io": 16200,
	"flowcontrol.apiserver.k8s.io": 16100,
}

// catalog is what the routes amount to.
type catalog struct {
	routes *routes
	// groups in order of priority, each with its versions, the preferred first.
	groups []string
	// versions and resources by group and by version.
	versions  map[string][]string
	resources map[schema.GroupVersion][]route
	// aggregated documents, made when first asked for.
	aggregated func(path string) document
}

// document is an answer, encoded as JSON, with its hash.
type document struct {
	list *apidiscoveryv2.APIGroupDiscoveryList
	data []byte
	etag string
}

// catalog returns the present one.
func (s *Server) catalog() *catalog {
	now := s.routes.Load()
	if c := s.discovered.Load(); c != nil && c.routes == now {
		return c
	}
	c := newCatalog(now)
	s.discovered.Store(c)
	return c
}

func newCatalog(rs *routes) *catalog {
	c := &catalog{routes: rs, versions: map[string][]string{}, resources: map[schema.GroupVersion][]route{}}
	for _, r := range rs.types {
		for _, v := range r.Versions {
			gv := v.GroupVersion
			if !slices.Contains(c.versions[gv.Group], gv.Version) {
				if len(c.versions[gv.Group]) == 0 {
					c.groups = append(c.groups, gv.Group)
				}
				c.versions[gv.Group] = append(c.versions[gv.Group], gv.Version)
			}
			c.resources[gv] = append(c.resources[gv], route{res: r, version: v})
		}
	}
	slices.SortStableFunc(c.groups, func(a, b string) int {
		return cmp.Or(cmp.Compare(groupPriority[b], groupPriority[a]), cmp.Compare(a, b))
	})
	for _, versions := range c.versions {
		slices.SortFunc(versions, func(a, b string) int { return version.CompareKubeAwareVersionStrings(b, a) })
	}
	for _, list := range c.resources {
		slices.SortFunc(list, func(a, b route) int { return cmp.Compare(a.res.Name, b.res.Name) })
	}
	var once sync.Map
	c.aggregated = func(path string) document {
		make, _ := once.LoadOrStore(path, sync.OnceValue(func() document { return c.aggregate(path) }))
		return make.(func() document)()
	}
	return c
}

func (s *Server) addDiscovery() {
	s.Handle("/api", s.readOnly(http.HandlerFunc(s.serveCoreVersions)))
	s.Handle("/api/", http.HandlerFunc(s.serveCoreResources))
	s.Handle("/apis", http.HandlerFunc(s.serveGroups))
	s.Handle("/apis/", http.HandlerFunc(s.serveGroup))
}

// aggregatedKind is the form that clients ask for by Accept.
const aggregatedKind = "APIGroupDiscoveryList"

// aggregatedMedia is the media type of the aggregated document that a client wants, "" if it wants none. Whoever can
// read one gets it, whatever else is liked better.
func aggregatedMedia(r *http.Request) string {
	for _, c := range parseAccept(r.Header.Get("Accept")) {
		if c.params["as"] != aggregatedKind || c.params["g"] != "apidiscovery.k8s.io" || c.params["v"] != "v2" {
			continue
		}
		if i := slices.IndexFunc(allMedia, c.matches); i >= 0 {
			return allMedia[i]
		}
	}
	return ""
}

func (s *Server) serveAggregated(w http.ResponseWriter, r *http.Request, path, media string) {
	d := s.catalog().aggregated(path)
	h := w.Header()
	h.Set("Vary", "Accept")
	h.Set("ETag", d.etag)
	h.Set("Cache-Control", "public")
	if r.Header.Get("If-None-Match") == d.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	data, err := d.data, error(nil)
	if media != mediaJSON {
		f := format{media: media}
		if data, err = f.object(d.list); err != nil {
			s.writeError(w, r, err)
			return
		}
	}
	f := format{media: media + ";g=apidiscovery.k8s.io;v=v2;as=" + aggregatedKind}
	if err := writeBody(w, r, f, http.StatusOK, data); err != nil {
		s.log.Debug("write discovery", "err", err)
	}
}

func (s *Server) serveCoreVersions(w http.ResponseWriter, r *http.Request) {
	if media := aggregatedMedia(r); media != "" {
		s.serveAggregated(w, r, "/api", media)
		return
	}
	s.answerDiscovery(w, r, false, &metav1.APIVersions{
		TypeMeta: metav1.TypeMeta{Kind: "APIVersions"},
		Versions: s.catalog().versions[""],
		ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{
			{ClientCIDR: "0.0.0.0/0", ServerAddress: r.Host},
		},
	})
}

func (s *Server) serveGroups(w http.ResponseWriter, r *http.Request) {
	if media := aggregatedMedia(r); media != "" {
		s.serveAggregated(w, r, "/apis", media)
		return
	}
	c := s.catalog()
	l := &metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}, Groups: []metav1.APIGroup{}}
	for _, g := range c.groups {
		if g != "" {
			l.Groups = append(l.Groups, c.group(g))
		}
	}
	s.answerDiscovery(w, r, true, l)
}

func (s *Server) serveCoreResources(w http.ResponseWriter, r *http.Request) {
	parts := splitPath(r.URL.Path)
	if len(parts) == 1 {
		s.readOnly(http.HandlerFunc(s.serveCoreVersions)).ServeHTTP(w, r)
		return
	}
	s.serveResources(w, r, schema.GroupVersion{Version: parts[1]}, len(parts) == 2)
}

func (s *Server) serveGroup(w http.ResponseWriter, r *http.Request) {
	parts := splitPath(r.URL.Path)
	switch len(parts) {
	case 1:
		s.serveGroups(w, r)
	case 2:
		c := s.catalog()
		if len(c.versions[parts[1]]) == 0 || parts[1] == "" {
			http.NotFound(w, r)
			return
		}
		g := c.group(parts[1])
		g.TypeMeta = metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}
		s.answerDiscovery(w, r, true, &g)
	default:
		if parts[1] == "" {
			http.NotFound(w, r)
			return
		}
		s.serveResources(w, r, schema.GroupVersion{Group: parts[1], Version: parts[2]}, len(parts) == 3)
	}
}

func (s *Server) serveResources(w http.ResponseWriter, r *http.Request, gv schema.GroupVersion, whole bool) {
	c := s.catalog()
	if gv.Group != "" && len(c.versions[gv.Group]) == 0 {
		http.NotFound(w, r)
		return
	}
	if _, ok := c.resources[gv]; !ok || !whole {
		s.writeError(w, r, noSuchPath())
		return
	}
	l := c.resourceList(gv)
	s.readOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.answerDiscovery(w, r, false, &l) })).ServeHTTP(w, r)
}

// answerDiscovery answers with a document. Paths of groups refuse what they cannot serve in other words, as lenient
// offers do.
func (s *Server) answerDiscovery(w http.ResponseWriter, r *http.Request, ofGroups bool, o runtime.Object) {
	f, err := negotiate(r, offer{media: allMedia, lenient: ofGroups})
	if err == nil {
		err = s.writeObject(w, r, f, http.StatusOK, o)
	}
	if err != nil {
		s.writeError(w, r, err)
	}
}

func (c *catalog) group(name string) metav1.APIGroup {
	g := metav1.APIGroup{Name: name}
	for _, v := range c.versions[name] {
		g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{GroupVersion: name + "/" + v, Version: v})
	}
	g.PreferredVersion = g.Versions[0]
	return g
}

// resourceLists are all versions' resources, the preferred versions first.
func (s *Server) resourceLists() []metav1.APIResourceList {
	c := s.catalog()
	var lists []metav1.APIResourceList
	for _, g := range c.groups {
		for _, v := range c.versions[g] {
			lists = append(lists, c.resourceList(schema.GroupVersion{Group: g, Version: v}))
		}
	}
	return lists
}

func (c *catalog) resourceList(gv schema.GroupVersion) metav1.APIResourceList {
	l := metav1.APIResourceList{
		TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: gv.String(),
		APIResources: []metav1.APIResource{},
	}
	if gv.Group == "" {
		l.APIVersion = "" // the core group's list has never had one
	}
	for _, rt := range c.resources[gv] {
		t := rt.res.Type
		l.APIResources = append(l.APIResources, metav1.APIResource{
			Name: t.Name, SingularName: t.Singular, Namespaced: t.Namespaced, Kind: rt.version.Kind,
			Verbs: slices.Sorted(slices.Values(t.Verbs)), ShortNames: t.Short, Categories: t.Categories,
			StorageVersionHash: storageHash(t),
		})
		for _, sub := range subresources(rt) {
			l.APIResources = append(l.APIResources, metav1.APIResource{
				Name: t.Name + "/" + sub.name, Namespaced: t.Namespaced,
				Group: sub.foreign(gv).Group, Version: sub.foreign(gv).Version, Kind: sub.kind.Kind, Verbs: sub.verbs,
			})
		}
	}
	return l
}

// subresource is one line of discovery below a resource.
type subresource struct {
	name  string
	kind  schema.GroupVersionKind
	verbs []string
}

// foreign is the subresource's group and version if they are not the resource's.
func (s subresource) foreign(gv schema.GroupVersion) schema.GroupVersion {
	if s.kind.GroupVersion() == gv {
		return schema.GroupVersion{}
	}
	return s.kind.GroupVersion()
}

func subresources(rt route) []subresource {
	t := rt.res.Type
	own := rt.version.GroupVersionKind()
	var subs []subresource
	for _, a := range t.Actions {
		subs = append(subs, subresource{a.Name, a.Kind, slices.Sorted(slices.Values(a.Verbs))})
	}
	for _, v := range t.Views {
		subs = append(subs, subresource{v.Name, own, slices.Sorted(slices.Values(v.Verbs))})
	}
	if t.Scale != nil {
		subs = append(subs, subresource{"scale", scaleKind, subresourceVerbs})
	}
	if t.Status != nil {
		subs = append(subs, subresource{"status", own, subresourceVerbs})
	}
	slices.SortFunc(subs, func(a, b subresource) int { return cmp.Compare(a.name, b.name) })
	return subs
}

// storageHash changes when what is stored does: clients compare it before and after an upgrade.
func storageHash(t *registry.Type) string {
	if !t.Has("get") || t.Computed {
		return ""
	}
	g := t.Storage.GroupVersionKind()
	sum := sha256.Sum256([]byte(g.Group + "/" + g.Version + "/" + g.Kind))
	return base64.StdEncoding.EncodeToString(sum[:8])
}

// aggregate makes the aggregated document of /api or /apis.
func (c *catalog) aggregate(path string) document {
	l := &apidiscoveryv2.APIGroupDiscoveryList{
		TypeMeta: metav1.TypeMeta{Kind: aggregatedKind, APIVersion: "apidiscovery.k8s.io/v2"},
		Items:    []apidiscoveryv2.APIGroupDiscovery{},
	}
	for _, g := range c.groups {
		if (g == "") != (path == "/api") {
			continue
		}
		l.Items = append(l.Items, c.aggregateGroup(g))
	}
	data, err := json.Marshal(l)
	if err != nil {
		panic(fmt.Sprintf("apiserver: discovery does not encode: %v", err))
	}
	return document{list: l, data: append(data, '\n'), etag: fmt.Sprintf("\"%X\"", sha512.Sum512(data))}
}

func (c *catalog) aggregateGroup(g string) apidiscoveryv2.APIGroupDiscovery {
	group := apidiscoveryv2.APIGroupDiscovery{ObjectMeta: metav1.ObjectMeta{Name: g}}
	for _, v := range c.versions[g] {
		gv := schema.GroupVersion{Group: g, Version: v}
		out := apidiscoveryv2.APIVersionDiscovery{Version: v, Freshness: apidiscoveryv2.DiscoveryFreshnessCurrent}
		for _, rt := range c.resources[gv] {
			out.Resources = append(out.Resources, aggregateResource(rt))
		}
		group.Versions = append(group.Versions, out)
	}
	return group
}

func aggregateResource(rt route) apidiscoveryv2.APIResourceDiscovery {
	t := rt.res.Type
	scope := apidiscoveryv2.ScopeCluster
	if t.Namespaced {
		scope = apidiscoveryv2.ScopeNamespace
	}
	r := apidiscoveryv2.APIResourceDiscovery{
		Resource: t.Name, ResponseKind: responseKind(rt, rt.version.GroupVersionKind()), Scope: scope,
		SingularResource: t.Singular, Verbs: slices.Sorted(slices.Values(t.Verbs)), ShortNames: t.Short, Categories: t.Categories,
	}
	for _, sub := range subresources(rt) {
		r.Subresources = append(r.Subresources, apidiscoveryv2.APISubresourceDiscovery{
			Subresource: sub.name, ResponseKind: responseKind(rt, sub.kind), Verbs: sub.verbs,
		})
	}
	return r
}

// responseKind leaves out the group and version where they are the resource's own.
func responseKind(rt route, g schema.GroupVersionKind) *metav1.GroupVersionKind {
	if g.GroupVersion() == rt.version.GroupVersion {
		return &metav1.GroupVersionKind{Kind: g.Kind}
	}
	return &metav1.GroupVersionKind{Group: g.Group, Version: g.Version, Kind: g.Kind}
}
