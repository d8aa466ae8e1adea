// Package coordination defines the resources of coordination.k8s.io.
package coordination

import (
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// Leases say who leads, and which nodes are alive.
var Leases = registry.Resource[coordinationv1.Lease]{
	Group: coordinationv1.GroupName, Kind: "Lease", Name: "leases",
	Namespaced:    true,
	Versions:      []registry.Version[coordinationv1.Lease]{registry.Hub[coordinationv1.Lease]("v1")},
	PrepareCreate: func(l *coordinationv1.Lease) { l.Spec.Strategy, l.Spec.PreferredHolder = nil, nil },
	PrepareUpdate: prepareLeaseUpdate,
	Validate:      validateLease,
	Columns: []registry.Column[coordinationv1.Lease]{
		{
			Name: "Holder", Description: coordinationv1.LeaseSpec{}.SwaggerDoc()["holderIdentity"],
			Value: func(l *coordinationv1.Lease) any { return ptr.Deref(l.Spec.HolderIdentity, "") },
		},
		registry.Age[coordinationv1.Lease](),
	},
	CreateOnUpdate:   true,
	RevisionRequired: true,
}

// prepareLeaseUpdate drops what belongs to coordinated leader election, which is off, from all Leases but
// those that have it.
func prepareLeaseUpdate(new, old *coordinationv1.Lease) {
	if old.Spec.Strategy == nil {
		new.Spec.Strategy = nil
	}
	if old.Spec.PreferredHolder == nil {
		new.Spec.PreferredHolder = nil
	}
}

func validateLease(l *coordinationv1.Lease) field.ErrorList {
	spec := field.NewPath("spec")
	var errs field.ErrorList
	if d := l.Spec.LeaseDurationSeconds; d != nil && *d <= 0 {
		errs = append(errs, field.Invalid(spec.Child("leaseDurationSeconds"), d, "must be greater than 0"))
	}
	if n := l.Spec.LeaseTransitions; n != nil && *n < 0 {
		errs = append(errs, field.Invalid(spec.Child("leaseTransitions"), n, "must be greater than or equal to 0"))
	}
	strategy := ptr.Deref(l.Spec.Strategy, "")
	if l.Spec.Strategy != nil {
		errs = append(errs, validateStrategy(strategy, spec.Child("strategy"))...)
	}
	if ptr.Deref(l.Spec.PreferredHolder, "") != "" && strategy == "" {
		errs = append(errs, field.Forbidden(spec.Child("preferredHolder"), "may only be specified if `strategy` is defined"))
	}
	return errs
}

// validateStrategy lets names with a domain pass, and Kubernetes' own.
func validateStrategy(s coordinationv1.CoordinatedLeaseStrategy, path *field.Path) field.ErrorList {
	path = path.Child("strategy") // twice, as clients know it
	known := []coordinationv1.CoordinatedLeaseStrategy{coordinationv1.OldestEmulationVersion}
	if !strings.Contains(string(s), "/") {
		if s != coordinationv1.OldestEmulationVersion {
			return field.ErrorList{field.NotSupported(path, s, known)}
		}
		return nil
	}
	var errs field.ErrorList
	for _, msg := range validation.IsQualifiedName(string(s)) {
		errs = append(errs, field.Invalid(path, s, msg))
	}
	return errs
}
