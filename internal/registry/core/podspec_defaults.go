package core

import corev1 "k8s.io/api/core/v1"

// DefaultPodSpec fills the zero fields of a pod's spec, as they are in pods and templates alike.
func DefaultPodSpec(s *corev1.PodSpec) {
	if s.RestartPolicy == "" {
		s.RestartPolicy = corev1.RestartPolicyAlways
	}
}
