package apiserver

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
)

// listRequest asks for the ConfigMaps of namespace n.
func listRequest(change func(*metav1.ListOptions)) *client.Request {
	r := &client.Request{
		Verb: "list", Resource: client.ConfigMaps.Resource, Namespace: "n",
		New: func() client.Object { return &corev1.ConfigMap{} },
	}
	if change != nil {
		change(&r.List)
	}
	return r
}
