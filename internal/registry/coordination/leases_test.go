package coordination

import (
	"slices"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"
)

func TestLeases(t *testing.T) {
	r := Leases.Erase()
	for _, tt := range []struct {
		name string
		spec coordinationv1.LeaseSpec
		want []string
	}{
		{"empty", coordinationv1.LeaseSpec{}, nil},
		{"numbers", coordinationv1.LeaseSpec{LeaseDurationSeconds: ptr.To[int32](0), LeaseTransitions: ptr.To[int32](-1)}, []string{
			"spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
			"spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
		}},
		{"strategy", coordinationv1.LeaseSpec{Strategy: ptr.To[coordinationv1.CoordinatedLeaseStrategy]("Foo")},
			[]string{`spec.strategy.strategy: Unsupported value: "Foo": supported values: "OldestEmulationVersion"`}},
		{"holder without strategy", coordinationv1.LeaseSpec{PreferredHolder: ptr.To("a")},
			[]string{"spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined"}},
	} {
		var got []string
		for _, err := range r.Validate(&coordinationv1.Lease{Spec: tt.spec}) {
			got = append(got, err.Error())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q", tt.name, got)
		}
	}
	l := &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{
		HolderIdentity: ptr.To("me"), PreferredHolder: ptr.To("you"), Strategy: ptr.To(coordinationv1.OldestEmulationVersion),
	}}
	old := l.DeepCopy()
	if r.PrepareUpdate(l, old); l.Spec.Strategy == nil || l.Spec.PreferredHolder == nil {
		t.Error("an update drops a strategy that was there")
	}
	if r.PrepareCreate(l); l.Spec.Strategy != nil || l.Spec.PreferredHolder != nil {
		t.Error("a create keeps the strategy")
	}
	if got := r.Columns[0].Value(l); got != "me" || r.Columns[0].Name != "Holder" {
		t.Error(got)
	}
	if !r.RevisionRequired || !r.CreateOnUpdate {
		t.Error("a Lease is created by PUT, and updated with its revision")
	}
}
