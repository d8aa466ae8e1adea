package namespace

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/controller/controllertest"
)

var verbs = []string{"delete", "deletecollection", "list", "get"}

var resources = []metav1.APIResourceList{
	{GroupVersion: "v1", APIResources: []metav1.APIResource{
		{Name: "configmaps", Kind: "ConfigMap", Namespaced: true, Verbs: verbs},
		{Name: "secrets", Kind: "Secret", Namespaced: true, Verbs: []string{"delete", "list"}},
		{Name: "pods", Kind: "Pod", Namespaced: true, Verbs: verbs},
		{Name: "pods/log", Kind: "Pod", Namespaced: true, Verbs: []string{"get"}},
		{Name: "bindings", Kind: "Binding", Namespaced: true, Verbs: []string{"create"}},
		{Name: "nodes", Kind: "Node", Verbs: verbs},
	}},
}

// bench's server drops a namespace when it is finalized.
func bench(t *testing.T, objects ...client.Object) *controllertest.Bench {
	ns := &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: "doomed"},
		Spec:       corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}},
		Status:     corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
	}
	b := controllertest.New(t, append(objects, ns), Start)
	b.Server.Resources = resources
	b.Server.React(func(r *client.Request) (bool, *client.Response, error) {
		if r.Subresource != "finalize" {
			return false, nil, nil
		}
		n := r.Object.(*corev1.Namespace)
		if len(n.Spec.Finalizers) == 0 {
			b.Server.Remove(n)
		}
		return true, &client.Response{Object: n}, nil
	})
	return b
}

func doom(b *controllertest.Bench) {
	controllertest.Each(b, client.Namespaces, func(n *corev1.Namespace) bool {
		n.DeletionTimestamp = ptr.To(metav1.Now())
		return true
	})
}

func gone(b *controllertest.Bench) bool {
	return clienttest.Get(b.Server, client.Namespaces, "", "doomed") == nil
}

func in(namespace, name string, finalizers ...string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Finalizers: finalizers}
}

func conditions(b *controllertest.Bench) string {
	var lines []string
	n := clienttest.Get(b.Server, client.Namespaces, "", "doomed")
	if n == nil {
		return "gone"
	}
	for _, c := range n.Status.Conditions {
		if c.Status == corev1.ConditionTrue {
			lines = append(lines, fmt.Sprintf("%s: %s: %s", c.Type, c.Reason, c.Message))
		}
	}
	return strings.Join(lines, "\n")
}

func TestEmptied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bench(t,
			&corev1.ConfigMap{ObjectMeta: in("doomed", "a")}, &corev1.Secret{ObjectMeta: in("doomed", "b")},
			&corev1.Pod{ObjectMeta: in("doomed", "p")}, &corev1.ConfigMap{ObjectMeta: in("other", "a")})
		b.Pass(time.Hour)
		if got := b.Server.Actions(); len(got) > 0 {
			t.Fatalf("an active namespace: %v", got)
		}
		doom(b)
		b.Pass(2 * time.Second)
		var got []string
		for _, a := range b.Server.Actions() {
			got = append(got, strings.TrimSpace(a.String()))
		}
		want := []string{
			"update namespaces/status doomed",
			"deletecollection pods doomed/", "deletecollection configmaps doomed/", "delete secrets doomed/b",
			"update namespaces/status doomed", "update namespaces/finalize doomed",
		}
		if !slices.Equal(got, want) {
			t.Errorf("did\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if !gone(b) || clienttest.Get(b.Server, client.ConfigMaps, "other", "a") == nil {
			t.Error("the namespace is still there, or another lost something")
		}
	})
}

func TestPodsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := &corev1.Pod{ObjectMeta: in("doomed", "p"), Spec: corev1.PodSpec{NodeName: "n", TerminationGracePeriodSeconds: ptr.To[int64](60)}}
		b := bench(t, pod, &corev1.ConfigMap{ObjectMeta: in("doomed", "a")})
		doom(b)
		b.Pass(10 * time.Second)
		if clienttest.Get(b.Server, client.ConfigMaps, "doomed", "a") == nil || gone(b) {
			t.Fatal("deleted what the pod may need")
		}
		b.Server.Remove(pod)
		b.Settle()
		if !gone(b) {
			t.Errorf("waits although the pods are gone: %s", conditions(b))
		}
	})
}

func TestFinalizersRemain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bench(t, &corev1.ConfigMap{ObjectMeta: in("doomed", "a", "example.org/x")}, &corev1.ConfigMap{ObjectMeta: in("doomed", "b", "example.org/x", "example.org/y")})
		doom(b)
		b.Pass(2 * time.Second)
		want := "NamespaceContentRemaining: SomeResourcesRemain: Some resources are remaining: configmaps. has 2 resource instances\n" +
			"NamespaceFinalizersRemaining: SomeFinalizersRemain: Some content in the namespace has finalizers remaining: example.org/x in 2 resource instances, example.org/y in 1 resource instances"
		if got := conditions(b); got != want {
			t.Errorf("conditions\n%s\nwant\n%s", got, want)
		}
		b.Server.Actions()
		b.Pass(9 * time.Second)
		if n := len(b.Server.Actions()); n != 1 {
			t.Errorf("%d writes in the time of one look", n)
		}
		for _, c := range clienttest.List(b.Server, client.ConfigMaps) {
			b.Server.Remove(c)
		}
		b.Pass(9 * time.Second)
		if !gone(b) {
			t.Errorf("still there: %s", conditions(b))
		}
	})
}

func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bench(t, &corev1.ConfigMap{ObjectMeta: in("doomed", "a")}, &corev1.Secret{ObjectMeta: in("doomed", "b")})
		var works atomic.Bool
		b.Server.React(func(r *client.Request) (bool, *client.Response, error) {
			fail := !works.Load() && (r.Verb == "deletecollection" || r.Verb == "delete")
			return fail, nil, errors.New("no " + r.Verb + " today")
		})
		doom(b)
		b.Pass(2 * time.Second)
		want := "NamespaceDeletionContentFailure: ContentDeletionFailed: Failed to delete all resource types, 2 remaining: no delete today, no deletecollection today"
		if got := conditions(b); got != want {
			t.Errorf("conditions\n%s\nwant\n%s", got, want)
		}
		b.Pass(time.Hour)
		works.Store(true)
		b.Pass(time.Minute)
		if !gone(b) {
			t.Errorf("still there: %s", conditions(b))
		}
	})
}

func TestOtherFinalizersOfTheNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bench(t)
		controllertest.Each(b, client.Namespaces, func(n *corev1.Namespace) bool {
			n.Spec.Finalizers = append(n.Spec.Finalizers, "example.org/mine")
			return true
		})
		doom(b)
		b.Pass(time.Minute)
		for _, a := range b.Server.Actions() {
			if a.Subresource == "finalize" {
				if f := a.Object.(*corev1.Namespace).Spec.Finalizers; len(f) != 1 || f[0] != "example.org/mine" {
					t.Errorf("finalizers %v", f)
				}
				return
			}
		}
		t.Error("never finalized")
	})
}

func TestUnexpectedRest(t *testing.T) {
	var f findings
	r := resource{GroupVersionResource: client.ConfigMaps.Resource}
	err := f.remain("ns", r, []*metav1.PartialObjectMetadata{{}}, 0)
	if err == nil || err.Error() != "unexpected items still remain in namespace: ns for gvr: /v1, Resource=configmaps" {
		t.Errorf("%v", err)
	}
}

func TestPodGrace(t *testing.T) {
	now := time.Now()
	pod := func(seconds int64, phase corev1.PodPhase) *corev1.Pod {
		return &corev1.Pod{Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &seconds}, Status: corev1.PodStatus{Phase: phase}}
	}
	all := []*corev1.Pod{pod(30, corev1.PodRunning), pod(90, corev1.PodSucceeded), pod(20, corev1.PodPending)}
	for ago, want := range map[time.Duration]time.Duration{0: 30 * time.Second, 29 * time.Second: 30 * time.Second, 30 * time.Second: 0} {
		if got := podGrace(all, now.Add(-ago), now); got != want {
			t.Errorf("%s after: %s, want %s", ago, got, want)
		}
	}
}
