// Package registrytest runs tables of what a resource accepts, refuses and shows.
package registrytest

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// Edit is one row of a table: what it changes in a valid object, and the errors that this makes. It is an
// alias, so that rows may be written without the names of the fields.
type Edit[T any] = struct {
	Name string
	Edit func(*T)
	Want []string
}

// Create checks that each row's errors are those of a create, and that the object is fine without it.
// Defaulting twice must be the same as once.
func Create[T any](t *testing.T, r registry.Resource[T], valid func() *T, rows ...Edit[T]) {
	t.Helper()
	typ := r.Erase()
	for _, row := range append([]Edit[T]{{Name: "valid", Edit: func(*T) {}}}, rows...) {
		t.Run("create/"+row.Name, func(t *testing.T) {
			o := valid()
			row.Edit(o)
			obj := any(o).(registry.Object)
			typ.Default(obj)
			again := obj.DeepCopyObject().(registry.Object)
			if typ.Default(again); !equality.Semantic.DeepEqual(obj, again) {
				t.Errorf("defaulting twice is not the same as once:\n%v\n%v", obj, again)
			}
			typ.PrepareCreate(obj)
			Errors(t, append(typ.Validate(obj), typ.ValidateCreate(obj)...), row.Want...)
		})
	}
}

// Update does the same for an update of an object that is stored.
func Update[T any](t *testing.T, r registry.Resource[T], stored func() *T, rows ...Edit[T]) {
	t.Helper()
	typ := r.Erase()
	for _, row := range rows {
		t.Run("update/"+row.Name, func(t *testing.T) {
			old := any(stored()).(registry.Object)
			typ.Default(old)
			typ.PrepareCreate(old)
			o := old.DeepCopyObject().(registry.Object)
			row.Edit(any(o).(*T))
			typ.Default(o)
			typ.PrepareUpdate(o, old)
			Errors(t, append(typ.Validate(o), typ.ValidateUpdate(o, old)...), row.Want...)
		})
	}
}

// Status does the same for a write of the status of an object that is stored.
func Status[T any](t *testing.T, r registry.Resource[T], stored func() *T, rows ...Edit[T]) {
	t.Helper()
	typ := r.Erase()
	for _, row := range rows {
		t.Run("status/"+row.Name, func(t *testing.T) {
			old := any(stored()).(registry.Object)
			typ.Default(old)
			typ.PrepareCreate(old)
			o := old.DeepCopyObject().(registry.Object)
			row.Edit(any(o).(*T))
			Errors(t, typ.ValidateStatus(o, old), row.Want...)
		})
	}
}

// Errors compares in order.
func Errors(t *testing.T, errs field.ErrorList, want ...string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
	}
	if !slices.Equal(got, want) {
		t.Errorf("errors\n got %q\nwant %q", got, want)
	}
}

// Columns compares the cells of the object's row with all that it should have beside Age, and beside those that have no
// name.
func Columns(t *testing.T, typ *registry.Type, o registry.Object, want map[string]any) {
	t.Helper()
	names := map[string]bool{}
	for _, c := range typ.Columns {
		names[c.Name] = true
		cell, ok := want[c.Name]
		if got := c.Value(o); ok && got != cell {
			t.Errorf("column %s is %#v, want %#v", c.Name, got, cell)
		}
		if !ok && c.Name != "Age" && c.Name != "" {
			t.Errorf("unexpected column %s", c.Name)
		}
	}
	for name := range want {
		if !names[name] {
			t.Errorf("no column %s", name)
		}
	}
}
