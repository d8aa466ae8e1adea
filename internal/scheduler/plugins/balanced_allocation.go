package plugins

import (
	"math"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/scheduler/cluster"
	"github.com/proa-dev/proa/internal/scheduler/framework"
)

// balancedAllocation prefers nodes whose CPU and memory are used to a more equal degree with the pod than without.
type balancedAllocation struct{}

func (balancedAllocation) Name() string { return "NodeResourcesBalancedAllocation" }

func (balancedAllocation) Judge(p *cluster.Pod, _ *cluster.Cluster) (framework.Judge, *framework.Rejection) {
	cpu, memory := p.Requests.MilliCPU, p.Requests.Memory
	if cpu == 0 && memory == 0 {
		return framework.Judge{}, nil
	}
	return framework.Judge{Score: func(n *cluster.Node) int64 {
		with := balance(n, n.Requested.MilliCPU+cpu, n.Requested.Memory+memory)
		without := balance(n, n.Requested.MilliCPU, n.Requested.Memory)
		return framework.MaxScore/2 + (framework.MaxScore/2+with-without)/2
	}}, nil
}

// balance is MaxScore if the same part of both is used.
func balance(n *cluster.Node, cpu, memory int64) int64 {
	if n.Allocatable.MilliCPU == 0 || n.Allocatable.Memory == 0 {
		return framework.MaxScore
	}
	a := min(float64(cpu)/float64(n.Allocatable.MilliCPU), 1)
	b := min(float64(memory)/float64(n.Allocatable.Memory), 1)
	return int64((1 - math.Abs((a-b)/2)) * framework.MaxScore)
}

func (balancedAllocation) Wakes(*corev1.Pod, *framework.Event) bool { return false }
