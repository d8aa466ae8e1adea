package apps

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry/core"
	"github.com/proa-dev/proa/internal/registry/field"
)

func validateStatefulSet(s *appsv1.StatefulSet) field.ErrorList {
	path, spec := field.NewPath("spec"), &s.Spec
	var errs field.ErrorList
	switch spec.PodManagementPolicy {
	case appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement:
	default:
		errs = append(errs, field.Invalid(path.Child("podManagementPolicy"), spec.PodManagementPolicy, "must be 'OrderedReady' or 'Parallel'"))
	}
	errs = append(errs, validateStatefulSetStrategy(&spec.UpdateStrategy, path.Child("updateStrategy"))...)
	retention := path.Child("persistentVolumeClaimRetentionPolicy")
	errs = append(errs, validateRetention(spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted, retention.Child("whenDeleted"))...)
	errs = append(errs, validateRetention(spec.PersistentVolumeClaimRetentionPolicy.WhenScaled, retention.Child("whenScaled"))...)
	errs = append(errs, nonNegative(path, optional("replicas", spec.Replicas), count{"minReadySeconds", int64(spec.MinReadySeconds)})...)
	if spec.Ordinals != nil {
		errs = append(errs, nonNegative(path, count{"ordinals.start", int64(spec.Ordinals.Start)})...)
	}
	errs = append(errs, validateSelector(spec.Selector, "statefulset", path.Child("selector"))...)
	selector, err := metav1.LabelSelectorAsSelector(spec.Selector)
	if err != nil {
		return append(errs, field.Invalid(path.Child("selector"), spec.Selector, ""))
	}
	return append(errs, core.ValidatePodTemplateForController(podOfSet(spec), selector, path.Child("template"), "StatefulSet", true)...)
}

// podOfSet is the template as the controller completes it: it gives each pod a host name and a subdomain,
// whatever the template says, and a volume for each claim, in place of the template's own of that name.
func podOfSet(spec *appsv1.StatefulSetSpec) *corev1.PodTemplateSpec {
	pod := spec.Template
	pod.Spec.Hostname, pod.Spec.Subdomain = "", ""
	if len(spec.VolumeClaimTemplates) == 0 {
		return &pod
	}
	claimed := map[string]bool{}
	var volumes []corev1.Volume
	for i := range spec.VolumeClaimTemplates {
		name := spec.VolumeClaimTemplates[i].Name
		if claimed[name] {
			continue
		}
		claimed[name] = true
		volumes = append(volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name},
		}})
	}
	for _, v := range spec.Template.Spec.Volumes {
		if !claimed[v.Name] {
			volumes = append(volumes, v)
		}
	}
	pod.Spec.Volumes = volumes
	return &pod
}

func validateStatefulSetStrategy(s *appsv1.StatefulSetUpdateStrategy, path *field.Path) field.ErrorList {
	rolling := path.Child("rollingUpdate")
	switch s.Type {
	case appsv1.OnDeleteStatefulSetStrategyType:
		if s.RollingUpdate != nil {
			return field.ErrorList{field.Invalid(rolling, s.RollingUpdate, fmt.Sprintf("only allowed for updateStrategy '%s'", appsv1.RollingUpdateStatefulSetStrategyType))}
		}
		return nil
	case appsv1.RollingUpdateStatefulSetStrategyType:
		if s.RollingUpdate != nil {
			return validateStatefulSetRolling(s.RollingUpdate, rolling)
		}
		return nil
	}
	return field.ErrorList{field.Invalid(path, s, "must be 'RollingUpdate' or 'OnDelete'")}
}

func validateStatefulSetRolling(r *appsv1.RollingUpdateStatefulSetStrategy, path *field.Path) field.ErrorList {
	errs := nonNegative(path, optional("partition", r.Partition))
	if r.MaxUnavailable == nil {
		return errs
	}
	unavailable := path.Child("maxUnavailable")
	errs = append(errs, ValidateIntOrPercent(*r.MaxUnavailable, unavailable)...)
	if amount(*r.MaxUnavailable) == 0 {
		errs = append(errs, field.Invalid(unavailable, *r.MaxUnavailable, "cannot be 0"))
	}
	return append(errs, ValidateAtMost100Percent(*r.MaxUnavailable, unavailable)...)
}

func validateRetention(p appsv1.PersistentVolumeClaimRetentionPolicyType, path *field.Path) field.ErrorList {
	switch p {
	case appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType:
		return nil
	}
	return field.ErrorList{field.NotSupported(path, p, []appsv1.PersistentVolumeClaimRetentionPolicyType{
		appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
	})}
}

// validateStatefulSetCreate checks what is immutable afterwards: older sets may have it wrong and must stay
// writable.
func validateStatefulSetCreate(s *appsv1.StatefulSet) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("spec")
	for i := range s.Spec.VolumeClaimTemplates {
		errs = append(errs, core.ValidateClaimTemplate(&s.Spec.VolumeClaimTemplates[i].Spec, path.Child("volumeClaimTemplates").Index(i).Child("spec"))...)
	}
	if s.Spec.ServiceName != "" {
		for _, msg := range validation.IsDNS1123Label(s.Spec.ServiceName) {
			errs = append(errs, field.Invalid(path.Child("serviceName"), s.Spec.ServiceName, msg))
		}
	}
	return errs
}

// validateStatefulSetUpdate compares all but what may change.
func validateStatefulSetUpdate(new, old *appsv1.StatefulSet) field.ErrorList {
	fixed := new.Spec
	fixed.Replicas = old.Spec.Replicas
	fixed.Template = old.Spec.Template
	fixed.UpdateStrategy = old.Spec.UpdateStrategy
	fixed.MinReadySeconds = old.Spec.MinReadySeconds
	fixed.Ordinals = old.Spec.Ordinals
	fixed.RevisionHistoryLimit = old.Spec.RevisionHistoryLimit
	fixed.PersistentVolumeClaimRetentionPolicy = old.Spec.PersistentVolumeClaimRetentionPolicy
	if equality.Semantic.DeepEqual(&fixed, &old.Spec) {
		return nil
	}
	return field.ErrorList{field.Forbidden(field.NewPath("spec"), "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden")}
}

func validateStatefulSetStatus(new, old *appsv1.StatefulSet) field.ErrorList {
	path, s := field.NewPath("status"), &new.Status
	ready, current := count{"readyReplicas", int64(s.ReadyReplicas)}, count{"currentReplicas", int64(s.CurrentReplicas)}
	updated, available := count{"updatedReplicas", int64(s.UpdatedReplicas)}, count{"availableReplicas", int64(s.AvailableReplicas)}
	errs := nonNegative(path,
		count{"replicas", int64(s.Replicas)}, ready, current, updated, available,
		count{"observedGeneration", s.ObservedGeneration}, optional("collisionCount", s.CollisionCount))
	errs = append(errs, notMore(s.Replicas, "cannot be greater than status.replicas", path, ready, current, updated, available)...)
	errs = append(errs, notMore(s.ReadyReplicas, "cannot be greater than status.readyReplicas", path, available)...)
	return append(errs, notDecremented(s.CollisionCount, old.Status.CollisionCount, path.Child("collisionCount"))...)
}
