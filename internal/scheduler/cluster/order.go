package cluster

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// arrange puts the nodes in order: of each zone in turn, so that a search that stops early has seen all.
func (c *Cluster) arrange() {
	zones := map[string][]*Node{}
	count := 0
	for _, n := range c.nodes {
		if n.Object != nil {
			zone := zoneOf(n.Object)
			zones[zone] = append(zones[zone], n)
			count++
		}
	}
	names := slices.Sorted(maps.Keys(zones))
	for _, nodes := range zones {
		slices.SortFunc(nodes, func(a, b *Node) int { return cmp.Compare(a.Name, b.Name) })
	}
	c.order = make([]*Node, 0, count)
	for i := 0; len(c.order) < count; i++ {
		for _, zone := range names {
			if i < len(zones[zone]) {
				n := zones[zone][i]
				n.Index = len(c.order)
				c.order = append(c.order, n)
			}
		}
	}
	c.stale = false
}

func zoneOf(o *corev1.Node) string {
	return label(o, corev1.LabelTopologyRegion, corev1.LabelFailureDomainBetaRegion) + "\x00" +
		label(o, corev1.LabelTopologyZone, corev1.LabelFailureDomainBetaZone)
}

func label(o *corev1.Node, key, former string) string {
	if v, ok := o.Labels[key]; ok {
		return v
	}
	return o.Labels[former]
}

// sameForPods tells if two states of a node are the same to pods that look for one.
func sameForPods(a, b *Node) bool {
	return a.MaxPods == b.MaxPods && a.Allocatable.equal(&b.Allocatable) &&
		a.Object.Spec.Unschedulable == b.Object.Spec.Unschedulable &&
		maps.Equal(a.Object.Labels, b.Object.Labels) &&
		equality.Semantic.DeepEqual(a.Object.Spec.Taints, b.Object.Spec.Taints)
}

// sameForOthers tells if two states of a pod on a node are the same to other pods.
func sameForOthers(a, b *corev1.Pod) bool {
	return maps.Equal(a.Labels, b.Labels) && (a.DeletionTimestamp == nil) == (b.DeletionTimestamp == nil)
}

// sameRequests tells if two shapes of one pod are the same. Nothing else of a pod's spec changes.
func (s *Shape) sameRequests(o *Shape) bool {
	return s.CPU == o.CPU && s.Memory == o.Memory && s.Requests.equal(&o.Requests)
}
