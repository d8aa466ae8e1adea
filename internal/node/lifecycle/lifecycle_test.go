package lifecycle

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/node/container"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return epoch.Add(d) }

func TestBackoff(t *testing.T) {
	b, finished, got := Backoff{}, epoch, ""
	for range 8 {
		due := b.due(finished)
		got += fmt.Sprint(due.Sub(finished), " ")
		b = b.next(finished, due)
		finished = due.Add(time.Second)
	}
	if want := "0s 10s 20s 40s 1m20s 2m40s 5m0s 5m0s "; got != want {
		t.Errorf("%s, not %s", got, want)
	}
	if long := finished.Add(11 * time.Minute); b.due(long) != long || b.next(long, long).Delay != 10*time.Second {
		t.Error("a container that ran for long is still held back")
	}
	if short := finished.Add(9 * time.Minute); b.due(short) == short {
		t.Error("a container that ran for a while is forgiven")
	}
}

func TestRestarts(t *testing.T) {
	rule := func(op corev1.ContainerRestartRuleOnExitCodesOperator, codes ...int32) []corev1.ContainerRestartRule {
		return []corev1.ContainerRestartRule{{
			Action:    corev1.ContainerRestartRuleActionRestart,
			ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: op, Values: codes},
		}}
	}
	for _, c := range []struct {
		pod       corev1.RestartPolicy
		container corev1.ContainerRestartPolicy
		rules     []corev1.ContainerRestartRule
		init      bool
		restarted string // which of the codes 0, 1, 42
	}{
		{pod: "Always", restarted: "[0 1 42]"},
		{pod: "", restarted: "[0 1 42]"},
		{pod: "OnFailure", restarted: "[1 42]"},
		{pod: "Never", restarted: "[]"},
		{pod: "Always", init: true, restarted: "[1 42]"},
		{pod: "Never", init: true, restarted: "[]"},
		{pod: "Never", init: true, container: "Always", restarted: "[0 1 42]"},
		{pod: "Always", container: "Never", restarted: "[]"},
		{pod: "Never", container: "OnFailure", restarted: "[1 42]"},
		{pod: "Always", container: "Never", rules: rule("In", 42), restarted: "[42]"},
		{pod: "Always", container: "Never", rules: rule("NotIn", 42), restarted: "[0 1]"},
		{pod: "Never", container: "OnFailure", rules: rule("In", 0), restarted: "[0 1 42]"},
	} {
		k := corev1.Container{Name: "c", RestartPolicyRules: c.rules}
		if c.container != "" {
			k.RestartPolicy = &c.container
		}
		p := &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: c.pod, Containers: []corev1.Container{k}}}
		if c.init {
			p.Spec.InitContainers, p.Spec.Containers = p.Spec.Containers, nil
		}
		codes := []int32{}
		for _, code := range []int32{0, 1, 42} {
			if restarts(p, &k, code) {
				codes = append(codes, code)
			}
		}
		if got := fmt.Sprint(codes); got != c.restarted {
			t.Errorf("%+v: restarted after %s", c, got)
		}
	}
}

func runningPod() View {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "d", Generation: 3},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "nginx", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{"cpu": resource.MustParse("1")},
		}}}},
		Status: corev1.PodStatus{Phase: corev1.PodPending, QOSClass: corev1.PodQOSBurstable, Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(at(-time.Hour)), ObservedGeneration: 1},
			{Type: "example.com/other", Status: corev1.ConditionFalse},
		}},
	}
	return View{Pod: p, HostIP: "172.18.0.2", Now: at(1500 * time.Millisecond), Seen: container.Pod{
		Sandbox: &container.Sandbox{IPs: []string{"10.244.0.2", "fd00::2"}},
		Containers: []container.Status{{
			Name: "main", ID: "simulated://1", Image: "nginx", State: container.Running, StartedAt: at(1200 * time.Millisecond),
		}},
	}}
}

// What the status has besides what scripts show: times without fractions, addresses, generations, and what
// others wrote.
func TestStatus(t *testing.T) {
	v := runningPod()
	plan := Decide(v)
	s := plan.Status
	if plan.Acts() || plan.Finished || plan.Delete || !plan.Again.IsZero() {
		t.Errorf("%+v", plan)
	}
	if s.Phase != corev1.PodRunning || s.ObservedGeneration != 3 || s.QOSClass != corev1.PodQOSBurstable ||
		!s.StartTime.Time.Equal(at(time.Second)) || s.HostIP != "172.18.0.2" || len(s.HostIPs) != 1 {
		t.Errorf("%+v", s)
	}
	if s.PodIP != "10.244.0.2" || len(s.PodIPs) != 2 || s.PodIPs[1].IP != "fd00::2" {
		t.Errorf("addresses %v", s.PodIPs)
	}
	c := s.ContainerStatuses[0]
	if !c.State.Running.StartedAt.Time.Equal(at(time.Second)) || c.AllocatedResources.Cpu().Value() != 1 || c.Resources.Requests.Cpu().Value() != 1 {
		t.Errorf("%+v", c)
	}
	if len(s.Conditions) != 6 || s.Conditions[0].Type != "example.com/other" {
		t.Fatalf("%+v", s.Conditions)
	}
	for _, c := range s.Conditions[1:] {
		since := at(time.Second)
		if c.Type == corev1.PodScheduled {
			since = at(-time.Hour)
		}
		if !c.LastTransitionTime.Time.Equal(since) || c.ObservedGeneration != 3 {
			t.Errorf("%+v", c)
		}
	}
	v.Pod.Status, v.Now = s, at(time.Hour)
	if again := Decide(v).Status; !equality.Semantic.DeepEqual(again, s) {
		t.Errorf("time alone changes the status:\n%+v\n%+v", s, again)
	}
}

// A pod that others have declared dead is stopped, and keeps what they said.
func TestDeclaredDead(t *testing.T) {
	v := runningPod()
	v.Pod.Status.Phase, v.Pod.Status.Reason = corev1.PodFailed, "Evicted"
	plan := Decide(v)
	if len(plan.Stop) != 1 || plan.Finished || plan.Status.Reason != "Evicted" || plan.Status.Phase != corev1.PodFailed {
		t.Errorf("%+v", plan)
	}
	if c := plan.Status.Conditions[3]; c.Type != corev1.PodReady || c.Status != corev1.ConditionFalse || c.Reason != "PodFailed" {
		t.Errorf("%+v", c)
	}
}

// A pod whose containers ended in time is not late, however late that is seen.
func TestDeadline(t *testing.T) {
	for _, c := range []struct {
		finished time.Duration
		phase    corev1.PodPhase
	}{{4 * time.Second, corev1.PodSucceeded}, {6 * time.Second, corev1.PodFailed}} {
		v := runningPod()
		v.Pod.Spec.RestartPolicy = corev1.RestartPolicyNever
		v.Pod.Spec.ActiveDeadlineSeconds = ptr.To(int64(5))
		v.Pod.Status.StartTime = &metav1.Time{Time: epoch}
		if again := Decide(v).Again; !again.Equal(at(5 * time.Second)) {
			t.Errorf("looked at again at %s", again)
		}
		v.Seen.Containers[0].State, v.Seen.Containers[0].Exit = container.Exited, &container.Exit{FinishedAt: at(c.finished)}
		v.Now = at(time.Minute)
		if plan := Decide(v); plan.Status.Phase != c.phase || !plan.Finished || plan.DeadlineExceeded != (c.phase == corev1.PodFailed) {
			t.Errorf("finished after %s: %+v", c.finished, plan.Status)
		}
	}
}

// When the grace is over, sidecars do not wait for the others any more; and nothing is told twice.
func TestSidecarsAtTheEndOfGrace(t *testing.T) {
	v := runningPod()
	v.Pod.Spec.InitContainers = []corev1.Container{{Name: "log", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)}}
	v.Seen.Containers = append(v.Seen.Containers, container.Status{Name: "log", State: container.Running, StartedAt: epoch})
	v.Pod.DeletionTimestamp = &metav1.Time{Time: at(30 * time.Second)}
	plan := Decide(v)
	if len(plan.Stop) != 1 || plan.Stop[0] != (Stop{"main", 28500 * time.Millisecond}) || !plan.Again.Equal(at(30*time.Second)) {
		t.Errorf("%+v", plan)
	}
	v.Seen.Containers[0].StopBy = at(30 * time.Second)
	if plan := Decide(v); plan.Acts() {
		t.Errorf("%+v", plan)
	}
	v.Now = at(30 * time.Second)
	if plan := Decide(v); len(plan.Stop) != 1 || plan.Stop[0] != (Stop{"log", minimumGrace}) {
		t.Errorf("%+v", plan)
	}
}

func TestAdmit(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
		"cpu": resource.MustParse("2"), "memory": resource.MustParse("1Gi"), "pods": resource.MustParse("2"), "example.com/gpu": resource.MustParse("1"),
	}}}
	pod := func(resource_, amount string, ports ...corev1.ContainerPort) *corev1.Pod {
		return &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Ports: ports, Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceName(resource_): resource.MustParse(amount)}},
		}}}}
	}
	tainted := node.DeepCopy()
	tainted.Spec.Taints = []corev1.Taint{{Key: "k", Value: "v", Effect: corev1.TaintEffectNoExecute}, {Key: "x", Effect: corev1.TaintEffectNoSchedule}}
	tolerant := pod("cpu", "0")
	tolerant.Spec.Tolerations = []corev1.Toleration{{Key: "k", Operator: corev1.TolerationOpEqual, Value: "v"}}
	used := func(pods ...*corev1.Pod) *Usage {
		u := &Usage{}
		for _, p := range pods {
			u.Add(DemandOf(p))
		}
		return u
	}
	gone := used(pod("cpu", "2", corev1.ContainerPort{HostPort: 80}))
	gone.Remove(DemandOf(pod("cpu", "2", corev1.ContainerPort{HostPort: 80})))
	for _, c := range []struct {
		name string
		pod  *corev1.Pod
		node *corev1.Node
		used *Usage
		want string
	}{
		{"fits exactly", pod("cpu", "2"), node, used(), ""},
		{"after another is gone", pod("cpu", "2", corev1.ContainerPort{HostPort: 80}), node, gone, ""},
		{"cpu", pod("cpu", "1500m"), node, used(pod("cpu", "501m")), "OutOfcpu: Node didn't have enough resource: cpu, requested: 1500, used: 501, capacity: 2000"},
		{"memory", pod("memory", "2Gi"), node, used(), "OutOfmemory: Node didn't have enough resource: memory, requested: 2147483648, used: 0, capacity: 1073741824"},
		{"pods", pod("cpu", "0"), node, used(pod("cpu", "0"), pod("cpu", "0")), "OutOfpods: Node didn't have enough resource: pods, requested: 1, used: 2, capacity: 2"},
		{"device", pod("example.com/gpu", "2"), node, used(), "OutOfexample.com/gpu: Node didn't have enough resource: example.com/gpu, requested: 2, used: 0, capacity: 1"},
		{"unknown device", pod("example.com/fpga", "2"), node, used(), ""},
		{"taint", pod("cpu", "0"), tainted, used(), "TaintToleration: Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate"},
		{"tolerated", tolerant, tainted, used(), ""},
		{"port", pod("cpu", "0", corev1.ContainerPort{HostPort: 80}), node, used(pod("cpu", "0", corev1.ContainerPort{HostPort: 80, HostIP: "10.0.0.1", Protocol: "TCP"})),
			"NodePorts: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"},
		{"port of another address", pod("cpu", "0", corev1.ContainerPort{HostPort: 80, HostIP: "10.0.0.2"}), node, used(pod("cpu", "0", corev1.ContainerPort{HostPort: 80, HostIP: "10.0.0.1"})), ""},
		{"port of another protocol", pod("cpu", "0", corev1.ContainerPort{HostPort: 80, Protocol: "UDP"}), node, used(pod("cpu", "0", corev1.ContainerPort{HostPort: 80})), ""},
	} {
		got := ""
		if r := Admit(c.pod, DemandOf(c.pod), c.node, c.used); r != nil {
			got = r.Reason + ": " + r.Message
		}
		if got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}
