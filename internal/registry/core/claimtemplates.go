package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/registry/field"
)

// DefaultClaimTemplate fills the zero fields of a claim that a controller makes claims from.
func DefaultClaimTemplate(c *corev1.PersistentVolumeClaim) {
	t := corev1.PersistentVolumeClaimTemplate{Spec: c.Spec}
	defaultPodClaimTemplate(&t)
	c.Spec = t.Spec
	if c.Status.Phase == "" {
		c.Status.Phase = corev1.ClaimPending
	}
}

// ValidateClaimTemplate checks the spec of such a claim.
func ValidateClaimTemplate(s *corev1.PersistentVolumeClaimSpec, path *field.Path) field.ErrorList {
	var errs podErrors
	errs.checkClaim(s, path)
	return errs.list
}
