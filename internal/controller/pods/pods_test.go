package pods

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// pod reads words like node=n phase=Running ready=5m cost=-3 restarts=2 sidecar=1 age=1h.
func pod(script string) *corev1.Pod {
	p := &corev1.Pod{}
	for _, word := range strings.Fields(script) {
		k, v, _ := strings.Cut(word, "=")
		ago := func() metav1.Time {
			d, err := time.ParseDuration(v)
			if err != nil {
				panic(err)
			}
			return metav1.NewTime(noon.Add(-d))
		}
		switch k {
		case "name":
			p.Name, p.UID = v, types.UID(v)
		case "node":
			p.Spec.NodeName = v
		case "phase":
			p.Status.Phase = corev1.PodPhase(v)
		case "ready":
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: "True", LastTransitionTime: ago()})
		case "cost":
			p.Annotations = map[string]string{corev1.PodDeletionCost: v}
		case "restarts":
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: int32(len(v))}}
		case "sidecar":
			p.Spec.InitContainers = []corev1.Container{{Name: "s", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)}}
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "s", RestartCount: int32(len(v))}}
		case "init":
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "i", RestartCount: int32(len(v))}}
		case "age":
			p.CreationTimestamp = ago()
		}
	}
	return p
}

func TestRanking(t *testing.T) {
	// Each pod goes before the next.
	order := []string{
		"phase=Running ready=1h",
		"node=n phase=Pending ready=1h cost=-9",
		"node=n phase=Unknown",
		"node=n phase=Running cost=-5 age=9h",
		"node=n phase=Running cost=1",
		"node=n phase=Running ready=1h cost=-5",
		"node=full phase=Running ready=1h cost=+7", // makes no sense
		"node=n phase=Running ready=1m restarts=1",
		"node=n phase=Running ready=3m restarts=1111",
		"node=n phase=Running ready=1h restarts=11",
		"node=n phase=Running ready=1h restarts=1 sidecar=1",
		"node=n phase=Running ready=1h restarts=1 init=11 age=2h",
		"node=n phase=Running ready=1h restarts=1 age=30h",
		"node=n phase=Running ready=1h age=2h name=a",
		"node=n phase=Running ready=1h age=2.1h name=b", // about as old, so by UID
		"node=n phase=Running ready=1h age=1.9h name=c",
		"node=n phase=Running ready=1h cost=1",
		"node=n phase=Running ready=1h cost=20",
	}
	for n := range order {
		if !strings.Contains(order[n], "name=") {
			order[n] += fmt.Sprintf(" name=x%02d", n)
		}
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		all := make([]*corev1.Pod, len(order))
		for to, from := range random.Perm(len(order)) {
			all[to] = pod(order[from])
		}
		Ranking{Now: noon, Neighbors: map[string]int{"n": 2, "full": 3}}.Sort(all)
		for n, p := range all {
			if want := pod(order[n]); p.Name != want.Name {
				t.Fatalf("place %d has %s, want %s (%s)", n, p.Name, want.Name, order[n])
			}
		}
	}
}

func TestDeletionCost(t *testing.T) {
	for v, want := range map[string]int32{
		"": 0, "0": 0, "5": 5, "-5": -5, "-08": -8, "08": 0, "+5": 0, "x": 0, "5x": 0, "2147483647": 2147483647, "2147483648": 0,
	} {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{corev1.PodDeletionCost: v}}}
		if got := DeletionCost(p); got != want {
			t.Errorf("%q costs %d, want %d", v, got, want)
		}
	}
}

func TestSlowStart(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct{ n, limit, done, calls int }{
		{0, 9, 0, 0}, {1, 9, 1, 1}, {10, 99, 10, 10}, {500, 999, 500, 500},
		{500, 0, 0, 1}, {500, 2, 2, 3}, {500, 10, 10, 15}, {8, 7, 7, 8},
	} {
		var calls atomic.Int32
		seen := make([]atomic.Int32, c.n)
		done, err := SlowStartEach(c.n, func(n int) error {
			seen[n].Add(1)
			if int(calls.Add(1)) > c.limit {
				return boom
			}
			return nil
		})
		for n := range seen {
			if seen[n].Load() > 1 {
				t.Errorf("called with %d twice", n)
			}
		}
		if done != c.done || int(calls.Load()) != c.calls || (err != nil) != (c.done < c.n) {
			t.Errorf("%d with a limit of %d: %d done in %d calls (%v), want %d in %d", c.n, c.limit, done, calls.Load(), err, c.done, c.calls)
		}
	}
}

func TestHash(t *testing.T) {
	template := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "nginx"}}}}
	seen := map[string]string{}
	add := func(what string, collisions *int32) string {
		h := Hash(template, collisions)
		if other, ok := seen[h]; ok {
			t.Errorf("%s and %s have the hash %s", what, other, h)
		}
		seen[h] = what
		return h
	}
	first := add("none", nil)
	add("zero", ptr.To[int32](0))
	add("one", ptr.To[int32](1))
	if strings.Trim(first, "bcdfghjklmnpqrstvwxz2456789") != "" {
		t.Errorf("hash %q", first)
	}
	if again := Hash(template.DeepCopy(), nil); again != first {
		t.Errorf("a copy has the hash %s, the original %s", again, first)
	}
	template.Spec.Containers[0].Image = "nginx:2"
	add("another image", nil)
}

func TestUntilAvailable(t *testing.T) {
	all := []*corev1.Pod{pod("ready=10s"), pod("ready=25s"), pod("ready=2m"), pod("phase=Running")}
	if got := UntilAvailable(all, 30, noon); got != 5*time.Second {
		t.Errorf("%s", got)
	}
	if got := UntilAvailable(all[2:], 30, noon); got != 0 {
		t.Errorf("%s of those that are or will not be", got)
	}
}

func TestPrefix(t *testing.T) {
	for name, want := range map[string]string{"web": "web-", "a.b": "a.b-", "Web": "Web"} {
		if got := prefix(name); got != want {
			t.Errorf("%q has the prefix %q", name, got)
		}
	}
}

func TestManyAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, most, calls := 0, 0, 0
		begin := time.Now()
		err := Each(make([]*corev1.Pod, 2*inFlight+1), func(*corev1.Pod) error {
			mu.Lock()
			calls++
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			running--
			if running == 5 {
				return errors.New("one of them")
			}
			return nil
		})
		if took := time.Since(begin); err == nil || most != inFlight || calls != 2*inFlight+1 || took != 3*time.Second {
			t.Errorf("%d calls, %d at a time, in %v: %v", calls, most, took, err)
		}
	})
}
