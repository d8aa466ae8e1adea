package builtin

import (
	"slices"
	"testing"

	"k8s.io/client-go/kubernetes/scheme"
)

// Every type is stored as one that Kubernetes knows, and no two share a name, a kind or a place in the store.
func TestTypesFitTogether(t *testing.T) {
	seen := map[any]string{}
	unique := func(key any, name string) {
		t.Helper()
		if other, ok := seen[key]; ok {
			t.Errorf("%s and %s share %v", other, name, key)
		}
		seen[key] = name
	}
	for _, r := range Types(Options{}) {
		unique(r.Prefix, r.Name)
		unique(r.GroupResource(), r.Name)
		for _, v := range r.Versions {
			unique(v.GroupVersion.WithResource(r.Name), r.Name)
			unique(v.GroupVersionKind(), r.Name)
			if v == r.Storage && !scheme.Scheme.Recognizes(v.GroupVersionKind()) {
				t.Errorf("%s is stored as %s, which is no type of Kubernetes", r.Name, v.GroupVersionKind())
			}
			o := v.New()
			hub, err := v.ToHub(o)
			if err != nil {
				t.Errorf("%s: %v", v.GroupVersionKind(), err)
				continue
			}
			r.Default(hub)
			for _, c := range r.Columns {
				c.Value(hub)
				if !slices.Contains([]string{"string", "integer", "boolean", "date", "number"}, c.Type) {
					t.Errorf("%s: column %s is of type %q", r.Name, c.Name, c.Type)
				}
			}
			for _, f := range r.Fields {
				f.Value(hub)
			}
			for name, own := range v.Fields {
				if r.Field(v, name) == nil {
					t.Errorf("%s: %s selects by %s, which is no field", r.Name, v.GroupVersion, own)
				}
			}
		}
	}
}
