package core

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	helpers "k8s.io/component-helpers/resource"

	"github.com/proa-dev/proa/internal/registry/field"
	"github.com/proa-dev/proa/internal/registry/plain"
)

// checkResources covers the requests and limits of a container, of a pod, or of a pod's overhead; name checks
// what may be asked for, and claims are those that may be used.
func (e *podErrors) checkResources(r *corev1.ResourceRequirements, name func(*podErrors, corev1.ResourceName, *field.Path), claims sets.Set[string], path *field.Path) {
	limits, requests := path.Child("limits"), path.Child("requests")
	for _, n := range sortedResources(r.Limits) {
		e.checkResourceAmount(n, r.Limits[n], name, limits.Key(string(n)))
	}
	for _, n := range sortedResources(r.Requests) {
		q := r.Requests[n]
		e.checkResourceAmount(n, q, name, requests.Key(string(n)))
		limit, limited := r.Limits[n]
		switch {
		case !limited && !overcommitAllowed(n):
			e.required(limits, "Limit must be set for non overcommitable resources")
		case !limited:
		case q.Cmp(limit) != 0 && !overcommitAllowed(n):
			e.invalid(requests, q.String(), fmt.Sprintf("must be equal to %s limit of %s", n, limit.String()))
		case q.Cmp(limit) > 0:
			e.invalid(requests, q.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", n, limit.String()))
		}
	}
	if hasResource(r, isHugePages) && !hasResource(r, func(n corev1.ResourceName) bool {
		return n == corev1.ResourceCPU || n == corev1.ResourceMemory
	}) {
		e.forbid(path, "HugePages require cpu or memory")
	}
	e.checkClaimRefs(r.Claims, claims, path.Child("claims"))
}

func (e *podErrors) checkResourceAmount(n corev1.ResourceName, q resource.Quantity, name func(*podErrors, corev1.ResourceName, *field.Path), path *field.Path) {
	name(e, n, path)
	if q.Sign() < 0 {
		e.invalid(path, q.String(), apivalidation.IsNegativeErrorMsg)
	}
	if isCounted(n) && q.MilliValue()%1000 != 0 {
		e.invalid(path, q, "must be an integer")
	}
	if isHugePages(n) && !pagesDivide(n, q) {
		e.invalid(path, q.String(), fmt.Sprintf("%s is not positive integer multiple of %s", q.String(), n))
	}
}

func sortedResources(list corev1.ResourceList) []corev1.ResourceName {
	names := make([]corev1.ResourceName, 0, len(list))
	for n := range list {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func hasResource(r *corev1.ResourceRequirements, is func(corev1.ResourceName) bool) bool {
	for _, list := range []corev1.ResourceList{r.Limits, r.Requests} {
		for n := range list {
			if is(n) {
				return true
			}
		}
	}
	return false
}

// computeResourceName checks a name as of any resource that can be asked for or limited, and tells whether
// it is sound.
func computeResourceName(e *podErrors, n corev1.ResourceName, path *field.Path) bool {
	if !plain.LabelKey(string(n)) {
		e.invalid(path, n, validation.IsQualifiedName(string(n))...)
		return false
	}
	if !strings.Contains(string(n), "/") && !isStandardResource(n) {
		e.invalid(path, n, "must be a standard resource type or fully qualified")
		return false
	}
	return true
}

func containerResourceName(e *podErrors, n corev1.ResourceName, path *field.Path) {
	computeResourceName(e, n, path)
	switch parts := strings.Count(string(n), "/") + 1; {
	case parts == 1 && !isContainerResource(n):
		e.invalid(path, n, "must be a standard resource for containers")
	case parts > 1 && !isNativeResource(n) && !isExtendedResource(n):
		e.invalid(path, n, "doesn't follow extended resource name standard")
	}
}

func podResourceName(e *podErrors, n corev1.ResourceName, path *field.Path) {
	if computeResourceName(e, n, path) && !helpers.IsSupportedPodLevelResource(n) {
		e.add(field.NotSupported(path, n, sets.List(helpers.SupportedPodLevelResources())))
	}
}

func isHugePages(n corev1.ResourceName) bool {
	return strings.HasPrefix(string(n), corev1.ResourceHugePagesPrefix)
}

// pagesDivide tells whether the amount is a whole number of pages of the size that is in the resource's name.
func pagesDivide(n corev1.ResourceName, q resource.Quantity) bool {
	size, err := resource.ParseQuantity(strings.TrimPrefix(string(n), corev1.ResourceHugePagesPrefix))
	if err != nil || size.Sign() <= 0 || size.MilliValue()%1000 != 0 {
		return false
	}
	return q.Value()%size.Value() == 0
}

// isNativeResource tells Kubernetes' own resources from those of device plugins.
func isNativeResource(n corev1.ResourceName) bool {
	return !strings.Contains(string(n), "/") || strings.Contains(string(n), corev1.ResourceDefaultNamespacePrefix)
}

func isExtendedResource(n corev1.ResourceName) bool {
	if isNativeResource(n) || strings.HasPrefix(string(n), corev1.DefaultResourceRequestsPrefix) {
		return false
	}
	return plain.LabelKey(corev1.DefaultResourceRequestsPrefix + string(n))
}

func overcommitAllowed(n corev1.ResourceName) bool { return isNativeResource(n) && !isHugePages(n) }

func isContainerResource(n corev1.ResourceName) bool {
	return n == corev1.ResourceCPU || n == corev1.ResourceMemory || n == corev1.ResourceEphemeralStorage || isHugePages(n)
}

// countedResources are objects: there is no half of one.
var countedResources = sets.New(corev1.ResourcePods, corev1.ResourceQuotas, corev1.ResourceServices,
	corev1.ResourceReplicationControllers, corev1.ResourceSecrets, corev1.ResourceConfigMaps,
	corev1.ResourcePersistentVolumeClaims, corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers)

func isCounted(n corev1.ResourceName) bool { return countedResources.Has(n) || isExtendedResource(n) }

var measuredResources = sets.New(corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage,
	corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory, corev1.ResourceRequestsEphemeralStorage,
	corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceLimitsEphemeralStorage,
	corev1.ResourceStorage, corev1.ResourceRequestsStorage)

func isStandardResource(n corev1.ResourceName) bool {
	return measuredResources.Has(n) || countedResources.Has(n) || isHugePages(n) ||
		strings.HasPrefix(string(n), corev1.ResourceRequestsHugePagesPrefix)
}

// checkPodResources covers what the pod asks for as a whole.
func (c *podSpecCheck) checkPodResources() {
	r, path := c.spec.Resources, c.path.Child("resources")
	if r == nil {
		return
	}
	if podOnOS(c.spec, corev1.Windows) {
		c.forbid(path, "may not be set for a windows pod")
		return
	}
	if r.Claims != nil {
		c.forbid(path.Child("claims"), "claims may not be set for Resources at pod-level")
	}
	c.checkResources(r, podResourceName, c.claims, path)
	c.checkPodCoversContainers(r, path)
}

// checkPodCoversContainers makes sure that the containers fit in the pod.
func (c *podSpecCheck) checkPodCoversContainers(r *corev1.ResourceRequirements, path *field.Path) {
	pod := &corev1.Pod{Spec: *c.spec}
	requests := helpers.AggregateContainerRequests(pod, helpers.PodResourcesOptions{})
	for _, n := range sortedResources(requests) {
		sum := requests[n]
		if q, ok := r.Requests[n]; ok && sum.Cmp(q) > 0 {
			c.invalid(path.Child("requests").Key(string(n)), q.String(),
				fmt.Sprintf("must be greater than or equal to aggregate container requests of %s", sum.String()))
		}
	}
	limits := helpers.AggregateContainerLimits(pod, helpers.PodResourcesOptions{})
	for _, n := range sortedResources(limits) {
		sum := limits[n]
		if q, ok := r.Limits[n]; ok && isHugePages(n) && sum.Cmp(q) > 0 {
			c.invalid(path.Child("limits").Key(string(n)), q.String(),
				fmt.Sprintf("must be greater than or equal to aggregate container limits of %s", sum.String()))
		}
	}
	for i := range c.spec.Containers {
		own := c.spec.Containers[i].Resources.Limits
		for _, n := range sortedResources(own) {
			limit := own[n]
			if q, ok := r.Limits[n]; ok && limit.Cmp(q) > 0 {
				c.invalid(path.Child("containers").Index(i).Key(string(n)).Child("limits"), limit.String(),
					fmt.Sprintf("must be less than or equal to pod limits of %s", q.String()))
			}
		}
	}
}
