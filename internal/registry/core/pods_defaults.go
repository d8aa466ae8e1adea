package core

import (
	corev1 "k8s.io/api/core/v1"
	helpers "k8s.io/component-helpers/resource"
)

// defaultPod fills the zero fields of a pod: those that templates leave open, then those of any spec.
func defaultPod(p *corev1.Pod) {
	dropInitAnnotations(&p.ObjectMeta)
	s := &p.Spec
	for i := range s.Containers {
		requestLimits(&s.Containers[i].Resources)
	}
	for i := range s.InitContainers {
		requestLimits(&s.InitContainers[i].Resources)
	}
	defaultPodLevelResources(p)
	setIfNil(&s.EnableServiceLinks, corev1.DefaultEnableServiceLinks)
	if s.HostNetwork {
		defaultHostPorts(s.Containers)
		defaultHostPorts(s.InitContainers)
	}
	if g := s.TerminationGracePeriodSeconds; g != nil && *g < 0 {
		*g = 1
	}
	DefaultPodSpec(s)
	defaultPodStatus(&p.Status)
}

// requestLimits asks for as much as is allowed, of what is not asked for.
func requestLimits(r *corev1.ResourceRequirements) {
	if r.Limits == nil {
		return
	}
	if r.Requests == nil {
		r.Requests = corev1.ResourceList{}
	}
	fillResources(r.Requests, r.Limits, func(corev1.ResourceName) bool { return true })
}

// fillResources adds what is missing in list from another, of the resources that are fit.
func fillResources(list, from corev1.ResourceList, fit func(corev1.ResourceName) bool) {
	for n, q := range from {
		if _, ok := list[n]; !ok && fit(n) {
			list[n] = q.DeepCopy()
		}
	}
}

// defaultHostPorts makes ports in the node's network the node's.
func defaultHostPorts(containers []corev1.Container) {
	for i := range containers {
		for j := range containers[i].Ports {
			p := &containers[i].Ports[j]
			setIfZero(&p.HostPort, p.ContainerPort)
		}
	}
}

// defaultPodLevelResources completes what a pod asks for as a whole, if it asks at all, from what its
// containers ask for. See KEP-2837.
func defaultPodLevelResources(p *corev1.Pod) {
	r := p.Spec.Resources
	if r == nil || len(r.Limits) == 0 && len(r.Requests) == 0 {
		return
	}
	// Huge pages cannot be overcommitted, so the pod's limit is all that its containers may use.
	limits := r.Limits
	if limits == nil {
		limits = corev1.ResourceList{}
	}
	fillResources(limits, helpers.AggregateContainerLimits(p, helpers.PodResourcesOptions{}), func(n corev1.ResourceName) bool {
		_, requested := r.Requests[n]
		return isHugePages(n) && !requested
	})
	if len(limits) == 0 {
		return
	}
	r.Limits = limits

	requests := r.Requests
	if requests == nil {
		requests = corev1.ResourceList{}
	}
	fillResources(requests, helpers.AggregateContainerRequests(p, helpers.PodResourcesOptions{}), func(n corev1.ResourceName) bool {
		return helpers.IsSupportedPodLevelResource(n) && overcommitAllowed(n)
	})
	fillResources(requests, r.Limits, helpers.IsSupportedPodLevelResource)
	if len(requests) > 0 {
		r.Requests = requests
	}
}

func defaultPodStatus(s *corev1.PodStatus) {
	// podIP is older than podIPs: where they differ it is what an old kubelet wrote.
	switch {
	case s.PodIP != "" && (len(s.PodIPs) == 0 || s.PodIPs[0].IP != s.PodIP):
		s.PodIPs = []corev1.PodIP{{IP: s.PodIP}}
	case s.PodIP == "" && len(s.PodIPs) > 0:
		s.PodIP = s.PodIPs[0].IP
	}
	for _, list := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses} {
		for i := range list {
			roundUpToMilli(list[i].AllocatedResources)
			defaultPodResources(list[i].Resources)
			dropVolumeDigests(list[i].VolumeMounts)
		}
	}
	roundUpToMilli(s.AllocatedResources)
	defaultPodResources(s.Resources)
	s.NodeAllocatableResourceClaimStatuses = nil
}

// dropVolumeDigests drops a part of the status whose feature is off.
func dropVolumeDigests(mounts []corev1.VolumeMountStatus) {
	for i := range mounts {
		mounts[i].VolumeStatus = nil
	}
}
