package ownership

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/proa-dev/proa/internal/registry"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// kind is one kind of k8s.io/api, as the only version of a resource.
func kindType(gvk schema.GroupVersionKind, t reflect.Type) *registry.Type {
	v := &registry.TypeVersion{
		GroupVersion: gvk.GroupVersion(), Kind: gvk.Kind, IsHub: true,
		New:     func() registry.Object { return reflect.New(t).Interface().(registry.Object) },
		ToHub:   func(o registry.Object) (registry.Object, error) { return o, nil },
		FromHub: func(o registry.Object) (registry.Object, error) { return o, nil },
	}
	typ := &registry.Type{
		Group: gvk.Group, Kind: gvk.Kind, Name: strings.ToLower(gvk.Kind) + "s",
		Versions: []*registry.TypeVersion{v}, Hub: v, Storage: v, New: v.New,
	}
	if _, ok := t.FieldByName("Status"); ok {
		typ.Status = func(o registry.Object) any { return nil }
	}
	return typ
}

// kinds of k8s.io/api that client-go can apply, by name.
func kinds(t testing.TB) []*registry.Type {
	var found []*registry.Type
	converter := applyconfigurations.NewTypeConverter(clientscheme.Scheme)
	for gvk, rt := range clientscheme.Scheme.AllKnownTypes() {
		if gvk.Version == "__internal" || !strings.HasPrefix(rt.PkgPath(), "k8s.io/api/") {
			continue
		}
		o, ok := reflect.New(rt).Interface().(registry.Object)
		if !ok {
			continue
		}
		setKind(o, gvk)
		if _, err := converter.ObjectToTyped(o); err == nil {
			found = append(found, kindType(gvk, rt))
		}
	}
	slices.SortFunc(found, func(a, b *registry.Type) int {
		return strings.Compare(a.Hub.GroupVersionKind().String(), b.Hub.GroupVersionKind().String())
	})
	if len(found) < 100 {
		t.Fatalf("found %d kinds only", len(found))
	}
	return found
}

// oracle is the library with client-go's schema.
func oracle(t testing.TB, typ *registry.Type, subresource string) *managedfields.FieldManager {
	t.Helper()
	m := New(typ)
	s := scheme{m}
	filters := map[fieldpath.APIVersion]fieldpath.Filter{}
	if subresource == "resize" { // as Kubernetes has it
		filters["v1"] = fieldpath.NewIncludeMatcherFilter(
			fieldpath.MakePrefixMatcherOrDie("spec", "containers", fieldpath.MatchAnyPathElement(), "resources"),
			fieldpath.MakePrefixMatcherOrDie("spec", "containers", fieldpath.MatchAnyPathElement(), "resizePolicy"),
			fieldpath.MakePrefixMatcherOrDie("spec", "initContainers", fieldpath.MatchAnyPathElement(), "resources"),
			fieldpath.MakePrefixMatcherOrDie("spec", "initContainers", fieldpath.MatchAnyPathElement(), "resizePolicy"),
		)
	} else if f := resetOf(typ, subresource, false).filter(); f != nil {
		filters[fieldpath.APIVersion(typ.Hub.GroupVersion.String())] = f
	}
	gvk := typ.Hub.GroupVersionKind()
	f, err := managedfields.NewDefaultFieldManager(applyconfigurations.NewTypeConverter(clientscheme.Scheme),
		s, s, s, gvk, gvk.GroupVersion(), subresource, filters)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func copyOf[T registry.Object](o T) T { return o.DeepCopyObject().(T) }

// sameEntries compares what both wrote, to the byte but for times.
func sameEntries(t testing.TB, ours, theirs []metav1.ManagedFieldsEntry) bool {
	a, b := asJSON(t, ours), asJSON(t, theirs)
	if a == b {
		return true
	}
	t.Errorf("the library's entries and ours:\n%s", cmp.Diff(strings.Split(b, "\n"), strings.Split(a, "\n")))
	return false
}

// seeded returns random numbers whose seed a failing test prints.
func seeded(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			fmt.Printf("seed of %s: %d\n", t.Name(), seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

var _ runtime.ObjectConvertor = scheme{}

func typeFor[T any](gvk schema.GroupVersionKind) *registry.Type {
	return kindType(gvk, reflect.TypeFor[T]())
}
