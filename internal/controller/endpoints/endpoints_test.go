package endpoints

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/controller/controllertest"
)

func aService() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", Labels: map[string]string{"team": "a"}},
		Spec: corev1.ServiceSpec{
			ClusterIP: "10.0.0.1", Selector: map[string]string{"app": "web"},
			Ports: []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromString("http")}},
		},
	}
}

// aPod has an address that ends in n, and is ready or not, and has named ports.
func aPod(n int, ready bool, ports ...corev1.ContainerPort) *corev1.Pod {
	ip := fmt.Sprintf("10.1.%d.%d", n/250, n%250)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: fmt.Sprint("p", n), UID: types.UID(fmt.Sprint("u", n)), Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{Ports: ports}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}},
	}
	if ready {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	return p
}

func port(name string, n int32) corev1.ContainerPort {
	return corev1.ContainerPort{Name: name, ContainerPort: n, Protocol: corev1.ProtocolTCP}
}

func show(e *corev1.Endpoints) string {
	var subsets []string
	for _, s := range e.Subsets {
		var parts []string
		for _, a := range s.Addresses {
			parts = append(parts, a.TargetRef.Name)
		}
		for _, a := range s.NotReadyAddresses {
			parts = append(parts, "("+a.TargetRef.Name+")")
		}
		for _, p := range s.Ports {
			parts = append(parts, fmt.Sprintf("%s=%d", p.Name, p.Port))
		}
		subsets = append(subsets, strings.Join(parts, " "))
	}
	return strings.Join(subsets, "; ")
}

func TestSubsets(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*corev1.Service)
		pods   []*corev1.Pod
		want   []string // in any order
	}{
		"ready and not": {nil, []*corev1.Pod{aPod(3, false, port("http", 80)), aPod(2, true, port("http", 80)), aPod(1, true, port("http", 80))}, []string{"p1 p2 (p3) http=80"}},
		"two numbers":   {nil, []*corev1.Pod{aPod(1, true, port("http", 80)), aPod(2, true, port("http", 81))}, []string{"p1 http=80", "p2 http=81"}},
		"no such port":  {nil, []*corev1.Pod{aPod(1, true), aPod(2, true, port("http", 81))}, []string{"p2 http=81"}},
		"nobody":        {nil, nil, []string{""}},
		"published": {func(s *corev1.Service) { s.Spec.PublishNotReadyAddresses = true },
			[]*corev1.Pod{aPod(1, false, port("http", 80))}, []string{"p1 http=80"}},
		"headless": {func(s *corev1.Service) { s.Spec.ClusterIP, s.Spec.Ports = "None", nil }, []*corev1.Pod{aPod(1, true), aPod(2, false)}, []string{"p1 (p2)"}},
		"other family": {func(s *corev1.Service) { s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol} },
			[]*corev1.Pod{aPod(1, true, port("http", 80))}, []string{""}},
	} {
		s := aService()
		if c.change != nil {
			c.change(s)
		}
		e := decide(s, c.pods, nil, time.Time{})
		got := strings.Split(show(e), "; ")
		if len(got) != len(c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(show(e), w) {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
		}
		if again := decide(s, c.pods, e, time.Time{}); again != nil {
			t.Errorf("%s: written again as %s", name, show(again))
		}
	}
}

func TestCapacity(t *testing.T) {
	for name, c := range map[string]struct{ ready, notReady, wantReady, wantNotReady int }{
		"just so":        {900, 100, 900, 100},
		"not ready go":   {900, 300, 900, 100},
		"ready go":       {1100, 300, 1000, 0},
		"not ready only": {0, 1001, 0, 1000},
	} {
		var all []*corev1.Pod
		for n := range c.ready + c.notReady {
			all = append(all, aPod(n, n < c.ready, port("http", 80+int32(n%3))))
		}
		e := decide(aService(), all, nil, time.Time{})
		var ready, notReady int
		for _, s := range e.Subsets {
			ready += len(s.Addresses)
			notReady += len(s.NotReadyAddresses)
		}
		truncated := c.ready+c.notReady > maxAddresses
		if ready != c.wantReady || notReady != c.wantNotReady || (e.Annotations["endpoints.kubernetes.io/over-capacity"] == "truncated") != truncated {
			t.Errorf("%s: %d ready, %d not, %v", name, ready, notReady, e.Annotations)
		}
		if again := decide(aService(), all, e, time.Time{}); again != nil {
			t.Errorf("%s: written again", name)
		}
	}
}

func TestLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "left"}}
		lock := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "lock", Annotations: map[string]string{leaderAnnotation: "{}"}}}
		by := aService()
		by.Name, by.Spec.Selector = "manual", nil
		manual := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "manual"}}
		b := controllertest.New(t, []client.Object{aService(), by, manual, left, lock, aPod(1, true, port("http", 80))}, New)
		names := func() string {
			var all []string
			for _, e := range clienttest.List(b.Server, client.Endpoints) {
				all = append(all, e.Name+"["+show(e)+"]")
			}
			return strings.Join(all, " ")
		}
		expect := func(want string) {
			t.Helper()
			b.Pass(time.Minute)
			if got := names(); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		expect("lock[] manual[] web[p1 http=80]")
		web := clienttest.Get(b.Server, client.Endpoints, "ns", "web")
		if web.Labels["team"] != "a" || web.Labels[labelManagedBy] != "endpoint-controller" || len(web.Labels) != 2 {
			t.Errorf("labels %v", web.Labels)
		}
		b.Server.Put(aPod(2, false, port("http", 80)))
		expect("lock[] manual[] web[p1 (p2) http=80]")
		relabeled := aPod(1, true, port("http", 80))
		relabeled.Labels = nil
		b.Server.Put(relabeled)
		expect("lock[] manual[] web[(p2) http=80]")
		b.Server.Remove(clienttest.Get(b.Server, client.Endpoints, "ns", "web"))
		expect("lock[] manual[] web[(p2) http=80]")
		b.Server.Remove(aService())
		expect("lock[] manual[]")
	})
}
