package node

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/informer"
	"github.com/proa-dev/proa/internal/node/lifecycle"
	"github.com/proa-dev/proa/internal/node/simulated"
)

// counts are how many writes there were of each sort.
func counts(actions []clienttest.Action) map[string]int {
	n := map[string]int{}
	for _, a := range actions {
		n[a.Verb+" "+a.Resource+"/"+a.Subresource]++
	}
	return n
}

func TestNodeObject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, Options{Nodes: 2, Labels: map[string]string{"zone": "a"}})
		defer c.stop()
		n := clienttest.Get(c.api, client.Nodes, "", "proa-node-1")
		if n.Spec.PodCIDR != "10.244.1.0/24" || n.Labels[corev1.LabelHostname] != "proa-node-1" || n.Labels["zone"] != "a" {
			t.Errorf("podCIDR %s, labels %v", n.Spec.PodCIDR, n.Labels)
		}
		if len(n.Status.Conditions) != 4 || n.Status.Conditions[3].Type != corev1.NodeReady || n.Status.Conditions[3].Status != corev1.ConditionTrue {
			t.Errorf("conditions %v", n.Status.Conditions)
		}
		if v := n.Status.NodeInfo; v.KubeletVersion != "v1.36.3+proatest" || v.ContainerRuntimeVersion != "proa-simulated://v1.36.3+proatest" {
			t.Errorf("node info %v", v)
		}
		if n.Status.Allocatable.Pods().Value() != 110 || n.Status.DaemonEndpoints.KubeletEndpoint.Port != 0 {
			t.Errorf("status %v", n.Status)
		}
	})
}

// Heartbeats are one lease write for each node in ten seconds, a few nodes' at a moment, and one status in five
// minutes; and nothing else is written while nothing happens.
func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const nodes = 100
		c := newCluster(t, Options{Nodes: nodes})
		defer c.stop()
		time.Sleep(leaseInterval)
		synctest.Wait()
		c.api.Actions()
		all := 0
		for second := range 10 {
			time.Sleep(time.Second)
			synctest.Wait()
			n := counts(c.api.Actions())
			if n["update leases/"] > together {
				t.Errorf("second %d: %v", second, n)
			}
			all += n["update leases/"]
		}
		if all != nodes {
			t.Errorf("%d leases in ten seconds", all)
		}
		time.Sleep(statusInterval)
		synctest.Wait()
		c.api.Actions()
		time.Sleep(statusInterval)
		synctest.Wait()
		n := counts(c.api.Actions())
		if n["update nodes/status"] != nodes || n["update leases/"] != 30*nodes || len(n) != 2 {
			t.Errorf("in five minutes: %v", n)
		}
		l := clienttest.Get(c.api, client.Leases, corev1.NamespaceNodeLease, "proa-node-7")
		if *l.Spec.HolderIdentity != "proa-node-7" || *l.Spec.LeaseDurationSeconds != 40 || time.Since(l.Spec.RenewTime.Time) > leaseInterval {
			t.Errorf("lease %v", l.Spec)
		}
		if len(l.OwnerReferences) != 1 || l.OwnerReferences[0].UID != clienttest.Get(c.api, client.Nodes, "", "proa-node-7").UID {
			t.Errorf("owners %v", l.OwnerReferences)
		}
	})
}

// A node that was taken for dead says that it is not; one that was deleted stays so.
func TestNodeChangedByOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, Options{Nodes: 2})
		defer c.stop()
		n := clienttest.Get(c.api, client.Nodes, "", "proa-node-0").DeepCopy()
		for i := range n.Status.Conditions {
			n.Status.Conditions[i].Status = corev1.ConditionUnknown
		}
		n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: "Example", Status: corev1.ConditionTrue})
		c.api.Put(n)
		c.api.Remove(clienttest.Get(c.api, client.Nodes, "", "proa-node-1"))
		time.Sleep(2 * leaseInterval)
		synctest.Wait()
		n = clienttest.Get(c.api, client.Nodes, "", "proa-node-0")
		if len(n.Status.Conditions) != 5 || n.Status.Conditions[3].Status != corev1.ConditionTrue {
			t.Errorf("conditions %v", n.Status.Conditions)
		}
		if n := clienttest.Get(c.api, client.Nodes, "", "proa-node-1"); n != nil {
			t.Error("a node that was deleted is back")
		}
	})
}

// A restart writes nothing but leases, whatever there is.
func TestRestartChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, Options{Nodes: 3})
		for i := range 60 {
			p := podOn(fmt.Sprint("proa-node-", i%3), fmt.Sprint("p", i))
			if i%4 == 0 {
				p.Spec.RestartPolicy = corev1.RestartPolicyNever
			}
			p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "busybox"}}
			c.create(p)
		}
		held := podOn("proa-node-0", "held")
		held.Finalizers = []string{"example.com/hold"}
		c.create(held)
		c.delete("held")
		time.Sleep(time.Minute)
		c.stop()
		c.api.Actions()
		time.Sleep(30 * time.Second)
		c.run(Options{Nodes: 3})
		defer c.stop()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		n := counts(c.api.Actions())
		delete(n, "update leases/")
		if len(n) > 0 {
			t.Errorf("writes after a restart: %v", n)
		}
	})
}

// Pods that run stay, even if the node would not take them any more.
func TestAdoptedPodsAreNotRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, Options{})
		for i := range 3 {
			c.create(podOn("proa-node-0", fmt.Sprint("p", i)))
		}
		c.stop()
		small := DefaultCapacity()
		small[corev1.ResourcePods] = resource.MustParse("2")
		c.run(Options{Capacity: small})
		defer c.stop()
		c.create(podOn("proa-node-0", "new"))
		got := ""
		for _, p := range clienttest.List(c.api, client.Pods) {
			got += p.Name + " " + string(p.Status.Phase) + " " + p.Status.Reason + ";"
		}
		if want := "new Failed OutOfpods;p0 Running ;p1 Running ;p2 Running ;"; got != want {
			t.Errorf("%s, not %s", got, want)
		}
	})
}

// While the informer shows an older state of a pod than what was written, nothing is done about it.
func TestInformerBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, Options{})
		defer c.stop()
		c.create(podOn("proa-node-0", "p"))
		c.agent.recordOf(informer.Key{Namespace: "default", Name: "p"}).wrote = 1 << 40
		c.api.Actions()
		c.delete("p")
		if n := counts(c.api.Actions()); len(n) != 1 {
			t.Errorf("written from an old state: %v", n)
		}
	})
}

// Two thousand pods on a hundred nodes cost one write each to run, and three to go: the user's deletion, the
// last status, the node's deletion.
func TestCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, Options{Nodes: 100})
		defer c.stop()
		c.api.Actions()
		for i := range 2000 {
			c.api.Put(podOn(fmt.Sprint("proa-node-", i%100), fmt.Sprint("p", i)))
		}
		synctest.Wait()
		if n := counts(c.api.Actions()); n["update pods/status"] != 2000 || len(n) != 1 {
			t.Errorf("to run: %v", n)
		}
		for i := range 2000 {
			c.delete(fmt.Sprint("p", i))
		}
		if n := counts(c.api.Actions()); n["update pods/status"] != 2000 || n["delete pods/"] != 4000 || len(n) != 2 {
			t.Errorf("to go: %v", n)
		}
		c.checkEmpty()
	})
}

// checkEmpty says what the agent still holds when there are no pods.
func (c *cluster) checkEmpty() {
	c.t.Helper()
	if len(c.agent.records) > 0 {
		c.t.Errorf("%d records of pods that are gone", len(c.agent.records))
	}
	for _, m := range c.agent.members {
		if r := lifecycle.Admit(podOn(m.name, "full"), fullDemand(), m.node, &m.usage); r != nil {
			c.t.Errorf("%s is not empty: %s", m.name, r.Message)
		}
		for i := range addressesPerNode {
			if err := m.runtime.CreateSandbox(c.t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: types.UID(fmt.Sprint(i))}}); err != nil {
				c.t.Errorf("%s: after %d pods: %s", m.name, i, err)
				break
			}
		}
	}
}

// addressesPerNode is all of a /24 but the network, the gateway and the broadcast address.
const addressesPerNode = 256 - 3

// fullDemand is all that a node has.
func fullDemand() lifecycle.Demand {
	p := podOn("", "full")
	p.Spec.Containers[0].Resources.Requests = DefaultCapacity()
	delete(p.Spec.Containers[0].Resources.Requests, corev1.ResourcePods)
	return lifecycle.DemandOf(p)
}

// TestRandom makes, deletes and replaces pods of all sorts at random, with restarts of the agent, lost
// watches and failing writes, and then expects that everything has come to its end.
func TestRandom(t *testing.T) {
	seeds := []uint64{7185339436417245435} // a pod's deadline came after that of one of its name before it
	for range 8 {
		seeds = append(seeds, rand.Uint64())
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { randomHistory(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func randomHistory(t *testing.T, r *rand.Rand) {
	c := newCluster(t, Options{Nodes: 3})
	var writes atomic.Int64
	c.api.React(func(q *client.Request) (bool, *client.Response, error) {
		if q.Resource.Resource == "pods" && q.Subresource == "status" && writes.Add(1)%10 == 0 {
			return true, nil, fmt.Errorf("no luck")
		}
		return false, nil, nil
	})
	for range 150 {
		name := fmt.Sprint("p", r.IntN(20))
		switch p := c.pod(name); r.IntN(12) {
		case 0:
			c.api.Cut(fmt.Errorf("cut"))
		case 1:
			c.stop()
			c.run(Options{Nodes: 3})
		case 2, 3, 4:
			time.Sleep(time.Duration(r.IntN(5000)) * time.Millisecond)
		case 5, 6, 7:
			if p != nil {
				o := metav1.DeleteOptions{}
				if r.IntN(2) == 0 {
					o.GracePeriodSeconds = ptr.To(r.Int64N(3) * 5)
				}
				client.Pods.Delete(t.Context(), c.api, "default", name, o)
			}
		default:
			if p == nil {
				client.Pods.Create(t.Context(), c.api, randomPod(r, name))
			}
		}
		if r.IntN(2) == 0 {
			synctest.Wait()
			checkAddresses(t, c)
		}
	}
	time.Sleep(time.Hour)
	synctest.Wait()
	for _, p := range clienttest.List(c.api, client.Pods) {
		settled(t, p)
		client.Pods.Delete(t.Context(), c.api, "default", p.Name, metav1.DeleteOptions{})
	}
	time.Sleep(time.Hour)
	synctest.Wait()
	if left := clienttest.List(c.api, client.Pods); len(left) > 0 {
		t.Errorf("%d pods were never deleted, such as %s", len(left), show(left[0]))
	}
	c.checkEmpty()
	c.stop()
}

func randomPod(r *rand.Rand, name string) *corev1.Pod {
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	p := podOn(fmt.Sprint("proa-node-", r.IntN(3)), name)
	p.Annotations = map[string]string{}
	for key, value := range map[string]string{
		simulated.AnnotationRunFor:             pick("", "0s", "2s", "20s", "forever"),
		simulated.AnnotationExitCode:           pick("", "", "1"),
		simulated.AnnotationStopAfter:          pick("", "1s", "1h"),
		simulated.AnnotationStartAfter:         pick("", "", "1s"),
		simulated.AnnotationRunFor + ".init":   pick("", "3s"),
		simulated.AnnotationStopAfter + ".log": pick("", "3s"),
	} {
		if value != "" {
			p.Annotations[key] = value
		}
	}
	p.Spec.RestartPolicy = corev1.RestartPolicy(pick("Always", "OnFailure", "Never"))
	if r.IntN(3) == 0 {
		p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: "init", Image: "busybox"})
	}
	if r.IntN(3) == 0 {
		p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{
			Name: "log", Image: "fluentd", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways),
		})
	}
	if r.IntN(4) == 0 {
		p.Spec.ActiveDeadlineSeconds = ptr.To(r.Int64N(10) + 1)
	}
	p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: *resource.NewQuantity(r.Int64N(12), resource.DecimalSI)}
	return p
}

func checkAddresses(t *testing.T, c *cluster) {
	t.Helper()
	seen := map[string]string{}
	for _, p := range clienttest.List(c.api, client.Pods) {
		if ip := p.Status.PodIP; ip != "" && !lifecycle.Terminal(p) {
			if seen[ip] != "" {
				t.Errorf("%s and %s both have %s", seen[ip], p.Name, ip)
			}
			seen[ip] = p.Name
		}
	}
}

// settled says what is wrong with a pod to which nothing has happened for an hour.
func settled(t *testing.T, p *corev1.Pod) {
	t.Helper()
	mayRun := p.Annotations[simulated.AnnotationRunFor] == "forever" || p.Spec.RestartPolicy == corev1.RestartPolicyAlways ||
		p.Spec.RestartPolicy == corev1.RestartPolicyOnFailure && p.Annotations[simulated.AnnotationExitCode] == "1"
	switch {
	case p.DeletionTimestamp != nil:
		t.Errorf("still there: %s", show(p))
	case lifecycle.Terminal(p):
		for _, c := range p.Status.ContainerStatuses {
			if c.State.Running != nil {
				t.Errorf("runs after its end: %s", show(p))
			}
		}
	case !mayRun || p.Spec.ActiveDeadlineSeconds != nil || p.Status.Phase != corev1.PodRunning:
		t.Errorf("should have ended, or run: %s", show(p))
	}
}
