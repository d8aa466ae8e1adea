package apps

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/core"
	"github.com/proa-dev/proa/internal/registry/field"
)

// StatefulSets run pods that have names and storage of their own, in order.
var StatefulSets = registry.Resource[appsv1.StatefulSet]{
	Group: "apps", Kind: "StatefulSet", Name: "statefulsets", Short: []string{"sts"}, Categories: []string{"all"},
	Namespaced:     true,
	Versions:       []registry.Version[appsv1.StatefulSet]{registry.Hub[appsv1.StatefulSet]("v1")},
	Default:        defaultStatefulSet,
	PrepareCreate:  func(s *appsv1.StatefulSet) { dropMaxUnavailable(s, nil) },
	PrepareUpdate:  dropMaxUnavailable,
	ValidateName:   apivalidation.NameIsDNSLabel,
	Validate:       validateStatefulSet,
	ValidateCreate: validateStatefulSetCreate,
	ValidateUpdate: validateStatefulSetUpdate,
	Warn:           warnStatefulSet,
	Status:         func(s *appsv1.StatefulSet) any { return &s.Status },
	ValidateStatus: validateStatefulSetStatus,
	Spec:           func(s *appsv1.StatefulSet) any { return &s.Spec },
	Scale: &registry.Scale[appsv1.StatefulSet]{
		SpecReplicas:   func(s *appsv1.StatefulSet) int32 { return *s.Spec.Replicas },
		StatusReplicas: func(s *appsv1.StatefulSet) int32 { return s.Status.Replicas },
		Selector:       func(s *appsv1.StatefulSet) string { return selectorText(s.Spec.Selector) },
		SetReplicas:    func(s *appsv1.StatefulSet, n int32) { s.Spec.Replicas = &n },
		ReplicasPath:   "spec.replicas",
	},
	Columns: []registry.Column[appsv1.StatefulSet]{
		{
			Name: "Ready", Description: "Number of the pod with ready state",
			Value: func(s *appsv1.StatefulSet) any {
				return fmt.Sprintf("%d/%d", s.Status.ReadyReplicas, *s.Spec.Replicas)
			},
		},
		registry.Age[appsv1.StatefulSet](),
		registry.Containers(statefulSetTemplate),
		registry.Images(statefulSetTemplate),
	},
}

func statefulSetTemplate(s *appsv1.StatefulSet) *corev1.PodTemplateSpec { return &s.Spec.Template }

func defaultStatefulSet(s *appsv1.StatefulSet) {
	spec := &s.Spec
	setDefault(&spec.Replicas, 1)
	setDefault(&spec.RevisionHistoryLimit, 10)
	if spec.PodManagementPolicy == "" {
		spec.PodManagementPolicy = appsv1.OrderedReadyPodManagement
	}
	// A strategy that is named without its parameters stays without them.
	if spec.UpdateStrategy.Type == "" {
		spec.UpdateStrategy.Type = appsv1.RollingUpdateStatefulSetStrategyType
		setDefault(&spec.UpdateStrategy.RollingUpdate, appsv1.RollingUpdateStatefulSetStrategy{})
	}
	if r := spec.UpdateStrategy.RollingUpdate; r != nil && spec.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType {
		setDefault(&r.Partition, 0)
	}
	setDefault(&spec.PersistentVolumeClaimRetentionPolicy, appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{})
	defaultRetention(&spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted)
	defaultRetention(&spec.PersistentVolumeClaimRetentionPolicy.WhenScaled)
	core.DefaultPodTemplate(&spec.Template)
	for i := range spec.VolumeClaimTemplates {
		defaultClaimTemplate(&spec.VolumeClaimTemplates[i])
	}
}

func defaultRetention(p *appsv1.PersistentVolumeClaimRetentionPolicyType) {
	if *p == "" {
		*p = appsv1.RetainPersistentVolumeClaimRetentionPolicyType
	}
}

// defaultClaimTemplate names the kind too: clients that read a claim out of its set expect it.
func defaultClaimTemplate(c *corev1.PersistentVolumeClaim) {
	c.APIVersion, c.Kind = "v1", "PersistentVolumeClaim"
	core.DefaultClaimTemplate(c)
}

// dropMaxUnavailable clears a field that 1.36 does not enable by default, unless the object has it from a
// server that did.
func dropMaxUnavailable(new, old *appsv1.StatefulSet) {
	if old != nil && old.Spec.UpdateStrategy.RollingUpdate != nil && old.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable != nil {
		return
	}
	if r := new.Spec.UpdateStrategy.RollingUpdate; r != nil {
		r.MaxUnavailable = nil
	}
}

func warnStatefulSet(new, old *appsv1.StatefulSet) []string {
	var warnings []string
	path := field.NewPath("spec")
	if old == nil || new.Generation != old.Generation {
		warnings = core.PodTemplateWarnings(&new.Spec.Template, path.Child("template"))
	}
	for i := range new.Spec.VolumeClaimTemplates {
		claim := path.Child("volumeClaimTemplates").Index(i)
		if old != nil {
			claim = claim.Child("Spec")
		}
		warnings = append(warnings, warnFractions(&new.Spec.VolumeClaimTemplates[i].Spec, claim)...)
	}
	if limit := new.Spec.RevisionHistoryLimit; limit != nil && *limit < 0 {
		warnings = append(warnings, "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended")
	}
	return warnings
}

// warnFractions warns of storage sizes that are not whole bytes.
func warnFractions(s *corev1.PersistentVolumeClaimSpec, path *field.Path) []string {
	var warnings []string
	for _, list := range []struct {
		name  string
		sizes corev1.ResourceList
	}{{"requests", s.Resources.Requests}, {"limits", s.Resources.Limits}} {
		size := list.sizes[corev1.ResourceStorage]
		if size.MilliValue()%1000 != 0 {
			warnings = append(warnings, fmt.Sprintf("%s: fractional byte value %q is invalid, must be an integer",
				path.Child("resources", list.name).Key("storage"), size.String()))
		}
	}
	return warnings
}
