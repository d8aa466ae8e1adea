package core

import (
	"iter"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/registry/field"
)

// podContainer is a container of any kind and where it stands. An ephemeral container is seen as the
// container it shares its fields with.
type podContainer struct {
	*corev1.Container
	kind  string // the name of its list in the spec
	index int
}

func (c podContainer) path(spec *field.Path) *field.Path { return spec.Child(c.kind).Index(c.index) }

// podContainers yields all containers of a pod in the order in which they start.
func podContainers(s *corev1.PodSpec) iter.Seq[podContainer] {
	return func(yield func(podContainer) bool) {
		for i := range s.InitContainers {
			if !yield(podContainer{&s.InitContainers[i], "initContainers", i}) {
				return
			}
		}
		for i := range s.Containers {
			if !yield(podContainer{&s.Containers[i], "containers", i}) {
				return
			}
		}
		for i := range s.EphemeralContainers {
			common := &s.EphemeralContainers[i].EphemeralContainerCommon
			if !yield(podContainer{(*corev1.Container)(common), "ephemeralContainers", i}) {
				return
			}
		}
	}
}

// isSidecar tells whether an init container keeps running beside the pod's containers.
func isSidecar(c *corev1.Container) bool {
	return c != nil && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// podOnOS tells whether the pod says that it runs on that operating system.
func podOnOS(s *corev1.PodSpec, os corev1.OSName) bool { return s.OS != nil && s.OS.Name == os }
