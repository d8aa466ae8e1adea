package framework

import (
	"encoding/binary"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// appendKey appends all of a pod that any plugin reads: pods with the same key are equal to scheduling. A
// field that a plugin comes to read must be added here.
func appendKey(key []byte, pod *corev1.Pod) []byte {
	key = appendString(key, pod.Namespace)
	key = appendLabels(key, pod.Labels)
	if owner := metav1.GetControllerOfNoCopy(pod); owner != nil {
		key = appendString(key, string(owner.UID))
		key = appendString(key, owner.Name)
		key = appendString(key, owner.Kind)
		key = appendString(key, owner.APIVersion)
	}
	key = append(key, 0)
	spec := corev1.PodSpec{
		NodeName:                  pod.Spec.NodeName,
		Affinity:                  pod.Spec.Affinity,
		Tolerations:               pod.Spec.Tolerations,
		TopologySpreadConstraints: pod.Spec.TopologySpreadConstraints,
		Overhead:                  pod.Spec.Overhead,
		Resources:                 pod.Spec.Resources,
		NodeSelector:              pod.Spec.NodeSelector,
		Containers:                bare(pod.Spec.Containers),
		InitContainers:            bare(pod.Spec.InitContainers),
	}
	for i := range pod.Spec.Volumes {
		if image := pod.Spec.Volumes[i].Image; image != nil {
			spec.Volumes = append(spec.Volumes, corev1.Volume{VolumeSource: corev1.VolumeSource{Image: image}})
		}
	}
	at := len(key)
	key = slices.Grow(key, spec.Size())[:at+spec.Size()]
	n, err := spec.MarshalToSizedBuffer(key[at:])
	if err != nil || n != len(key)-at {
		panic("framework: a pod spec does not have the size that it says")
	}
	return key
}

// bare is containers with nothing but what scheduling reads.
func bare(containers []corev1.Container) []corev1.Container {
	if len(containers) == 0 {
		return nil
	}
	all := make([]corev1.Container, len(containers))
	for i := range containers {
		c := &containers[i]
		all[i] = corev1.Container{Image: c.Image, Resources: c.Resources, Ports: c.Ports, RestartPolicy: c.RestartPolicy}
	}
	return all
}

func appendLabels(key []byte, labels map[string]string) []byte {
	key = binary.AppendUvarint(key, uint64(len(labels)))
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		key = appendString(key, name)
		key = appendString(key, labels[name])
	}
	return key
}

func appendString(key []byte, s string) []byte {
	key = binary.AppendUvarint(key, uint64(len(s)))
	return append(key, s...)
}
