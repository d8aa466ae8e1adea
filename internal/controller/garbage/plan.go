package garbage

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// standing is what is known about the owner that a reference names.
type standing int

const (
	solid    standing = iota // it is there, and does not wait for its dependents
	dangling                 // it is not there
	waiting                  // it is there until its dependents are gone
)

// verdict is what becomes of an object that is not being deleted. The zero verdict is nothing.
type verdict struct {
	// drop are the owners to be taken from its references.
	drop []types.UID
	// remove is how it is deleted; empty if it is not.
	remove metav1.DeletionPropagation
}

// judge decides by the standings of all owners, in the order of the references.
//
// One solid owner is enough to live. The references to the others are dropped: one that waits would wait
// for ever. With none left the object goes, and if that is for the sake of an owner that waits, it waits for
// its own dependents in turn.
func judge(o *metav1.PartialObjectMetadata, standings []standing, hasDependents bool) verdict {
	if len(standings) == 0 {
		return verdict{}
	}
	if slices.Contains(standings, solid) {
		var v verdict
		for n, s := range standings {
			if s != solid {
				v.drop = append(v.drop, o.OwnerReferences[n].UID)
			}
		}
		return v
	}
	switch {
	case hasDependents && slices.Contains(standings, waiting):
		return verdict{remove: metav1.DeletePropagationForeground}
	case slices.Contains(o.Finalizers, metav1.FinalizerOrphanDependents):
		return verdict{remove: metav1.DeletePropagationOrphan}
	case slices.Contains(o.Finalizers, metav1.FinalizerDeleteDependents):
		return verdict{remove: metav1.DeletePropagationForeground}
	}
	return verdict{remove: metav1.DeletePropagationBackground}
}

// without is the references to other owners than these.
func without(refs []metav1.OwnerReference, owners ...types.UID) []metav1.OwnerReference {
	return slices.DeleteFunc(slices.Clone(refs), func(ref metav1.OwnerReference) bool {
		return slices.Contains(owners, ref.UID)
	})
}

// unblocking is the references, none of which holds its owner up any more.
func unblocking(refs []metav1.OwnerReference) []metav1.OwnerReference {
	refs = slices.Clone(refs)
	for n := range refs {
		no := false
		refs[n].BlockOwnerDeletion = &no
	}
	return refs
}
