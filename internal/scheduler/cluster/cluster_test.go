package cluster

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func node(name, zone string, images ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelTopologyZone: zone}}}
	for _, i := range images {
		n.Status.Images = append(n.Status.Images, corev1.ContainerImage{Names: []string{i}, SizeBytes: 1})
	}
	return n
}

func pod(name, on string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)},
		Spec: corev1.PodSpec{NodeName: on, Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")},
		}}}},
	}
}

func changed(c *Cluster, since uint64) (names []string) {
	c.Changed(since, func(n *Node) { names = append(names, n.Name) })
	return names
}

func TestZonesTakeTurns(t *testing.T) {
	c := New()
	for _, n := range []*corev1.Node{node("a1", "a"), node("a2", "a"), node("a3", "a"), node("b1", "b"), node("c1", "c"), node("c2", "c")} {
		c.SetNode(n)
	}
	var names []string
	for i, n := range c.Nodes() {
		names = append(names, n.Name)
		if n.Index != i {
			t.Errorf("%s has index %d, want %d", n.Name, n.Index, i)
		}
	}
	if want := []string{"a1", "b1", "c1", "a2", "c2", "a3"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
}

// However a pod on a node changes, the node has what reading the pod anew makes of it.
func TestPodIsReadAgainWhereItMatters(t *testing.T) {
	asks := func(cpu string) *corev1.ResourceRequirements {
		return &corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}}
	}
	for name, change := range map[string]func(*corev1.Pod){
		"nothing": func(*corev1.Pod) {},
		"status as specified": func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Resources: asks("100m"), AllocatedResources: asks("100m").Requests}}
		},
		"status of more": func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Resources: asks("300m")}}
		},
		"allocated more": func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Resources: asks("100m"), AllocatedResources: asks("200m").Requests}}
		},
		"spec of less":                     func(p *corev1.Pod) { p.Spec.Containers[0].Resources, p.Generation = *asks("50m"), 2 },
		"spec of a server without numbers": func(p *corev1.Pod) { p.Spec.Containers[0].Resources, p.Generation = *asks("70m"), 0 },
	} {
		c := New()
		c.SetNode(node("n", "z"))
		before := pod("p", "n")
		before.Generation = 1
		after := before.DeepCopy()
		change(after)
		states := []*corev1.Pod{before, after, before}
		if after.Generation == 0 {
			states[0] = before.DeepCopy()
			states[0].Generation = 0
			states = states[:2]
		}
		for i, p := range states {
			c.SetPod(p)
			if got, want := c.Node("n").Requested.MilliCPU, ShapeOf(p).Requests.MilliCPU; got != want {
				t.Errorf("%s, state %d: the node has %dm, want %dm", name, i, got, want)
			}
		}
	}
}

func TestChangesAreSeenOnce(t *testing.T) {
	c := New()
	for _, name := range []string{"a", "b", "c"} {
		c.SetNode(node(name, "z"))
	}
	at := c.Generation()
	c.SetNode(node("b", "z")) // the same again
	if got := changed(c, at); got != nil {
		t.Errorf("nothing changed, but %v", got)
	}
	c.Assume(NewPod(pod("p", "")), "a")
	c.Assume(NewPod(pod("q", "")), "c")
	c.RemovePod("p")
	if got := changed(c, at); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("got %v", got)
	}
	at = c.Generation()
	c.SetPod(pod("q", "c")) // as was assumed
	if got := changed(c, at); got != nil || c.IsAssumed("q") {
		t.Errorf("what was assumed came true, but %v changed", got)
	}
}

func TestPodsComeBeforeTheirNode(t *testing.T) {
	c := New()
	c.SetPod(pod("p", "a"))
	if c.Node("a") != nil || len(c.Nodes()) != 0 {
		t.Error("there is a node that nobody made")
	}
	c.SetNode(node("a", "z"))
	if n := c.Node("a"); len(n.Pods) != 1 || n.Requested.MilliCPU != 100 {
		t.Errorf("got %+v", n)
	}
	c.RemoveNode("a")
	c.SetPod(pod("p", "b"))
	if len(c.nodes) != 1 {
		t.Errorf("%d nodes are remembered", len(c.nodes))
	}
	c.RemovePod("p")
	if len(c.nodes) != 0 || c.newest != nil {
		t.Errorf("%d nodes are remembered", len(c.nodes))
	}
}

func TestForgetTakesBackAssumptionsOnly(t *testing.T) {
	c := New()
	c.SetNode(node("a", "z"))
	c.Assume(NewPod(pod("p", "")), "a")
	c.Assume(NewPod(pod("q", "")), "a")
	c.SetPod(pod("q", "a"))
	if c.Forget("p") == nil || c.Forget("q") != nil || c.Forget("r") != nil {
		t.Error("not just p was forgotten")
	}
	if n := c.Node("a"); len(n.Pods) != 1 || n.Requested.MilliCPU != 100 || c.Has("p") || !c.Has("q") {
		t.Errorf("got %+v", n)
	}
}

func TestImagesAreCounted(t *testing.T) {
	c := New()
	c.SetNode(node("a", "z", "x", "y"))
	c.SetNode(node("b", "z", "x"))
	at := c.Layout()
	c.SetNode(node("a", "z", "y", "w"))
	for image, want := range map[string]int{"x": 1, "y": 1, "w": 1, "v": 0} {
		if got := c.NodesWithImage(image); got != want {
			t.Errorf("%s is on %d nodes, want %d", image, got, want)
		}
	}
	if c.Layout() == at {
		t.Error("the weight of images changed, and nobody is told")
	}
	c.RemoveNode("a")
	if got := c.NodesWithImage("y"); got != 0 {
		t.Errorf("y is on %d nodes", got)
	}
}
