package core

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	netutils "k8s.io/utils/net"

	"github.com/proa-dev/proa/internal/registry/field"
)

var podStatusPath = field.NewPath("status")

// preparePodStatus keeps what kubelets of some versions leave out or corrupt.
func preparePodStatus(new, old *corev1.Pod) {
	new.OwnerReferences = old.OwnerReferences
	setIfZero(&new.Status.QOSClass, old.Status.QOSClass)
	keepObservedGenerations(&new.Status, &old.Status)
}

// keepObservedGenerations fills generations that the writer does not know of. A type may have several
// conditions, which are then matched in their order.
func keepObservedGenerations(new, old *corev1.PodStatus) {
	setIfZero(&new.ObservedGeneration, old.ObservedGeneration)
	known := map[corev1.PodConditionType][]int64{}
	for _, c := range old.Conditions {
		known[c.Type] = append(known[c.Type], c.ObservedGeneration)
	}
	for i := range new.Conditions {
		c := &new.Conditions[i]
		if generations := known[c.Type]; len(generations) > 0 {
			setIfZero(&c.ObservedGeneration, generations[0])
			known[c.Type] = generations[1:]
		}
	}
}

func validatePodStatus(new, old *corev1.Pod) field.ErrorList {
	var e podErrors
	s, path := &new.Status, podStatusPath
	e.add(validatePodAnnotationUpdate(new, old)...)
	e.add(validatePodAnnotations(new.Annotations, &new.Spec, podMetaPath.Child("annotations"))...)
	e.checkConditions(s.Conditions, path.Child("conditions"))
	if n := s.NominatedNodeName; n != "" && n != old.Status.NominatedNodeName {
		e.invalid(path.Child("nominatedNodeName"), n, apivalidation.NameIsDNSSubdomain(n, false)...)
		if old.Spec.NodeName != "" {
			e.forbid(path.Child("nominatedNodeName"), "may not be set on pods that are already bound to a node")
		}
	}
	if s.ObservedGeneration < 0 {
		e.invalid(path.Child("observedGeneration"), s.ObservedGeneration, "must be a non-negative integer")
	}
	if s.QOSClass != old.Status.QOSClass {
		e.invalid(path.Child("qosClass"), s.QOSClass, apivalidation.FieldImmutableErrorMsg)
	}
	e.checkTransitions(new, old)
	e.checkClaimStatuses(s.ResourceClaimStatuses, new.Spec.ResourceClaims, path.Child("resourceClaimStatuses"))
	e.checkExtendedClaim(s.ExtendedResourceClaimStatus, &new.Spec, path.Child("extendedResourceClaimStatus"))
	e.checkStatusIPs(new, old)
	e.checkUsers(s.ContainerStatuses, &new.Spec, path.Child("containerStatuses"))
	e.checkUsers(s.InitContainerStatuses, &new.Spec, path.Child("initContainerStatuses"))
	e.checkUsers(s.EphemeralContainerStatuses, &new.Spec, path.Child("ephemeralContainerStatuses"))
	e.checkDevicesGot(s.ContainerStatuses, new.Spec.Containers, path.Child("containerStatuses"))
	e.checkDevicesGot(s.InitContainerStatuses, new.Spec.InitContainers, path.Child("initContainerStatuses"))
	for i, c := range s.EphemeralContainerStatuses {
		if len(c.AllocatedResourcesStatus) > 0 {
			e.forbid(path.Child("ephemeralContainerStatuses").Index(i).Child("allocatedResourcesStatus"), "must not be specified in container status")
		}
	}
	return e.list
}

func (e *podErrors) checkConditions(conditions []corev1.PodCondition, path *field.Path) {
	for i, c := range conditions {
		at := path.Index(i)
		if c.ObservedGeneration < 0 {
			e.invalid(at.Child("observedGeneration"), c.ObservedGeneration, "must be a non-negative integer")
		}
		switch c.Type {
		case corev1.PodScheduled, corev1.PodReady, corev1.PodInitialized:
		default:
			e.invalid(at.Child("Type"), string(c.Type), validation.IsQualifiedName(string(c.Type))...)
		}
	}
}

// checkTransitions makes sure that a container that has ended for good does not come back.
func (e *podErrors) checkTransitions(new, old *corev1.Pod) {
	path, spec := podStatusPath, &old.Spec
	if !restartsAsOne(spec) {
		e.checkEnded(new.Status.ContainerStatuses, old.Status.ContainerStatuses, spec, spec.Containers, path.Child("containerStatuses"))
		e.checkEnded(new.Status.InitContainerStatuses, old.Status.InitContainerStatuses, spec, spec.InitContainers, path.Child("initContainerStatuses"))
	}
	e.checkEnded(new.Status.EphemeralContainerStatuses, old.Status.EphemeralContainerStatuses, spec, nil, path.Child("ephemeralContainerStatuses"))
}

func (e *podErrors) checkEnded(new, old []corev1.ContainerStatus, spec *corev1.PodSpec, containers []corev1.Container, path *field.Path) {
	for i, was := range old {
		if was.State.Terminated == nil {
			continue
		}
		j := slices.IndexFunc(new, func(s corev1.ContainerStatus) bool {
			return s.Name == was.Name && s.State.Terminated == nil
		})
		if j < 0 {
			continue
		}
		c := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == was.Name })
		if c < 0 || !containerRestarts(&containers[c], spec, was.State.Terminated.ExitCode) {
			e.forbid(path.Index(i).Child("state"), "may not be transitioned to non-terminated state")
		}
	}
}

// restartsAsOne tells whether the end of some container may start all of them again.
func restartsAsOne(s *corev1.PodSpec) bool {
	for _, list := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range list {
			for _, r := range list[i].RestartPolicyRules {
				if r.Action == corev1.ContainerRestartRuleActionRestartAllContainers {
					return true
				}
			}
		}
	}
	return false
}

// containerRestarts tells whether a container starts again after it ended with that code: by the first of its
// rules that matches, by its own policy, or by its pod's.
func containerRestarts(c *corev1.Container, s *corev1.PodSpec, exitCode int32) bool {
	policy := string(s.RestartPolicy)
	if c.RestartPolicy != nil {
		policy = string(*c.RestartPolicy)
		for _, r := range c.RestartPolicyRules {
			if restartRuleMatches(r.ExitCodes, exitCode) {
				return true
			}
		}
	}
	switch policy {
	case string(corev1.RestartPolicyNever):
		return false
	case string(corev1.RestartPolicyOnFailure):
		return exitCode != 0
	}
	return true
}

func restartRuleMatches(r *corev1.ContainerRestartRuleOnExitCodes, exitCode int32) bool {
	if r == nil {
		return false
	}
	listed := slices.Contains(r.Values, exitCode)
	return listed && r.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn ||
		!listed && r.Operator == corev1.ContainerRestartRuleOnExitCodesOpNotIn
}

func (e *podErrors) checkClaimStatuses(statuses []corev1.PodResourceClaimStatus, claims []corev1.PodResourceClaim, path *field.Path) {
	seen := sets.New[string]()
	for i, s := range statuses {
		at := path.Index(i)
		if !slices.ContainsFunc(claims, func(c corev1.PodResourceClaim) bool { return c.Name == s.Name }) {
			e.invalid(at.Child("name"), s.Name, "must match the name of an entry in `spec.resourceClaims`")
		}
		if seen.Has(s.Name) {
			e.duplicate(at.Child("name"), s.Name)
		}
		seen.Insert(s.Name)
		if n := s.ResourceClaimName; n != nil {
			e.invalid(at.Child("resourceClaimName"), *n, apivalidation.NameIsDNSSubdomain(*n, false)...)
		}
	}
}

// checkExtendedClaim covers the claim that was made for resources which device plugins once served.
func (e *podErrors) checkExtendedClaim(s *corev1.PodExtendedResourceClaimStatus, spec *corev1.PodSpec, path *field.Path) {
	if s == nil {
		return
	}
	mappings := path.Child("requestMappings")
	if len(s.RequestMappings) == 0 {
		e.required(mappings, "at least one request mapping is required")
	}
	all := slices.Concat(spec.Containers, spec.InitContainers)
	for i, m := range s.RequestMappings {
		at := mappings.Index(i)
		c := slices.IndexFunc(all, func(c corev1.Container) bool { return c.Name == m.ContainerName })
		if c < 0 {
			e.invalid(at.Child("containerName"), m.ContainerName, "must match the name of an entry in spec.initContainers.name or spec.containers.name")
		} else if _, ok := all[c].Resources.Requests[corev1.ResourceName(m.ResourceName)]; !ok {
			e.invalid(at.Child("resourceName"), m.ResourceName,
				"must match the extended resource name of an entry in spec.initContainers.resources.requests or spec.containers.resources.requests")
		}
		e.invalid(path.Child("requestName"), m.RequestName, validation.IsDNS1123Label(m.RequestName)...)
		if slices.Contains(s.RequestMappings[:i], m) {
			e.duplicate(at.Child("containerName"), m.ContainerName)
			e.duplicate(at.Child("resourceName"), m.ResourceName)
			e.duplicate(at.Child("requestName"), m.RequestName)
		}
	}
	if e.needed(path.Child("resourceClaimName"), s.ResourceClaimName) {
		e.invalid(path.Child("resourceClaimName"), s.ResourceClaimName, apivalidation.NameIsDNSSubdomain(s.ResourceClaimName, false)...)
	}
}

func (e *podErrors) checkStatusIPs(new, old *corev1.Pod) {
	own := func(p *corev1.Pod) (ips []string) {
		for _, ip := range p.Status.PodIPs {
			ips = append(ips, ip.IP)
		}
		return ips
	}
	hosts := func(p *corev1.Pod) (ips []string) {
		for _, ip := range p.Status.HostIPs {
			ips = append(ips, ip.IP)
		}
		return ips
	}
	e.checkIPPair(own(new), own(old), new.Status.PodIPs, podStatusPath.Child("podIPs"))
	ips, path := hosts(new), podStatusPath.Child("hostIPs")
	if len(ips) > 0 && ips[0] != new.Status.HostIP {
		e.invalid(path.Index(0).Child("ip"), ips[0], "must be equal to `hostIP`")
	}
	e.checkIPPair(ips, hosts(old), new.Status.HostIPs, path)
}

// checkIPPair covers one address, or one of each family. Addresses that are there already may stay as they
// are written.
func (e *podErrors) checkIPPair(new, old []string, value any, path *field.Path) {
	for i, ip := range new {
		e.add(validation.IsValidIPForLegacyField(path.Index(i).Common(), ip, true, old)...)
	}
	if len(new) < 2 {
		return
	}
	dual, err := netutils.IsDualStackIPStrings(new)
	if err != nil {
		e.add(field.InternalError(path, fmt.Errorf("failed to check for dual stack with error:%v", err)))
	}
	if !dual || len(new) > 2 {
		e.invalid(path, value, "may specify no more than one IP for each IP family")
	}
}

func (e *podErrors) checkUsers(statuses []corev1.ContainerStatus, spec *corev1.PodSpec, path *field.Path) {
	for i := range statuses {
		if u := statuses[i].User; u != nil && u.Linux != nil {
			e.checkLinuxUser(u.Linux, spec, path.Index(i).Child("user", "linux"))
		}
	}
}

// checkDevicesGot covers what containers got of what they asked for, and in which state that is.
func (e *podErrors) checkDevicesGot(statuses []corev1.ContainerStatus, containers []corev1.Container, path *field.Path) {
	for i := range statuses {
		s := &statuses[i]
		c := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == s.Name })
		for j := range s.AllocatedResourcesStatus {
			r, at := &s.AllocatedResourcesStatus[j], path.Index(i).Child("allocatedResourcesStatus").Index(j)
			if c >= 0 {
				e.checkAllocatedName(r.Name, &containers[c].Resources, at.Child("name"))
			}
			e.checkHealth(r.Resources, at.Child("resources"))
		}
	}
}

func (e *podErrors) checkLinuxUser(u *corev1.LinuxContainerUser, spec *corev1.PodSpec, path *field.Path) {
	if podOnOS(spec, corev1.Windows) {
		e.forbid(path, "cannot be set for a windows pod")
		return
	}
	e.invalid(path.Child("uid"), u.UID, validation.IsValidUserID(u.UID)...)
	e.invalid(path.Child("gid"), u.GID, validation.IsValidGroupID(u.GID)...)
	for i, g := range u.SupplementalGroups {
		e.invalid(path.Child("supplementalGroups").Index(i), g, validation.IsValidGroupID(g)...)
	}
}

// checkAllocatedName covers the name of something a container got: a resource, or claim:NAME or
// claim:NAME/REQUEST.
func (e *podErrors) checkAllocatedName(n corev1.ResourceName, r *corev1.ResourceRequirements, path *field.Path) {
	claim, isClaim := strings.CutPrefix(string(n), "claim:")
	if !isClaim {
		if _, ok := r.Requests[n]; !ok {
			e.invalid(path, n, "must match one of the container's resource requests")
		}
		return
	}
	name, request, _ := strings.Cut(claim, "/")
	if !slices.Contains(r.Claims, corev1.ResourceClaim{Name: name, Request: request}) {
		e.invalid(path, n, "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty")
	}
}

func (e *podErrors) checkHealth(resources []corev1.ResourceHealth, path *field.Path) {
	seen := sets.New[corev1.ResourceID]()
	for i, r := range resources {
		at := path.Index(i)
		knownOf(e, at.Child("health"), r.Health,
			corev1.ResourceHealthStatusHealthy, corev1.ResourceHealthStatusUnhealthy, corev1.ResourceHealthStatusUnknown)
		if m := r.Message; m != nil && *m == "" {
			e.required(at.Child("message"), "must be non-empty if specified")
		} else if m != nil && len(*m) > corev1.ResourceHealthMessageMaxLength {
			e.add(field.TooLong(at.Child("message"), *m, corev1.ResourceHealthMessageMaxLength))
		}
		if seen.Has(r.ResourceID) {
			e.duplicate(at.Child("resourceID"), r.ResourceID)
		}
		seen.Insert(r.ResourceID)
	}
}
