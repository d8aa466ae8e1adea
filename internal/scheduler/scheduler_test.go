package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/informer"
	"github.com/proa-dev/proa/internal/scheduler"
	st "github.com/proa-dev/proa/internal/scheduler/schedulertest"
)

// bench is a scheduler over an API server in memory, in virtual time.
type bench struct {
	*testing.T
	server  *clienttest.Server
	events  *clienttest.Events
	metrics *scheduler.Metrics
}

func run(t *testing.T, f func(b *bench), objects ...client.Object) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		b := &bench{T: t, server: clienttest.New(objects...), events: &clienttest.Events{}, metrics: scheduler.NewMetrics("default-scheduler")}
		log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
		set := informer.NewSet(b.server, informer.SetOptions{Logger: log})
		s := scheduler.New(scheduler.Deps{Client: b.server, Informers: set, Events: b.events, Logger: log, Metrics: b.metrics, Seed: 1})
		done := make(chan error)
		go set.Run(ctx)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		f(b)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func (b *bench) put(objects ...client.Object) {
	for _, o := range objects {
		b.server.Put(o)
	}
	synctest.Wait()
}

func (b *bench) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (b *bench) pod(name string) *corev1.Pod {
	return clienttest.Get(b.server, client.Pods, "ns", name)
}

// isOn sees that a pod is on a node; on none if that is empty.
func (b *bench) isOn(pod, node string) {
	b.Helper()
	if got := b.pod(pod).Spec.NodeName; got != node {
		b.Errorf("%s is on %q, want %q", pod, got, node)
	}
}

func (b *bench) condition(pod string) corev1.PodCondition {
	for _, c := range b.pod(pod).Status.Conditions {
		if c.Type == corev1.PodScheduled {
			return c
		}
	}
	return corev1.PodCondition{}
}

func (b *bench) happened(want ...string) {
	b.Helper()
	if got := b.events.Take(); !slices.Equal(got, want) {
		b.Errorf("events\n %s\nwant\n %s", strings.Join(got, "\n "), strings.Join(want, "\n "))
	}
}

func (b *bench) wrote(want ...string) {
	b.Helper()
	var got []string
	for _, a := range b.server.Actions() {
		a.Patch = ""
		got = append(got, a.String())
	}
	if !slices.Equal(got, want) {
		b.Errorf("writes\n %s\nwant\n %s", strings.Join(got, "\n "), strings.Join(want, "\n "))
	}
}

func TestAPodFindsItsNode(t *testing.T) {
	run(t, func(b *bench) {
		b.put(st.Pod("p", "500m", ""))
		b.isOn("p", "a")
		b.happened("p Normal Scheduled: Successfully assigned ns/p to a")
		b.wrote("create pods/binding ns/p")
	}, st.Node("a", "1", "1Gi"))
}

func TestAPodThatWasThereFirst(t *testing.T) {
	run(t, func(b *bench) { b.isOn("p", "a") }, st.Node("a", "1", "1Gi"), st.Pod("p", "500m", ""))
}

func TestOthersPodsAreLeftAlone(t *testing.T) {
	foreign := func(p *corev1.Pod) { p.Spec.SchedulerName = "other" }
	over := func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }
	gated := func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "g"}} }
	run(t, func(b *bench) {
		b.put(st.Pod("f", "", "", foreign), st.Pod("o", "", "", over), st.Pod("g", "", "", gated))
		b.pass(time.Hour)
		b.wrote()
		b.put(st.Pod("g", "", ""))
		b.isOn("g", "a")
	}, st.Node("a", "1", "1Gi"))
}

func TestWhatAPodLacksIsSaidOnce(t *testing.T) {
	const why = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
	run(t, func(b *bench) {
		b.put(st.Pod("p", "2", ""))
		c := b.condition("p")
		if c.Status != corev1.ConditionFalse || c.Reason != "Unschedulable" || c.Message != why {
			b.Errorf("got %+v", c)
		}
		b.wrote("patch pods/status ns/p")
		b.happened("p Warning FailedScheduling: " + why)

		b.pass(6 * time.Minute) // tried again, with nothing new to say
		b.wrote()
		b.happened("p Warning FailedScheduling: " + why)

		b.put(st.Node("a", "2", "1Gi"))
		b.isOn("p", "a")
	}, st.Node("a", "1", "1Gi"))
}

func TestNoNodes(t *testing.T) {
	run(t, func(b *bench) {
		b.put(st.Pod("p", "", ""))
		if c := b.condition("p"); c.Message != "no nodes available to schedule pods" {
			b.Errorf("got %+v", c)
		}
		b.put(st.Node("a", "1", "1Gi"))
		b.isOn("p", "a")
	})
}

// Each change lets just the pods run that it is for.
func TestEventsWakePods(t *testing.T) {
	tainted := st.Node("t", "1", "1Gi", func(n *corev1.Node) {
		n.Spec.Taints = []corev1.Taint{{Key: "k", Effect: corev1.TaintEffectNoSchedule}}
	})
	big := st.Pod("big", "1", "", st.On("a"))
	run(t, func(b *bench) {
		b.put(st.Pod("p", "1", ""))
		b.put(st.Pod("near", "", "", func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
				TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}},
			}}}}
		}))
		b.isOn("p", "")
		b.isOn("near", "")
		b.events.Take()
		b.put(st.Pod("db", "", "", st.Labels("app", "db")))
		b.isOn("near", "a")
		b.isOn("p", "")
		for _, e := range b.events.Take() {
			if strings.HasPrefix(e, "p ") {
				b.Errorf("p was woken in vain: %s", e)
			}
		}
		b.server.Remove(big)
		synctest.Wait()
		b.isOn("p", "a")

		b.put(st.Pod("q", "1", ""))
		b.isOn("q", "")
		free := tainted.DeepCopy()
		free.Spec.Taints = nil
		b.put(free)
		b.isOn("q", "t")
	}, st.Node("a", "1", "1Gi"), tainted, big)
}

// Of two pods for one place, one gets it, before the first is seen to be bound.
func TestAssumedPodsCount(t *testing.T) {
	run(t, func(b *bench) {
		b.server.Put(st.Pod("p", "1", ""))
		b.server.Put(st.Pod("q", "1", ""))
		synctest.Wait()
		on := []string{b.pod("p").Spec.NodeName, b.pod("q").Spec.NodeName}
		slices.Sort(on)
		if !slices.Equal(on, []string{"", "a"}) {
			b.Errorf("pods are on %q", on)
		}
	}, st.Node("a", "1", "1Gi"))
}

func TestFailedBindingsAreRetried(t *testing.T) {
	fails := 3
	run(t, func(b *bench) {
		b.server.React(func(r *client.Request) (bool, *client.Response, error) {
			if r.Subresource == "binding" && fails > 0 {
				fails--
				return true, nil, apierrors.NewInternalError(errors.New("no luck"))
			}
			return false, nil, nil
		})
		b.put(st.Pod("p", "1", ""))
		if c := b.condition("p"); c.Reason != "SchedulerError" || !strings.HasPrefix(c.Message, `running Bind plugin "DefaultBinder": `) {
			b.Errorf("got %+v", c)
		}
		b.pass(1 * time.Second)
		b.pass(2 * time.Second)
		b.isOn("p", "")
		b.pass(4 * time.Second)
		b.isOn("p", "a")
		if fails != 0 {
			b.Errorf("%d failures are left", fails)
		}
	}, st.Node("a", "1", "1Gi"))
}

// The place of a pod that could not be bound is free for others.
func TestFailedBindingsFreeTheirPlace(t *testing.T) {
	run(t, func(b *bench) {
		b.server.React(func(r *client.Request) (bool, *client.Response, error) {
			if r.Subresource == "binding" && r.Name == "p" {
				return true, nil, apierrors.NewInternalError(errors.New("no luck"))
			}
			return false, nil, nil
		})
		b.put(st.Pod("p", "1", "", st.Priority(1)))
		b.put(st.Pod("q", "1", ""))
		b.isOn("q", "a")
	}, st.Node("a", "1", "1Gi"))
}

func TestPreemption(t *testing.T) {
	run(t, func(b *bench) {
		b.put(st.Pod("p", "1", "", st.Priority(10)))
		if got := b.pod("p").Status.NominatedNodeName; got != "a" {
			b.Errorf("nominated to %q", got)
		}
		v := b.pod("v")
		if v.DeletionTimestamp == nil {
			b.Fatal("the victim stays")
		}
		if c := v.Status.Conditions[0]; c.Type != corev1.DisruptionTarget || c.Reason != "PreemptionByScheduler" ||
			c.Message != "default-scheduler: preempting to accommodate a higher priority pod" {
			b.Errorf("got %+v", c)
		}
		b.happened("p Warning FailedScheduling: 0/1 nodes are available: 1 Insufficient cpu.",
			fmt.Sprintf("v Normal Preempted: Preempted by pod %s on node a", b.pod("p").UID))
		b.put(st.Pod("q", "1", "")) // comes too late to take the room
		b.pass(time.Minute)
		b.isOn("p", "")
		b.server.Remove(v)
		synctest.Wait()
		b.isOn("p", "a")
		b.isOn("q", "")
	}, st.Node("a", "1", "1Gi"), st.Pod("v", "1", "", st.On("a")))
}

func TestPodsThatGoWhileTheyWait(t *testing.T) {
	run(t, func(b *bench) {
		p := st.Pod("p", "2", "")
		b.put(p)
		b.server.Remove(p)
		synctest.Wait()
		b.server.Actions()
		b.put(st.Node("a", "4", "1Gi"))
		b.pass(time.Hour)
		b.wrote()
	}, st.Node("a", "1", "1Gi"))
}

// A whole set of pods is placed, none where there is no room, and nothing is left to do.
func TestManyPods(t *testing.T) {
	var objects []client.Object
	for i := range 20 {
		objects = append(objects, st.Node(fmt.Sprint("n", i), "1", "1Gi"))
	}
	run(t, func(b *bench) {
		for i := range 220 {
			b.server.Put(st.Pod(fmt.Sprint("p", i), "100m", ""))
		}
		synctest.Wait()
		on := map[string]int{}
		for _, p := range clienttest.List(b.server, client.Pods) {
			on[p.Spec.NodeName]++
		}
		if on[""] != 20 || len(on) != 21 {
			b.Errorf("pods by node: %v", on)
		}
		for node, pods := range on {
			if node != "" && pods != 10 {
				b.Errorf("%d pods are on %s", pods, node)
			}
		}
		b.counts(map[string]float64{
			"scheduler_pending_pods active": 0, "scheduler_pending_pods backoff": 0,
			"scheduler_pending_pods gated": 0, "scheduler_pending_pods unschedulable": 20,
			"scheduler_schedule_attempts_total default-scheduler scheduled":                                   200,
			"scheduler_schedule_attempts_total default-scheduler unschedulable":                               20,
			"scheduler_pod_scheduling_attempts":                                                               200,
			"scheduler_queue_incoming_pods_total UnschedulablePodAdd active":                                  220,
			"scheduler_queue_incoming_pods_total ScheduleAttemptFailure unschedulable":                        20,
			"scheduler_framework_extension_point_duration_seconds PreFilter default-scheduler Success":        220,
			"scheduler_framework_extension_point_duration_seconds Filter default-scheduler Success":           220,
			"scheduler_framework_extension_point_duration_seconds PostFilter default-scheduler Unschedulable": 20,
			"scheduler_framework_extension_point_duration_seconds Bind default-scheduler Success":             200,
		})
	}, objects...)
}

// counts sees that metrics have these values, by name and values of labels.
func (b *bench) counts(want map[string]float64) {
	b.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(b.metrics)
	families, err := registry.Gather()
	if err != nil {
		b.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for name, v := range want {
		if got[name] != v {
			b.Errorf("%s is %v, want %v", name, got[name], v)
		}
	}
}

func TestPodsThatAreBeingDeletedAreSkipped(t *testing.T) {
	run(t, func(b *bench) {
		b.put(st.Pod("p", "", "", func(p *corev1.Pod) {
			p.Finalizers = []string{"x/y"}
			p.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		}))
		b.isOn("p", "")
		b.wrote()
		b.happened("p Warning FailedScheduling: skip schedule deleting pod: ns/p")
	}, st.Node("a", "1", "1Gi"))
}

// A victim that cannot be deleted does not leave the pod waiting for what will never happen.
func TestFailedPreemptionsAreRetried(t *testing.T) {
	fails := true
	run(t, func(b *bench) {
		b.server.React(func(r *client.Request) (bool, *client.Response, error) {
			if r.Verb == "delete" && fails {
				fails = false
				return true, nil, apierrors.NewInternalError(errors.New("no luck"))
			}
			return false, nil, nil
		})
		b.put(st.Pod("p", "1", "", st.Priority(10)))
		if fails || b.pod("v").DeletionTimestamp == nil {
			b.Error("the victim stays")
		}
	}, st.Node("a", "1", "1Gi"), st.Pod("v", "1", "", st.On("a")))
}

// A pod that waits for room loses its claim to one that ranks higher.
func TestNominationsAreTakenBack(t *testing.T) {
	run(t, func(b *bench) {
		b.put(st.Pod("p", "1", "", st.Priority(10)))
		b.put(st.Pod("q", "1", "", st.Priority(20)))
		if p, q := b.pod("p").Status.NominatedNodeName, b.pod("q").Status.NominatedNodeName; p != "" || q != "a" {
			b.Errorf("p is nominated to %q, q to %q", p, q)
		}
	}, st.Node("a", "1", "1Gi"), st.Pod("v", "1", "", st.On("a")))
}

// Pods of a Service are spread over hosts, also those that came before there was a Service.
func TestServicesSpread(t *testing.T) {
	run(t, func(b *bench) {
		web := st.Labels("app", "web")
		b.put(st.Pod("p", "", "", web, st.On("a")), st.Pod("big", "900m", "900Mi", st.On("b")))
		b.put(st.Pod("q", "10m", "10Mi", web))
		b.isOn("q", "a")
		b.put(&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "web"}},
		})
		b.put(st.Pod("r", "10m", "10Mi", web))
		b.isOn("r", "b")
	}, st.Node("a", "1", "1Gi"), st.Node("b", "1", "1Gi"))
}
