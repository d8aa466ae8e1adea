package core

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry/field"
)

// checkResourceClaims covers the claims for devices that the pod brings for its containers to use.
func (c *podSpecCheck) checkResourceClaims() {
	seen := sets.New[string]()
	for i := range c.spec.ResourceClaims {
		claim, at := &c.spec.ResourceClaims[i], c.path.Child("resourceClaims").Index(i)
		if claim.Name != "" {
			c.claims.Insert(claim.Name)
		}
		if c.meta != nil && isMirrorPod(c.meta) {
			c.forbid(field.NewPath(""), "static pods do not support resource claims")
			continue
		}
		switch {
		case !c.needed(at.Child("name"), claim.Name):
		case seen.Has(claim.Name):
			c.duplicate(at.Child("name"), claim.Name)
		default:
			c.invalid(at.Child("name"), claim.Name, validation.IsDNS1123Label(claim.Name)...)
			seen.Insert(claim.Name)
		}
		c.checkClaimSource(claim, at)
	}
}

func (e *podErrors) checkClaimSource(claim *corev1.PodResourceClaim, path *field.Path) {
	name, template := claim.ResourceClaimName, claim.ResourceClaimTemplateName
	switch {
	case name != nil && template != nil:
		e.invalid(path, claim, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified")
	case name == nil && template == nil:
		e.invalid(path, claim, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`")
	}
	if name != nil {
		e.invalid(path.Child("resourceClaimName"), *name, apivalidation.NameIsDNSSubdomain(*name, false)...)
	}
	if template != nil {
		e.invalid(path.Child("resourceClaimTemplateName"), *template, apivalidation.NameIsDNSSubdomain(*template, false)...)
	}
}

// checkClaimRefs covers a container's use of the pod's claims. A claim is used whole or by requests in it,
// and nothing twice.
func (e *podErrors) checkClaimRefs(refs []corev1.ResourceClaim, claims sets.Set[string], path *field.Path) {
	used := sets.New[string]() // "claim" or "claim/request"
	for i, ref := range refs {
		at := path.Index(i)
		if !e.needed(at, ref.Name) {
			continue
		}
		e.checkClaimUsedOnce(ref, used, at)
		if !claims.Has(ref.Name) {
			err := field.NotFound(at, ref.Name)
			err.Detail = "must be one of the names in pod.spec.resourceClaims which is empty"
			if len(claims) > 0 {
				err.Detail = "must be one of the names in pod.spec.resourceClaims: " + strings.Join(sets.List(claims), ", ")
			}
			e.add(err)
		}
	}
}

func (e *podErrors) checkClaimUsedOnce(ref corev1.ResourceClaim, used sets.Set[string], path *field.Path) {
	if used.Has(ref.Name) {
		e.duplicate(path, ref.Name)
		return
	}
	key := ref.Name
	if ref.Request != "" {
		e.invalid(path.Child("request"), ref.Request, validation.IsDNS1123Label(ref.Request)...)
		key += "/" + ref.Request
	}
	if used.Has(key) {
		e.duplicate(path, key)
	} else if ref.Request == "" {
		for k := range used {
			if strings.HasPrefix(k, ref.Name+"/") {
				e.duplicate(path, ref.Name)
			}
		}
	}
	used.Insert(key)
}
