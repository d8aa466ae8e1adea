package job

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/controller/controllertest"
)

func get(b *controllertest.Bench) *batchv1.Job {
	return clienttest.Get(b.Server, client.Jobs, "ns", "work")
}

// end makes pods end, at most n of those that match.
func end(b *controllertest.Bench, n int, phase corev1.PodPhase, which func(*corev1.Pod) bool) {
	controllertest.Each(b, client.Pods, func(p *corev1.Pod) bool {
		if n == 0 || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed || which != nil && !which(p) {
			return false
		}
		n--
		p.Status.Phase = phase
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.Now()},
		}}}
		return true
	})
	b.Pass(time.Second)
}

func summary(j *batchv1.Job) string {
	s := fmt.Sprintf("active=%d succeeded=%d failed=%d", j.Status.Active, j.Status.Succeeded, j.Status.Failed)
	if j.Status.CompletedIndexes != "" {
		s += " completed=" + j.Status.CompletedIndexes
	}
	if f := j.Status.FailedIndexes; f != nil && *f != "" {
		s += " failed=" + *f
	}
	for _, c := range j.Status.Conditions {
		if c.Status == corev1.ConditionTrue {
			s += fmt.Sprintf(" %s(%s)", c.Type, c.Reason)
		}
	}
	return s
}

func become(t *testing.T, b *controllertest.Bench, want string) {
	t.Helper()
	b.Settle()
	if got := summary(get(b)); got != want {
		t.Errorf("job is %s, want %s", got, want)
	}
}

func TestComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{job("completions=3 parallelism=2")}, Start)
		become(t, b, "active=2 succeeded=0 failed=0")
		for _, p := range clienttest.List(b.Server, client.Pods) {
			if !strings.HasPrefix(p.Name, "work-") || !isTracked(p) || metav1.GetControllerOfNoCopy(p).UID != "job" {
				t.Errorf("a pod like %v", p)
			}
		}
		end(b, 2, corev1.PodSucceeded, nil)
		become(t, b, "active=1 succeeded=2 failed=0")
		end(b, 1, corev1.PodSucceeded, nil)
		become(t, b, "active=0 succeeded=3 failed=0 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)")
		j := get(b)
		if j.Status.CompletionTime == nil || j.Status.StartTime == nil || len(j.Status.UncountedTerminatedPods.Succeeded) > 0 {
			t.Errorf("status %+v", j.Status)
		}
		for _, p := range clienttest.List(b.Server, client.Pods) {
			if isTracked(p) {
				t.Errorf("%s has the finalizer still", p.Name)
			}
		}
		events := b.Events.Take()
		if len(events) != 4 || events[3] != "work Normal Completed: Job completed" || !strings.HasPrefix(events[0], "work Normal SuccessfulCreate: Created pod: work-") {
			t.Errorf("events %q", events)
		}
		b.Server.Actions()
		b.Pass(24 * time.Hour)
		if a := b.Server.Actions(); len(a) > 0 {
			t.Errorf("after the end: %v", a)
		}
		b.Counted(t, map[string]float64{
			"job_controller_job_syncs_total pods_created NonIndexed success":             2,
			"job_controller_job_sync_duration_seconds pods_created NonIndexed success":   2,
			"job_controller_job_pods_finished_total NonIndexed succeeded":                3,
			"job_controller_job_pods_finished_total NonIndexed failed":                   0,
			"job_controller_jobs_finished_total NonIndexed CompletionsReached succeeded": 1,
		})
	})
}

func TestFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{job("completions=2 parallelism=2 backoffLimit=1")}, Start)
		end(b, 1, corev1.PodFailed, nil)
		become(t, b, "active=1 succeeded=0 failed=1")
		b.Pass(8 * time.Second)
		become(t, b, "active=1 succeeded=0 failed=1")
		b.Pass(2 * time.Second)
		become(t, b, "active=2 succeeded=0 failed=1")
		end(b, 1, corev1.PodFailed, nil)
		become(t, b, "active=0 succeeded=0 failed=3 FailureTarget(BackoffLimitExceeded) Failed(BackoffLimitExceeded)")
		events := b.Events.Take()
		if last := events[len(events)-1]; last != "work Warning BackoffLimitExceeded: Job has reached the specified backoff limit" {
			t.Errorf("last event %s", last)
		}
	})
}

// A job is not finished before its pods have stopped.
func TestFailWaitsForPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{job("completions=1 deadline=60")}, Start)
		controllertest.Each(b, client.Pods, func(p *corev1.Pod) bool {
			p.Spec.NodeName, p.Spec.TerminationGracePeriodSeconds, p.Status.Phase = "n", ptr.To[int64](30), corev1.PodRunning
			return true
		})
		b.Pass(time.Minute)
		become(t, b, "active=0 succeeded=0 failed=1 FailureTarget(DeadlineExceeded)")
		if n := ptr.Deref(get(b).Status.Terminating, 0); n != 1 {
			t.Errorf("%d terminating", n)
		}
		b.Server.Remove(clienttest.List(b.Server, client.Pods)[0])
		b.Pass(time.Second)
		become(t, b, "active=0 succeeded=0 failed=1 FailureTarget(DeadlineExceeded) Failed(DeadlineExceeded)")
	})
}

func TestSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{job("completions=2 parallelism=2 suspend deadline=60")}, Start)
		become(t, b, "active=0 succeeded=0 failed=0 Suspended(JobSuspended)")
		if get(b).Status.StartTime != nil {
			t.Error("started")
		}
		suspend := func(yes bool) {
			controllertest.Each(b, client.Jobs, func(j *batchv1.Job) bool { j.Spec.Suspend = &yes; return true })
			b.Pass(time.Second)
		}
		b.Pass(time.Hour)
		suspend(false)
		become(t, b, "active=2 succeeded=0 failed=0")
		if s := get(b).Status.StartTime; s == nil || time.Since(s.Time) > 2*time.Second {
			t.Errorf("started at %v", s)
		}
		b.Pass(30 * time.Second)
		suspend(true)
		become(t, b, "active=0 succeeded=0 failed=0 Suspended(JobSuspended)")
		if pods := clienttest.List(b.Server, client.Pods); len(pods) > 0 {
			t.Errorf("%d pods left", len(pods))
		}
		b.Pass(time.Hour)
		suspend(false)
		b.Pass(30 * time.Second)
		become(t, b, "active=2 succeeded=0 failed=0")
		var got []string
		for _, e := range b.Events.Take() {
			if strings.Contains(e, "Job ") {
				got = append(got, e)
			}
		}
		want := []string{"work Normal Suspended: Job suspended", "work Normal Resumed: Job resumed", "work Normal Suspended: Job suspended", "work Normal Resumed: Job resumed"}
		if !slices.Equal(got, want) {
			t.Errorf("events %q", got)
		}
	})
}

func index(n string) func(*corev1.Pod) bool {
	return func(p *corev1.Pod) bool { return p.Annotations[batchv1.JobCompletionIndexAnnotation] == n }
}

func TestIndexed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{job("indexed completions=3 parallelism=3 perIndex=1")}, Start)
		for _, p := range clienttest.List(b.Server, client.Pods) {
			n := p.Labels[batchv1.JobCompletionIndexAnnotation]
			if p.Spec.Hostname != "work-"+n || !strings.HasPrefix(p.Name, "work-"+n+"-") || p.Annotations[batchv1.JobCompletionIndexAnnotation] != n ||
				p.Annotations[batchv1.JobIndexFailureCountAnnotation] != "0" || p.Spec.Containers[0].Env[0].Name != "JOB_COMPLETION_INDEX" {
				t.Errorf("a pod like %v", p)
			}
		}
		end(b, 1, corev1.PodFailed, index("1"))
		become(t, b, "active=2 succeeded=0 failed=0") // the pod is kept until the next has its count
		b.Pass(10 * time.Second)
		become(t, b, "active=3 succeeded=0 failed=1")
		end(b, 2, corev1.PodSucceeded, func(p *corev1.Pod) bool { return !index("1")(p) })
		become(t, b, "active=1 succeeded=2 failed=1 completed=0,2")
		end(b, 1, corev1.PodFailed, index("1"))
		become(t, b, "active=0 succeeded=2 failed=2 completed=0,2 failed=1 FailureTarget(FailedIndexes) Failed(FailedIndexes)")
		b.Counted(t, map[string]float64{
			"job_controller_job_pods_finished_total Indexed succeeded":        2,
			"job_controller_job_pods_finished_total Indexed failed":           2,
			"job_controller_jobs_finished_total Indexed FailedIndexes failed": 1,
		})
	})
}

func TestOthersJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := job("completions=1")
		j.Spec.ManagedBy = ptr.To("example.org/mine")
		b := controllertest.New(t, []client.Object{j}, Start)
		b.Pass(time.Hour)
		if a := b.Server.Actions(); len(a) > 0 {
			t.Errorf("%v", a)
		}
	})
}

// Pods of a job that is gone could otherwise never be deleted.
func TestOrphans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{job("completions=2 parallelism=2")}, Start)
		b.Server.Remove(get(b))
		b.Pass(time.Second)
		for _, p := range clienttest.List(b.Server, client.Pods) {
			if isTracked(p) {
				t.Errorf("%s is still held", p.Name)
			}
		}
	})
}

// Whatever fails in between, every pod is counted once, and no more pods succeed than were asked for.
func TestRandomHistories(t *testing.T) {
	for range 40 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { history(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func history(t *testing.T, random *rand.Rand) {
	script := fmt.Sprintf("completions=%d parallelism=%d backoffLimit=1000", 1+random.IntN(12), 1+random.IntN(6))
	indexed := random.IntN(2) == 0
	if indexed {
		script += " indexed"
		if random.IntN(2) == 0 {
			script += " perIndex=1000"
		}
	}
	t.Log(script)
	b := controllertest.New(t, nil)
	var calm atomic.Bool
	var mu sync.Mutex
	luck := rand.New(rand.NewPCG(random.Uint64(), 0)) // guarded by mu
	unlucky := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return luck.IntN(6) == 0
	}
	b.Server.React(func(r *client.Request) (bool, *client.Response, error) {
		if calm.Load() || r.Verb == "get" || r.Verb == "list" || !unlucky() {
			return false, nil, nil
		}
		return true, nil, apierrors.NewInternalError(fmt.Errorf("bad luck"))
	})
	b.Server.Put(job(script))
	go Start(b.Deps).Run(t.Context())
	outcome := map[types.UID]corev1.PodPhase{}
	for round := 0; !isFinished(get(b)); round++ {
		if round == 400 {
			t.Fatalf("never done: %s", summary(get(b)))
		}
		if round == 300 {
			calm.Store(true)
		}
		phase := corev1.PodSucceeded
		if random.IntN(3) == 0 {
			phase = corev1.PodFailed
		}
		n := random.IntN(3)
		controllertest.Each(b, client.Pods, func(p *corev1.Pod) bool {
			if n == 0 || outcome[p.UID] != "" || p.DeletionTimestamp != nil {
				return false
			}
			n--
			outcome[p.UID], p.Status.Phase = phase, phase
			return true
		})
		// Pods that have ended and are free may vanish at any time.
		for _, p := range clienttest.List(b.Server, client.Pods) {
			if outcome[p.UID] != "" && !isTracked(p) && random.IntN(2) == 0 {
				b.Server.Remove(p)
			}
		}
		b.Pass(time.Duration(random.IntN(40)) * time.Second)
	}
	calm.Store(true)
	b.Pass(time.Hour)
	succeeded, failed := int32(0), int32(0)
	for _, phase := range outcome {
		if phase == corev1.PodSucceeded {
			succeeded++
		} else {
			failed++
		}
	}
	j := get(b)
	if j.Status.Succeeded != succeeded || j.Status.Failed != failed || succeeded != *j.Spec.Completions {
		t.Errorf("%s, but %d pods succeeded and %d failed", summary(j), succeeded, failed)
	}
}

// A pod that could not be deleted may still succeed, or fail: the job is not over while it is there.
func TestPodsThatCannotBeDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{job("completions=1 deadline=60")}, Start)
		var works atomic.Bool
		b.Server.React(func(r *client.Request) (bool, *client.Response, error) {
			return !works.Load() && r.Verb == "delete", nil, apierrors.NewInternalError(fmt.Errorf("not now"))
		})
		b.Pass(70 * time.Second)
		become(t, b, "active=1 succeeded=0 failed=0")
		works.Store(true)
		b.Pass(time.Minute)
		become(t, b, "active=0 succeeded=0 failed=1 FailureTarget(DeadlineExceeded) Failed(DeadlineExceeded)")
	})
}
