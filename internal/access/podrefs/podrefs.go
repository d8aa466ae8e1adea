// Package podrefs says which other objects a pod names, and so which ones its node needs to read.
package podrefs

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Refs are names of objects in a pod's namespace, each once, in the order in which the pod names them.
type Refs struct {
	Secrets, ConfigMaps, Claims []string
}

// Of returns what the pod refers to.
func Of(pod *corev1.Pod) Refs {
	var r Refs
	for _, s := range pod.Spec.ImagePullSecrets {
		r.secret(s.Name)
	}
	for i := range pod.Spec.InitContainers {
		r.container(pod.Spec.InitContainers[i].EnvFrom, pod.Spec.InitContainers[i].Env)
	}
	for i := range pod.Spec.Containers {
		r.container(pod.Spec.Containers[i].EnvFrom, pod.Spec.Containers[i].Env)
	}
	for i := range pod.Spec.EphemeralContainers {
		r.container(pod.Spec.EphemeralContainers[i].EnvFrom, pod.Spec.EphemeralContainers[i].Env)
	}
	for i := range pod.Spec.Volumes {
		r.volume(pod.Name, &pod.Spec.Volumes[i])
	}
	return r
}

func (r *Refs) secret(name string)    { addName(&r.Secrets, name) }
func (r *Refs) configMap(name string) { addName(&r.ConfigMaps, name) }

func addName(names *[]string, name string) {
	if name != "" && !slices.Contains(*names, name) {
		*names = append(*names, name)
	}
}

func (r *Refs) container(from []corev1.EnvFromSource, env []corev1.EnvVar) {
	for _, f := range from {
		if f.SecretRef != nil {
			r.secret(f.SecretRef.Name)
		}
		if f.ConfigMapRef != nil {
			r.configMap(f.ConfigMapRef.Name)
		}
	}
	for _, e := range env {
		if e.ValueFrom == nil {
			continue
		}
		if k := e.ValueFrom.SecretKeyRef; k != nil {
			r.secret(k.Name)
		}
		if k := e.ValueFrom.ConfigMapKeyRef; k != nil {
			r.configMap(k.Name)
		}
	}
}

func (r *Refs) volume(pod string, v *corev1.Volume) {
	switch {
	case v.Secret != nil:
		r.secret(v.Secret.SecretName)
	case v.ConfigMap != nil:
		r.configMap(v.ConfigMap.Name)
	case v.PersistentVolumeClaim != nil:
		addName(&r.Claims, v.PersistentVolumeClaim.ClaimName)
	case v.Ephemeral != nil:
		addName(&r.Claims, pod+"-"+v.Name)
	case v.Projected != nil:
		for _, s := range v.Projected.Sources {
			if s.Secret != nil {
				r.secret(s.Secret.Name)
			}
			if s.ConfigMap != nil {
				r.configMap(s.ConfigMap.Name)
			}
		}
	case v.AzureFile != nil:
		r.secret(v.AzureFile.SecretName)
	default:
		if s := credentials(v); s != nil {
			r.secret(s.Name)
		}
	}
}

// credentials are what a volume's driver logs in with.
func credentials(v *corev1.Volume) *corev1.LocalObjectReference {
	switch {
	case v.CephFS != nil:
		return v.CephFS.SecretRef
	case v.Cinder != nil:
		return v.Cinder.SecretRef
	case v.FlexVolume != nil:
		return v.FlexVolume.SecretRef
	case v.RBD != nil:
		return v.RBD.SecretRef
	case v.ScaleIO != nil:
		return v.ScaleIO.SecretRef
	case v.ISCSI != nil:
		return v.ISCSI.SecretRef
	case v.StorageOS != nil:
		return v.StorageOS.SecretRef
	case v.CSI != nil:
		return v.CSI.NodePublishSecretRef
	}
	return nil
}
