package deployment

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/controller/controllertest"
	"github.com/proa-dev/proa/internal/controller/pods"
	"github.com/proa-dev/proa/internal/controller/replicaset"
)

// simulation is a cluster whose nodes start and end pods when chance wants.
type simulation struct {
	*controllertest.Bench
	t      *testing.T
	random *rand.Rand
	steady bool // the bounds hold: nothing but the rollout changes what is available
}

func (s *simulation) deployment() *appsv1.Deployment {
	return clienttest.Get(s.Server, client.Deployments, "ns", "web")
}

// nodes lets a second pass, in which some pods become ready and some that were deleted end.
func (s *simulation) nodes() {
	controllertest.Each(s.Bench, client.Pods, func(p *corev1.Pod) bool {
		switch {
		case p.DeletionTimestamp != nil:
			if s.random.IntN(3) == 0 {
				s.Server.Remove(p)
			}
			return false
		case pods.IsReady(p) || s.random.IntN(3) > 0:
			return false
		}
		p.Spec.NodeName = fmt.Sprint("node-", s.random.IntN(3))
		p.Status.Phase = corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}}
		s.check("after a pod became ready")
		return true
	})
	s.Pass(time.Second)
	s.check("after a second")
}

// check tells whether the bounds hold at this very moment.
func (s *simulation) check(when string) {
	d := s.deployment()
	if d == nil || !isRolling(d) {
		return
	}
	var wanted, available int32
	for _, rs := range clienttest.List(s.Server, client.ReplicaSets) {
		wanted += *rs.Spec.Replicas
	}
	for _, p := range clienttest.List(s.Server, client.Pods) {
		if p.DeletionTimestamp == nil && pods.IsReady(p) {
			available++
		}
	}
	if most := wants(d) + maxSurge(d); s.steady && wanted > most {
		s.t.Errorf("%s: the sets want %d pods, more than %d", when, wanted, most)
	}
	if least := wants(d) - maxUnavailable(d); s.steady && available < least {
		s.t.Errorf("%s: %d pods are available, less than %d", when, available, least)
	}
}

// untilComplete lets nodes work until the rollout is over.
func (s *simulation) untilComplete(what string) {
	for range 600 {
		if d := s.deployment(); isComplete(d, &d.Status) {
			return
		}
		s.nodes()
	}
	s.t.Fatalf("%s: no end in sight, status %+v", what, s.deployment().Status)
}

func (s *simulation) change(f func(*appsv1.Deployment)) {
	d := s.deployment().DeepCopy()
	f(d)
	if _, err := client.Deployments.Update(s.t.Context(), s.Server, d); err != nil {
		s.t.Fatal(err)
	}
	s.Settle()
}

func setImage(image string) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: image}}
	}
}

func TestRollouts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for n := range 30 {
		synctest.Test(t, func(t *testing.T) { simulate(t, rand.New(rand.NewPCG(seed, uint64(n)))) })
		if t.Failed() {
			t.Fatalf("in simulation %d of seed %d", n, seed)
		}
	}
}

func simulate(t *testing.T, random *rand.Rand) {
	d := newWorld().d
	d.Spec.Replicas = ptr.To(random.Int32N(12) + 1)
	strategies := []string{"0", "1", "3", "25%", "60%", "100%"}
	surge, unavailable := strategies[random.IntN(6)], strategies[random.IntN(6)]
	d.Spec.Strategy = rollingStrategy(surge, unavailable)
	d.Spec.RevisionHistoryLimit = ptr.To(random.Int32N(3))
	setImage("v0")(d)
	t.Logf("%d replicas, surge %s, unavailable %s", *d.Spec.Replicas, surge, unavailable)

	s := &simulation{Bench: controllertest.New(t, []client.Object{d}, New, replicaset.New), t: t, random: random}
	s.Server.React(func(r *client.Request) (bool, *client.Response, error) {
		s.check(fmt.Sprint("before ", r.Verb, " ", r.Resource.Resource))
		return false, nil, nil
	})
	s.untilComplete("first rollout")
	for n := range 4 {
		image := fmt.Sprint("v", random.IntN(3))
		s.steady = true
		s.change(setImage(image))
		for range random.IntN(12) { // and perhaps another image before that is out
			s.nodes()
		}
		if random.IntN(2) == 0 {
			image = fmt.Sprint("w", n)
			s.change(setImage(image))
		}
		s.untilComplete("rollout of " + image)
		s.checkEnd(image)
		s.steady = false // what a user takes away is not the rollout's fault
		replicas := random.Int32N(12) + 1
		s.change(func(d *appsv1.Deployment) {
			d.Spec.Replicas = &replicas
			if random.IntN(2) == 0 {
				setImage(fmt.Sprint("x", n))(d)
			}
		})
		s.untilComplete("scaling")
	}
	s.checkQuiet()
}

// checkEnd tells whether the pods, and nothing but the history, are left.
func (s *simulation) checkEnd(image string) {
	s.Pass(time.Second)
	d := s.deployment()
	for _, p := range clienttest.List(s.Server, client.Pods) {
		if got := p.Spec.Containers[0].Image; p.DeletionTimestamp == nil && got != image {
			s.t.Errorf("after the rollout of %s, %s has %s", image, p.Name, got)
		}
	}
	sets := clienttest.List(s.Server, client.ReplicaSets)
	if len(sets) > int(*d.Spec.RevisionHistoryLimit)+1 {
		s.t.Errorf("%d sets are left, the history's limit is %d", len(sets), *d.Spec.RevisionHistoryLimit)
	}
	newest := slices.MaxFunc(sets, func(a, b *appsv1.ReplicaSet) int { return int(revisionOf(a) - revisionOf(b)) })
	if newest.Spec.Template.Spec.Containers[0].Image != image || newest.Annotations[RevisionAnnotation] != d.Annotations[RevisionAnnotation] {
		s.t.Errorf("the newest revision is %s of %s, the deployment's %s", newest.Annotations[RevisionAnnotation],
			newest.Spec.Template.Spec.Containers[0].Image, d.Annotations[RevisionAnnotation])
	}
}

// checkQuiet tells whether nobody does anything when there is nothing to do.
func (s *simulation) checkQuiet() {
	for range 30 {
		s.nodes()
	}
	s.Server.Actions()
	s.Pass(24 * time.Hour)
	if a := s.Server.Actions(); len(a) > 0 {
		s.t.Errorf("idle loops wrote %s", a)
	}
}

func TestHashCollision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newWorld().d
		name := nameFor(d.Name, pods.Hash(&d.Spec.Template, nil))
		other := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}
		b := controllertest.New(t, []client.Object{d, other}, New)
		b.Pass(time.Second)
		d = clienttest.Get(b.Server, client.Deployments, "ns", "web")
		second := nameFor(d.Name, pods.Hash(&d.Spec.Template, ptr.To[int32](1)))
		if d.Status.CollisionCount == nil || *d.Status.CollisionCount != 1 ||
			clienttest.Get(b.Server, client.ReplicaSets, "ns", second) == nil {
			t.Errorf("status %+v, sets %v", d.Status, clienttest.List(b.Server, client.ReplicaSets))
		}
	})
}

func TestAdoption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newWorld().d
		// A set left over from kubectl delete --cascade=orphan is the current one if its template is.
		orphan := newRollout(d, nil, nil, time.Now()).newSet(7).ReplicaSet
		orphan.OwnerReferences = nil
		b := controllertest.New(t, []client.Object{d, orphan}, New)
		sets := clienttest.List(b.Server, client.ReplicaSets)
		if len(sets) != 1 || !metav1.IsControlledBy(sets[0], d) || sets[0].Annotations[RevisionAnnotation] != "7" {
			t.Fatalf("sets %+v", sets)
		}
		if got := clienttest.Get(b.Server, client.Deployments, "ns", "web"); got.Annotations[RevisionAnnotation] != "7" ||
			condition(&got.Status, appsv1.DeploymentProgressing).Reason != foundNewReplicaSet {
			t.Errorf("deployment %+v", got)
		}
		stray := sets[0].DeepCopy()
		stray.Labels = nil
		b.Server.Put(stray)
		b.Pass(time.Second)
		if got := clienttest.Get(b.Server, client.ReplicaSets, "ns", stray.Name); metav1.GetControllerOf(got) != nil {
			t.Errorf("a set that does not match was kept: %+v", got.ObjectMeta)
		}
	})
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newWorld().d
		d.Spec.Replicas = ptr.To[int32](3)
		s := &simulation{Bench: controllertest.New(t, []client.Object{d}, New, replicaset.New), t: t, random: rand.New(rand.NewPCG(1, 2))}
		s.untilComplete("first rollout")
		s.change(func(d *appsv1.Deployment) { d.Spec.Replicas = ptr.To[int32](1) })
		var got []string
		for _, e := range s.Events.Take() {
			if strings.Contains(e, "ScalingReplicaSet") {
				got = append(got, e)
			}
		}
		name := clienttest.List(s.Server, client.ReplicaSets)[0].Name
		want := []string{
			"web Normal ScalingReplicaSet: Scaled up replica set " + name + " from 0 to 3",
			"web Normal ScalingReplicaSet: Scaled down replica set " + name + " from 3 to 1",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
