package core

import (
	"fmt"
	"maps"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry/field"
)

// What may change in a pod.
//
// A pod is what runs on a node, so next to nothing of its spec may change once it is made. The few fields
// that may are checked one by one and then put back in a copy of the new spec; the copy must equal the old
// spec. A pod behind scheduling gates runs nowhere yet, so it may also become pickier about its node.

const podUpdateRule = "pod updates may not change fields other than `spec.containers[*].image`," +
	"`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`," +
	"`spec.tolerations` (only additions to existing tolerations)," +
	"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"

func validatePodUpdate(new, old *corev1.Pod) field.ErrorList {
	var e podErrors
	e.add(validatePodAnnotationUpdate(new, old)...)
	if !e.checkSameCount(new.Spec.Containers, old.Spec.Containers, podSpecPath.Child("containers")) ||
		!e.checkSameCount(new.Spec.InitContainers, old.Spec.InitContainers, podSpecPath.Child("initContainers")) ||
		!e.checkDeadlineUpdate(new.Spec.ActiveDeadlineSeconds, old.Spec.ActiveDeadlineSeconds) {
		return e.list
	}
	e.checkAddedTolerations(new.Spec.Tolerations, old.Spec.Tolerations, podSpecPath.Child("tolerations"))
	e.checkRemovedGates(new.Spec.SchedulingGates, old.Spec.SchedulingGates, podSpecPath.Child("schedulingGates"))
	if equality.Semantic.DeepEqual(new.Spec, old.Spec) {
		return e.list
	}
	rest := new.Spec.DeepCopy()
	restoreMutable(rest, &old.Spec)
	if len(old.Spec.SchedulingGates) > 0 {
		e.checkGatedUpdate(rest, &old.Spec)
	}
	if !equality.Semantic.DeepEqual(*rest, old.Spec) {
		e.forbid(podSpecPath, fmt.Sprintf("%s\n%v", podUpdateRule, diff.Diff(old.Spec, *rest)))
	}
	return e.list
}

// restoreMutable undoes the changes to a spec that every update may make.
func restoreMutable(s, old *corev1.PodSpec) {
	for i := range s.Containers {
		s.Containers[i].Image = old.Containers[i].Image
	}
	for i := range s.InitContainers {
		s.InitContainers[i].Image = old.InitContainers[i].Image
	}
	s.ActiveDeadlineSeconds = old.ActiveDeadlineSeconds
	s.SchedulingGates = old.SchedulingGates
	s.Tolerations = old.Tolerations
}

// checkSameCount tells whether old and new containers can be compared one by one.
func (e *podErrors) checkSameCount(new, old []corev1.Container, path *field.Path) bool {
	if len(new) != len(old) {
		e.forbid(path, "pod updates may not add or remove containers")
	}
	return len(new) == len(old)
}

// checkDeadlineUpdate lets a deadline be set and brought forward. It tells whether to look further.
func (e *podErrors) checkDeadlineUpdate(new, old *int64) bool {
	path := podSpecPath.Child("activeDeadlineSeconds")
	switch {
	case new == nil && old != nil:
		e.invalid(path, new, "must not update from a positive integer to nil value")
	case new == nil:
	case *new < 0 || *new > math.MaxInt32:
		e.invalid(path, *new, validation.InclusiveRangeError(0, math.MaxInt32))
		return false
	case old != nil && *old < *new:
		e.invalid(path, *new, "must be less than or equal to previous value")
		return false
	}
	return true
}

// checkAddedTolerations lets tolerations be added, and the time of those that there are be changed.
func (e *podErrors) checkAddedTolerations(new, old []corev1.Toleration, path *field.Path) {
	for _, was := range old {
		kept := slices.ContainsFunc(new, func(t corev1.Toleration) bool {
			t.TolerationSeconds = was.TolerationSeconds
			return t == was
		})
		if !kept {
			e.forbid(path, "existing toleration can not be modified except its tolerationSeconds")
			return
		}
	}
}

func (e *podErrors) checkRemovedGates(new, old []corev1.PodSchedulingGate, path *field.Path) {
	for i, g := range new {
		if !slices.Contains(old, g) {
			e.forbid(path.Index(i).Child("name"), fmt.Sprintf("only deletion is allowed, but found new scheduling gate '%s'", g.Name))
		}
	}
}

// checkGatedUpdate checks changes to what a gated pod wants of its node, and undoes them in the spec. Pods'
// wishes about other pods stay fixed, since their selectors were completed when the pod was made.
func (e *podErrors) checkGatedUpdate(s, old *corev1.PodSpec) {
	path := podSpecPath.Child("nodeSelector")
	for k, v := range old.NodeSelector {
		if is, ok := s.NodeSelector[k]; !ok || is != v {
			e.invalid(path, s.NodeSelector, "only additions to spec.nodeSelector are allowed (no mutations or deletions)")
			break
		}
	}
	s.NodeSelector = maps.Clone(old.NodeSelector)

	was, is := nodeAffinityOf(old), nodeAffinityOf(s)
	if equality.Semantic.DeepEqual(was, is) {
		return
	}
	e.checkNodeAffinityUpdate(is, was, podSpecPath.Child("affinity", "nodeAffinity", schedulingRequired, "nodeSelectorTerms"))
	switch {
	case s.Affinity == nil:
		s.Affinity = &corev1.Affinity{NodeAffinity: was}
	case old.Affinity == nil && s.Affinity.PodAffinity == nil && s.Affinity.PodAntiAffinity == nil:
		s.Affinity = nil
	default:
		s.Affinity.NodeAffinity = was
	}
}

func nodeAffinityOf(s *corev1.PodSpec) *corev1.NodeAffinity {
	if s.Affinity == nil {
		return nil
	}
	return s.Affinity.NodeAffinity
}

// checkNodeAffinityUpdate lets every term that must hold become stricter. One term of several is enough, so
// a further term would loosen what there is.
func (e *podErrors) checkNodeAffinityUpdate(new, old *corev1.NodeAffinity, path *field.Path) {
	was, is := requiredNodeTerms(old), requiredNodeTerms(new)
	if len(was) == 0 {
		return
	}
	if len(was) != len(is) {
		e.invalid(path, is, "no additions/deletions to non-empty NodeSelectorTerms list are allowed")
		return
	}
	for i := range was {
		if !narrows(is[i], was[i]) {
			e.invalid(path.Index(i), is[i], "only additions are allowed (no mutations or deletions)")
		}
	}
}

func requiredNodeTerms(a *corev1.NodeAffinity) []corev1.NodeSelectorTerm {
	if a == nil || a.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	return a.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
}

// narrows tells whether a term has all requirements of an older one, in their order, and then maybe more. An
// empty term matches no node, so it cannot grow.
func narrows(new, old corev1.NodeSelectorTerm) bool {
	if len(old.MatchExpressions)+len(old.MatchFields) == 0 {
		return len(new.MatchExpressions)+len(new.MatchFields) == 0
	}
	return hasPrefix(new.MatchExpressions, old.MatchExpressions) && hasPrefix(new.MatchFields, old.MatchFields)
}

func hasPrefix(list, prefix []corev1.NodeSelectorRequirement) bool {
	return len(list) >= len(prefix) && (len(prefix) == 0 || equality.Semantic.DeepEqual(list[:len(prefix)], prefix))
}
