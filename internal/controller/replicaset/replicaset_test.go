package replicaset

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/controller/controllertest"
)

func aSet(replicas int32) *appsv1.ReplicaSet {
	app := map[string]string{"app": "web"}
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "web-uid", Generation: 1},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: app},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: app}},
		},
	}
}

func aController(replicas int32) *corev1.ReplicationController {
	set := aSet(replicas)
	set.UID = "rc-uid"
	return &corev1.ReplicationController{
		ObjectMeta: set.ObjectMeta,
		Spec:       corev1.ReplicationControllerSpec{Replicas: &replicas, Selector: set.Spec.Selector.MatchLabels, Template: &set.Spec.Template},
	}
}

func podNames(b *controllertest.Bench) string {
	var names []string
	for _, p := range clienttest.List(b.Server, client.Pods) {
		names = append(names, p.Name)
	}
	return strings.Join(names, " ")
}

func scale(t *testing.T, b *controllertest.Bench, n int32) {
	t.Helper()
	patch := map[string]any{"spec": map[string]any{"replicas": n}}
	if _, err := client.ReplicaSets.MergePatch(t.Context(), b.Server, "ns", "web", patch, ""); err != nil {
		t.Fatal(err)
	}
	b.Settle()
}

func TestScale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{aSet(20)}, New)
		pods := clienttest.List(b.Server, client.Pods)
		if len(pods) != 20 {
			t.Fatalf("%d pods were made of 20", len(pods))
		}
		ref := metav1.GetControllerOf(pods[0])
		if ref == nil || ref.APIVersion != "apps/v1" || ref.Kind != "ReplicaSet" || ref.Name != "web" || ref.UID != "web-uid" ||
			!*ref.BlockOwnerDeletion || !strings.HasPrefix(pods[0].Name, "web-") || pods[0].Labels["app"] != "web" {
			t.Errorf("pod %+v", pods[0].ObjectMeta)
		}
		events := b.Events.Take()
		if len(events) != 20 || !strings.HasPrefix(events[0], "web Normal SuccessfulCreate: Created pod: web-") {
			t.Errorf("%d events, such as %q", len(events), events[0])
		}
		creates, statuses := 0, 0
		for _, a := range b.Server.Actions() {
			switch a.Verb + " " + a.Resource + "/" + a.Subresource {
			case "create pods/":
				creates++
			case "update replicasets/status":
				statuses++
			default:
				t.Errorf("unexpected %s", a)
			}
		}
		if creates != 20 || statuses > 8 {
			t.Errorf("%d pods and %d statuses were written", creates, statuses)
		}
		scale(t, b, 3)
		if n := len(clienttest.List(b.Server, client.Pods)); n != 3 {
			t.Errorf("%d pods are left of 3", n)
		}
		set := clienttest.Get(b.Server, client.ReplicaSets, "ns", "web")
		if set.Status.Replicas != 3 || set.Status.ObservedGeneration != set.Generation || *set.Status.TerminatingReplicas != 0 {
			t.Errorf("status %+v", set.Status)
		}
		b.Server.Actions()
		b.Pass(time.Hour)
		if a := b.Server.Actions(); len(a) > 0 {
			t.Errorf("an idle loop wrote %s", a)
		}
	})
}

func TestGracefulDeletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{aSet(3)}, New)
		controllertest.Each(b, client.Pods, func(p *corev1.Pod) bool { p.Spec.NodeName = "n"; return true })
		scale(t, b, 1)
		set := clienttest.Get(b.Server, client.ReplicaSets, "ns", "web")
		if len(clienttest.List(b.Server, client.Pods)) != 3 || set.Status.Replicas != 1 || *set.Status.TerminatingReplicas != 2 {
			t.Errorf("status %+v", set.Status)
		}
		controllertest.Each(b, client.Pods, func(p *corev1.Pod) bool {
			if p.DeletionTimestamp != nil {
				b.Server.Remove(p)
			}
			return false
		})
		set = clienttest.Get(b.Server, client.ReplicaSets, "ns", "web")
		if len(clienttest.List(b.Server, client.Pods)) != 1 || *set.Status.TerminatingReplicas != 0 {
			t.Errorf("status %+v", set.Status)
		}
	})
}

func TestClaims(t *testing.T) {
	loose := func(name, app string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Labels: map[string]string{"app": app}}}
	}
	synctest.Test(t, func(t *testing.T) {
		taken := loose("taken", "web")
		taken.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", UID: "another", Controller: ptr.To(true)}}
		finished := loose("finished", "web")
		finished.Status.Phase = corev1.PodSucceeded
		b := controllertest.New(t, []client.Object{aSet(2), loose("a", "web"), loose("other", "db"), taken, finished}, New)
		if got := podNames(b); !strings.HasPrefix(got, "a finished other taken web-") || strings.Count(got, "web-") != 1 {
			t.Errorf("pods %q", got)
		}
		owner := func(name string) string {
			if ref := metav1.GetControllerOf(clienttest.Get(b.Server, client.Pods, "ns", name)); ref != nil {
				return string(ref.UID)
			}
			return ""
		}
		if owner("a") != "web-uid" || owner("other") != "" || owner("taken") != "another" || owner("finished") != "" {
			t.Errorf("owners %q %q %q %q", owner("a"), owner("other"), owner("taken"), owner("finished"))
		}
		// One that no longer fits is released and replaced; one that comes to fit is adopted, and one too many.
		controllertest.Each(b, client.Pods, func(p *corev1.Pod) bool {
			if p.Name == "a" {
				p.Labels = nil
			}
			return p.Name == "a"
		})
		if owner("a") != "" || strings.Count(podNames(b), "web-") != 2 {
			t.Errorf("after the release: a is owned by %q, pods %q", owner("a"), podNames(b))
		}
		b.Server.Put(loose("late", "web"))
		b.Settle()
		set := clienttest.Get(b.Server, client.ReplicaSets, "ns", "web")
		if set.Status.Replicas != 2 {
			t.Errorf("status %+v, pods %q", set.Status, podNames(b))
		}
	})
}

// A set that is gone for the server, but not yet for the informer, adopts nothing.
func TestNoAdoptionByTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{aSet(0)}, New)
		b.Server.React(func(r *client.Request) (bool, *client.Response, error) {
			if r.Verb == "get" && r.Resource.Resource == "replicasets" {
				return true, nil, apierrors.NewNotFound(r.Resource.GroupResource(), r.Name)
			}
			return false, nil, nil
		})
		b.Server.Put(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", Labels: map[string]string{"app": "web"}}})
		b.Pass(time.Second)
		if p := clienttest.Get(b.Server, client.Pods, "ns", "p"); p == nil || len(p.OwnerReferences) > 0 {
			t.Errorf("pod %+v", p)
		}
	})
}

func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, nil, New)
		var made, refused, limit atomic.Int32
		limit.Store(5)
		b.Server.React(func(r *client.Request) (bool, *client.Response, error) {
			if r.Verb != "create" || r.Resource.Resource != "pods" {
				return false, nil, nil
			}
			if made.Add(1) > limit.Load() {
				refused.Add(1)
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("exceeded quota"))
			}
			return false, nil, nil
		})
		b.Server.Put(aSet(100))
		b.Settle()
		set := clienttest.Get(b.Server, client.ReplicaSets, "ns", "web")
		if set.Status.Replicas > 5 || len(set.Status.Conditions) != 1 || set.Status.Conditions[0].Reason != "FailedCreate" ||
			!strings.Contains(set.Status.Conditions[0].Message, "exceeded quota") {
			t.Errorf("status %+v", set.Status)
		}
		if n := len(clienttest.List(b.Server, client.Pods)); n != 5 {
			t.Errorf("%d pods", n)
		}
		if n := refused.Load(); n > 10 {
			t.Errorf("%d attempts at once to create what is refused", n)
		}
		warned := slices.ContainsFunc(b.Events.Take(), func(e string) bool {
			return strings.HasPrefix(e, "web Warning FailedCreate: Error creating: pods") && strings.HasSuffix(e, "exceeded quota")
		})
		if !warned {
			t.Error("no event says so")
		}
		limit.Store(1 << 20)
		b.Pass(30 * time.Minute)
		set = clienttest.Get(b.Server, client.ReplicaSets, "ns", "web")
		if set.Status.Replicas != 100 || len(set.Status.Conditions) != 0 {
			t.Errorf("status %+v", set.Status)
		}
	})
}

func TestMinReadySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := aSet(2)
		set.Spec.MinReadySeconds = 30
		b := controllertest.New(t, []client.Object{set}, New)
		counts := func() string {
			s := clienttest.Get(b.Server, client.ReplicaSets, "ns", "web").Status
			return fmt.Sprint(s.ReadyReplicas, s.AvailableReplicas)
		}
		ready := func(n int) {
			controllertest.Each(b, client.Pods, func(p *corev1.Pod) bool {
				if len(p.Status.Conditions) > 0 || n == 0 {
					return false
				}
				n--
				p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}}
				return true
			})
		}
		ready(1)
		b.Pass(10 * time.Second)
		ready(1)
		for _, c := range []struct {
			after time.Duration
			want  string
		}{{0, "2 0"}, {19 * time.Second, "2 0"}, {time.Second, "2 1"}, {9 * time.Second, "2 1"}, {time.Second, "2 2"}} {
			b.Pass(c.after)
			if got := counts(); got != c.want {
				t.Errorf("after %s more: %s, want %s", c.after, got, c.want)
			}
		}
	})
}

func TestReplicationControllers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{aController(3), aSet(2)}, NewForReplicationControllers, New)
		byKind := map[string]int{}
		for _, p := range clienttest.List(b.Server, client.Pods) {
			byKind[metav1.GetControllerOf(p).Kind]++
		}
		if byKind["ReplicationController"] != 3 || byKind["ReplicaSet"] != 2 {
			t.Errorf("pods of %v", byKind)
		}
		rc := clienttest.Get(b.Server, client.ReplicationControllers, "ns", "web")
		if rc.Status.Replicas != 3 || rc.Status.FullyLabeledReplicas != 3 || rc.Status.ObservedGeneration != 1 {
			t.Errorf("status %+v", rc.Status)
		}
	})
}

// Changes of a large set's pods are looked at together, and soon.
func TestLargeSetsAreLookedAtNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const replicas = 1000
		begin := time.Now()
		b := controllertest.New(t, []client.Object{aSet(replicas)}, New)
		b.Pass(time.Second)
		all := clienttest.List(b.Server, client.Pods)
		if len(all) != replicas {
			t.Fatalf("%d pods were made", len(all))
		}
		b.Server.Actions()
		for n, p := range all {
			ready := p.DeepCopy()
			ready.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(begin)}}
			b.Server.Put(ready)
			if n%10 == 0 {
				b.Pass(time.Millisecond)
			}
		}
		b.Pass(2 * gather(replicas))
		statuses := 0
		for _, a := range b.Server.Actions() {
			if a.Verb == "update" && a.Subresource == "status" {
				statuses++
			}
		}
		set := clienttest.Get(b.Server, client.ReplicaSets, "ns", "web")
		if set.Status.ReadyReplicas != replicas || statuses == 0 || statuses > 8 {
			t.Errorf("%d of %d are ready, by %d writes", set.Status.ReadyReplicas, replicas, statuses)
		}
	})
}
