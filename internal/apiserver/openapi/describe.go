package openapi

import (
	"reflect"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/proa-dev/proa/internal/registry"
)

// Describe describes a resource in all its versions.
func Describe(t *registry.Type) []Resource {
	var all []Resource
	for _, v := range t.Versions {
		object := reflect.TypeOf(v.New()).Elem()
		r := Resource{
			Kind: GoKind(v.GroupVersionKind(), object), Name: t.Name, Namespaced: t.Namespaced, Verbs: t.Verbs,
			AnswersDeleted: t.AnswersDeleted, Tree: object == reflect.TypeFor[unstructured.Unstructured](),
		}
		r.Subresources = subresources(t, r.Kind)
		all = append(all, r)
	}
	return all
}

var partVerbs = []string{"get", "patch", "update"}

func subresources(t *registry.Type, own Kind) []Subresource {
	var subs []Subresource
	if t.Status != nil {
		subs = append(subs, Subresource{Kind: own, Name: "status", Verbs: partVerbs})
	}
	if t.Scale != nil {
		kind := autoscalingv1.SchemeGroupVersion.WithKind("Scale")
		subs = append(subs, Subresource{Kind: GoKind(kind, reflect.TypeFor[autoscalingv1.Scale]()), Name: "scale", Verbs: partVerbs})
	}
	for _, v := range t.Views {
		subs = append(subs, Subresource{Kind: own, Name: v.Name, Verbs: v.Verbs})
	}
	for _, a := range t.Actions {
		subs = append(subs, action(own, a))
	}
	return subs
}

func action(own Kind, a registry.Action) Subresource {
	sub := Subresource{Kind: own, Name: a.Name, Verbs: a.Verbs}
	if a.Kind == corev1.SchemeGroupVersion.WithKind("Pod") && a.Name == "log" {
		sub.Text, sub.Options = true, reflect.TypeFor[corev1.PodLogOptions]()
		return sub
	}
	if t, ok := actionTypes[a.Kind.Kind]; ok {
		sub.Kind = GoKind(a.Kind, t)
		if sub.Connect = strings.HasSuffix(a.Kind.Kind, "Options"); sub.Connect {
			sub.Options = t
		}
	}
	return sub
}

// actionTypes are the Go types of actions' kinds: bodies, and options that stand in the query.
var actionTypes = map[string]reflect.Type{
	"Binding":               reflect.TypeFor[corev1.Binding](),
	"Eviction":              reflect.TypeFor[policyv1.Eviction](),
	"NodeProxyOptions":      reflect.TypeFor[corev1.NodeProxyOptions](),
	"PodAttachOptions":      reflect.TypeFor[corev1.PodAttachOptions](),
	"PodExecOptions":        reflect.TypeFor[corev1.PodExecOptions](),
	"PodPortForwardOptions": reflect.TypeFor[corev1.PodPortForwardOptions](),
	"PodProxyOptions":       reflect.TypeFor[corev1.PodProxyOptions](),
	"ServiceProxyOptions":   reflect.TypeFor[corev1.ServiceProxyOptions](),
	"TokenRequest":          reflect.TypeFor[authenticationv1.TokenRequest](),
}
