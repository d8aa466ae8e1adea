package cluster

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"
	schedulinghelper "k8s.io/component-helpers/scheduling/corev1"
)

// Pod is a pod and what scheduling reads from its spec. It is never changed, only replaced.
type Pod struct {
	*corev1.Pod
	*Shape
}

// Shape is what scheduling reads from a pod's spec. Pods whose specs do not differ in it share one.
type Shape struct {
	Requests Resources
	// CPU and Memory are the requests in which nothing is taken for something, as scores see them.
	CPU, Memory int64
	Ports       []Port
	// Affinity and AntiAffinity are the required terms.
	Affinity, AntiAffinity []Term
	// Preferred are the preferred terms; those of anti-affinity weigh less than nothing.
	Preferred []WeightedTerm
}

// Port is a port of the host.
type Port struct {
	IP       string
	Protocol corev1.Protocol
	Number   int32
}

const anyIP = "0.0.0.0"

// Conflicts tells if two ports cannot be had on one host.
func (p Port) Conflicts(o Port) bool {
	return p.Number == o.Number && p.Protocol == o.Protocol && (p.IP == o.IP || p.IP == anyIP || o.IP == anyIP)
}

// Term says which other pods it is about, and what "near" means.
type Term struct {
	Namespaces  sets.Set[string]
	InNamespace labels.Selector // of the namespaces' labels; besides Namespaces
	Selector    labels.Selector
	Topology    string
}

// WeightedTerm is a term that is preferred.
type WeightedTerm struct {
	Term
	Weight int64
}

// Matches tells if a pod, whose namespace has some labels, is one that the term is about.
func (t *Term) Matches(pod *corev1.Pod, namespace labels.Set) bool {
	if !t.Namespaces.Has(pod.Namespace) && !t.InNamespace.Matches(namespace) {
		return false
	}
	return t.Selector.Matches(labels.Set(pod.Labels))
}

// NewPod reads a pod.
func NewPod(pod *corev1.Pod) *Pod { return &Pod{Pod: pod, Shape: ShapeOf(pod)} }

// Priority of the pod; zero if it has none.
func (p *Pod) Priority() int32 { return schedulinghelper.PodPriority(p.Pod) }

// HasTerms tells if the pod has any opinion about other pods.
func (p *Pod) HasTerms() bool {
	return len(p.Affinity) > 0 || len(p.AntiAffinity) > 0 || len(p.Preferred) > 0
}

// ShapeOf reads a pod's spec.
func ShapeOf(pod *corev1.Pod) *Shape {
	s := &Shape{Ports: portsOf(pod)}
	s.Requests, s.CPU, s.Memory = requestsOf(pod)
	affinity := pod.Spec.Affinity
	if affinity == nil {
		return s
	}
	if a := affinity.PodAffinity; a != nil {
		s.Affinity = termsOf(pod, a.RequiredDuringSchedulingIgnoredDuringExecution)
		s.prefer(pod, a.PreferredDuringSchedulingIgnoredDuringExecution, 1)
	}
	if a := affinity.PodAntiAffinity; a != nil {
		s.AntiAffinity = termsOf(pod, a.RequiredDuringSchedulingIgnoredDuringExecution)
		s.prefer(pod, a.PreferredDuringSchedulingIgnoredDuringExecution, -1)
	}
	return s
}

func (s *Shape) prefer(pod *corev1.Pod, terms []corev1.WeightedPodAffinityTerm, sign int64) {
	for i := range terms {
		s.Preferred = append(s.Preferred, WeightedTerm{
			Term: termOf(pod, &terms[i].PodAffinityTerm), Weight: sign * int64(terms[i].Weight),
		})
	}
}

func termsOf(pod *corev1.Pod, terms []corev1.PodAffinityTerm) []Term {
	all := make([]Term, len(terms))
	for i := range terms {
		all[i] = termOf(pod, &terms[i])
	}
	return all
}

func termOf(pod *corev1.Pod, t *corev1.PodAffinityTerm) Term {
	term := Term{
		Namespaces: sets.New(t.Namespaces...), Topology: t.TopologyKey,
		Selector: selectorOf(t.LabelSelector), InNamespace: selectorOf(t.NamespaceSelector),
	}
	if len(t.Namespaces) == 0 && t.NamespaceSelector == nil {
		term.Namespaces.Insert(pod.Namespace)
	}
	return term
}

// selectorOf matches nothing if the selector makes no sense, which the API lets no one write.
func selectorOf(s *metav1.LabelSelector) labels.Selector {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing()
	}
	return selector
}

// portsOf is the ports of the host that a pod holds as long as it runs.
func portsOf(pod *corev1.Pod) []Port {
	var all []Port
	add := func(c *corev1.Container) {
		for _, p := range c.Ports {
			if p.HostPort > 0 {
				all = append(all, portOf(p))
			}
		}
	}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add(c)
		}
	}
	for i := range pod.Spec.Containers {
		add(&pod.Spec.Containers[i])
	}
	return all
}

func portOf(p corev1.ContainerPort) Port {
	port := Port{IP: p.HostIP, Protocol: p.Protocol, Number: p.HostPort}
	if port.IP == "" {
		port.IP = anyIP
	}
	if port.Protocol == "" {
		port.Protocol = corev1.ProtocolTCP
	}
	return port
}
