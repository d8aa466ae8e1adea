package core

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/yaml"

	"github.com/proa-dev/proa/internal/registry"
	kv "github.com/proa-dev/proa/internal/store"
)

// A case of a script is a write: a manifest, what is stored before it if it is an update, and the errors
// that the client sees.
type writeCase struct {
	name string
	old  string // "" is a create
	new  string
	want []string
}

// parse decodes a manifest into the hub, defaulted. With twice it checks that defaulting again changes
// nothing.
func parse(t *testing.T, r *registry.Type, manifest string) registry.Object {
	t.Helper()
	o := r.New()
	if err := yaml.UnmarshalStrict([]byte(manifest), o); err != nil {
		t.Fatalf("%v\n%s", err, manifest)
	}
	r.Default(o)
	again := o.DeepCopyObject().(registry.Object)
	r.Default(again)
	if !equality.Semantic.DeepEqual(o, again) {
		t.Errorf("defaulting twice makes a difference:\n%s", manifest)
	}
	return o
}

// write passes an object through the hooks in the order of the API layer, and returns the error texts.
func write(r *registry.Type, new, old registry.Object, commit bool) []string {
	if old == nil {
		r.PrepareCreate(new)
	} else {
		r.PrepareUpdate(new, old)
	}
	claim, err := r.Begin(context.Background(), new, old)
	if err != nil {
		return causes(err)
	}
	errs := r.Validate(new)
	if old == nil {
		errs = append(errs, r.ValidateCreate(new)...)
	} else {
		errs = append(errs, r.ValidateUpdate(new, old)...)
	}
	if claim == nil {
		return texts(errs)
	}
	defer claim.End()
	if commit && len(errs) == 0 {
		if err := commitClaim(claim); err != nil {
			return causes(err)
		}
	}
	return texts(errs)
}

// commitClaim commits what a write claims, and anything for the object itself.
func commitClaim(claim registry.Claim) error {
	_, err := claim.Commit(context.Background(), kv.Op{Key: "/registry/object", Value: []byte("x"), Expect: kv.AnyRevision})
	return err
}

// causes are the texts of an Invalid error, or that of any other.
func causes(err error) []string {
	var status *apierrors.StatusError
	if !errors.As(err, &status) || !apierrors.IsInvalid(err) {
		return []string{err.Error()}
	}
	var out []string
	for _, c := range status.ErrStatus.Details.Causes {
		out = append(out, c.Field+": "+c.Message)
	}
	return out
}

func runWrites(t *testing.T, r *registry.Type, cases []writeCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var old registry.Object
			if c.old != "" {
				old = parse(t, r, c.old)
			}
			got := write(r, parse(t, r, c.new), old, false)
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
			}
		})
	}
}

// row is the cells of an object's table row, all columns, but for ages.
func row(r *registry.Type, o registry.Object) []any {
	var cells []any
	for _, c := range r.Columns {
		if c.Name != "Age" {
			cells = append(cells, c.Value(o))
		}
	}
	return cells
}

func checkRow(t *testing.T, r *registry.Type, o registry.Object, want ...any) {
	t.Helper()
	if got := row(r, o); !slices.Equal(got, want) {
		t.Errorf("cells of %s:\ngot  %#v\nwant %#v", r.Name, got, want)
	}
}

func checkFields(t *testing.T, r *registry.Type, version int, o registry.Object, want map[string]string) {
	t.Helper()
	for name, value := range want {
		f := r.Field(r.Versions[version], name)
		if f == nil {
			t.Errorf("no field %s", name)
		} else if got := f.Value(o); got != value {
			t.Errorf("field %s is %q, want %q", name, got, value)
		}
	}
}
