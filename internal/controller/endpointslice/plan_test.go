package endpointslice

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

func aService() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "svc", Labels: map[string]string{"team": "a"}},
		Spec: corev1.ServiceSpec{
			ClusterIP: "10.0.0.1", IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}, Selector: map[string]string{"app": "web"},
			Ports: []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromString("http")}},
		},
	}
}

func aPod(n int) *corev1.Pod {
	ip := fmt.Sprintf("10.1.%d.%d", n/250, n%250+1)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: fmt.Sprintf("p%04d", n), UID: types.UID(fmt.Sprint("u", n)), Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{
			Ports: []corev1.ContainerPort{{Name: "http", Protocol: corev1.ProtocolTCP, ContainerPort: 8080}},
		}}},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}, {IP: fmt.Sprintf("fd00::%x", n+1)}},
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
}

func aNode(name string) *corev1.Node {
	if name != "n1" {
		return nil
	}
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelTopologyZone: "z1"}}}
}

func show(e discoveryv1.Endpoint) string {
	out := strings.Join(e.Addresses, ",")
	for _, c := range []struct {
		name string
		is   *bool
	}{{"ready", e.Conditions.Ready}, {"serving", e.Conditions.Serving}, {"terminating", e.Conditions.Terminating}} {
		if *c.is {
			out += " " + c.name
		}
	}
	out += " " + ptr.Deref(e.NodeName, "-") + " " + ptr.Deref(e.Zone, "-") + " " + ptr.Deref(e.Hostname, "-") + " " + e.TargetRef.Name
	if e.Hints != nil {
		out += fmt.Sprint(" ", e.Hints.ForZones, e.Hints.ForNodes)
	}
	return out
}

func TestEndpoints(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *corev1.Service, p *corev1.Pod)
		want   string // the endpoints of each slice, and its ports
	}{
		"ready":       {func(*corev1.Service, *corev1.Pod) {}, "IPv4 [8080] 10.1.0.1 ready serving n1 z1 - p0000"},
		"not ready":   {func(_ *corev1.Service, p *corev1.Pod) { p.Status.Conditions = nil }, "IPv4 [8080] 10.1.0.1 n1 z1 - p0000"},
		"terminating": {func(_ *corev1.Service, p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }, "IPv4 [8080] 10.1.0.1 serving terminating n1 z1 - p0000"},
		"published": {func(s *corev1.Service, p *corev1.Pod) {
			s.Spec.PublishNotReadyAddresses, p.Status.Conditions, p.Spec.NodeName = true, nil, "n2"
		}, "IPv4 [8080] 10.1.0.1 ready n2 - - p0000"},
		"no address":   {func(_ *corev1.Service, p *corev1.Pod) { p.Status.PodIPs, p.Status.PodIP = nil, "" }, "IPv4 []"},
		"finished":     {func(_ *corev1.Service, p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }, "IPv4 []"},
		"no such port": {func(s *corev1.Service, _ *corev1.Pod) { s.Spec.Ports[0].TargetPort.StrVal = "https" }, "IPv4 [] 10.1.0.1 ready serving n1 z1 - p0000"},
		"number":       {func(s *corev1.Service, _ *corev1.Pod) { s.Spec.Ports[0].TargetPort = intstr.FromInt32(99) }, "IPv4 [99] 10.1.0.1 ready serving n1 z1 - p0000"},
		"lost node":    {func(_ *corev1.Service, p *corev1.Pod) { p.Spec.NodeName = "n2" }, "IPv4 [] and skipping Pod p0000 for Service ns/web: Node n2 Not Found"},
		"named":        {func(_ *corev1.Service, p *corev1.Pod) { p.Spec.Hostname, p.Spec.Subdomain = "me", "web" }, "IPv4 [8080] 10.1.0.1 ready serving n1 z1 me p0000"},
		"close":        {func(s *corev1.Service, _ *corev1.Pod) { s.Spec.TrafficDistribution = ptr.To("PreferClose") }, "IPv4 [8080] 10.1.0.1 ready serving n1 z1 - p0000 [{z1}] []"},
		"same node":    {func(s *corev1.Service, _ *corev1.Pod) { s.Spec.TrafficDistribution = ptr.To("PreferSameNode") }, "IPv4 [8080] 10.1.0.1 ready serving n1 z1 - p0000 [{z1}] [{n1}]"},
		"dual": {func(s *corev1.Service, _ *corev1.Pod) {
			s.Spec.IPFamilies = append(s.Spec.IPFamilies, corev1.IPv6Protocol)
		},
			"IPv4 [8080] 10.1.0.1 ready serving n1 z1 - p0000; IPv6 [8080] fd00::1 ready serving n1 z1 - p0000"},
		"headless without ports": {func(s *corev1.Service, _ *corev1.Pod) { s.Spec.ClusterIP, s.Spec.Ports = "None", nil },
			"headless IPv4 [] 10.1.0.1 ready serving n1 z1 - p0000"},
	} {
		s, p := aService(), aPod(0)
		c.change(s, p)
		plan := decide(s, []*corev1.Pod{p}, nil, aNode, time.Time{})
		var all []string
		for _, slice := range plan.create {
			line := ""
			if _, ok := slice.Labels[corev1.IsHeadlessService]; ok {
				line = "headless "
			}
			line += string(slice.AddressType) + " ["
			for _, port := range slice.Ports {
				line += fmt.Sprint(*port.Port)
			}
			line += "]"
			for _, e := range slice.Endpoints {
				line += " " + show(e)
			}
			if slice.Labels["kubernetes.io/service-name"] != "web" || slice.Labels["team"] != "a" || slice.GenerateName != "web-" ||
				slice.Labels["endpointslice.kubernetes.io/managed-by"] != managedBy || !isOwned(slice, s) {
				t.Errorf("%s: %+v", name, slice.ObjectMeta)
			}
			all = append(all, line)
		}
		got := strings.Join(all, "; ")
		for _, err := range plan.problems {
			got += " and " + err.Error()
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

// apply does what a plan says, and checks it.
func apply(t *testing.T, present []*discoveryv1.EndpointSlice, p plan, serial *int) []*discoveryv1.EndpointSlice {
	t.Helper()
	at := func(slice *discoveryv1.EndpointSlice) int {
		return slices.IndexFunc(present, func(o *discoveryv1.EndpointSlice) bool { return o.Name == slice.Name })
	}
	for _, slice := range p.update {
		n := at(slice)
		if n < 0 || present[n] == slice || present[n].AddressType != slice.AddressType {
			t.Fatalf("updates %q, which is not there, or the shared one, or of another family", slice.Name)
		}
		present[n] = slice
	}
	for _, slice := range p.delete {
		n := at(slice)
		present = slices.Delete(present, n, n+1)
	}
	for _, slice := range p.create {
		*serial++
		slice.Name, slice.UID = fmt.Sprint("web-", *serial), types.UID(fmt.Sprint("s", *serial))
		present = append(present, slice)
	}
	return present
}

func TestRandomHistories(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 8 {
		s, serial := aService(), 0
		s.Spec.IPFamilies = append(s.Spec.IPFamilies, corev1.IPv6Protocol)
		pods := map[int]*corev1.Pod{}
		var present []*discoveryv1.EndpointSlice
		for step := range 40 {
			changes := []int{0, 1, 5, 80, 300}[random.IntN(5)]
			for range changes {
				n := random.IntN(450)
				switch p := pods[n]; {
				case p == nil:
					pods[n] = aPod(n)
					pods[n].Spec.Containers[0].Ports[0].ContainerPort += random.Int32N(2)
				case random.IntN(2) == 0:
					delete(pods, n)
				default:
					p = p.DeepCopy()
					p.DeletionTimestamp = &metav1.Time{}
					pods[n] = p
				}
			}
			if random.IntN(10) == 0 {
				s = s.DeepCopy()
				s.Labels = map[string]string{"step": fmt.Sprint(step)}
			}
			var selected []*corev1.Pod
			for _, p := range pods {
				selected = append(selected, p)
			}
			before := len(present)
			p := decide(s, selected, present, aNode, time.Unix(int64(step), 0))
			if changes == 1 && len(p.create)+len(p.update)+len(p.delete) > 6 && before > 8 {
				t.Fatalf("one pod changed: %d created, %d updated, %d deleted", len(p.create), len(p.update), len(p.delete))
			}
			present = apply(t, present, p, &serial)
			check(t, s, selected, present)
			if p := decide(s, selected, present, aNode, time.Time{}); len(p.create)+len(p.update)+len(p.delete) > 0 {
				t.Fatalf("again: %d created, %d updated, %d deleted", len(p.create), len(p.update), len(p.delete))
			}
		}
	}
}

func check(t *testing.T, s *corev1.Service, selected []*corev1.Pod, present []*discoveryv1.EndpointSlice) {
	t.Helper()
	var got, want []string
	for _, slice := range present {
		if len(slice.Endpoints) > maxEndpoints {
			t.Fatalf("a slice of %d endpoints", len(slice.Endpoints))
		}
		if slice.Labels["step"] != s.Labels["step"] {
			t.Fatalf("a slice with labels %v of a service with %v", slice.Labels, s.Labels)
		}
		for _, e := range slice.Endpoints {
			got = append(got, fmt.Sprint(*slice.Ports[0].Port, " ", slice.AddressType, " ", show(e)))
		}
	}
	for _, p := range selected {
		for n, family := range []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6} {
			is := "ready serving"
			if p.DeletionTimestamp != nil {
				is = "serving terminating"
			}
			want = append(want, fmt.Sprint(p.Spec.Containers[0].Ports[0].ContainerPort, " ", family, " ",
				p.Status.PodIPs[n].IP, " ", is, " n1 z1 - ", p.Name))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("%d endpoints, want %d", len(got), len(want))
	}
	if len(present) == 0 {
		t.Fatal("no slice at all")
	}
}
