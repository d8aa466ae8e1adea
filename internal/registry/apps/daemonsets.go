package apps

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/core"
	"github.com/proa-dev/proa/internal/registry/field"
)

// DaemonSets run one pod on each node that fits.
var DaemonSets = registry.Resource[appsv1.DaemonSet]{
	Group: "apps", Kind: "DaemonSet", Name: "daemonsets", Short: []string{"ds"}, Categories: []string{"all"},
	Namespaced:     true,
	Versions:       []registry.Version[appsv1.DaemonSet]{registry.Hub[appsv1.DaemonSet]("v1")},
	Default:        defaultDaemonSet,
	PrepareCreate:  prepareDaemonSet,
	PrepareUpdate:  prepareDaemonSetUpdate,
	Validate:       validateDaemonSet,
	ValidateUpdate: validateDaemonSetUpdate,
	Warn:           warnDaemonSet,
	Status:         func(d *appsv1.DaemonSet) any { return &d.Status },
	PrepareStatus:  func(new, old *appsv1.DaemonSet) { setTemplateGeneration(new, templateGeneration(old)) },
	ValidateStatus: validateDaemonSetStatus,
	Spec:           func(d *appsv1.DaemonSet) any { return &d.Spec },
	Columns: []registry.Column[appsv1.DaemonSet]{
		daemonSetCount("Desired", "desiredNumberScheduled", func(s *appsv1.DaemonSetStatus) int32 { return s.DesiredNumberScheduled }),
		daemonSetCount("Current", "currentNumberScheduled", func(s *appsv1.DaemonSetStatus) int32 { return s.CurrentNumberScheduled }),
		daemonSetCount("Ready", "numberReady", func(s *appsv1.DaemonSetStatus) int32 { return s.NumberReady }),
		daemonSetCount("Up-to-date", "updatedNumberScheduled", func(s *appsv1.DaemonSetStatus) int32 { return s.UpdatedNumberScheduled }),
		daemonSetCount("Available", "numberAvailable", func(s *appsv1.DaemonSetStatus) int32 { return s.NumberAvailable }),
		{
			Name: "Node Selector", Description: corev1.PodSpec{}.SwaggerDoc()["nodeSelector"],
			Value: func(d *appsv1.DaemonSet) any { return labels.FormatLabels(d.Spec.Template.Spec.NodeSelector) },
		},
		registry.Age[appsv1.DaemonSet](),
		registry.Containers(daemonSetTemplate),
		registry.Images(daemonSetTemplate),
		{
			Name: "Selector", Description: appsv1.DaemonSetSpec{}.SwaggerDoc()["selector"], Wide: true,
			Value: func(d *appsv1.DaemonSet) any { return metav1.FormatLabelSelector(d.Spec.Selector) },
		},
	},
}

// daemonSetCount is the column of a number of the status, documented as its field.
func daemonSetCount(name, field string, value func(*appsv1.DaemonSetStatus) int32) registry.Column[appsv1.DaemonSet] {
	return registry.Column[appsv1.DaemonSet]{
		Name: name, Type: "integer", Description: appsv1.DaemonSetStatus{}.SwaggerDoc()[field],
		Value: func(d *appsv1.DaemonSet) any { return int64(value(&d.Status)) },
	}
}

func daemonSetTemplate(d *appsv1.DaemonSet) *corev1.PodTemplateSpec { return &d.Spec.Template }

func defaultDaemonSet(d *appsv1.DaemonSet) {
	if _, ok := d.Annotations[appsv1.DeprecatedTemplateGeneration]; !ok {
		setTemplateGeneration(d, 0)
	}
	setDefault(&d.Spec.RevisionHistoryLimit, 10)
	strategy := &d.Spec.UpdateStrategy
	if strategy.Type == "" {
		strategy.Type = appsv1.RollingUpdateDaemonSetStrategyType
	}
	if strategy.Type == appsv1.RollingUpdateDaemonSetStrategyType {
		setDefault(&strategy.RollingUpdate, appsv1.RollingUpdateDaemonSet{})
		setDefault(&strategy.RollingUpdate.MaxUnavailable, intstr.FromInt32(1))
		setDefault(&strategy.RollingUpdate.MaxSurge, intstr.FromInt32(0))
	}
	core.DefaultPodTemplate(&d.Spec.Template)
}

// The template's generation was a field of API versions long gone. It lives on as an annotation that the
// server keeps: a creator may choose where it starts, and each change of the template adds one. Who sends none is
// taken to have sent 0, and so owns the annotation.

func prepareDaemonSet(d *appsv1.DaemonSet) {
	value, ok := d.Annotations[appsv1.DeprecatedTemplateGeneration]
	if _, err := strconv.ParseInt(value, 10, 64); ok && err != nil {
		return // for validation to refuse
	}
	setTemplateGeneration(d, max(1, templateGeneration(d)))
}

func prepareDaemonSetUpdate(new, old *appsv1.DaemonSet) {
	generation := templateGeneration(old)
	if !equality.Semantic.DeepEqual(&new.Spec.Template, &old.Spec.Template) {
		generation++
	}
	setTemplateGeneration(new, generation)
}

// templateGeneration is 0 where the annotation is missing or no number.
func templateGeneration(d *appsv1.DaemonSet) int64 {
	n, err := strconv.ParseInt(d.Annotations[appsv1.DeprecatedTemplateGeneration], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func setTemplateGeneration(d *appsv1.DaemonSet, n int64) {
	if d.Annotations == nil {
		d.Annotations = map[string]string{}
	}
	d.Annotations[appsv1.DeprecatedTemplateGeneration] = strconv.FormatInt(n, 10)
}

func validateDaemonSet(d *appsv1.DaemonSet) field.ErrorList {
	path, s := field.NewPath("spec"), &d.Spec
	errs := validateTemplateGeneration(d)
	errs = append(errs, metavalidation.ValidateLabelSelector(s.Selector, metavalidation.LabelSelectorValidationOptions{}, path.Child("selector").Common())...)
	// A selector that is no selector is reported above.
	selector, err := metav1.LabelSelectorAsSelector(s.Selector)
	if err != nil {
		selector = nil
	}
	if s.Selector != nil && len(s.Selector.MatchLabels)+len(s.Selector.MatchExpressions) == 0 {
		errs = append(errs, field.Invalid(path.Child("selector"), s.Selector, "empty selector is invalid for daemonset"))
	}
	errs = append(errs, core.ValidatePodTemplateForController(&s.Template, selector, path.Child("template"), "DaemonSet", true)...)
	errs = append(errs, nonNegative(path, count{"minReadySeconds", int64(s.MinReadySeconds)})...)
	errs = append(errs, validateDaemonSetStrategy(&s.UpdateStrategy, path.Child("updateStrategy"))...)
	return append(errs, nonNegative(path, optional("revisionHistoryLimit", s.RevisionHistoryLimit))...)
}

func validateTemplateGeneration(d *appsv1.DaemonSet) field.ErrorList {
	value, ok := d.Annotations[appsv1.DeprecatedTemplateGeneration]
	if !ok {
		return nil
	}
	if _, err := strconv.ParseInt(value, 10, 64); err != nil {
		path := field.NewPath("metadata", "annotations").Key(appsv1.DeprecatedTemplateGeneration)
		return field.ErrorList{field.Invalid(path, value, "must be an integer")}
	}
	return nil
}

func validateDaemonSetStrategy(s *appsv1.DaemonSetUpdateStrategy, path *field.Path) field.ErrorList {
	switch s.Type {
	case appsv1.OnDeleteDaemonSetStrategyType:
		return nil
	case appsv1.RollingUpdateDaemonSetStrategyType:
		return validateDaemonSetRolling(s.RollingUpdate, path.Child("rollingUpdate"))
	}
	return field.ErrorList{field.NotSupported(path, s, []appsv1.DaemonSetUpdateStrategyType{
		appsv1.RollingUpdateDaemonSetStrategyType, appsv1.OnDeleteDaemonSetStrategyType,
	})}
}

func validateDaemonSetRolling(r *appsv1.RollingUpdateDaemonSet, path *field.Path) field.ErrorList {
	unavailable, surge := *r.MaxUnavailable, *r.MaxSurge
	errs := ValidateIntOrPercent(unavailable, path.Child("maxUnavailable"))
	errs = append(errs, ValidateIntOrPercent(surge, path.Child("maxSurge"))...)
	errs = append(errs, ValidateAtMost100Percent(unavailable, path.Child("maxUnavailable"))...)
	errs = append(errs, ValidateAtMost100Percent(surge, path.Child("maxSurge"))...)
	switch {
	case amount(unavailable) != 0 && amount(surge) != 0:
		errs = append(errs, field.Invalid(path.Child("maxSurge"), surge, "may not be set when maxUnavailable is non-zero"))
	case amount(unavailable) == 0 && amount(surge) == 0:
		errs = append(errs, field.Required(path.Child("maxUnavailable"), "cannot be 0 when maxSurge is 0"))
	}
	return errs
}

func validateDaemonSetUpdate(new, old *appsv1.DaemonSet) field.ErrorList {
	return apivalidation.ValidateImmutableField(new.Spec.Selector, old.Spec.Selector, field.NewPath("spec", "selector").Common())
}

func validateDaemonSetStatus(new, old *appsv1.DaemonSet) field.ErrorList {
	path, s := field.NewPath("status"), &new.Status
	errs := nonNegative(path,
		count{"currentNumberScheduled", int64(s.CurrentNumberScheduled)},
		count{"numberMisscheduled", int64(s.NumberMisscheduled)},
		count{"desiredNumberScheduled", int64(s.DesiredNumberScheduled)},
		count{"numberReady", int64(s.NumberReady)},
		count{"observedGeneration", s.ObservedGeneration},
		count{"updatedNumberScheduled", int64(s.UpdatedNumberScheduled)},
		count{"numberAvailable", int64(s.NumberAvailable)},
		count{"numberUnavailable", int64(s.NumberUnavailable)},
		optional("collisionCount", s.CollisionCount))
	return append(errs, notDecremented(s.CollisionCount, old.Status.CollisionCount, path.Child("collisionCount"))...)
}

func warnDaemonSet(new, old *appsv1.DaemonSet) []string {
	if old != nil && templateGeneration(new) == templateGeneration(old) {
		return nil
	}
	return core.PodTemplateWarnings(&new.Spec.Template, field.NewPath("spec", "template"))
}
