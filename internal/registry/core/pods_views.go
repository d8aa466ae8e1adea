package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/diff"

	"github.com/proa-dev/proa/internal/registry/field"
)

// keepPod makes a pod what it was, for a view to then change its part.
func keepPod(new, old *corev1.Pod) {
	old.Spec.DeepCopyInto(&new.Spec)
	old.Status.DeepCopyInto(&new.Status)
	metav1.ResetObjectMetaForStatus(&new.ObjectMeta, &old.ObjectMeta)
}

func prepareEphemeralContainers(new, old *corev1.Pod) {
	containers := new.Spec.EphemeralContainers
	keepPod(new, old)
	new.Spec.EphemeralContainers = containers
}

// validateEphemeralContainers lets containers be added to look into a running pod. Those that there are stay
// as they are, in whatever order.
func validateEphemeralContainers(new, old *corev1.Pod) field.ErrorList {
	if isMirrorPod(&old.ObjectMeta) {
		return field.ErrorList{field.Forbidden(field.NewPath(""), "static pods do not support ephemeral containers")}
	}
	e := podErrors{list: validatePod(new)}
	byName := map[string]*corev1.EphemeralContainer{}
	for i := range new.Spec.EphemeralContainers {
		byName[new.Spec.EphemeralContainers[i].Name] = &new.Spec.EphemeralContainers[i]
	}
	path := podSpecPath.Child("ephemeralContainers")
	for _, was := range old.Spec.EphemeralContainers {
		is := byName[was.Name]
		if is == nil {
			e.forbid(path, fmt.Sprintf("existing ephemeral containers %q may not be removed\n", was.Name))
		} else if !equality.Semantic.DeepEqual(was, *is) {
			e.forbid(path, fmt.Sprintf("existing ephemeral containers %q may not be changed\n%v", was.Name, diff.Diff(was, *is)))
		}
	}
	return e.list
}

// preparePodResize takes over resources only. Where containers come, go or change places there is no telling
// whose they are, and validation says so.
func preparePodResize(new, old *corev1.Pod) {
	asked := new.Spec
	if len(asked.Containers) != len(old.Spec.Containers) || len(asked.InitContainers) != len(old.Spec.InitContainers) {
		return
	}
	keepPod(new, old)
	new.Spec.Resources = asked.Resources
	new.Spec.Containers = takeResources(new.Spec.Containers, asked.Containers)
	new.Spec.InitContainers = takeResources(new.Spec.InitContainers, asked.InitContainers)
}

// takeResources gives containers the resources that were asked for, or returns what was asked for as it is
// if that is not about the same containers.
func takeResources(containers, asked []corev1.Container) []corev1.Container {
	for i := range containers {
		if containers[i].Name != asked[i].Name {
			return asked
		}
		containers[i].Resources, containers[i].ResizePolicy = asked[i].Resources, asked[i].ResizePolicy
	}
	return containers
}

// validatePodResize lets a running pod ask for more or less processor and memory.
func validatePodResize(new, old *corev1.Pod) field.ErrorList {
	switch {
	case isMirrorPod(&old.ObjectMeta):
		return field.ErrorList{field.Forbidden(field.NewPath(""), "static pods cannot be resized")}
	case podOnOS(&old.Spec, corev1.Windows):
		return field.ErrorList{field.Forbidden(field.NewPath(""), "windows pods cannot be resized")}
	}
	e := podErrors{list: validatePod(new)}
	if podQOS(old) != PodQOS(new) {
		e.invalid(podSpecPath, new.Status.QOSClass, "Pod QOS Class may not change as a result of resizing")
	}
	if !nodeResizes(old) {
		e.forbid(podSpecPath, "Pod running on node without support for resize")
	}
	rest := new.Spec.DeepCopy()
	e.checkPodLevelResize(rest, &old.Spec)
	before := len(e.list)
	e.checkResizeOrder(new.Spec.Containers, old.Spec.Containers, "containers")
	e.checkResizeOrder(new.Spec.InitContainers, old.Spec.InitContainers, "initContainers")
	if len(e.list) > before {
		return e.list
	}
	e.checkContainerResizes(rest, &old.Spec)
	if len(e.list) == 0 && !equality.Semantic.DeepEqual(*rest, old.Spec) {
		e.forbid(podSpecPath, "only cpu and memory resources are mutable")
	}
	return e.list
}

// nodeResizes tells whether the pod's node knows of resizing: only then it reports what containers got. Where
// nothing runs yet nobody can tell.
func nodeResizes(p *corev1.Pod) bool {
	for i := range p.Status.ContainerStatuses {
		if s := &p.Status.ContainerStatuses[i]; s.State.Running != nil {
			return s.Resources != nil
		}
	}
	return true
}

func (e *podErrors) checkResizeOrder(new, old []corev1.Container, kind string) {
	path := podSpecPath.Child(kind)
	if len(new) != len(old) {
		e.forbid(path, kind+" may not be added or removed on resize")
		return
	}
	for i := range new {
		if new[i].Name != old[i].Name {
			e.forbid(path.Index(i).Child("name"), kind+" may not be renamed or reordered on resize")
		}
	}
}

// checkPodLevelResize checks what the pod as a whole asks for, and undoes the changes that are fine.
func (e *podErrors) checkPodLevelResize(s, old *corev1.PodSpec) {
	asks := func(r *corev1.ResourceRequirements) bool { return r != nil && len(r.Requests)+len(r.Limits) > 0 }
	if !asks(s.Resources) && !asks(old.Resources) {
		return
	}
	path := podSpecPath.Child("resources")
	was := old.Resources
	if was == nil {
		was = &corev1.ResourceRequirements{}
	}
	if s.Resources == nil {
		e.forbid(path, "pod-level resources cannot be removed")
		return
	}
	if resourcesRemoved(s.Resources.Requests, was.Requests) {
		e.forbid(path.Child("requests"), "pod-level resource requests cannot be removed")
	}
	if resourcesRemoved(s.Resources.Limits, was.Limits) {
		e.forbid(path.Child("limits"), "pod-level resource limits cannot be removed")
	}
	restoreCompute(s.Resources, was)
	if old.Resources == nil && !asks(s.Resources) && len(s.Resources.Claims) == 0 {
		s.Resources = nil
	}
	if !equality.Semantic.DeepEqual(s.Resources, old.Resources) {
		e.forbid(podSpecPath, "only cpu and memory resources are mutable at pod-level")
	}
}

func resourcesRemoved(new, old corev1.ResourceList) bool {
	for n := range old {
		if _, ok := new[n]; !ok {
			return true
		}
	}
	return false
}

// restoreCompute makes processor and memory what they were.
func restoreCompute(r, old *corev1.ResourceRequirements) {
	r.Requests = withComputeOf(r.Requests, old.Requests)
	r.Limits = withComputeOf(r.Limits, old.Limits)
}

func withComputeOf(list, old corev1.ResourceList) corev1.ResourceList {
	mixed := corev1.ResourceList{}
	for n, q := range list {
		if n != corev1.ResourceCPU && n != corev1.ResourceMemory {
			mixed[n] = q
		}
	}
	for _, n := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if q, ok := old[n]; ok {
			mixed[n] = q
		}
	}
	return mixed
}

// checkContainerResizes checks what containers ask for, and undoes the changes that are fine.
func (e *podErrors) checkContainerResizes(s, old *corev1.PodSpec) {
	for i := range s.InitContainers {
		e.checkRemovedResources(&s.InitContainers[i], &old.InitContainers[i], podSpecPath.Child("initContainers").Index(i))
	}
	for i := range s.Containers {
		e.checkRemovedResources(&s.Containers[i], &old.Containers[i], podSpecPath.Child("containers").Index(i))
	}
	for i := range s.Containers {
		if !restoreResize(&s.Containers[i], &old.Containers[i]) {
			e.forbid(podSpecPath, "only cpu and memory resources are mutable")
		}
	}
	for i := range s.InitContainers {
		c, was, at := &s.InitContainers[i], &old.InitContainers[i], podSpecPath.Child("initContainers").Index(i)
		changed := !equality.Semantic.DeepEqual(*c, *was)
		if !restoreResize(c, was) {
			e.forbid(at, "only cpu and memory resources for init or sidecar containers are mutable")
		}
		if !changed || isSidecar(c) {
			continue
		}
		for _, p := range c.ResizePolicy {
			if p.RestartPolicy == corev1.RestartContainer {
				e.forbid(at, "non-sidecar init containers with a resize policy of RestartContainer cannot be resized")
			}
		}
	}
}

func (e *podErrors) checkRemovedResources(new, old *corev1.Container, path *field.Path) {
	if resourcesRemoved(new.Resources.Requests, old.Resources.Requests) {
		e.forbid(path.Child("resources", "requests"), "resource requests cannot be removed")
	}
	if resourcesRemoved(new.Resources.Limits, old.Resources.Limits) {
		e.forbid(path.Child("resources", "limits"), "resource limits cannot be removed")
	}
}

// restoreResize undoes a resize of a container, and tells whether it was nothing more. Claims for devices are
// not restored: a container that has some cannot be resized.
func restoreResize(c, old *corev1.Container) bool {
	restoreCompute(&c.Resources, &old.Resources)
	c.Resources.Claims = nil
	return equality.Semantic.DeepEqual(*c, *old)
}
