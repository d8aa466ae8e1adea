package clientgo_test

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/disk"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/openapi3"
	"k8s.io/client-go/restmapper"

	"github.com/proa-dev/proa/test/clients/cluster"
)

func TestDiscovery(t *testing.T) {
	c := quiet(t)
	var requests atomic.Int32
	config := cluster.Spy(c.Config(t), func(*http.Request) { requests.Add(1) })
	d := must(discovery.NewDiscoveryClientForConfig(config))(t)

	if v := must(d.ServerVersion())(t); v.Major != "1" || v.Minor != "36" {
		t.Errorf("version %v", v)
	}
	requests.Store(0)
	preferred := must(d.ServerPreferredResources())(t)
	if n := requests.Load(); n > 2 {
		t.Errorf("aggregated discovery took %d requests", n)
	}
	plain := *d
	plain.UseLegacyDiscovery = true
	if legacy := must(plain.ServerPreferredResources())(t); !slices.Equal(names(legacy), names(preferred)) {
		t.Errorf("the old way of discovery tells %v, the new one %v", names(legacy), names(preferred))
	}
	for _, want := range []string{"v1/pods", "apps/v1/deployments", "autoscaling/v2/horizontalpodautoscalers", "batch/v1/cronjobs"} {
		if !slices.Contains(names(preferred), want) {
			t.Errorf("%s is not preferred: %v", want, names(preferred))
		}
	}

	t.Run("on disk", func(t *testing.T) {
		dir := t.TempDir()
		for i, want := range []string{"asks", "remembers"} {
			cached := must(disk.NewCachedDiscoveryClientForConfig(config, filepath.Join(dir, "discovery"), filepath.Join(dir, "http"), time.Hour))(t)
			requests.Store(0)
			if got := names(must(cached.ServerPreferredResources())(t)); !slices.Equal(got, names(preferred)) {
				t.Errorf("%v", got)
			}
			if asked := requests.Load() > 0; asked != (i == 0) {
				t.Errorf("the client that %s made %d requests", want, requests.Load())
			}
			// What is out of date is asked for again, with the ETag of what the disk holds.
			cached.Invalidate()
			if _, err := cached.ServerGroups(); err != nil {
				t.Error(err)
			}
		}
	})

	t.Run("mapper", func(t *testing.T) {
		mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(d))
		short := restmapper.NewShortcutExpander(mapper, d, func(w string) { t.Log(w) })
		if got := must(short.ResourceFor(schema.GroupVersionResource{Resource: "deploy"}))(t); got != (schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}) {
			t.Errorf("deploy is %v", got)
		}
		m := must(mapper.RESTMapping(schema.GroupKind{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}))(t)
		if m.Resource.Resource != "clusterroles" || m.Scope.Name() != meta.RESTScopeNameRoot {
			t.Errorf("%v", m)
		}
		if _, err := mapper.RESTMapping(schema.GroupKind{Kind: "Canoe"}); !meta.IsNoMatchError(err) {
			t.Errorf("canoe: %v", err)
		}
	})
}

func names(lists []*metav1.APIResourceList) (names []string) {
	for _, l := range lists {
		for _, r := range l.APIResources {
			if !strings.Contains(r.Name, "/") {
				names = append(names, l.GroupVersion+"/"+r.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// TestOpenAPI reads every document of every group as client-go does.
func TestOpenAPI(t *testing.T) {
	d := must(discovery.NewDiscoveryClientForConfig(quiet(t).Config(t)))(t)
	root := openapi3.NewRoot(d.OpenAPIV3())
	versions := must(root.GroupVersions())(t)
	if len(versions) < 10 {
		t.Errorf("only %v", versions)
	}
	for _, v := range versions {
		if doc, err := root.GVSpec(v); err != nil || len(doc.Components.Schemas) == 0 {
			t.Errorf("%v: %v", v, err)
		}
	}
	if doc := must(d.OpenAPISchema())(t); len(doc.GetPaths().GetPath()) == 0 {
		t.Error("no paths in version 2")
	}
}

// TestDynamicAndMetadata writes with one client of each kind and reads with the other.
func TestDynamicAndMetadata(t *testing.T) {
	c := quiet(t)
	deployments := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	dyn := must(dynamic.NewForConfig(c.Config(t)))(t).Resource(deployments).Namespace("default")
	data := must(metadata.NewForConfig(c.Config(t)))(t).Resource(deployments).Namespace("default")
	events := must(data.Watch(t.Context(), metav1.ListOptions{}))(t)
	defer events.Stop()

	made := must(dyn.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"name": "web", "annotations": map[string]any{"a": "1"}},
		"spec": map[string]any{
			"selector": map[string]any{"matchLabels": map[string]any{"app": "web"}},
			"template": map[string]any{
				"metadata": map[string]any{"labels": map[string]any{"app": "web"}},
				"spec":     map[string]any{"containers": []any{map[string]any{"name": "web", "image": "nginx"}}},
			},
		},
	}}, metav1.CreateOptions{}))(t)
	if n, found, err := unstructured.NestedInt64(made.Object, "spec", "replicas"); n != 1 || !found || err != nil {
		t.Errorf("replicas by default: %d, %v, %v", n, found, err)
	}
	e := <-events.ResultChan()
	told, is := e.Object.(*metav1.PartialObjectMetadata)
	if !is || told.Name != "web" || told.Annotations["a"] != "1" || told.ResourceVersion != made.GetResourceVersion() {
		t.Errorf("the metadata's watch tells %v", e)
	}
	if list := must(data.List(t.Context(), metav1.ListOptions{}))(t); len(list.Items) != 1 || list.Items[0].UID != made.GetUID() {
		t.Errorf("the metadata's list: %v", list)
	}
	patched := must(data.Patch(t.Context(), "web", "application/merge-patch+json", []byte(`{"metadata":{"annotations":{"a":"2"}}}`), metav1.PatchOptions{}))(t)
	if got := must(dyn.Get(t.Context(), "web", metav1.GetOptions{}))(t); got.GetAnnotations()["a"] != "2" || got.GetResourceVersion() != patched.ResourceVersion {
		t.Errorf("after a patch: %v", got)
	}
	must(dyn.Apply(t.Context(), "web", &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web"},
		"spec": map[string]any{"paused": true},
	}}, metav1.ApplyOptions{FieldManager: "pauser"}))(t)
	if paused, _, _ := unstructured.NestedBool(must(dyn.Get(t.Context(), "web", metav1.GetOptions{}))(t).Object, "spec", "paused"); !paused {
		t.Error("not paused")
	}
	if err := data.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name=web"}); err != nil {
		t.Error(err)
	}
	if list := must(dyn.List(t.Context(), metav1.ListOptions{}))(t); len(list.Items) != 0 {
		t.Errorf("after the end: %v", list.Items)
	}
}
