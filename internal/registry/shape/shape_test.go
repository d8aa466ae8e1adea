package shape

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/structured-merge-diff/v6/schema"
)

// clientGoSchema is the schema that client-go carries for all kinds.
func clientGoSchema(t testing.TB) *schema.Schema {
	t.Helper()
	pod := &corev1.Pod{}
	pod.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	v, err := applyconfigurations.NewTypeConverter(scheme.Scheme).ObjectToTyped(pod)
	if err != nil {
		t.Fatal(err)
	}
	return v.Schema()
}

// rootTypes are the Go types of all kinds of k8s.io/api.
func rootTypes() []reflect.Type {
	var roots []reflect.Type
	for gvk, t := range scheme.Scheme.AllKnownTypes() {
		if gvk.Version != "__internal" && strings.HasPrefix(t.PkgPath(), "k8s.io/api/") {
			roots = append(roots, t)
		}
	}
	slices.SortFunc(roots, func(a, b reflect.Type) int { return strings.Compare(Name(a), Name(b)) })
	return slices.Compact(roots)
}

// comparison walks our schema of one root beside client-go's.
type comparison struct {
	t            *testing.T
	ours, theirs *schema.Schema
	seen         map[string]bool
}

// TestSchemaEqualsClientGo holds every fact of every type against client-go's schema: what the tables lack
// shows here, and so does what they have too much.
func TestSchemaEqualsClientGo(t *testing.T) {
	theirs := clientGoSchema(t)
	compared := 0
	for _, root := range rootTypes() {
		if _, ok := theirs.FindNamedType(Name(root)); !ok {
			continue // client-go has lists, reviews and options of no interest to apply
		}
		p := Parseable(root)
		c := comparison{t: t, ours: p.Schema, theirs: theirs, seen: map[string]bool{}}
		c.named(Name(root))
		compared += len(c.seen)
	}
	if compared < 2000 {
		t.Errorf("compared %d types only", compared)
	}
}

func (c *comparison) named(name string) {
	if c.seen[name] {
		return
	}
	c.seen[name] = true
	ours, ok1 := c.ours.FindNamedType(name)
	theirs, ok2 := c.theirs.FindNamedType(name)
	if !ok1 || !ok2 {
		c.t.Errorf("%s: known to us %v, to client-go %v", name, ok1, ok2)
		return
	}
	c.atom(name, ours.Atom, theirs.Atom)
}

func (c *comparison) ref(at string, ours, theirs schema.TypeRef) {
	a, ok1 := c.ours.Resolve(ours)
	b, ok2 := c.theirs.Resolve(theirs)
	if !ok1 || !ok2 {
		c.t.Errorf("%s: resolved by us %v, by client-go %v", at, ok1, ok2)
		return
	}
	if ours.NamedType != nil && theirs.NamedType != nil && *ours.NamedType == *theirs.NamedType {
		c.named(*ours.NamedType)
		if a.Map != nil && b.Map != nil && relation(a.Map.ElementRelationship) != relation(b.Map.ElementRelationship) {
			c.t.Errorf("%s: %q, client-go has %q", at, a.Map.ElementRelationship, b.Map.ElementRelationship)
		}
		return
	}
	c.atom(at, a, b)
}

// relation of a map that says nothing is separable.
func relation(r schema.ElementRelationship) schema.ElementRelationship {
	if r == "" {
		return schema.Separable
	}
	return r
}

func (c *comparison) atom(at string, ours, theirs schema.Atom) {
	if (ours.Scalar == nil) != (theirs.Scalar == nil) || ours.Scalar != nil && *ours.Scalar != *theirs.Scalar {
		c.t.Errorf("%s: scalar %v, client-go has %v", at, deref(ours.Scalar), deref(theirs.Scalar))
	}
	if (ours.List == nil) != (theirs.List == nil) || (ours.Map == nil) != (theirs.Map == nil) {
		c.t.Errorf("%s: list %v map %v, client-go has list %v map %v", at, ours.List != nil, ours.Map != nil, theirs.List != nil, theirs.Map != nil)
		return
	}
	if ours.List != nil {
		if ours.List.ElementRelationship != theirs.List.ElementRelationship || !slices.Equal(ours.List.Keys, theirs.List.Keys) {
			c.t.Errorf("%s: list %s %v, client-go has %s %v", at, ours.List.ElementRelationship, ours.List.Keys, theirs.List.ElementRelationship, theirs.List.Keys)
		}
		c.ref(at+"[]", ours.List.ElementType, theirs.List.ElementType)
	}
	if ours.Map != nil {
		c.fields(at, ours.Map, theirs.Map)
	}
}

func (c *comparison) fields(at string, ours, theirs *schema.Map) {
	if relation(ours.ElementRelationship) != relation(theirs.ElementRelationship) {
		c.t.Errorf("%s: map %q, client-go has %q", at, ours.ElementRelationship, theirs.ElementRelationship)
	}
	if len(ours.Fields) != len(theirs.Fields) {
		c.t.Errorf("%s: %d fields, client-go has %d", at, len(ours.Fields), len(theirs.Fields))
	}
	if (ours.ElementType == schema.TypeRef{}) != (theirs.ElementType == schema.TypeRef{}) {
		c.t.Errorf("%s: takes unknown fields or does not, client-go differs", at)
	} else if (ours.ElementType != schema.TypeRef{}) {
		c.ref(at+"{}", ours.ElementType, theirs.ElementType)
	}
	for _, f := range ours.Fields {
		other, ok := theirs.FindField(f.Name)
		if !ok {
			c.t.Errorf("%s.%s is unknown to client-go", at, f.Name)
			continue
		}
		if !sameDefault(f.Default, other.Default) {
			c.t.Errorf("%s.%s: default %#v, client-go has %#v", at, f.Name, f.Default, other.Default)
		}
		c.ref(at+"."+f.Name, f.Type, other.Type)
	}
}

func sameDefault(ours, theirs any) bool {
	if _, ok := theirs.(map[any]any); ok {
		_, ok = ours.(map[string]any)
		return ok
	}
	return ours == theirs
}

func deref(s *schema.Scalar) schema.Scalar {
	if s == nil {
		return "none"
	}
	return *s
}

// TestTablesNameFields catches words in the tables that name nothing, or say what holds anyway.
func TestTablesNameFields(t *testing.T) {
	fields, structs := map[string]*Field{}, map[string]bool{}
	seen := map[reflect.Type]bool{}
	var visit func(v *Value)
	visit = func(v *Value) {
		if v.Elem != nil {
			visit(v.Elem)
		}
		if v.Kind != Struct || seen[v.Type] {
			return
		}
		seen[v.Type] = true
		general, versioned := typeKeys(v.Type)
		structs[general], structs[versioned] = true, true
		for i := range v.Struct().Fields {
			f := &v.Struct().Fields[i]
			fields[general+"."+f.Name], fields[versioned+"."+f.Name] = f, f
			visit(f.Value)
		}
	}
	for _, root := range rootTypes() {
		visit(newValue(root))
	}
	for name := range atomicStructs {
		if !structs[name] {
			t.Errorf("atomicStructs names %s", name)
		}
	}
	// Fields of inlined structs are known by the struct that declares them.
	for _, table := range []map[string]bool{required, optional, keysOf(sharing), keysOf(defaults)} {
		for name := range table {
			if fields[name] == nil && !strings.Contains(name, "EphemeralContainerCommon") {
				t.Errorf("a table names %s", name)
			}
		}
	}
	for name := range required {
		if optional[name] {
			t.Errorf("%s is both required and optional", name)
		}
	}
}

func keysOf[V any](m map[string]V) map[string]bool {
	keys := map[string]bool{}
	for k := range m {
		keys[k] = true
	}
	return keys
}

// TestOffsets holds the offset of each field against reflection.
func TestOffsets(t *testing.T) {
	for _, root := range rootTypes() {
		for _, f := range Of(root).Fields {
			if got := root.FieldByIndex(f.Index); got.Name != f.GoName || !f.Value.Pointer && got.Type != f.Value.Type {
				t.Errorf("%s.%s leads to %s", root, f.Name, got.Name)
			}
		}
	}
	v := reflect.New(reflect.TypeFor[corev1.EphemeralContainer]()).Elem()
	for _, f := range Of(v.Type()).Fields {
		if want := v.FieldByIndex(f.Index).Addr().Pointer() - v.Addr().Pointer(); f.Offset != want {
			t.Errorf("%s is at %d, not at %d", f.Name, want, f.Offset)
		}
	}
}

func BenchmarkParseablePod(b *testing.B) {
	for b.Loop() {
		s := builder{named: map[reflect.Type]string{}}
		s.structName(reflect.TypeFor[corev1.Pod]())
	}
}
