package remote

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
)

// Discover lists what the server serves, from its two aggregated documents. A version that the server could
// not reach of late is listed as it last was.
func (t *Transport) Discover(ctx context.Context) ([]metav1.APIResourceList, error) {
	var all []metav1.APIResourceList
	for _, path := range []string{"api", "apis"} {
		groups, err := t.discover(ctx, path)
		if err != nil {
			return nil, fmt.Errorf("discover /%s: %w", path, err)
		}
		for _, g := range groups.Items {
			for _, v := range g.Versions {
				all = append(all, resourcesOf(g.Name, v))
			}
		}
	}
	return all, nil
}

func (t *Transport) discover(ctx context.Context, path string) (*apidiscoveryv2.APIGroupDiscoveryList, error) {
	out, err := http.NewRequestWithContext(ctx, http.MethodGet, t.base.JoinPath(path).String(), nil)
	if err != nil {
		return nil, err
	}
	out.Header.Set("Accept", mediaJSON+";g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
	res, err := t.http.Do(out)
	if err != nil {
		return nil, unwrapURL(err)
	}
	if res.StatusCode >= 300 {
		return nil, failure(&client.Request{}, out.Method, res)
	}
	defer res.Body.Close()
	body, err := readAll(res)
	if err != nil {
		return nil, err
	}
	groups := &apidiscoveryv2.APIGroupDiscoveryList{}
	if err := unmarshalJSON(body, groups); err != nil {
		return nil, err
	}
	if groups.Kind != "APIGroupDiscoveryList" {
		return nil, fmt.Errorf("the server answered with a %s, it has no aggregated discovery", groups.Kind)
	}
	return groups, nil
}

func resourcesOf(group string, v apidiscoveryv2.APIVersionDiscovery) metav1.APIResourceList {
	list := metav1.APIResourceList{
		TypeMeta:     metav1.TypeMeta{APIVersion: "v1", Kind: "APIResourceList"},
		GroupVersion: strings.TrimPrefix(group+"/"+v.Version, "/"),
	}
	for _, r := range v.Resources {
		namespaced := r.Scope == apidiscoveryv2.ScopeNamespace
		list.APIResources = append(list.APIResources, withKind(metav1.APIResource{
			Name: r.Resource, SingularName: r.SingularResource, Namespaced: namespaced,
			Verbs: r.Verbs, ShortNames: r.ShortNames, Categories: r.Categories,
		}, r.ResponseKind))
		for _, s := range r.Subresources {
			list.APIResources = append(list.APIResources, withKind(metav1.APIResource{
				Name: r.Resource + "/" + s.Subresource, Namespaced: namespaced, Verbs: s.Verbs,
			}, s.ResponseKind))
		}
	}
	return list
}

// withKind sets the kind that a resource answers with; some subresources have none.
func withKind(r metav1.APIResource, k *metav1.GroupVersionKind) metav1.APIResource {
	if k != nil {
		r.Group, r.Version, r.Kind = k.Group, k.Version, k.Kind
	}
	return r
}
