package framework

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/scheduler/cluster"
)

// Nominations are pods that wait for room on a node that was made, or is being made, for them. What was decided
// counts more than what their status says, which follows later.
type Nominations struct {
	pods    map[string][]*cluster.Pod // by node
	nodes   map[types.UID]string      // by pod
	victims map[types.UID][]types.UID // that a pod waits for
}

// Nominate says which node a pod waits for; none if it is empty.
func (s *Nominations) Nominate(p *cluster.Pod, node string) {
	s.Unnominate(p.UID)
	if node != "" {
		s.nodes[p.UID] = node
		s.pods[node] = append(s.pods[node], p)
	}
}

// Unnominate says that a pod waits for no node.
func (s *Nominations) Unnominate(uid types.UID) {
	delete(s.victims, uid)
	node, ok := s.nodes[uid]
	if !ok {
		return
	}
	delete(s.nodes, uid)
	pods := s.pods[node]
	i := slices.IndexFunc(pods, func(p *cluster.Pod) bool { return p.UID == uid })
	if s.pods[node] = slices.Delete(pods, i, i+1); len(pods) == 1 {
		delete(s.pods, node)
	}
}

// Nominated is the node that a pod waits for; empty if there is none.
func (s *Nominations) Nominated(uid types.UID) string { return s.nodes[uid] }

// Await says that a pod waits for victims to leave the node that it is nominated to.
func (s *Nominations) Await(uid types.UID, victims []*cluster.Pod) {
	for _, v := range victims {
		s.victims[uid] = append(s.victims[uid], v.UID)
	}
}

// Below are the pods nominated to a node whose priority is below p.
func (s *Nominations) Below(node string, p int32) []*cluster.Pod {
	var all []*cluster.Pod
	for _, other := range s.pods[node] {
		if other.Priority() < p {
			all = append(all, other)
		}
	}
	return all
}

// crowd is the node with the pods on it that are nominated to it and do not rank below p; nil if there are none.
func (s *Nominations) crowd(p *cluster.Pod, n *cluster.Node) *cluster.Node {
	var crowded *cluster.Node
	for _, other := range s.pods[n.Name] {
		if other.UID == p.UID || other.Priority() < p.Priority() {
			continue
		}
		if crowded == nil {
			crowded = n.Clone()
		}
		crowded.Add(other)
	}
	return crowded
}
