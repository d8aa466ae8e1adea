package openapi

import (
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Media types of bodies.
const (
	anyMedia      = "*/*"
	jsonMedia     = "application/json"
	yamlMedia     = "application/yaml"
	protobufMedia = "application/vnd.kubernetes.protobuf"
	streamParam   = ";stream=watch"
)

// builder makes the paths of one group and version.
type builder struct {
	doc     *Document
	schemas *Schemas
	verbs   *parameters
	gv      schema.GroupVersion
	// prefix of the paths: "/apis/apps/v1".
	prefix string
	// camel is the group and version in operations' IDs: "AppsV1".
	camel string
	tag   string
}

func newBuilder(doc *Document, schemas *Schemas, verbs *parameters, gv schema.GroupVersion) *builder {
	group := camelGroup(gv.Group)
	return &builder{
		doc: doc, schemas: schemas, verbs: verbs, gv: gv, prefix: "/" + pathOf(gv),
		camel: group + capital(gv.Version), tag: strings.ToLower(group[:1]) + group[1:] + "_" + gv.Version,
	}
}

// pathOf is where a group and version is served: "api/v1", "apis/apps/v1".
func pathOf(gv schema.GroupVersion) string {
	if gv.Group == "" {
		return "api/" + gv.Version
	}
	return "apis/" + gv.Group + "/" + gv.Version
}

// camelGroup is a group in operations' IDs: "RbacAuthorization" for rbac.authorization.k8s.io.
func camelGroup(group string) string {
	if group == "" {
		return "Core"
	}
	var b strings.Builder
	for part := range strings.SplitSeq(strings.TrimSuffix(group, ".k8s.io"), ".") {
		b.WriteString(capital(part))
	}
	return b.String()
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// resource adds the paths of a resource.
func (b *builder) resource(r *Resource) {
	u := &unit{builder: b, Resource: r, object: ref(r.Define(b.schemas))}
	u.media = []string{jsonMedia, yamlMedia, protobufMedia}
	if r.Tree {
		u.media = u.media[:2]
	}
	all := b.prefix + "/" + r.Name
	collection := all
	if r.Namespaced {
		u.scope = "Namespaced"
		collection = b.prefix + "/namespaces/{namespace}/" + r.Name
		u.shared = []Parameter{inPath("namespace", "object name and auth scope, such as for teams and projects")}
		if r.has("list") {
			list := u.list()
			list.ID = "list" + b.camel + r.Kind.Kind + "ForAllNamespaces"
			b.add(Path{Path: all, Parameters: []Parameter{pretty}, Operations: []Operation{list}})
		}
	}
	b.add(Path{Path: collection, Parameters: u.parameters(pretty), Operations: u.collection()})
	u.shared = u.parameters(inPath("name", "name of the "+r.Kind.Kind))
	b.add(Path{Path: collection + "/{name}", Parameters: u.parameters(pretty), Operations: u.item()})
	for i := range r.Subresources {
		u.subresource(collection+"/{name}/", &r.Subresources[i])
	}
}

// add adds a path on which there is something to do.
func (b *builder) add(p Path) {
	if len(p.Operations) > 0 {
		b.doc.Paths = append(b.doc.Paths, p)
	}
}

// unit is a resource on its way into paths.
type unit struct {
	*builder
	*Resource
	object *Schema
	// scope in operations' IDs: "Namespaced" or "".
	scope string
	// shared are the parameters of the path itself.
	shared []Parameter
	// media types that objects come in.
	media []string
}

// parameters are the path's own and some more.
func (u *unit) parameters(more ...Parameter) []Parameter {
	all := append(slices.Clone(u.shared), more...)
	sortParameters(all)
	return all
}

// operation of the resource's own kind.
func (u *unit) operation(method, action, id, description string) Operation {
	return Operation{
		Method: method, Action: action, ID: id, Description: description, Tag: u.tag,
		Kind: u.GroupVersionKind, Produces: u.media,
	}
}

func (u *unit) id(verb string) string { return verb + u.camel + u.scope + u.Kind.Kind }

func (u *unit) collection() []Operation {
	var ops []Operation
	if u.has("list") {
		ops = append(ops, u.list())
	}
	if u.has("create") {
		ops = append(ops, u.create(u.id("create"), "create "+article(u.Kind.Kind)+" "+u.Kind.Kind, u.object))
	}
	if u.has("deletecollection") {
		op := u.operation("delete", "deletecollection", "delete"+u.camel+"Collection"+u.scope+u.Kind.Kind, "delete collection of "+u.Kind.Kind)
		op.Parameters = u.verbs.deleteCollection
		op.Body = u.deleteBody()
		op.Responses = responses(u.status(), "200")
		ops = append(ops, op)
	}
	return ops
}

func (u *unit) item() []Operation {
	var ops []Operation
	kind := u.Kind.Kind
	if u.has("get") {
		ops = append(ops, u.get(u.id("read"), "read the specified "+kind, u.object))
	}
	if u.has("update") {
		ops = append(ops, u.update(u.id("replace"), "replace the specified "+kind, u.object))
	}
	if u.has("delete") {
		ops = append(ops, u.delete())
	}
	if u.has("patch") {
		ops = append(ops, u.patch(u.id("patch"), "partially update the specified "+kind, u.object))
	}
	return ops
}

func (u *unit) list() Operation {
	op := u.operation("get", "list", u.id("list"), "list objects of kind "+u.Kind.Kind)
	if u.has("watch") {
		op.Description = "list or watch objects of kind " + u.Kind.Kind
		op.Produces = append(slices.Clone(u.media), jsonMedia+streamParam)
		if !u.Tree {
			op.Produces = append(op.Produces, protobufMedia+streamParam)
		}
	}
	op.Parameters = u.verbs.list
	op.Responses = responses(ref(u.schemas.addList(u.GroupVersionKind, u.object.Ref)), "200")
	return op
}

func (u *unit) get(id, description string, body *Schema) Operation {
	op := u.operation("get", "get", id, description)
	op.Responses = responses(body, "200")
	return op
}

func (u *unit) create(id, description string, body *Schema) Operation {
	op := u.operation("post", "post", id, description)
	op.Parameters = u.verbs.create
	op.Body = &Body{Media: []string{anyMedia}, Schema: body, Required: true}
	op.Responses = responses(body, "200", "201", "202")
	return op
}

func (u *unit) update(id, description string, body *Schema) Operation {
	op := u.operation("put", "put", id, description)
	op.Parameters = u.verbs.update
	op.Body = &Body{Media: []string{anyMedia}, Schema: body, Required: true}
	op.Responses = responses(body, "200", "201")
	return op
}

func (u *unit) patch(id, description string, body *Schema) Operation {
	op := u.operation("patch", "patch", id, description)
	op.Parameters = u.verbs.patch
	media := []string{string(types.ApplyYAMLPatchType), string(types.JSONPatchType), string(types.MergePatchType)}
	if !u.Tree {
		media = append(media, string(types.StrategicMergePatchType))
	}
	op.Body = &Body{Media: media, Schema: ref(u.schemas.addStruct(reflect.TypeFor[metav1.Patch]())), Required: true}
	op.Responses = responses(body, "200", "201")
	return op
}

func (u *unit) delete() Operation {
	op := u.operation("delete", "delete", u.id("delete"), "delete "+article(u.Kind.Kind)+" "+u.Kind.Kind)
	op.Parameters = u.verbs.delete
	op.Body = u.deleteBody()
	answer := u.object
	if !u.AnswersDeleted {
		answer = u.status()
	}
	op.Responses = responses(answer, "200", "202")
	return op
}

func (u *unit) deleteBody() *Body {
	return &Body{Media: []string{anyMedia}, Schema: ref(u.schemas.addStruct(reflect.TypeFor[metav1.DeleteOptions]()))}
}

func (u *unit) status() *Schema {
	return ref(u.schemas.addStruct(reflect.TypeFor[metav1.Status]()))
}

// article before a kind.
func article(kind string) string {
	if kind != "" && strings.ContainsRune("AEIOU", rune(kind[0])) {
		return "an"
	}
	return "a"
}

var codeTexts = map[string]string{"200": "OK", "201": "Created", "202": "Accepted"}

// responses are the answers that succeed, all alike, and the one that any request may get.
func responses(body *Schema, codes ...string) []Response {
	var all []Response
	for _, code := range codes {
		all = append(all, Response{Code: code, Description: codeTexts[code], Schema: body})
	}
	return append(all, Response{Code: "401", Description: "Unauthorized"})
}
