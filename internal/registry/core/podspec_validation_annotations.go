package core

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/registry/field"
)

// Annotations that are part of a pod's definition: what was tried in them before it became a field.

const (
	seccompPodAnnotation       = corev1.SeccompPodAnnotationKey
	seccompContainerAnnotation = corev1.SeccompContainerAnnotationKeyPrefix
	appArmorAnnotation         = corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix
	tolerationsAnnotation      = "scheduler.alpha.kubernetes.io/tolerations"
)

// isMirrorPod tells whether the pod shows one that a node runs on its own account.
func isMirrorPod(m *metav1.ObjectMeta) bool {
	_, ok := m.Annotations[corev1.MirrorPodAnnotationKey]
	return ok
}

func validatePodAnnotations(annotations map[string]string, s *corev1.PodSpec, path *field.Path) field.ErrorList {
	var e podErrors
	if v, ok := annotations[corev1.MirrorPodAnnotationKey]; ok && s.NodeName == "" {
		e.invalid(path.Key(corev1.MirrorPodAnnotationKey), v, "must set spec.nodeName if mirror pod annotation is set")
	}
	if v := annotations[tolerationsAnnotation]; v != "" {
		var tolerations []corev1.Toleration
		if err := json.Unmarshal([]byte(v), &tolerations); err != nil {
			e.invalid(path, tolerationsAnnotation, err.Error())
		} else {
			e.add(validateTolerations(tolerations, path.Child(tolerationsAnnotation))...)
		}
	}
	if v, ok := annotations[corev1.PodDeletionCost]; ok && !isDeletionCost(v) {
		e.invalid(path.Key(corev1.PodDeletionCost), v, "must be a 32bit integer")
	}
	for _, k := range sortedKeys(annotations) {
		v := annotations[k]
		if k == seccompPodAnnotation || strings.HasPrefix(k, seccompContainerAnnotation) {
			e.checkSeccompName(v, path.Child(k))
		}
		if container, ok := strings.CutPrefix(k, appArmorAnnotation); ok {
			if !podHasContainer(s, container) {
				e.invalid(path.Key(k), container, "container not found")
			}
			e.checkAppArmorName(v, path.Key(k))
		}
	}
	return e.list
}

var deletionCost = regexp.MustCompile(`^(-[0-9]+|0|[1-9][0-9]*)$`)

// isDeletionCost takes numbers without a plus sign and without leading zeros.
func isDeletionCost(v string) bool {
	_, err := strconv.ParseInt(v, 10, 32)
	return err == nil && deletionCost.MatchString(v)
}

func podHasContainer(s *corev1.PodSpec, name string) bool {
	for ctr := range podContainers(s) {
		if ctr.Name == name {
			return true
		}
	}
	return false
}

func (e *podErrors) checkSeccompName(name string, path *field.Path) {
	switch name {
	case corev1.SeccompProfileRuntimeDefault, corev1.DeprecatedSeccompProfileDockerDefault, corev1.SeccompProfileNameUnconfined:
		return
	}
	if file, ok := strings.CutPrefix(name, corev1.SeccompLocalhostProfileNamePrefix); ok {
		e.checkDescending(file, path)
		return
	}
	e.invalid(path, name, "must be a valid seccomp profile")
}

func (e *podErrors) checkAppArmorName(name string, path *field.Path) {
	switch name {
	case "", corev1.DeprecatedAppArmorBetaProfileRuntimeDefault, corev1.DeprecatedAppArmorBetaProfileNameUnconfined:
		return
	}
	if !strings.HasPrefix(name, corev1.DeprecatedAppArmorBetaProfileNamePrefix) {
		e.invalid(path, name, fmt.Sprintf("invalid AppArmor profile name: %q", name))
	}
}

// validateProfileAnnotations makes sure that a profile that is both a field and an annotation is the same in
// both.
func validateProfileAnnotations(m *metav1.ObjectMeta, s *corev1.PodSpec, path *field.Path) field.ErrorList {
	var e podErrors
	security := s.SecurityContext
	if security == nil {
		security = &corev1.PodSecurityContext{}
	}
	if v, ok := m.Annotations[seccompPodAnnotation]; ok {
		e.checkSeccompAgrees(v, security.SeccompProfile, path.Child("securityContext", "seccompProfile"))
	}
	for ctr := range podContainers(s) {
		if v, ok := m.Annotations[seccompContainerAnnotation+ctr.Name]; ok && ctr.SecurityContext != nil {
			e.checkSeccompAgrees(v, ctr.SecurityContext.SeccompProfile, ctr.path(path).Child("securityContext", "seccompProfile"))
		}
	}
	if podOnOS(s, corev1.Windows) {
		return e.list
	}
	for ctr := range podContainers(s) {
		profile := security.AppArmorProfile
		if sc := ctr.SecurityContext; sc != nil && sc.AppArmorProfile != nil {
			profile = sc.AppArmorProfile
		}
		if v, ok := m.Annotations[appArmorAnnotation+ctr.Name]; ok && profile != nil {
			e.checkAppArmorAgrees(v, profile, ctr.path(path).Child("securityContext", "appArmorProfile"))
		}
	}
	return e.list
}

func (e *podErrors) checkSeccompAgrees(annotation string, p *corev1.SeccompProfile, path *field.Path) {
	if p == nil {
		return
	}
	const typesDiffer = "seccomp type in annotation and field must match"
	file, local := strings.CutPrefix(annotation, corev1.SeccompLocalhostProfileNamePrefix)
	switch p.Type {
	case corev1.SeccompProfileTypeUnconfined:
		if annotation != corev1.SeccompProfileNameUnconfined {
			e.forbid(path.Child("type"), typesDiffer)
		}
	case corev1.SeccompProfileTypeRuntimeDefault:
		if annotation != corev1.SeccompProfileRuntimeDefault && annotation != corev1.DeprecatedSeccompProfileDockerDefault {
			e.forbid(path.Child("type"), typesDiffer)
		}
	case corev1.SeccompProfileTypeLocalhost:
		if !local {
			e.forbid(path.Child("type"), typesDiffer)
		} else if p.LocalhostProfile == nil || *p.LocalhostProfile != file {
			e.forbid(path.Child("localhostProfile"), "seccomp profile in annotation and field must match")
		}
	}
}

func (e *podErrors) checkAppArmorAgrees(annotation string, p *corev1.AppArmorProfile, path *field.Path) {
	const typesDiffer = "apparmor type in annotation and field must match"
	name, local := strings.CutPrefix(annotation, corev1.DeprecatedAppArmorBetaProfileNamePrefix)
	switch p.Type {
	case corev1.AppArmorProfileTypeUnconfined:
		if annotation != corev1.DeprecatedAppArmorBetaProfileNameUnconfined {
			e.forbid(path.Child("type"), typesDiffer)
		}
	case corev1.AppArmorProfileTypeRuntimeDefault:
		if annotation != corev1.DeprecatedAppArmorBetaProfileRuntimeDefault {
			e.forbid(path.Child("type"), typesDiffer)
		}
	case corev1.AppArmorProfileTypeLocalhost:
		if !local {
			e.forbid(path.Child("type"), typesDiffer)
		} else if p.LocalhostProfile == nil || *p.LocalhostProfile != name {
			e.forbid(path.Child("localhostProfile"), "apparmor profile in annotation and field must match")
		}
	}
}

// appArmorFromAnnotation is the profile that an annotation means, nil if it means none.
func appArmorFromAnnotation(annotation string) *corev1.AppArmorProfile {
	name, local := strings.CutPrefix(annotation, corev1.DeprecatedAppArmorBetaProfileNamePrefix)
	switch {
	case annotation == corev1.DeprecatedAppArmorBetaProfileNameUnconfined:
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
	case annotation == corev1.DeprecatedAppArmorBetaProfileRuntimeDefault:
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault}
	case local && name != "":
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: &name}
	}
	return nil
}
