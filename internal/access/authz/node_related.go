package authz

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/access/podrefs"
)

var (
	nodes           = schema.GroupResource{Resource: "nodes"}
	pods            = schema.GroupResource{Resource: "pods"}
	secrets         = schema.GroupResource{Resource: "secrets"}
	configMaps      = schema.GroupResource{Resource: "configmaps"}
	claims          = schema.GroupResource{Resource: "persistentvolumeclaims"}
	volumes         = schema.GroupResource{Resource: "persistentvolumes"}
	serviceAccounts = schema.GroupResource{Resource: "serviceaccounts"}
	leases          = schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}
	csiNodes        = schema.GroupResource{Group: storagev1.GroupName, Resource: "csinodes"}
	attachments     = schema.GroupResource{Group: storagev1.GroupName, Resource: "volumeattachments"}
	resourceClaims  = schema.GroupResource{Group: resourcev1.GroupName, Resource: "resourceclaims"}
	deviceSlices    = schema.GroupResource{Group: resourcev1.GroupName, Resource: "resourceslices"}
)

// related finds out what has to do with a node. What cannot be read is not related.
type related struct {
	objects access.Objects
}

// to tells whether a node needs the object: because it is of a pod bound to the node, or of the node
// itself.
func (r related) to(ctx context.Context, node string, resource schema.GroupResource, namespace, name string) bool {
	switch resource {
	case pods:
		p, err := access.Get[corev1.Pod](ctx, r.objects, pods, namespace, name)
		return err == nil && p.Spec.NodeName == node
	case attachments:
		a, err := access.Get[storagev1.VolumeAttachment](ctx, r.objects, attachments, "", name)
		return err == nil && a.Spec.NodeName == node
	case deviceSlices:
		s, err := access.Get[resourcev1.ResourceSlice](ctx, r.objects, deviceSlices, "", name)
		return err == nil && s.Spec.NodeName != nil && *s.Spec.NodeName == node
	case volumes:
		v, err := access.Get[corev1.PersistentVolume](ctx, r.objects, volumes, "", name)
		if err != nil || v.Spec.ClaimRef == nil {
			return false
		}
		return r.to(ctx, node, claims, v.Spec.ClaimRef.Namespace, v.Spec.ClaimRef.Name)
	case secrets:
		return r.ofPod(ctx, node, namespace, resource, name) || r.secretOfVolume(ctx, node, namespace, name)
	}
	return r.ofPod(ctx, node, namespace, resource, name)
}

// podsOn are the pods bound to the node, without those that the node made itself: it could name in them
// whatever it liked.
func (r related) podsOn(ctx context.Context, node, namespace string) []*corev1.Pod {
	all, err := access.List[corev1.Pod](ctx, r.objects, pods, namespace, fields.OneTermEqualSelector("spec.nodeName", node))
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(all, func(p *corev1.Pod) bool {
		_, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]
		return mirror
	})
}

func (r related) ofPod(ctx context.Context, node, namespace string, resource schema.GroupResource, name string) bool {
	return slices.ContainsFunc(r.podsOn(ctx, node, namespace), func(p *corev1.Pod) bool {
		switch resource {
		case secrets:
			return slices.Contains(podrefs.Of(p).Secrets, name)
		case configMaps:
			return slices.Contains(podrefs.Of(p).ConfigMaps, name)
		case claims:
			return slices.Contains(podrefs.Of(p).Claims, name)
		case serviceAccounts:
			return p.Spec.ServiceAccountName == name
		case resourceClaims:
			return usesClaim(p, name)
		}
		return false
	})
}

func usesClaim(p *corev1.Pod, name string) bool {
	for _, c := range p.Spec.ResourceClaims {
		if c.ResourceClaimName != nil && *c.ResourceClaimName == name {
			return true
		}
	}
	for _, c := range p.Status.ResourceClaimStatuses {
		if c.ResourceClaimName != nil && *c.ResourceClaimName == name {
			return true
		}
	}
	extended := p.Status.ExtendedResourceClaimStatus
	return extended != nil && extended.ResourceClaimName == name
}

// secretOfVolume tells whether a volume that a pod on the node uses names the secret. Volumes name
// secrets of any namespace.
func (r related) secretOfVolume(ctx context.Context, node, namespace, name string) bool {
	for _, p := range r.podsOn(ctx, node, "") {
		for _, claim := range podrefs.Of(p).Claims {
			c, err := access.Get[corev1.PersistentVolumeClaim](ctx, r.objects, claims, p.Namespace, claim)
			if err != nil || c.Spec.VolumeName == "" {
				continue
			}
			v, err := access.Get[corev1.PersistentVolume](ctx, r.objects, volumes, "", c.Spec.VolumeName)
			if err != nil || v.Spec.ClaimRef == nil || v.Spec.ClaimRef.UID != c.UID {
				continue
			}
			if slices.Contains(volumeSecrets(v), corev1.SecretReference{Namespace: namespace, Name: name}) {
				return true
			}
		}
	}
	return false
}

// volumeSecrets are those that a volume names; where it names no namespace, the claim's is meant.
func volumeSecrets(v *corev1.PersistentVolume) (all []corev1.SecretReference) {
	s := &v.Spec
	var refs []*corev1.SecretReference
	switch {
	case s.CSI != nil:
		refs = append(refs, s.CSI.NodePublishSecretRef, s.CSI.NodeStageSecretRef, s.CSI.NodeExpandSecretRef)
	case s.CephFS != nil:
		refs = append(refs, s.CephFS.SecretRef)
	case s.Cinder != nil:
		refs = append(refs, s.Cinder.SecretRef)
	case s.FlexVolume != nil:
		refs = append(refs, s.FlexVolume.SecretRef)
	case s.RBD != nil:
		refs = append(refs, s.RBD.SecretRef)
	case s.ScaleIO != nil:
		refs = append(refs, s.ScaleIO.SecretRef)
	case s.ISCSI != nil:
		refs = append(refs, s.ISCSI.SecretRef)
	case s.AzureFile != nil:
		ref := &corev1.SecretReference{Name: s.AzureFile.SecretName}
		if s.AzureFile.SecretNamespace != nil {
			ref.Namespace = *s.AzureFile.SecretNamespace
		}
		refs = append(refs, ref)
	}
	for _, ref := range refs {
		if ref == nil || ref.Name == "" {
			continue
		}
		one := *ref
		if one.Namespace == "" && s.ClaimRef != nil {
			one.Namespace = s.ClaimRef.Namespace
		}
		all = append(all, one)
	}
	return all
}
