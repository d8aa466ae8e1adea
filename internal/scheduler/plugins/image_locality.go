package plugins

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/scheduler/cluster"
	"github.com/proa-dev/proa/internal/scheduler/framework"
)

// imageLocality prefers nodes that have the pod's images, the more so the larger they are and the more nodes
// have them, so that not all pods gather where the first one was.
type imageLocality struct{}

// Bytes of images below which a node is not worth more, and, for each container, above which no more.
const (
	fewBytes  = 23 << 20
	manyBytes = 1000 << 20
)

func (imageLocality) Name() string { return "ImageLocality" }

func (imageLocality) Judge(p *cluster.Pod, c *cluster.Cluster) (framework.Judge, *framework.Rejection) {
	names, containers := imagesOf(p.Pod)
	nodes := float64(len(c.Nodes()))
	most := int64(manyBytes) * int64(containers)
	return framework.Judge{Score: func(n *cluster.Node) int64 {
		var sum int64
		for _, name := range names {
			if size, ok := n.Images[name]; ok {
				sum += int64(float64(size) * (float64(c.NodesWithImage(name)) / nodes))
			}
		}
		sum = min(max(sum, fewBytes), most)
		return framework.MaxScore * (sum - fewBytes) / (most - fewBytes)
	}}, nil
}

func imagesOf(pod *corev1.Pod) (names []string, containers int) {
	for i := range pod.Spec.InitContainers {
		names = append(names, tagged(pod.Spec.InitContainers[i].Image))
	}
	for i := range pod.Spec.Containers {
		names = append(names, tagged(pod.Spec.Containers[i].Image))
	}
	containers = len(names)
	for i := range pod.Spec.Volumes {
		if image := pod.Spec.Volumes[i].Image; image != nil {
			names = append(names, tagged(image.Reference))
		}
	}
	return names, containers
}

// tagged is the name of an image with its tag or digest.
func tagged(name string) string {
	if strings.LastIndex(name, ":") <= strings.LastIndex(name, "/") {
		return name + ":latest"
	}
	return name
}

func (imageLocality) Wakes(*corev1.Pod, *framework.Event) bool { return false }
