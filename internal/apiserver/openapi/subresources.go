package openapi

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
)

// subresource adds the paths of a subresource, below those of the object.
func (u *unit) subresource(object string, sub *Subresource) {
	one := *u
	one.Resource = &Resource{Kind: sub.Kind, Verbs: sub.Verbs, Tree: u.Tree}
	one.shared = slices.Clone(u.shared)
	for i := range one.shared {
		if one.shared[i].Name == "name" {
			one.shared[i].Description = "name of the " + sub.Kind.Kind
		}
	}
	if sub.Options != nil {
		one.shared = append(one.shared, queryOf(sub.Options, "sinceTime")...)
	}
	if sub.Connect {
		one.connect(object+sub.Name, u.Kind.Kind, sub.Name)
		return
	}
	one.part(object+sub.Name, u, sub)
}

// part adds a subresource with a body.
func (u *unit) part(path string, whole *unit, sub *Subresource) {
	id := func(verb string) string { return whole.id(verb) + capital(sub.Name) }
	kind := whole.Kind.Kind
	var body *Schema
	if sub.Text {
		u.media = append([]string{"text/plain"}, u.media...)
		body = &Schema{Type: "string"}
	} else {
		body = ref(sub.Define(u.schemas))
	}
	var ops []Operation
	if u.has("get") {
		ops = append(ops, u.get(id("read"), fmt.Sprintf("read %s of the specified %s", sub.Name, kind), body))
	}
	if u.has("update") {
		ops = append(ops, u.update(id("replace"), fmt.Sprintf("replace %s of the specified %s", sub.Name, kind), body))
	}
	if u.has("create") {
		ops = append(ops, u.create(id("create"), fmt.Sprintf("create %s of %s %s", sub.Name, article(kind), kind), body))
	}
	if u.has("patch") {
		ops = append(ops, u.patch(id("patch"), fmt.Sprintf("partially update %s of the specified %s", sub.Name, kind), body))
	}
	u.add(Path{Path: path, Parameters: u.parameters(pretty), Operations: ops})
}

// methodsOf are the methods of a connection by the verb that permits them.
var methodsOf = map[string]string{"get": "get", "update": "put", "create": "post", "delete": "delete", "patch": "patch"}

// connect adds a subresource that connects. One that hands requests on takes any method and any path.
func (u *unit) connect(path, kind, name string) {
	var methods []string
	for _, verb := range u.Verbs {
		methods = append(methods, methodsOf[verb])
	}
	proxy := name == "proxy"
	if proxy {
		methods = append(methods, "head", "options")
	}
	operations := func(suffix string) []Operation {
		var ops []Operation
		for _, m := range methods {
			op := u.operation(m, "connect", "connect"+u.camel+capital(m)+u.scope+kind+capital(name)+suffix,
				fmt.Sprintf("connect %s requests to %s of %s", strings.ToUpper(m), name, kind))
			op.Produces = []string{anyMedia}
			op.Responses = responses(&Schema{Type: "string"}, "200")
			ops = append(ops, op)
		}
		return ops
	}
	u.add(Path{Path: path, Parameters: u.parameters(), Operations: operations("")})
	if proxy {
		u.add(Path{Path: path + "/{path}", Parameters: u.parameters(inPath("path", "path to the resource")), Operations: operations("WithPath")})
	}
}

// resourceList adds the path that lists the resources of the group and version.
func (b *builder) resourceList() {
	b.plain(b.prefix+"/", "get"+b.camel+"APIResources", "get available resources", reflect.TypeFor[metav1.APIResourceList]())
}

// plain adds a path that is no resource.
func (b *builder) plain(path, id, description string, t reflect.Type) {
	media := []string{jsonMedia, yamlMedia, protobufMedia}
	if t == reflect.TypeFor[version.Info]() {
		media = media[:1]
	}
	b.add(Path{Path: path, Operations: []Operation{{
		Method: "get", ID: id, Description: description, Tag: b.tag, Produces: media,
		Responses: responses(ref(b.schemas.addStruct(t)), "200"),
	}}})
}

// plainPaths are the documents' names with the paths that stand above groups and versions.
func plainPaths(groups []string) map[string]func(*builder) {
	plain := map[string]func(*builder){
		"api": func(b *builder) {
			b.tag = "core"
			b.plain("/api/", "getCoreAPIVersions", "get available API versions", reflect.TypeFor[metav1.APIVersions]())
		},
		"apis": func(b *builder) {
			b.tag = "apis"
			b.plain("/apis/", "getAPIVersions", "get available API versions", reflect.TypeFor[metav1.APIGroupList]())
		},
		"version": func(b *builder) {
			b.tag = "version"
			b.plain("/version/", "getCodeVersion", "get the version information for this server", reflect.TypeFor[version.Info]())
		},
	}
	for _, g := range groups {
		if g == "" {
			continue
		}
		plain["apis/"+g] = func(b *builder) {
			camel := camelGroup(g)
			b.tag = strings.ToLower(camel[:1]) + camel[1:]
			b.plain("/apis/"+g+"/", "get"+camel+"APIGroup", "get information of a group", reflect.TypeFor[metav1.APIGroup]())
		}
	}
	return plain
}

// groupsOf are the groups of some versions, each once.
func groupsOf(versions []schema.GroupVersion) []string {
	var groups []string
	for _, gv := range versions {
		if !slices.Contains(groups, gv.Group) {
			groups = append(groups, gv.Group)
		}
	}
	return groups
}
