package apps

import (
	"fmt"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/core"
	"github.com/proa-dev/proa/internal/registry/field"
)

// Deployments roll ReplicaSets out, one template after the other.
var Deployments = registry.Resource[appsv1.Deployment]{
	Group: "apps", Kind: "Deployment", Name: "deployments", Short: []string{"deploy"}, Categories: []string{"all"},
	Namespaced:     true,
	Versions:       []registry.Version[appsv1.Deployment]{registry.Hub[appsv1.Deployment]("v1")},
	Default:        defaultDeployment,
	Validate:       validateDeployment,
	ValidateUpdate: validateDeploymentUpdate,
	Warn:           warnDeployment,
	Status:         func(d *appsv1.Deployment) any { return &d.Status },
	PrepareStatus:  func(new, old *appsv1.Deployment) { new.Labels = old.Labels },
	ValidateStatus: validateDeploymentStatus,
	Spec:           func(d *appsv1.Deployment) any { return &deploymentIntent{d.Spec, d.Annotations} },
	Scale: &registry.Scale[appsv1.Deployment]{
		SpecReplicas:   func(d *appsv1.Deployment) int32 { return *d.Spec.Replicas },
		StatusReplicas: func(d *appsv1.Deployment) int32 { return d.Status.Replicas },
		Selector:       func(d *appsv1.Deployment) string { return selectorText(d.Spec.Selector) },
		SetReplicas:    func(d *appsv1.Deployment, n int32) { d.Spec.Replicas = &n },
		ReplicasPath:   "spec.replicas",
	},
	Columns: []registry.Column[appsv1.Deployment]{
		{
			Name: "Ready", Description: "Number of the pod with ready state",
			Value: func(d *appsv1.Deployment) any {
				return fmt.Sprintf("%d/%d", d.Status.ReadyReplicas, *d.Spec.Replicas)
			},
		},
		{
			Name: "Up-to-date", Description: appsv1.DeploymentStatus{}.SwaggerDoc()["updatedReplicas"],
			Value: func(d *appsv1.Deployment) any { return int64(d.Status.UpdatedReplicas) },
		},
		{
			Name: "Available", Description: appsv1.DeploymentStatus{}.SwaggerDoc()["availableReplicas"],
			Value: func(d *appsv1.Deployment) any { return int64(d.Status.AvailableReplicas) },
		},
		registry.Age[appsv1.Deployment](),
		registry.Containers(deploymentTemplate),
		registry.Images(deploymentTemplate),
		{
			Name: "Selector", Description: appsv1.DeploymentSpec{}.SwaggerDoc()["selector"], Wide: true,
			Value: func(d *appsv1.Deployment) any {
				if selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector); err == nil {
					return selector.String()
				}
				return "<invalid>"
			},
		},
	},
}

// deploymentIntent is what the generation counts changes of: annotations are copied to the ReplicaSets, so
// a change of theirs is work for the controller.
type deploymentIntent struct {
	Spec        appsv1.DeploymentSpec
	Annotations map[string]string
}

func deploymentTemplate(d *appsv1.Deployment) *corev1.PodTemplateSpec { return &d.Spec.Template }

func defaultDeployment(d *appsv1.Deployment) {
	setDefault(&d.Spec.Replicas, 1)
	setDefault(&d.Spec.RevisionHistoryLimit, 10)
	setDefault(&d.Spec.ProgressDeadlineSeconds, 600)
	strategy := &d.Spec.Strategy
	if strategy.Type == "" {
		strategy.Type = appsv1.RollingUpdateDeploymentStrategyType
	}
	if strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
		setDefault(&strategy.RollingUpdate, appsv1.RollingUpdateDeployment{})
		setDefault(&strategy.RollingUpdate.MaxUnavailable, intstr.FromString("25%"))
		setDefault(&strategy.RollingUpdate.MaxSurge, intstr.FromString("25%"))
	}
	if v, ok := d.Annotations[appsv1.DeprecatedRollbackTo]; ok && v == "" {
		delete(d.Annotations, appsv1.DeprecatedRollbackTo)
	}
	core.DefaultPodTemplate(&d.Spec.Template)
}

func validateDeployment(d *appsv1.Deployment) field.ErrorList {
	path := field.NewPath("spec")
	errs := nonNegative(path, optional("replicas", d.Spec.Replicas))
	errs = append(errs, validateReplicas(d.Spec.Selector, &d.Spec.Template, path)...)
	errs = append(errs, validateDeploymentStrategy(&d.Spec.Strategy, path.Child("strategy"))...)
	errs = append(errs, nonNegative(path,
		count{"minReadySeconds", int64(d.Spec.MinReadySeconds)},
		optional("revisionHistoryLimit", d.Spec.RevisionHistoryLimit))...)
	errs = append(errs, validateRollbackTo(d.Annotations)...)
	errs = append(errs, nonNegative(path, optional("progressDeadlineSeconds", d.Spec.ProgressDeadlineSeconds))...)
	if deadline := d.Spec.ProgressDeadlineSeconds; deadline != nil && *deadline <= d.Spec.MinReadySeconds {
		errs = append(errs, field.Invalid(path.Child("progressDeadlineSeconds"), deadline, "must be greater than minReadySeconds"))
	}
	return errs
}

// validateRollbackTo checks the annotation that stands for a field of API versions long gone: the revision
// to roll back to.
func validateRollbackTo(annotations map[string]string) field.ErrorList {
	value, ok := annotations[appsv1.DeprecatedRollbackTo]
	if !ok {
		return nil
	}
	revision, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		path := field.NewPath("metadata", "annotations").Key(appsv1.DeprecatedRollbackTo)
		return field.ErrorList{field.Invalid(path, value, "must be an integer")}
	}
	return apivalidation.ValidateNonnegativeField(revision, field.NewPath("spec", "rollback", "version").Common())
}

func validateDeploymentStrategy(s *appsv1.DeploymentStrategy, path *field.Path) field.ErrorList {
	rolling := path.Child("rollingUpdate")
	switch {
	case s.Type == appsv1.RecreateDeploymentStrategyType && s.RollingUpdate != nil:
		return field.ErrorList{field.Forbidden(rolling, "may not be specified when strategy `type` is 'Recreate'")}
	case s.Type == appsv1.RecreateDeploymentStrategyType:
		return nil
	case s.Type == appsv1.RollingUpdateDeploymentStrategyType:
		return validateDeploymentRolling(s.RollingUpdate, rolling)
	}
	return field.ErrorList{field.NotSupported(path, s, []appsv1.DeploymentStrategyType{
		appsv1.RecreateDeploymentStrategyType, appsv1.RollingUpdateDeploymentStrategyType,
	})}
}

func validateDeploymentRolling(r *appsv1.RollingUpdateDeployment, path *field.Path) field.ErrorList {
	unavailable, surge := *r.MaxUnavailable, *r.MaxSurge
	errs := ValidateIntOrPercent(unavailable, path.Child("maxUnavailable"))
	errs = append(errs, ValidateIntOrPercent(surge, path.Child("maxSurge"))...)
	if amount(unavailable) == 0 && amount(surge) == 0 {
		errs = append(errs, field.Invalid(path.Child("maxUnavailable"), unavailable, "may not be 0 when `maxSurge` is 0"))
	}
	return append(errs, ValidateAtMost100Percent(unavailable, path.Child("maxUnavailable"))...)
}

func validateDeploymentUpdate(new, old *appsv1.Deployment) field.ErrorList {
	return apivalidation.ValidateImmutableField(new.Spec.Selector, old.Spec.Selector, field.NewPath("spec", "selector").Common())
}

func validateDeploymentStatus(new, old *appsv1.Deployment) field.ErrorList {
	path, s := field.NewPath("status"), &new.Status
	updated, ready, available := count{"updatedReplicas", int64(s.UpdatedReplicas)}, count{"readyReplicas", int64(s.ReadyReplicas)}, count{"availableReplicas", int64(s.AvailableReplicas)}
	errs := nonNegative(path,
		count{"observedGeneration", s.ObservedGeneration}, count{"replicas", int64(s.Replicas)},
		updated, ready, available,
		count{"unavailableReplicas", int64(s.UnavailableReplicas)},
		optional("terminatingReplicas", s.TerminatingReplicas), optional("collisionCount", s.CollisionCount))
	errs = append(errs, notMore(s.Replicas, "cannot be greater than status.replicas", path, updated, ready, available)...)
	errs = append(errs, notMore(s.ReadyReplicas, "cannot be greater than readyReplicas", path, available)...)
	return append(errs, notDecremented(s.CollisionCount, old.Status.CollisionCount, path.Child("collisionCount"))...)
}

func warnDeployment(new, old *appsv1.Deployment) []string {
	if old != nil && new.Generation == old.Generation {
		return nil
	}
	warnings := core.PodTemplateWarnings(&new.Spec.Template, field.NewPath("spec", "template"))
	if old == nil {
		warnings = append(registry.PodNameWarnings(new.Name), warnings...)
	}
	return warnings
}
