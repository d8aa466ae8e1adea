package nodelifecycle

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/controller/controllertest"
)

func node(name string, ready corev1.ConditionStatus, zone ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.Now(), Labels: map[string]string{}}}
	if ready != "" {
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready, LastHeartbeatTime: metav1.Now()}}
	}
	for _, z := range zone {
		n.Labels[corev1.LabelTopologyZone] = z
	}
	return n
}

func lease(name string) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-node-lease", Name: name},
		Spec:       coordinationv1.LeaseSpec{RenewTime: ptr.To(metav1.NowMicro())},
	}
}

func get(b *controllertest.Bench, name string) *corev1.Node {
	return clienttest.Get(b.Server, client.Nodes, "", name)
}

// taintsOf is like "unreachable:NoSchedule unreachable:NoExecute".
func taintsOf(n *corev1.Node) string {
	var all []string
	for _, t := range n.Spec.Taints {
		all = append(all, strings.TrimPrefix(t.Key, "node.kubernetes.io/")+":"+string(t.Effect))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// beat lets time pass in which some nodes are heard of by their leases.
func beat(b *controllertest.Bench, d time.Duration, nodes ...string) {
	for ; d > 0; d -= 10 * time.Second {
		b.Pass(min(d, 10*time.Second))
		for _, n := range nodes {
			b.Server.Put(lease(n))
		}
		b.Settle()
	}
}

func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}, Spec: corev1.PodSpec{NodeName: "a"}}
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		b := controllertest.New(t, []client.Object{node("a", corev1.ConditionTrue), node("b", corev1.ConditionTrue), pod}, Start)
		beat(b, 10*time.Minute, "a", "b")
		if got := b.Server.Actions(); len(got) > 0 {
			t.Fatalf("while all is well: %v", got)
		}
		beat(b, 49*time.Second, "b")
		if !isReady(get(b, "a")) {
			t.Fatal("given up too early")
		}
		b.Pass(time.Second)
		n := get(b, "a")
		if c := ready(n); c.Status != corev1.ConditionUnknown || c.Reason != "NodeStatusUnknown" || c.Message != "Kubelet stopped posting node status." {
			t.Errorf("ready is %+v", c)
		}
		if c := condition(n, corev1.NodeDiskPressure); c == nil || c.Reason != "NodeStatusNeverUpdated" || c.Message != "Kubelet never posted node status." {
			t.Errorf("disk pressure is %+v", c)
		}
		if got := taintsOf(n); got != "unreachable:NoExecute unreachable:NoSchedule" {
			t.Errorf("taints %s", got)
		}
		p := clienttest.Get(b.Server, client.Pods, "ns", "p")
		if p.Status.Conditions[0].Status != corev1.ConditionFalse {
			t.Errorf("the pod is %+v", p.Status.Conditions)
		}
		want := []string{"a Normal RegisteredNode: Node a event: Registered Node a in Controller", "b Normal RegisteredNode: Node b event: Registered Node b in Controller",
			"a Normal NodeNotReady: Node a status is now: NodeNotReady", "p Warning NodeNotReady: Node is not ready"}
		got := b.Events.Take()
		slices.Sort(got[:2])
		if !slices.Equal(got, want) {
			t.Errorf("events %q", got)
		}
		b.Server.Actions()
		beat(b, time.Hour, "b")
		if got := b.Server.Actions(); len(got) > 0 {
			t.Errorf("again: %v", got)
		}
		controllertest.Each(b, client.Nodes, func(n *corev1.Node) bool {
			n.Status.Conditions = node("a", corev1.ConditionTrue).Status.Conditions
			return n.Name == "a"
		})
		if got := taintsOf(get(b, "a")); got != "" {
			t.Errorf("taints %s once it is back", got)
		}
	})
}

func TestNeverHeardOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{node("a", ""), node("b", corev1.ConditionTrue)}, Start)
		beat(b, 59*time.Second, "b")
		if get(b, "a").Status.Conditions != nil {
			t.Fatal("given up too early")
		}
		b.Pass(time.Second)
		if c := ready(get(b, "a")); c == nil || c.Status != corev1.ConditionUnknown || c.Reason != "NodeStatusNeverUpdated" {
			t.Errorf("ready is %+v", c)
		}
	})
}

// If no node can be heard, it is more likely that we are deaf.
func TestNobodyIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{node("a", corev1.ConditionTrue), node("b", corev1.ConditionTrue)}, Start)
		beat(b, 30*time.Second, "a")
		beat(b, 30*time.Second)
		if got := taintsOf(get(b, "b")); got != "unreachable:NoExecute unreachable:NoSchedule" {
			t.Errorf("b alone has %s", got)
		}
		b.Pass(time.Hour)
		for _, name := range []string{"a", "b"} {
			if got := taintsOf(get(b, name)); got != "unreachable:NoSchedule" {
				t.Errorf("%s has %s", name, got)
			}
		}
	})
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, names := []client.Object{}, []string{"other"}
		for n := range 6 {
			names = append(names, fmt.Sprint("n", n))
			all = append(all, node(names[n+1], corev1.ConditionTrue, "z"))
		}
		all = append(all, node("other", corev1.ConditionTrue, "y"))
		b := controllertest.New(t, all, Start)
		fail := func(names ...string) {
			controllertest.Each(b, client.Nodes, func(n *corev1.Node) bool {
				n.Status.Conditions[0].Status = corev1.ConditionFalse
				return slices.Contains(names, n.Name)
			})
		}
		out := func() (n int) {
			for _, x := range clienttest.List(b.Server, client.Nodes) {
				if isOutcast(x) {
					n++
				}
			}
			return n
		}
		fail("n0", "n1", "n2")
		for n := range 3 {
			if got := out(); got != n+1 {
				t.Errorf("%d nodes after %d0 s", got, n)
			}
			beat(b, 10*time.Second, names...)
		}
		fail("n3", "n4") // too many in a small zone
		beat(b, 30*time.Second, names...)
		if got := out(); got != 3 {
			t.Errorf("%d nodes while most of the zone fails", got)
		}
		fail("other")
		b.Settle()
		if got := out(); got != 4 {
			t.Errorf("%d nodes, and the other zone has its own pace", got)
		}
		b.Counted(t, map[string]float64{"node_collector_evictions_total :\x00:z": 3, "node_collector_evictions_total :\x00:y": 1})
	})
}

func TestTempo(t *testing.T) {
	zone := func(ready, other int) (all []*corev1.Node) {
		for n := range ready + other {
			status := corev1.ConditionTrue
			if n >= ready {
				status = corev1.ConditionUnknown
			}
			all = append(all, node(fmt.Sprint(n), status, "z"))
		}
		return all
	}
	elsewhere := node("elsewhere", corev1.ConditionTrue, "y")
	hidden := node("hidden", corev1.ConditionTrue, "z")
	hidden.Labels[excluded] = ""
	for name, c := range map[string]struct {
		all  []*corev1.Node
		want tempo
	}{
		"one fails":                            {zone(9, 1), tempo{between: pace}},
		"two of three fail":                    {zone(1, 2), tempo{between: pace}},
		"just not too many":                    {zone(46, 54), tempo{between: pace}},
		"too many, large":                      {zone(45, 55), tempo{between: slowPace}},
		"too many, small":                      {zone(2, 3), tempo{stop: true}},
		"all fail":                             {zone(0, 5), tempo{stop: true, reset: true}},
		"all of one zone fail":                 {append(zone(0, 5), elsewhere), tempo{between: pace}},
		"all fail but one that is not counted": {append(zone(0, 5), hidden), tempo{stop: true, reset: true}},
	} {
		if got := tempoOf(c.all[0], c.all); got != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestTaints(t *testing.T) {
	n := node("a", corev1.ConditionFalse)
	n.Spec.Unschedulable = true
	n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionTrue},
		corev1.NodeCondition{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse})
	n.Spec.Taints = []corev1.Taint{
		{Key: "mine", Effect: corev1.TaintEffectNoExecute}, {Key: corev1.TaintNodeDiskPressure, Effect: corev1.TaintEffectNoSchedule},
		{Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoExecute}, {Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectPreferNoSchedule},
	}
	n.Spec.Taints = taints(n, true, time.Now())
	want := "memory-pressure:NoSchedule mine:NoExecute not-ready:NoExecute not-ready:NoSchedule unreachable:PreferNoSchedule unschedulable:NoSchedule"
	if got := taintsOf(n); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	again := taints(n, true, time.Now().Add(time.Hour))
	for i := range again {
		if again[i] != n.Spec.Taints[i] {
			t.Errorf("%v became %v", n.Spec.Taints[i], again[i])
		}
	}
}

func TestLabels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := node("a", corev1.ConditionTrue)
		n.Labels = map[string]string{corev1.LabelOSStable: "linux", corev1.LabelArchStable: "arm64", "beta.kubernetes.io/arch": "amd64"}
		b := controllertest.New(t, []client.Object{n}, Start)
		if got := get(b, "a").Labels; got["beta.kubernetes.io/os"] != "linux" || got["beta.kubernetes.io/arch"] != "arm64" {
			t.Errorf("%v", got)
		}
	})
}
