package cluster

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
)

// Resources are amounts of what pods ask for and nodes have.
type Resources struct {
	MilliCPU, Memory, Ephemeral int64
	// Others are huge pages and extended resources; nil if there are none.
	Others map[corev1.ResourceName]int64
}

// What a container that asks for nothing is taken to use, when nodes are scored.
const (
	defaultMilliCPU = 100
	defaultMemory   = 200 << 20
)

func resourcesOf(list corev1.ResourceList) Resources {
	var r Resources
	for name, q := range list {
		switch name {
		case corev1.ResourceCPU:
			r.MilliCPU = q.MilliValue()
		case corev1.ResourceMemory:
			r.Memory = q.Value()
		case corev1.ResourceEphemeralStorage:
			r.Ephemeral = q.Value()
		default:
			if isOther(name) {
				r.set(name, q.Value())
			}
		}
	}
	return r
}

func isOther(name corev1.ResourceName) bool {
	n := string(name)
	return strings.Contains(n, corev1.ResourceDefaultNamespacePrefix) ||
		strings.Contains(n, "/") && !strings.HasPrefix(n, corev1.DefaultResourceRequestsPrefix) ||
		strings.HasPrefix(n, corev1.ResourceHugePagesPrefix) ||
		strings.HasPrefix(n, corev1.ResourceAttachableVolumesPrefix)
}

func (r *Resources) set(name corev1.ResourceName, v int64) {
	if r.Others == nil {
		r.Others = map[corev1.ResourceName]int64{}
	}
	r.Others[name] = v
}

// add adds o, sign times.
func (r *Resources) add(o *Resources, sign int64) {
	r.MilliCPU += sign * o.MilliCPU
	r.Memory += sign * o.Memory
	r.Ephemeral += sign * o.Ephemeral
	for name, v := range o.Others {
		r.set(name, r.Others[name]+sign*v)
	}
}

func (r *Resources) clone() Resources {
	c := *r
	c.Others = maps.Clone(r.Others)
	return c
}

func (r *Resources) equal(o *Resources) bool {
	return r.MilliCPU == o.MilliCPU && r.Memory == o.Memory && r.Ephemeral == o.Ephemeral && maps.Equal(r.Others, o.Others)
}

// requestsOf is what a pod asks for, and what of CPU and memory it is taken to use for scores.
func requestsOf(pod *corev1.Pod) (asked Resources, cpu, memory int64) {
	o := resourcehelper.PodResourcesOptions{UseStatusResources: true, InPlacePodLevelResourcesVerticalScalingEnabled: true}
	asked = resourcesOf(resourcehelper.PodRequests(pod, o))
	if asksForBoth(pod) {
		return asked, asked.MilliCPU, asked.Memory
	}
	o.NonMissingContainerRequests = corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(defaultMilliCPU, resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(defaultMemory, resource.DecimalSI),
	}
	used := resourcesOf(resourcehelper.PodRequests(pod, o))
	return asked, used.MilliCPU, used.Memory
}

// sameSpec tells if two states of a pod are sure to have the same spec but for their node. Servers that do not
// count a pod's generations say 0.
func sameSpec(a, b *corev1.Pod) bool { return a.Generation == b.Generation && a.Generation != 0 }

// asksAsSpecified tells if a pod's status says nothing of resources that differs from the spec, as it does while
// the pod is resized. It costs a fraction of requestsOf.
func asksAsSpecified(pod *corev1.Pod) bool {
	return pod.Status.Resources == nil &&
		allAsSpecified(pod.Spec.Containers, pod.Status.ContainerStatuses) &&
		allAsSpecified(pod.Spec.InitContainers, pod.Status.InitContainerStatuses)
}

func allAsSpecified(specs []corev1.Container, statuses []corev1.ContainerStatus) bool {
	for i := range statuses {
		s := &statuses[i]
		if s.Resources == nil {
			continue
		}
		n := slices.IndexFunc(specs, func(c corev1.Container) bool { return c.Name == s.Name })
		if n < 0 || !contains(specs[n].Resources.Requests, s.Resources.Requests) || !contains(specs[n].Resources.Requests, s.AllocatedResources) {
			return false
		}
	}
	return true
}

func contains(all, some corev1.ResourceList) bool {
	for name, q := range some {
		if other, ok := all[name]; !ok || other.Cmp(q) != 0 {
			return false
		}
	}
	return true
}

func asksForBoth(pod *corev1.Pod) bool {
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range containers {
			r := containers[i].Resources.Requests
			if _, ok := r[corev1.ResourceCPU]; !ok {
				return false
			}
			if _, ok := r[corev1.ResourceMemory]; !ok {
				return false
			}
		}
	}
	return true
}
