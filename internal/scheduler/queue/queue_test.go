package queue

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/scheduler/schedulertest"
)

// bench is a queue and a clock.
type bench struct {
	*testing.T
	q     *Queue
	start time.Time
	now   time.Time
}

func newBench(t *testing.T) *bench {
	start := time.Unix(1000, 0)
	return &bench{T: t, q: New(), start: start, now: start}
}

func (b *bench) put(name string, f ...func(*corev1.Pod)) *corev1.Pod {
	p := schedulertest.Pod(name, "", "", f...)
	b.q.Put(p, b.now, func(*Item, *corev1.Pod) bool { return false })
	return p
}

func (b *bench) pass(d time.Duration) { b.now = b.now.Add(d) }

func (b *bench) take() *Item { return b.q.Take(b.now) }

// takes takes all there is and sees that it is these pods, in this order.
func (b *bench) takes(want string) {
	b.Helper()
	var got []string
	for i := b.take(); i != nil; i = b.take() {
		got = append(got, i.Pod.Name)
	}
	if s := strings.Join(got, " "); s != want {
		b.Errorf("after %v: took %q, want %q", b.now.Sub(b.start), s, want)
	}
}

func all(*Item) bool { return true }

func nodeAdded() string { return "NodeAdd" }

func gate(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "g"}} }

func TestTheImportantThenTheOldComeFirst(t *testing.T) {
	b := newBench(t)
	b.put("a")
	b.put("b")
	b.pass(time.Second)
	b.put("c", schedulertest.Priority(1))
	b.put("d", schedulertest.Priority(2))
	b.put("e")
	b.takes("d c a b e")
}

func TestGatedPodsAreNotTried(t *testing.T) {
	b := newBench(t)
	b.put("a", gate)
	b.takes("")
	b.q.Wake(b.now, nodeAdded, all)
	b.pass(time.Hour)
	b.takes("")
	if _, ok := b.q.Next(); ok || b.q.Count(Gated) != 1 {
		t.Error("a gated pod is waited for")
	}
	b.put("a")
	b.takes("a")
}

func TestRejectedPodsWaitForAnEvent(t *testing.T) {
	b := newBench(t)
	b.put("a")
	b.put("b")
	b.q.Reject(b.take(), 1, b.now)
	b.q.Reject(b.take(), 2, b.now)
	b.pass(time.Minute)
	b.takes("")
	b.q.Wake(b.now, nodeAdded, func(i *Item) bool { return i.By == 2 })
	b.takes("b")
	b.q.Wake(b.now, nodeAdded, func(i *Item) bool { return i.By == 2 })
	b.takes("")
	if next, ok := b.q.Next(); !ok || next != b.start.Add(maxWait) {
		t.Errorf("next is %v, %v", next, ok)
	}
	b.pass(4 * time.Minute)
	b.takes("a")
	if _, ok := b.q.Next(); ok {
		t.Error("something is waited for in an empty queue")
	}
}

// A pod that backs off is tried if there is nothing else to do.
func TestBackoffYieldsToActive(t *testing.T) {
	b := newBench(t)
	b.put("a")
	b.q.Reject(b.take(), 1, b.now)
	b.q.Wake(b.now, nodeAdded, all)
	if b.q.Count(Backoff) != 1 {
		t.Fatal("the pod does not back off")
	}
	b.pass(100 * time.Millisecond)
	b.put("b", schedulertest.Priority(-1))
	b.takes("b a")

	b = newBench(t)
	b.put("a")
	b.q.Reject(b.take(), 1, b.now)
	b.pass(time.Second)
	b.q.Wake(b.now, nodeAdded, all)
	b.put("b", schedulertest.Priority(-1))
	b.takes("a b")
}

func TestErrorsBackOff(t *testing.T) {
	b := newBench(t)
	b.put("a")
	for _, seconds := range []int{1, 2, 4, 8, 10, 10} {
		i := b.take()
		if i == nil {
			t.Fatalf("after %v: nothing to take", b.now.Sub(b.start))
		}
		b.q.Fail(i, b.now)
		due := time.Duration(seconds) * time.Second
		if next, ok := b.q.Next(); !ok || next.Sub(b.now) != due {
			t.Errorf("waits %v, want %v", next.Sub(b.now), due)
		}
		b.q.Wake(b.now, nodeAdded, all)
		b.pass(due - 1)
		b.takes("")
		b.pass(1)
	}
	i := b.take()
	b.q.Reject(i, 1, b.now)
	if i.errors != 0 || i.Attempts != 7 {
		t.Errorf("%d errors in a row, %d attempts", i.errors, i.Attempts)
	}
}

func TestBackoffOfRejectedPods(t *testing.T) {
	for n, want := range []int{1, 2, 4, 8, 10, 10} {
		if got := backoff(n + 1); got != time.Duration(want)*time.Second {
			t.Errorf("%d: %v", n+1, got)
		}
	}
	if got := backoff(1 << 40); got != maxBackoff {
		t.Errorf("got %v", got)
	}
}

func TestChangesOfAPodItself(t *testing.T) {
	b := newBench(t)
	b.put("a")
	b.q.Reject(b.take(), 1, b.now)
	b.put("a", schedulertest.Labels("x", "y"))
	b.takes("")
	b.q.Put(schedulertest.Pod("a", "", ""), b.now, func(i *Item, old *corev1.Pod) bool {
		return old.Labels["x"] == "y" && i.Pod.Labels["x"] == ""
	})
	b.takes("a")

	b.put("b")
	b.put("c")
	b.put("c", schedulertest.Priority(1))
	b.takes("c b")
}

func TestRemoved(t *testing.T) {
	b := newBench(t)
	for _, f := range []func(*corev1.Pod){gate, func(*corev1.Pod) {}} {
		p := b.put("a", f)
		b.q.Remove(p.UID)
		b.q.Remove(p.UID)
	}
	b.put("b")
	p := b.put("c")
	b.put("d")
	b.q.Remove(p.UID)
	b.takes("b d")
	if len(b.q.items) != 0 || b.q.Ready(b.now) {
		t.Errorf("%v are left", b.q.items)
	}
	b.q.Reject(&Item{Pod: p}, 1, b.now)
	b.q.Activate(p.UID, b.now.Add(time.Second))
	b.pass(time.Second)
	if !b.q.Ready(b.now) {
		t.Error("not ready")
	}
	b.takes("c")
}

func BenchmarkPutTake(b *testing.B) {
	now := time.Unix(0, 0)
	pods := make([]*corev1.Pod, 10_000)
	for i := range pods {
		pods[i] = schedulertest.Pod(fmt.Sprint("p", i), "", "")
	}
	b.ReportAllocs()
	q := New()
	for n := 0; b.Loop(); n++ {
		q.Put(pods[n%len(pods)], now, nil)
		q.Take(now)
	}
}

// Each move is told, by the names that Kubernetes' metrics have for it.
func TestMovesAreTold(t *testing.T) {
	b := newBench(t)
	var told []string
	b.q.Entered = func(to Place, why string) { told = append(told, fmt.Sprint(to, " ", why)) }
	tells := func(want ...string) {
		t.Helper()
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
		told = nil
	}
	b.put("a")
	tells("2 UnschedulablePodAdd")
	b.q.Reject(b.take(), 1, b.now)
	tells("3 ScheduleAttemptFailure")
	b.q.Wake(b.now, nodeAdded, all)
	tells("4 NodeAdd")
	b.q.Fail(b.take(), b.now)
	tells("2 PopFromBackoffQ", "5 ScheduleAttemptFailure")
	b.pass(time.Minute)
	b.q.Reject(b.take(), 1, b.now)
	tells("2 BackoffComplete", "3 ScheduleAttemptFailure")
	b.pass(time.Hour)
	b.q.Reject(b.take(), 1, b.now)
	tells("2 UnschedulableTimeout", "3 ScheduleAttemptFailure")
	b.pass(time.Minute)
	b.q.Wake(b.now, nodeAdded, all)
	tells("2 NodeAdd")
	b.put("g", gate)
	tells("1 UnschedulablePodAdd")
	b.put("g")
	tells("2 UnschedulablePodUpdatePodSchedulingGatesEliminated")
	p := b.put("f")
	b.take()
	b.take()
	i := b.take()
	b.q.Reject(i, 1, b.now)
	b.pass(time.Minute)
	told = nil
	b.q.Activate(p.UID, b.now)
	tells("2 ForceActivate")
}
