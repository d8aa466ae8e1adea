package core

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// ResourceQuotas limit what the objects of a namespace may use together.
var ResourceQuotas = registry.Resource[corev1.ResourceQuota]{
	Kind: "ResourceQuota", Name: "resourcequotas", Short: []string{"quota"},
	Namespaced: true,
	Versions:   []registry.Version[corev1.ResourceQuota]{registry.Hub[corev1.ResourceQuota]("v1")},
	Default: func(q *corev1.ResourceQuota) {
		roundUpToMilli(q.Spec.Hard)
		roundUpToMilli(q.Status.Hard)
		roundUpToMilli(q.Status.Used)
	},
	Validate:       validateResourceQuota,
	ValidateUpdate: validateResourceQuotaUpdate,
	Warn:           resourceQuotaWarnings,
	Status:         func(q *corev1.ResourceQuota) any { return &q.Status },
	ValidateStatus: validateResourceQuotaStatus,
	Columns: []registry.Column[corev1.ResourceQuota]{
		{
			Name: "Request", Description: "Request represents a minimum amount of cpu/memory that a container may consume.",
			Value: func(q *corev1.ResourceQuota) any { return quotaUse(q, false) },
		},
		{
			Name: "Limit", Description: "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.",
			Value: func(q *corev1.ResourceQuota) any { return quotaUse(q, true) },
		},
		registry.Age[corev1.ResourceQuota](),
	},
	AnswersDeleted: true,
}

// quotaUse lists "name: used/hard" of limits, or of all else.
func quotaUse(q *corev1.ResourceQuota, limits bool) string {
	var texts []string
	for _, name := range sortedResources(q.Status.Hard) {
		if strings.HasPrefix(string(name), "limits.") == limits {
			used, hard := q.Status.Used[name], q.Status.Hard[name]
			texts = append(texts, fmt.Sprintf("%s: %s/%s", name, used.String(), hard.String()))
		}
	}
	return strings.Join(texts, ", ")
}

func validateResourceQuota(q *corev1.ResourceQuota) field.ErrorList {
	spec := field.NewPath("spec")
	errs := validateQuotaList(q.Spec.Hard, spec.Child("hard"))
	errs = append(errs, validateQuotaScopes(&q.Spec, spec.Child("scopes"))...)
	if q.Spec.ScopeSelector != nil {
		errs = append(errs, validateQuotaSelector(&q.Spec, spec.Child("scopeSelector", "matchExpressions"))...)
	}
	return errs
}

func validateResourceQuotaStatus(new, _ *corev1.ResourceQuota) field.ErrorList {
	var errs field.ErrorList
	if new.ResourceVersion == "" {
		errs = append(errs, field.Required(field.NewPath("resourceVersion"), ""))
	}
	errs = append(errs, validateQuotaList(new.Status.Hard, field.NewPath("status", "hard"))...)
	return append(errs, validateQuotaList(new.Status.Used, field.NewPath("status", "used"))...)
}

func validateResourceQuotaUpdate(new, old *corev1.ResourceQuota) field.ErrorList {
	if sets.New(new.Spec.Scopes...).Equal(sets.New(old.Spec.Scopes...)) {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("spec", "scopes"), new.Spec.Scopes, apivalidation.FieldImmutableErrorMsg)}
}

func validateQuotaList(list corev1.ResourceList, path *field.Path) field.ErrorList {
	var errs podErrors
	for _, name := range sortedResources(list) {
		path := path.Key(string(name))
		computeResourceName(&errs, name, path)
		if !strings.Contains(string(name), "/") && !isQuotaResource(name) {
			errs.invalid(path, name, "must be a standard resource for quota")
		}
		errs.add(checkResourceQuantity(name, list[name], path)...)
	}
	return errs.list
}

// isQuotaResource tells what a quota may limit: all standard resources but plain storage.
func isQuotaResource(name corev1.ResourceName) bool {
	return name != corev1.ResourceStorage && isStandardResource(name)
}

// checkResourceQuantity checks an amount of a resource: not below zero, and whole where there are no halves.
func checkResourceQuantity(name corev1.ResourceName, q resource.Quantity, path *field.Path) field.ErrorList {
	errs := checkQuantityNotNegative(q, path)
	if isCounted(name) && q.MilliValue()%1000 != 0 {
		errs = append(errs, field.Invalid(path, q, "must be an integer"))
	}
	return errs
}

var quotaScopes = []corev1.ResourceQuotaScope{
	corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating,
	corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort,
	corev1.ResourceQuotaScopePriorityClass, corev1.ResourceQuotaScopeVolumeAttributesClass,
	corev1.ResourceQuotaScopeCrossNamespacePodAffinity,
}

// scopeFits tells whether a quota of the scope can limit the resource.
func scopeFits(scope corev1.ResourceQuotaScope, name corev1.ResourceName) bool {
	switch scope {
	case corev1.ResourceQuotaScopeBestEffort:
		return name == corev1.ResourcePods
	case corev1.ResourceQuotaScopeVolumeAttributesClass:
		return name == corev1.ResourcePersistentVolumeClaims || name == corev1.ResourceRequestsStorage
	}
	switch name {
	case corev1.ResourcePods, corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceRequestsCPU,
		corev1.ResourceRequestsMemory, corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory:
		return true
	}
	return !slices.Contains(quotaScopes, scope)
}

// misfits is how many of the limited resources the scope cannot limit.
func misfits(spec *corev1.ResourceQuotaSpec, scope corev1.ResourceQuotaScope) int {
	n := 0
	for name := range spec.Hard {
		if isQuotaResource(name) && !scopeFits(scope, name) {
			n++
		}
	}
	return n
}

func validateQuotaScopes(spec *corev1.ResourceQuotaSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, scope := range spec.Scopes {
		if !slices.Contains(quotaScopes, scope) {
			errs = append(errs, field.Invalid(path, spec.Scopes, "unsupported scope"))
		}
		for range misfits(spec, scope) {
			errs = append(errs, field.Invalid(path, spec.Scopes, "unsupported scope applied to resource"))
		}
	}
	return append(errs, conflictingScopes(spec, spec.Scopes, path)...)
}

func conflictingScopes(spec *corev1.ResourceQuotaSpec, scopes []corev1.ResourceQuotaScope, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, pair := range [][]corev1.ResourceQuotaScope{
		{corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort},
		{corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating},
	} {
		if containsAll(scopes, pair) {
			errs = append(errs, field.Invalid(path, spec.Scopes, "conflicting scopes"))
		}
	}
	return errs
}

func validateQuotaSelector(spec *corev1.ResourceQuotaSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	var scopes []corev1.ResourceQuotaScope
	for _, req := range spec.ScopeSelector.MatchExpressions {
		scopes = append(scopes, req.ScopeName)
		if !slices.Contains(quotaScopes, req.ScopeName) {
			errs = append(errs, field.Invalid(path.Child("scopeName"), req.ScopeName, "unsupported scope"))
		}
		for range misfits(spec, req.ScopeName) {
			errs = append(errs, field.Invalid(path, spec.ScopeSelector, "unsupported scope applied to resource"))
		}
		switch req.ScopeName {
		case corev1.ResourceQuotaScopePriorityClass, corev1.ResourceQuotaScopeVolumeAttributesClass:
		default:
			if slices.Contains(quotaScopes, req.ScopeName) && req.Operator != corev1.ScopeSelectorOpExists {
				errs = append(errs, field.Invalid(path.Child("operator"), req.Operator, "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"))
			}
		}
		switch req.Operator {
		case corev1.ScopeSelectorOpIn, corev1.ScopeSelectorOpNotIn:
			if len(req.Values) == 0 {
				errs = append(errs, field.Required(path.Child("values"), "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"))
			}
		case corev1.ScopeSelectorOpExists, corev1.ScopeSelectorOpDoesNotExist:
			if len(req.Values) != 0 {
				errs = append(errs, field.Invalid(path.Child("values"), req.Values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"))
			}
		default:
			errs = append(errs, field.Invalid(path.Child("operator"), req.Operator, "not a valid selector operator"))
		}
	}
	return append(errs, conflictingScopes(spec, scopes, path)...)
}

// resourceQuotaWarnings tells on create of requests that are allowed more than limits.
func resourceQuotaWarnings(new, old *corev1.ResourceQuota) []string {
	if old != nil {
		return nil
	}
	var texts []string
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceStorage, corev1.ResourceEphemeralStorage} {
		requests, limits := "requests."+name, "limits."+name
		request, ok := new.Spec.Hard[requests]
		if !ok && (name == corev1.ResourceCPU || name == corev1.ResourceMemory) {
			requests = name
			request, ok = new.Spec.Hard[name]
		}
		if limit, limited := new.Spec.Hard[limits]; ok && limited && request.Cmp(limit) > 0 {
			texts = append(texts, fmt.Sprintf("ResourceQuota %s (%s) should be less than %s (%s)", requests, request.String(), limits, limit.String()))
		}
	}
	return texts
}
