package registry

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Containers is a wide column of kinds with a pod template: who runs.
func Containers[T any](template func(*T) *corev1.PodTemplateSpec) Column[T] {
	return Column[T]{
		Name: "Containers", Description: "Names of each container in the template.", Wide: true,
		Value: func(t *T) any {
			return joinContainers(template(t), func(c *corev1.Container) string { return c.Name })
		},
	}
}

// Images is a wide column of kinds with a pod template: what they run.
func Images[T any](template func(*T) *corev1.PodTemplateSpec) Column[T] {
	return Column[T]{
		Name: "Images", Description: "Images referenced by each container in the template.", Wide: true,
		Value: func(t *T) any {
			return joinContainers(template(t), func(c *corev1.Container) string { return c.Image })
		},
	}
}

func joinContainers(t *corev1.PodTemplateSpec, part func(*corev1.Container) string) string {
	parts := make([]string, len(t.Spec.Containers))
	for i := range t.Spec.Containers {
		parts[i] = part(&t.Spec.Containers[i])
	}
	return strings.Join(parts, ",")
}

// PodNameWarnings warns of a name that goes into the names of pods and fits there badly.
func PodNameWarnings(name string) []string {
	msgs := validation.IsDNS1123Label(name)
	if len(msgs) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: %v", msgs)}
}
