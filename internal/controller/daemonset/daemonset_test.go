package daemonset

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/controller/controllertest"
	"github.com/proa-dev/proa/internal/controller/pods"
)

// nodesWork lets a second pass, in which pods are bound, become ready and end as chance wants.
func nodesWork(b *controllertest.Bench, random *rand.Rand) {
	controllertest.Each(b, client.Pods, func(p *corev1.Pod) bool {
		switch {
		case p.DeletionTimestamp != nil:
			if random.IntN(2) == 0 {
				b.Server.Remove(p)
			}
			return false
		case pods.IsReady(p) || random.IntN(2) == 0:
			return false
		}
		p.Spec.NodeName, p.Status.Phase = nodeOf(p), corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}}
		return true
	})
	b.Pass(time.Second)
}

func TestRollout(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for n, u := range []appsv1.DaemonSetUpdateStrategy{strategy("1", "0"), strategy("3", "0"), strategy("40%", "0"), strategy("0", "1"), strategy("0", "30%")} {
		synctest.Test(t, func(t *testing.T) { simulate(t, rand.New(rand.NewPCG(seed, uint64(n))), u) })
	}
}

func simulate(t *testing.T, random *rand.Rand, u appsv1.DaemonSetUpdateStrategy) {
	ds := aSet()
	ds.Spec.UpdateStrategy = u
	objects := []client.Object{ds}
	const nodes = 8
	for n := range nodes {
		objects = append(objects, aNode(fmt.Sprint("node-", n)))
	}
	b := controllertest.New(t, objects, New)
	_, unavailable := bounds(ds, nodes)
	steady := false
	check := func(when string) {
		available := map[string]bool{}
		for _, p := range clienttest.List(b.Server, client.Pods) {
			if p.DeletionTimestamp == nil && pods.IsReady(p) {
				available[p.Spec.NodeName] = true
			}
		}
		if steady && len(available) < nodes-unavailable {
			t.Errorf("%s: only %d of %d nodes are served", when, len(available), nodes)
		}
	}
	complete := func(image string) {
		t.Helper()
		for range 300 {
			nodesWork(b, random)
			check("after a second")
			s := clienttest.Get(b.Server, client.DaemonSets, "ns", "log")
			all := clienttest.List(b.Server, client.Pods)
			if s.Status.UpdatedNumberScheduled == nodes && s.Status.NumberAvailable == nodes && len(all) == nodes && s.Status.ObservedGeneration == s.Generation {
				for _, p := range all {
					if p.Spec.Containers[0].Image != image {
						t.Errorf("%s runs %s, not %s", p.Name, p.Spec.Containers[0].Image, image)
					}
				}
				return
			}
		}
		t.Fatalf("no end of the rollout of %s: %+v", image, clienttest.Get(b.Server, client.DaemonSets, "ns", "log").Status)
	}
	complete("v1")
	for _, image := range []string{"v2", "v3", "v1"} {
		steady = true
		d := clienttest.Get(b.Server, client.DaemonSets, "ns", "log").DeepCopy()
		d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: image}}
		if _, err := client.DaemonSets.Update(t.Context(), b.Server, d); err != nil {
			t.Fatal(err)
		}
		complete(image)
	}
	b.Pass(time.Minute)
	revisions := clienttest.List(b.Server, client.ControllerRevisions)
	var newest int64
	for _, r := range revisions {
		newest = max(newest, r.Revision)
	}
	if len(revisions) != 2 || newest != 4 {
		t.Errorf("%d revisions, the newest is %d", len(revisions), newest)
	}
	b.Server.Actions()
	b.Pass(time.Hour)
	if a := b.Server.Actions(); len(a) > 0 {
		t.Errorf("an idle loop wrote %s", a)
	}
}

func TestNodesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{aSet(), aNode("a")}, New)
		desired := func() int32 {
			b.Pass(time.Second)
			return clienttest.Get(b.Server, client.DaemonSets, "ns", "log").Status.DesiredNumberScheduled
		}
		if n := desired(); n != 1 {
			t.Errorf("%d desired on one node", n)
		}
		b.Server.Put(aNode("b"))
		if n := desired(); n != 2 || len(clienttest.List(b.Server, client.Pods)) != 2 {
			t.Errorf("%d desired on two nodes", n)
		}
		b.Server.Remove(aNode("b"))
		if n := desired(); n != 1 || len(clienttest.List(b.Server, client.Pods)) != 1 {
			t.Errorf("%d desired after one went", n)
		}
		b.Server.Put(aNode("a", corev1.Taint{Key: "k", Effect: corev1.TaintEffectNoExecute}))
		if n := desired(); n != 0 || len(clienttest.List(b.Server, client.Pods)) != 0 {
			t.Errorf("%d desired on a node that lets none run", n)
		}
	})
}

func TestFailuresAreReplacedMoreAndMoreSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{aSet(), aNode("a")}, New)
		created := 0
		for range 600 {
			controllertest.Each(b, client.Pods, func(p *corev1.Pod) bool {
				p.Status.Phase = corev1.PodFailed
				return true
			})
			b.Pass(time.Second)
			for _, a := range b.Server.Actions() {
				if a.Verb == "create" && a.Resource == "pods" {
					created++
				}
			}
		}
		if created < 5 || created > 15 {
			t.Errorf("%d pods in ten minutes", created)
		}
	})
}
