package client

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// KindOf is an object's kind: what it says itself, or else what its Go type is registered as in
// client-go's scheme. It is empty if neither is known.
func KindOf(o Object) schema.GroupVersionKind {
	if gvk := o.GetObjectKind().GroupVersionKind(); gvk.Kind != "" {
		return gvk
	}
	if kinds, _, err := scheme.Scheme.ObjectKinds(o); err == nil {
		return kinds[0]
	}
	return schema.GroupVersionKind{}
}

// ReferenceTo names an object as events and endpoints do.
func ReferenceTo(o Object) corev1.ObjectReference {
	apiVersion, kind := KindOf(o).ToAPIVersionAndKind()
	return corev1.ObjectReference{
		APIVersion: apiVersion, Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName(),
		UID: o.GetUID(), ResourceVersion: o.GetResourceVersion(),
	}
}
