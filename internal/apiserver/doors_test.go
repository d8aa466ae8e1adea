package apiserver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/proa-dev/proa/internal/client"
)

// TestDoorsAreEqual sends the same random requests to two servers, to one through HTTP and to the other in
// process. Objects, lists and errors must be the same.
func TestDoorsAreEqual(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	clock := testingclock.NewFakePassiveClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	same := func(s *setting) { s.Clock = clock }
	far, near := newWorld(t, same).remote(), newWorld(t, same).local()
	ctx := context.Background()
	// With a write first there is no revision in the future among those that requests name: such a read waits.
	for _, tr := range []client.Transport{far, near} {
		if _, err := client.ConfigMaps.Create(ctx, tr, configMap("first")); err != nil {
			t.Fatal(err)
		}
	}
	kinds := map[string]int{}
	for i := range 1500 {
		clock.SetTime(clock.Now().Add(time.Second))
		r := randomRequest(rnd)
		a, aerr := far.Do(ctx, r())
		b, berr := near.Do(ctx, r())
		what := fmt.Sprintf("seed %d, request %d: %s %s/%s %s", seed, i, r().Verb, r().Resource.Resource, r().Subresource, r().Patch)
		if got, want := shownError(berr), shownError(aerr); got != want {
			t.Fatalf("%s\nin process: %s\n      HTTP: %s", what, got, want)
		}
		kinds[r().Verb+" "+reasonOf(aerr)]++
		if aerr != nil {
			continue
		}
		compareResponses(t, what, a, b)
		// A read that takes any revision may get one from before the last write. Here it must not.
		settle(t, r(), far, near)
	}
	t.Logf("%v", kinds)
}

// settle waits until reads of a request's resource see what it wrote.
func settle(t *testing.T, r *client.Request, doors ...client.Transport) {
	t.Helper()
	if r.Verb == "get" || r.Verb == "list" {
		return
	}
	for _, door := range doors {
		metadata := func() client.Object { return &metav1.PartialObjectMetadata{} }
		read := &client.Request{Verb: "list", Resource: r.Resource, New: metadata, List: metav1.ListOptions{Limit: 1}}
		if _, err := door.Do(t.Context(), read); err != nil {
			t.Fatal(err)
		}
	}
}

func reasonOf(err error) string {
	if err == nil {
		return "ok"
	}
	return string(apierrors.ReasonForError(err))
}

var uid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)

func shownError(err error) string {
	if err == nil {
		return "none"
	}
	var s *apierrors.StatusError
	if !errors.As(err, &s) {
		return fmt.Sprintf("%T %v", err, err)
	}
	st := s.ErrStatus
	text := fmt.Sprintf("%d %s %q %+v", st.Code, st.Reason, st.Message, st.Details)
	return uid.ReplaceAllString(text, "UID")
}

func compareResponses(t *testing.T, what string, a, b *client.Response) {
	t.Helper()
	if (a.Object == nil) != (b.Object == nil) || len(a.Items) != len(b.Items) {
		t.Fatalf("%s\nin process: %v and %d items\n      HTTP: %v and %d items", what, b.Object, len(b.Items), a.Object, len(a.Items))
	}
	if a.Object != nil {
		compareObjects(t, what, a.Object, b.Object)
	}
	for i := range a.Items {
		compareObjects(t, what, a.Items[i], b.Items[i])
	}
	if !equality.Semantic.DeepEqual(a.List, b.List) {
		t.Fatalf("%s\nin process: %v\n      HTTP: %v", what, b.List, a.List)
	}
}

func compareObjects(t *testing.T, what string, a, b client.Object) {
	t.Helper()
	// Objects are shared, and each server makes its own UIDs; types are told by Go types here.
	plain := func(o client.Object) client.Object {
		o = o.DeepCopyObject().(client.Object)
		o.SetUID("")
		o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
		if o.GetGenerateName() != "" {
			o.SetName("")
		}
		return o
	}
	if a, b := plain(a), plain(b); !equality.Semantic.DeepEqual(a, b) {
		t.Fatalf("%s\nin process: %T %+v\n      HTTP: %T %+v", what, b, b, a, a)
	}
}

// randomRequest returns a maker of one request, since each transport wants its own.
func randomRequest(rnd *rand.Rand) func() *client.Request {
	name := fmt.Sprint("o", rnd.IntN(6))
	namespace := []string{"n", "n", "n", "m", ""}[rnd.IntN(5)]
	deployments, namespaces := rnd.IntN(3) == 0, rnd.IntN(8) == 0
	n, verb, choice := rnd.IntN(4), rnd.IntN(12), rnd.IntN(6)
	pick := func(texts ...string) string { return texts[choice%len(texts)] }
	return func() *client.Request {
		r := &client.Request{Resource: client.ConfigMaps.Resource, Namespace: namespace, Name: name}
		r.New = func() client.Object { return &corev1.ConfigMap{} }
		object := client.Object(configMapOf(namespace, name, n))
		if deployments {
			r.Resource = client.Deployments.Resource
			r.New = func() client.Object { return &appsv1.Deployment{} }
			object = deploymentOf(namespace, name, n)
		}
		if namespaces {
			r.Resource, r.Namespace = client.Namespaces.Resource, ""
			r.New = func() client.Object { return &corev1.Namespace{} }
			object = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"p": fmt.Sprint(n % 2)}}}
		}
		switch verb {
		case 0, 1, 2:
			r.Verb, r.Object = "create", object
			r.Create.DryRun = [][]string{nil, nil, nil, {"All"}, {"Some"}, nil}[choice]
		case 3, 4:
			r.Verb, r.Object = "update", object
			object.SetResourceVersion(pick("", "", "1", "x"))
			r.Update.FieldManager = pick("", "me", "a\nb")
		case 5:
			r.Verb, r.Object, r.Subresource = "update", object, "status"
		case 6, 7:
			r.Verb = "patch"
			r.PatchType = []types.PatchType{types.MergePatchType, types.JSONPatchType, types.StrategicMergePatchType, types.ApplyYAMLPatchType, types.MergePatchType, types.MergePatchType}[choice]
			r.Patch = []byte([]string{
				`{"metadata":{"labels":{"p":"` + fmt.Sprint(n) + `"}}}`, `[{"op":"add","path":"/metadata/annotations","value":{"x":"y"}}]`,
				`{"metadata":{"finalizers":["example.com/x"]}}`, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"` + name + `"},"data":{"applied":"yes"}}`,
				`{"metadata":{"name":"another"}}`, `{"nonsense":`,
			}[choice])
			r.PatchO.FieldManager = "patcher"
		case 8:
			r.Verb = "delete"
			policy := metav1.DeletionPropagation(pick("Background", "Foreground", "Orphan", "Sideways"))
			r.Delete.PropagationPolicy = &policy
		case 9:
			r.Verb = "get"
			r.Get.ResourceVersion = pick("", "0", "1", "x")
			if choice == 5 {
				r.New = func() client.Object { return &metav1.PartialObjectMetadata{} }
			}
		case 10:
			r.Verb, r.Name = "list", ""
			r.List = []metav1.ListOptions{
				{}, {LabelSelector: "p=1"}, {FieldSelector: "metadata.name=" + name}, {Limit: 2}, {ResourceVersion: "0", ResourceVersionMatch: "Exact"}, {LabelSelector: "a b"},
			}[choice]
		case 11:
			r.Subresource = "scale"
			r.New = func() client.Object { return &autoscalingv1.Scale{} }
			r.Verb = "get"
			if n > 0 {
				r.Verb, r.PatchType, r.Patch = "patch", types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, n-2)
			}
		}
		return r
	}
}

func configMapOf(namespace, name string, n int) *corev1.ConfigMap {
	m := configMap(name, "k", fmt.Sprint(n))
	m.Namespace, m.Labels = namespace, map[string]string{"p": fmt.Sprint(n % 2)}
	switch n {
	case 0:
		m.Data["bad key!"] = "x"
	case 3:
		m.Finalizers = []string{"example.com/y"}
	}
	return m
}

func deploymentOf(namespace, name string, n int) *appsv1.Deployment {
	replicas := int32(n - 1)
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"p": fmt.Sprint(n % 2)}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: fmt.Sprint("i:", n)}}},
			},
		},
		Status: appsv1.DeploymentStatus{Replicas: int32(n), ObservedGeneration: 1},
	}
}
