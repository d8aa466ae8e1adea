package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/registry/field"
)

// Type is a resource as the API layer sees it: a Resource with its Go type erased, or a custom resource.
// Objects it takes and gives are hubs unless a comment says otherwise. Functions are never nil; where the
// resource defines none they do nothing.
type Type struct {
	Group, Kind, Name, Singular string
	Short, Categories           []string
	Namespaced                  bool
	// Prefix of the store's keys, with its final slash.
	Prefix string
	// Versions that are served, the preferred first.
	Versions []*TypeVersion
	// Storage is the version whose encoding is stored.
	Storage *TypeVersion
	// Hub is the version whose Go type the other functions take.
	Hub   *TypeVersion
	Verbs []string

	New            func() Object
	Default        func(Object)
	PrepareCreate  func(Object)
	PrepareUpdate  func(new, old Object)
	Validate       func(Object) field.ErrorList
	ValidateCreate func(Object) field.ErrorList
	ValidateUpdate func(new, old Object) field.ErrorList
	ValidateName   func(name string, prefix bool) []string // nil is a DNS subdomain
	Warn           func(new, old Object) []string
	// Claims tells that Begin may return a claim. Of other types it is always nil.
	Claims bool
	Begin  func(ctx context.Context, new, old Object) (Claim, error)

	// Status is nil where there is no status subresource; so are Spec, Scale, GracePeriod and TTL.
	Status         func(Object) any
	PrepareStatus  func(new, old Object)
	ValidateStatus func(new, old Object) field.ErrorList
	Spec           func(Object) any
	Scale          *TypeScale
	Views          []TypeView
	Actions        []Action
	Columns        []TypeColumn
	Fields         []TypeField
	GracePeriod    func(o Object, asked *int64) int64
	Held           func(Object) bool
	Terminates     bool // something of the objects' own may keep them: Held can be true
	MarkDeleted    func(Object)
	TTL            func(Object) time.Duration

	UnknownField, OrphansWarning                                                                                                string
	StatusOnCreate, CreateOnUpdate, RevisionRequired, AnswersDeleted, OrphansByDefault, NeverCollected, Computed, DefaultLabels bool
}

// TypeVersion is one version of a Type.
type TypeVersion struct {
	schema.GroupVersion
	// Kind of objects in this version.
	Kind string
	// Deprecated is the text to warn with, "" if the version is in good standing; Removed, the release that
	// serves it no longer, "" if none is set.
	Deprecated, Removed string
	// New makes an empty object of the version's own Go type.
	New func() Object
	// ToHub and FromHub convert. They may share memory between argument and result; the argument is not
	// used again. For the hub both are the identity.
	ToHub   func(Object) (Object, error)
	FromHub func(Object) (Object, error)
	// IsHub tells that the version's Go type is the hub's.
	IsHub bool
	// Fields maps the names that field selectors use in this version to those of the type's Fields; nil
	// where they are the same.
	Fields map[string]string
	// ValidateCreate and ValidateUpdate run on writes through this version beside the type's own checks.
	// They take hubs; nil where the version adds none.
	ValidateCreate func(Object) field.ErrorList
	ValidateUpdate func(new, old Object) field.ErrorList
}

// GroupVersionKind of the version's objects.
func (v *TypeVersion) GroupVersionKind() schema.GroupVersionKind {
	return v.GroupVersion.WithKind(v.Kind)
}

// TypeScale is Scale without the type parameter.
type TypeScale struct {
	SpecReplicas, StatusReplicas func(Object) int32
	Selector                     func(Object) string
	SetReplicas                  func(Object, int32)
	ReplicasPath                 string
}

// TypeView is View without the type parameter.
type TypeView struct {
	Name     string
	Prepare  func(new, old Object)
	Validate func(new, old Object) field.ErrorList
	Verbs    []string
}

// TypeColumn is Column without the type parameter.
type TypeColumn struct {
	Name, Type, Format, Description string
	Wide                            bool
	Value                           func(Object) any
}

// TypeField is Field without the type parameter.
type TypeField struct {
	Name    string
	Value   func(Object) string
	Reads   []string
	Indexed bool
}

// Field finds what a field selector of version v means by name, beside metadata.name and
// metadata.namespace; nil if the version cannot select by it.
func (t *Type) Field(v *TypeVersion, name string) *TypeField {
	if v.Fields != nil {
		own, ok := v.Fields[name]
		if !ok {
			return nil
		}
		name = own
	}
	i := slices.IndexFunc(t.Fields, func(f TypeField) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return &t.Fields[i]
}

// Resource of the type in its own group.
func (t *Type) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: t.Group, Resource: t.Name}
}

// Version finds a served version.
func (t *Type) Version(gv schema.GroupVersion) *TypeVersion {
	i := slices.IndexFunc(t.Versions, func(v *TypeVersion) bool { return v.GroupVersion == gv })
	if i < 0 {
		return nil
	}
	return t.Versions[i]
}

// Has tells whether the resource has the verb.
func (t *Type) Has(verb string) bool { return slices.Contains(t.Verbs, verb) }

// AllVerbs are those of a resource that lists none of its own, in discovery's order.
var AllVerbs = []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}

var viewVerbs = []string{"get", "patch", "update"}

// Erase returns the resource as a Type. It panics on a definition that cannot be: those are mistakes in
// the source, and the tests of package builtin erase them all.
func (r Resource[T]) Erase() *Type {
	t := &Type{
		Group: r.Group, Kind: r.Kind, Name: r.Name, Singular: r.Singular,
		Short: r.Short, Categories: r.Categories, Namespaced: r.Namespaced,
		Prefix: "/registry/" + r.StoredAs + "/",
		Verbs:  r.Verbs,

		New:            newObject[T],
		Default:        erase1(r.Default),
		PrepareCreate:  erase1(r.PrepareCreate),
		PrepareUpdate:  erase2(r.PrepareUpdate),
		Validate:       eraseCheck1(r.Validate),
		ValidateCreate: eraseCheck1(r.ValidateCreate),
		ValidateUpdate: eraseCheck2(r.ValidateUpdate),
		ValidateName:   r.ValidateName,
		Warn:           eraseWarn(r.Warn),
		Claims:         r.Begin != nil,
		Begin:          eraseBegin(r.Begin),
		PrepareStatus:  erase2(r.PrepareStatus),
		Held:           func(o Object) bool { return r.Held != nil && r.Held(mustCast[T](o)) },
		Terminates:     r.Held != nil,
		MarkDeleted:    erase1(r.MarkDeleted),
		ValidateStatus: eraseCheck2(r.ValidateStatus),
		Actions:        r.Actions,

		StatusOnCreate: r.StatusOnCreate, CreateOnUpdate: r.CreateOnUpdate, RevisionRequired: r.RevisionRequired,
		AnswersDeleted: r.AnswersDeleted, OrphansByDefault: r.OrphansByDefault, OrphansWarning: r.OrphansWarning, NeverCollected: r.NeverCollected, Computed: r.Computed,
		UnknownField: r.UnknownField, DefaultLabels: r.DefaultLabels,
	}
	if t.Singular == "" {
		t.Singular = strings.ToLower(r.Kind)
	}
	if r.StoredAs == "" {
		t.Prefix = "/registry/" + r.Name + "/"
	}
	if t.Verbs == nil {
		t.Verbs = AllVerbs
	}
	if r.Status != nil {
		t.Status = func(o Object) any { return r.Status(mustCast[T](o)) }
	}
	if r.Spec != nil {
		t.Spec = func(o Object) any { return r.Spec(mustCast[T](o)) }
	}
	if r.GracePeriod != nil {
		t.GracePeriod = func(o Object, asked *int64) int64 { return r.GracePeriod(mustCast[T](o), asked) }
	}
	if r.TTL != nil {
		t.TTL = func(o Object) time.Duration { return r.TTL(mustCast[T](o)) }
	}
	r.eraseVersions(t)
	r.eraseParts(t)
	return t
}

func (r Resource[T]) eraseVersions(t *Type) {
	for _, v := range r.Versions {
		tv := &TypeVersion{
			GroupVersion: v.groupVersion(r.Group),
			Kind:         r.Kind,
			Deprecated:   v.Deprecated,
			Removed:      v.Removed,
			New:          v.new,
			IsHub:        v.hub,
			Fields:       v.Fields,
			ToHub: func(o Object) (Object, error) {
				h, err := v.toHub(o)
				if err != nil {
					return nil, err
				}
				return any(h).(Object), nil
			},
			FromHub: func(o Object) (Object, error) { return v.fromHub(mustCast[T](o)) },
		}
		if v.ValidateCreate != nil {
			tv.ValidateCreate = eraseCheck1(v.ValidateCreate)
		}
		if v.ValidateUpdate != nil {
			tv.ValidateUpdate = eraseCheck2(v.ValidateUpdate)
		}
		t.Versions = append(t.Versions, tv)
		if v.hub {
			t.Hub = tv
		}
	}
	if t.Hub == nil {
		panic(fmt.Sprintf("registry: %s has no hub version", r.Name))
	}
	t.Storage = t.Hub
	if !r.StoredIn.Empty() {
		if t.Storage = t.Version(r.StoredIn); t.Storage == nil {
			panic(fmt.Sprintf("registry: %s is stored in %s, which it does not have", r.Name, r.StoredIn))
		}
	}
}

func (r Resource[T]) eraseParts(t *Type) {
	if s := r.Scale; s != nil {
		t.Scale = &TypeScale{
			SpecReplicas:   func(o Object) int32 { return s.SpecReplicas(mustCast[T](o)) },
			StatusReplicas: func(o Object) int32 { return s.StatusReplicas(mustCast[T](o)) },
			Selector:       func(o Object) string { return s.Selector(mustCast[T](o)) },
			SetReplicas:    func(o Object, n int32) { s.SetReplicas(mustCast[T](o), n) },
			ReplicasPath:   s.ReplicasPath,
		}
	}
	for _, v := range r.Views {
		verbs := v.Verbs
		if verbs == nil {
			verbs = viewVerbs
		}
		t.Views = append(t.Views, TypeView{Name: v.Name, Prepare: erase2(v.Prepare), Validate: eraseCheck2(v.Validate), Verbs: verbs})
	}
	for _, c := range r.Columns {
		kind := c.Type
		if kind == "" {
			kind = "string"
		}
		t.Columns = append(t.Columns, TypeColumn{
			Name: c.Name, Type: kind, Format: c.Format, Description: c.Description, Wide: c.Wide,
			Value: func(o Object) any { return c.Value(mustCast[T](o)) },
		})
	}
	for _, f := range r.Fields {
		t.Fields = append(t.Fields, TypeField{
			Name: f.Name, Indexed: f.Indexed, Reads: f.Reads,
			Value: func(o Object) string { return f.Value(mustCast[T](o)) },
		})
	}
}

// mustCast panics when the object is not the hub's type: the API layer only passes hubs.
func mustCast[T any](o Object) *T {
	t, err := cast[T](o)
	if err != nil {
		panic("registry: " + err.Error())
	}
	return t
}

// castOrNil keeps nil nil: new and old may be absent.
func castOrNil[T any](o Object) *T {
	if o == nil {
		return nil
	}
	return mustCast[T](o)
}

func erase1[T any](f func(*T)) func(Object) {
	if f == nil {
		return func(Object) {}
	}
	return func(o Object) { f(mustCast[T](o)) }
}

func erase2[T any](f func(new, old *T)) func(new, old Object) {
	if f == nil {
		return func(Object, Object) {}
	}
	return func(new, old Object) { f(mustCast[T](new), mustCast[T](old)) }
}

func eraseCheck1[T any](f func(*T) field.ErrorList) func(Object) field.ErrorList {
	if f == nil {
		return func(Object) field.ErrorList { return nil }
	}
	return func(o Object) field.ErrorList { return f(mustCast[T](o)) }
}

func eraseCheck2[T any](f func(new, old *T) field.ErrorList) func(new, old Object) field.ErrorList {
	if f == nil {
		return func(Object, Object) field.ErrorList { return nil }
	}
	return func(new, old Object) field.ErrorList { return f(mustCast[T](new), mustCast[T](old)) }
}

func eraseWarn[T any](f func(new, old *T) []string) func(new, old Object) []string {
	if f == nil {
		return func(Object, Object) []string { return nil }
	}
	return func(new, old Object) []string { return f(mustCast[T](new), castOrNil[T](old)) }
}

func eraseBegin[T any](f func(context.Context, *T, *T) (Claim, error)) func(context.Context, Object, Object) (Claim, error) {
	if f == nil {
		return func(context.Context, Object, Object) (Claim, error) { return nil, nil }
	}
	return func(ctx context.Context, new, old Object) (Claim, error) {
		return f(ctx, castOrNil[T](new), castOrNil[T](old))
	}
}
