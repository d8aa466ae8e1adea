package core

import (
	corev1 "k8s.io/api/core/v1"
)

// PodQOS tells how well a pod is served when its node runs short: guaranteed what it asks for if it asks for
// all that it may use of processor and memory, at best effort if it asks for nothing.
func PodQOS(p *corev1.Pod) corev1.PodQOSClass {
	requests, limits := corev1.ResourceList{}, corev1.ResourceList{}
	guaranteed := true
	add := func(r *corev1.ResourceRequirements) {
		addCompute(requests, r.Requests)
		if addCompute(limits, r.Limits) < 2 {
			guaranteed = false
		}
	}
	if p.Spec.Resources != nil {
		add(p.Spec.Resources)
	} else {
		for i := range p.Spec.Containers {
			add(&p.Spec.Containers[i].Resources)
		}
		for i := range p.Spec.InitContainers {
			add(&p.Spec.InitContainers[i].Resources)
		}
	}
	switch {
	case len(requests) == 0 && len(limits) == 0:
		return corev1.PodQOSBestEffort
	case guaranteed && sameAmounts(requests, limits):
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}

// addCompute adds processor and memory to a sum, and tells how many of the two there are.
func addCompute(sum, list corev1.ResourceList) int {
	found := 0
	for _, n := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		q := list[n]
		if q.Sign() <= 0 {
			continue
		}
		found++
		total := sum[n].DeepCopy()
		total.Add(q)
		sum[n] = total
	}
	return found
}

func sameAmounts(a, b corev1.ResourceList) bool {
	if len(a) != len(b) {
		return false
	}
	for n, q := range a {
		if other, ok := b[n]; !ok || q.Cmp(other) != 0 {
			return false
		}
	}
	return true
}

// podQOS is the class that the pod was given when it was made.
func podQOS(p *corev1.Pod) corev1.PodQOSClass {
	if p.Status.QOSClass != "" {
		return p.Status.QOSClass
	}
	return PodQOS(p)
}
