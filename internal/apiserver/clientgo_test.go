package apiserver

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// What follows uses the server as programs do: through client-go, as it is.

func clientset(t *testing.T, c *rest.Config, media string) *kubernetes.Clientset {
	t.Helper()
	c = rest.CopyConfig(c)
	c.ContentType = media
	set, err := kubernetes.NewForConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestClientGoTyped(t *testing.T) {
	for _, media := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
		t.Run(media, func(t *testing.T) {
			ctx := context.Background()
			maps := clientset(t, newWorld(t).restConfig(), media).CoreV1().ConfigMaps("n")
			made, err := maps.Create(ctx, configMap("a", "k", "1"), metav1.CreateOptions{})
			if err != nil || made.UID == "" {
				t.Fatal(made, err)
			}
			stale := made.DeepCopy()
			made.Data["k"] = "2"
			if made, err = maps.Update(ctx, made, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := maps.Update(ctx, stale, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
				t.Errorf("a stale update: %v", err)
			}
			if made, err = maps.Patch(ctx, "a", types.StrategicMergePatchType, []byte(`{"data":{"l":"3"}}`), metav1.PatchOptions{}); err != nil || made.Data["l"] != "3" {
				t.Fatal(made, err)
			}
			applied := applycorev1.ConfigMap("a", "n").WithData(map[string]string{"m": "4"})
			if made, err = maps.Apply(ctx, applied, metav1.ApplyOptions{FieldManager: "me"}); err != nil || made.Data["m"] != "4" || made.Data["k"] != "2" {
				t.Fatal(made, err)
			}
			list, err := maps.List(ctx, metav1.ListOptions{})
			if err != nil || len(list.Items) != 1 || list.Items[0].Data["k"] != "2" {
				t.Fatal(list, err)
			}
			if err := maps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := maps.Get(ctx, "a", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("a deleted object: %v", err)
			}
		})
	}
}

// The answer to a deletion of a collection is the list of what it deleted, in every form.
func TestClientGoReadsDeletedCollections(t *testing.T) {
	for _, media := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
		ctx := context.Background()
		set := clientset(t, newWorld(t).restConfig(), media)
		if _, err := set.CoreV1().ConfigMaps("n").Create(ctx, configMap("a", "k", "1"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		var l corev1.ConfigMapList
		err := set.CoreV1().RESTClient().Delete().Namespace("n").Resource("configmaps").SetHeader("Accept", media).Do(ctx).Into(&l)
		if err != nil || len(l.Items) != 1 || l.Items[0].Data["k"] != "1" {
			t.Errorf("%s: %v %v", media, l, err)
		}
	}
}

func TestClientGoDynamicAndMetadata(t *testing.T) {
	ctx := context.Background()
	config := newWorld(t).restConfig()
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	resource := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	d := deploymentOf("n", "d", 2)
	d.Kind, d.APIVersion = "Deployment", "apps/v1"
	tree, err := runtime.DefaultUnstructuredConverter.ToUnstructured(d)
	if err != nil {
		t.Fatal(err)
	}
	u, err := dyn.Resource(resource).Namespace("n").Create(ctx, &unstructured.Unstructured{Object: tree}, metav1.CreateOptions{})
	if err != nil || u.GetKind() != "Deployment" {
		t.Fatal(u, err)
	}
	l, err := dyn.Resource(resource).List(ctx, metav1.ListOptions{})
	if err != nil || len(l.Items) != 1 || l.Items[0].GetKind() != "Deployment" || l.Items[0].GetAPIVersion() != "apps/v1" {
		t.Fatal(l, err)
	}
	meta, err := metadata.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	m, err := meta.Resource(resource).Namespace("n").Get(ctx, "d", metav1.GetOptions{})
	if err != nil || m.Labels["p"] != "0" {
		t.Fatal(m, err)
	}
	ml, err := meta.Resource(resource).List(ctx, metav1.ListOptions{})
	if err != nil || len(ml.Items) != 1 {
		t.Fatal(ml, err)
	}
	w, err := meta.Resource(resource).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if e := <-w.ResultChan(); e.Type != "ADDED" || e.Object.(*metav1.PartialObjectMetadata).Name != "d" {
		t.Errorf("got %v", e)
	}
}

func TestClientGoDiscovery(t *testing.T) {
	d, err := discovery.NewDiscoveryClientForConfig(newWorld(t).restConfig())
	if err != nil {
		t.Fatal(err)
	}
	for _, legacy := range []bool{false, true} {
		d.UseLegacyDiscovery = legacy
		m := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(d))
		for kind, want := range map[schema.GroupKind]string{
			{Kind: "Pod"}: "/v1, Resource=pods", {Group: "apps", Kind: "Deployment"}: "apps/v1, Resource=deployments",
			{Group: "batch", Kind: "CronJob"}: "batch/v1, Resource=cronjobs", {Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}: "autoscaling/v2, Resource=horizontalpodautoscalers",
		} {
			mapping, err := m.RESTMapping(kind)
			if err != nil || mapping.Resource.String() != want {
				t.Errorf("legacy %v: %v is %v, %v", legacy, kind, mapping, err)
			}
		}
		groups, lists, err := d.ServerGroupsAndResources()
		if err != nil || len(groups) < 10 || len(lists) < 10 {
			t.Errorf("legacy %v: %d groups, %d lists, %v", legacy, len(groups), len(lists), err)
		}
	}
	if v, err := d.ServerVersion(); err != nil || v.Minor != "36" {
		t.Errorf("version %v %v", v, err)
	}
}

func TestClientGoInformers(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	set := clientset(t, newWorld(t).restConfig(), "application/vnd.kubernetes.protobuf")
	for i := range 20 {
		if _, err := set.CoreV1().ConfigMaps("n").Create(ctx, configMap(fmt.Sprint("a", i)), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	f := informers.NewSharedInformerFactory(set, 0)
	lister := f.Core().V1().ConfigMaps().Lister()
	f.Core().V1().ConfigMaps().Informer()
	f.Start(ctx.Done())
	for kind, synced := range f.WaitForCacheSync(ctx.Done()) {
		if !synced {
			t.Fatalf("%v has not synced", kind)
		}
	}
	if err := set.CoreV1().ConfigMaps("n").Delete(ctx, "a3", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := set.CoreV1().ConfigMaps("n").Patch(ctx, "a4", types.MergePatchType, []byte(`{"data":{"k":"v"}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	err := wait.PollUntilContextCancel(ctx, 5*time.Millisecond, true, func(context.Context) (bool, error) {
		_, gone := lister.ConfigMaps("n").Get("a3")
		changed, err := lister.ConfigMaps("n").Get("a4")
		return apierrors.IsNotFound(gone) && err == nil && changed.Data["k"] == "v", nil
	})
	if err != nil {
		t.Error(err)
	}
	cancel()
	f.Shutdown()
}

func TestClientGoLeaderElection(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	set := clientset(t, newWorld(t).restConfig(), "application/json")
	leading := make(chan string, 2)
	elect := func(name string) {
		leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
			Lock: &resourcelock.LeaseLock{
				LeaseMeta: metav1.ObjectMeta{Namespace: "n", Name: "l"}, Client: set.CoordinationV1(),
				LockConfig: resourcelock.ResourceLockConfig{Identity: name},
			},
			LeaseDuration: 2 * patience, RenewDeadline: patience, RetryPeriod: 100 * time.Millisecond, ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { leading <- name }, OnStoppedLeading: func() {}},
		})
	}
	done := make(chan struct{})
	go func() { defer close(done); elect("one") }()
	if got := <-leading; got != "one" {
		t.Errorf("%s leads", got)
	}
	until(t, "the lease is renewed", func() bool {
		lease, err := set.CoordinationV1().Leases("n").Get(ctx, "l", metav1.GetOptions{})
		if err != nil || *lease.Spec.HolderIdentity != "one" {
			t.Fatalf("%v %v", lease, err)
		}
		return lease.Spec.RenewTime.After(lease.Spec.AcquireTime.Time)
	})
	cancel()
	<-done
}
