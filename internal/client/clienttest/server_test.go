package clienttest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/informer"
)

func TestWrites(t *testing.T) {
	ctx, s := t.Context(), New()
	d, err := client.Deployments.Create(ctx, s, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", GenerateName: "web-"},
		Status:     appsv1.DeploymentStatus{Replicas: 7},
	})
	if err != nil || !strings.HasPrefix(d.Name, "web-") || d.Generation != 1 || d.UID == "" || d.Status.Replicas != 0 {
		t.Fatalf("created %+v, %v", d, err)
	}
	same, err := client.Deployments.Update(ctx, s, d)
	if err != nil || same.ResourceVersion != d.ResourceVersion {
		t.Fatalf("an update that changes nothing made revision %s of %s, %v", same.ResourceVersion, d.ResourceVersion, err)
	}
	spec := d.DeepCopy()
	spec.Spec.Replicas = ptr.To[int32](3)
	spec.Status.Replicas = 9
	updated, err := client.Deployments.Update(ctx, s, spec)
	if err != nil || updated.Generation != 2 || *updated.Spec.Replicas != 3 || updated.Status.Replicas != 0 {
		t.Fatalf("updated %+v, %v", updated, err)
	}
	if _, err := client.Deployments.UpdateStatus(ctx, s, spec); !apierrors.IsConflict(err) {
		t.Fatalf("a stale update got %v", err)
	}
	status := updated.DeepCopy()
	status.Spec.Replicas, status.Status.Replicas = nil, 9
	updated, err = client.Deployments.UpdateStatus(ctx, s, status)
	if err != nil || updated.Generation != 2 || *updated.Spec.Replicas != 3 || updated.Status.Replicas != 9 {
		t.Fatalf("updated status %+v, %v", updated, err)
	}
	patch := map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}}
	updated, err = client.Deployments.MergePatch(ctx, s, "ns", d.Name, patch, "")
	if err != nil || updated.Generation != 2 || updated.Labels["a"] != "b" {
		t.Fatalf("patched %+v, %v", updated, err)
	}
	wrong := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: ptr.To(types.UID("x"))}}
	if err := client.Deployments.Delete(ctx, s, "ns", d.Name, wrong); !apierrors.IsConflict(err) {
		t.Fatalf("deleted another: %v", err)
	}
	if err := client.Deployments.Delete(ctx, s, "ns", d.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Deployments.Get(ctx, s, "ns", d.Name); !apierrors.IsNotFound(err) {
		t.Fatalf("got %v of what was deleted", err)
	}
	if got := s.Actions()[0].String(); got != "create deployments ns/web-*" {
		t.Errorf("first action %q", got)
	}
}

func TestDeletion(t *testing.T) {
	pod := func(node string, finalizers ...string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", Finalizers: finalizers}, Spec: corev1.PodSpec{NodeName: node}}
	}
	foreground := metav1.DeletePropagationForeground
	for name, c := range map[string]struct {
		pod  *corev1.Pod
		do   []metav1.DeleteOptions
		left string
	}{
		"nowhere":     {pod(""), []metav1.DeleteOptions{{}}, "gone"},
		"graceful":    {pod("n"), []metav1.DeleteOptions{{}}, "grace 30 []"},
		"shorter":     {pod("n"), []metav1.DeleteOptions{{}, {GracePeriodSeconds: ptr.To[int64](5)}}, "grace 5 []"},
		"not longer":  {pod("n"), []metav1.DeleteOptions{{GracePeriodSeconds: ptr.To[int64](5)}, {}}, "grace 5 []"},
		"at the end":  {pod("n"), []metav1.DeleteOptions{{}, {GracePeriodSeconds: ptr.To[int64](0)}}, "gone"},
		"finalizer":   {pod("", "a/b"), []metav1.DeleteOptions{{}}, "grace 0 [a/b]"},
		"foreground":  {pod(""), []metav1.DeleteOptions{{PropagationPolicy: &foreground}}, "grace 0 [foregroundDeletion]"},
		"two at once": {pod("n", "a/b"), []metav1.DeleteOptions{{GracePeriodSeconds: ptr.To[int64](0)}}, "grace 0 [a/b]"},
	} {
		s := New(c.pod)
		for _, o := range c.do {
			if err := client.Pods.Delete(t.Context(), s, "ns", "p", o); err != nil {
				t.Fatal(name, err)
			}
		}
		left := "gone"
		if p := Get(s, client.Pods, "ns", "p"); p != nil {
			left = fmt.Sprint("grace ", *p.DeletionGracePeriodSeconds, " ", p.Finalizers)
			p = p.DeepCopy()
			p.Finalizers = nil
			if _, err := client.Pods.Update(t.Context(), s, p); err != nil {
				t.Fatal(name, err)
			}
			if still := Get(s, client.Pods, "ns", "p") != nil; still != strings.HasPrefix(left, "grace 30") && still != strings.HasPrefix(left, "grace 5") {
				t.Errorf("%s: after its finalizers the pod is there: %v", name, still)
			}
		}
		if left != c.left {
			t.Errorf("%s: %q is left, want %q", name, left, c.left)
		}
	}
}

func TestInformersFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a", Labels: map[string]string{"x": "1"}}})
		ctx, cancel := context.WithCancel(t.Context())
		set := informer.NewSet(s, informer.SetOptions{})
		all := informer.For(set, client.Pods)
		some := informer.ForSelected(set, client.Pods, "x=1", "")
		bound := informer.ForSelected(set, client.Pods, "", "spec.nodeName=n")
		go set.Run(ctx)
		names := func(i *informer.Informer[corev1.Pod]) string {
			synctest.Wait()
			var l []string
			for _, p := range i.List() {
				l = append(l, p.Name)
			}
			slices.Sort(l)
			return strings.Join(l, " ")
		}
		check := func(wants ...string) {
			t.Helper()
			for n, i := range []*informer.Informer[corev1.Pod]{all, some, bound} {
				if got := names(i); got != wants[n] {
					t.Errorf("informer %d has %q, want %q", n, got, wants[n])
				}
			}
		}
		check("a", "a", "")
		s.Put(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "b"}, Spec: corev1.PodSpec{NodeName: "n"}})
		check("a b", "a", "b")
		if _, err := client.Pods.MergePatch(ctx, s, "ns", "b", map[string]any{"metadata": map[string]any{"labels": map[string]any{"x": "1"}}}, ""); err != nil {
			t.Fatal(err)
		}
		check("a b", "a b", "b")
		s.Remove(Get(s, client.Pods, "ns", "a"))
		check("b", "b", "b")
		cancel()
	})
}
