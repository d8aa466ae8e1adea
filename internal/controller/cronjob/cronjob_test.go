package cronjob

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/controller/controllertest"
)

func cronJob(schedule string, change ...func(*batchv1.CronJobSpec)) *batchv1.CronJob {
	c := &batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "tick", UID: "tick", CreationTimestamp: metav1.NewTime(time.Now())},
		Spec: batchv1.CronJobSpec{Schedule: schedule, JobTemplate: batchv1.JobTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"c": "d"}},
		}},
	}
	for _, f := range change {
		f(&c.Spec)
	}
	return c
}

func bench(t *testing.T, c *batchv1.CronJob) *controllertest.Bench {
	return controllertest.New(t, []client.Object{c}, Start)
}

func get(b *controllertest.Bench) *batchv1.CronJob {
	return clienttest.Get(b.Server, client.CronJobs, "ns", "tick")
}

func jobNames(b *controllertest.Bench) string {
	var names []string
	for _, j := range clienttest.List(b.Server, client.Jobs) {
		names = append(names, strings.TrimPrefix(j.Name, "tick-"))
	}
	return strings.Join(names, " ")
}

func finish(b *controllertest.Bench, t batchv1.JobConditionType) {
	controllertest.Each(b, client.Jobs, func(j *batchv1.Job) bool {
		if outcome(j) != "" {
			return false
		}
		j.Status.Conditions = []batchv1.JobCondition{{Type: t, Status: corev1.ConditionTrue}}
		j.Status.StartTime = ptr.To(j.CreationTimestamp)
		if t == batchv1.JobComplete {
			j.Status.CompletionTime = ptr.To(metav1.Now())
		}
		return true
	})
}

// minutes is Unix minutes of the bubble's clock, which begins at 2000-01-01 00:00 UTC.
const minutes = 946684800 / 60

func TestTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bench(t, cronJob("*/10 * * * *", func(s *batchv1.CronJobSpec) { s.TimeZone = ptr.To("Europe/Berlin") }))
		b.Pass(10*time.Minute - 1)
		if got := b.Server.Actions(); len(got) > 0 {
			t.Fatalf("too early: %v", got)
		}
		b.Pass(1)
		j := clienttest.Get(b.Server, client.Jobs, "ns", fmt.Sprintf("tick-%d", minutes+10))
		if j == nil {
			t.Fatalf("jobs %s", jobNames(b))
		}
		if j.Labels["a"] != "b" || j.Annotations["c"] != "d" || j.Annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"] != "2000-01-01T01:10:00+01:00" ||
			!metav1.IsControlledBy(j, get(b)) {
			t.Errorf("job %+v", j.ObjectMeta)
		}
		c := get(b)
		if len(c.Status.Active) != 1 || c.Status.Active[0].UID != j.UID || c.Status.Active[0].Kind != "Job" || !c.Status.LastScheduleTime.Equal(ptr.To(metav1.Now())) {
			t.Errorf("status %+v", c.Status)
		}
		finish(b, batchv1.JobComplete)
		c = get(b)
		if len(c.Status.Active) != 0 || !c.Status.LastSuccessfulTime.Equal(ptr.To(metav1.Now())) {
			t.Errorf("status %+v", c.Status)
		}
		want := []string{
			fmt.Sprintf("tick Normal SuccessfulCreate: Created job tick-%d", minutes+10),
			fmt.Sprintf("tick Normal SawCompletedJob: Saw completed job: tick-%d, condition: Complete", minutes+10),
		}
		if got := b.Events.Take(); !slices.Equal(got, want) {
			t.Errorf("events %q", got)
		}
		b.Pass(time.Hour)
		if n := len(clienttest.List(b.Server, client.Jobs)); n != 7 {
			t.Errorf("%d jobs", n)
		}
		b.Counted(t, map[string]float64{"cronjob_controller_job_creation_skew_duration_seconds": 7})
	})
}

func TestConcurrency(t *testing.T) {
	for policy, want := range map[batchv1.ConcurrencyPolicy]struct {
		jobs, event string
	}{
		batchv1.AllowConcurrent:   {fmt.Sprint(minutes+1, " ", minutes+2), fmt.Sprintf("tick Normal SuccessfulCreate: Created job tick-%d", minutes+2)},
		batchv1.ForbidConcurrent:  {fmt.Sprint(minutes + 1), "tick Normal JobAlreadyActive: Not starting job because prior execution is running and concurrency policy is Forbid"},
		batchv1.ReplaceConcurrent: {fmt.Sprint(minutes + 2), fmt.Sprintf("tick Normal SuccessfulDelete: Deleted job tick-%d", minutes+1)},
	} {
		t.Run(string(policy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bench(t, cronJob("* * * * *", func(s *batchv1.CronJobSpec) { s.ConcurrencyPolicy = policy }))
				b.Pass(2 * time.Minute)
				if got := jobNames(b); got != want.jobs {
					t.Errorf("jobs %s, want %s", got, want.jobs)
				}
				if got := b.Events.Take(); !slices.Contains(got, want.event) {
					t.Errorf("events %q", got)
				}
				if policy == batchv1.ForbidConcurrent {
					b.Pass(30 * time.Second)
					finish(b, batchv1.JobComplete)
					if got := jobNames(b); got != fmt.Sprint(minutes+1, " ", minutes+2) {
						t.Errorf("jobs %s once the first is done", got)
					}
				}
			})
		})
	}
}

func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bench(t, cronJob("* * * * *", func(s *batchv1.CronJobSpec) {
			s.SuccessfulJobsHistoryLimit, s.FailedJobsHistoryLimit = ptr.To[int32](2), ptr.To[int32](0)
		}))
		for n := range 5 {
			b.Pass(time.Minute)
			finish(b, []batchv1.JobConditionType{batchv1.JobComplete, batchv1.JobFailed}[n/4])
		}
		if got, want := jobNames(b), fmt.Sprint(minutes+3, " ", minutes+4); got != want {
			t.Errorf("left %s, want %s", got, want)
		}
	})
}

func TestSuspendAndMissedTimes(t *testing.T) {
	for name, c := range map[string]struct {
		deadline int64
		pause    time.Duration
		jobs     string
		event    string
	}{
		"the last one is made up for": {0, 5*time.Minute + 30*time.Second, fmt.Sprint(minutes + 5), ""},
		"many":                        {0, 150 * time.Minute, fmt.Sprint(minutes + 150), "tick Warning TooManyMissedTimes: too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"},
		"within the deadline":         {40, 5*time.Minute + 30*time.Second, fmt.Sprint(minutes + 5), ""},
		"too late":                    {20, 5*time.Minute + 30*time.Second, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bench(t, cronJob("* * * * *", func(s *batchv1.CronJobSpec) {
					s.Suspend = ptr.To(true)
					if c.deadline > 0 {
						s.StartingDeadlineSeconds = &c.deadline
					}
				}))
				b.Pass(c.pause)
				if got := b.Server.Actions(); len(got) > 0 {
					t.Errorf("while suspended: %v", got)
				}
				controllertest.Each(b, client.CronJobs, func(x *batchv1.CronJob) bool { x.Spec.Suspend = nil; return true })
				if got := jobNames(b); got != c.jobs {
					t.Errorf("jobs %s, want %s", got, c.jobs)
				}
				events := b.Events.Take()
				if c.event != "" && !slices.Contains(events, c.event) || c.event == "" && slices.ContainsFunc(events, func(e string) bool { return strings.Contains(e, "Warning") }) {
					t.Errorf("events %q", events)
				}
			})
		})
	}
}

func TestWhatMakesNoSense(t *testing.T) {
	for want, c := range map[string]*batchv1.CronJob{
		`tick Warning UnknownTimeZone: invalid timeZone: "Mars": unknown time zone Mars`:                                             cronJob("* * * * *", func(s *batchv1.CronJobSpec) { s.TimeZone = ptr.To("Mars") }),
		`tick Warning InvalidSchedule: invalid schedule: 59 23 31 2 * : time difference between two schedules is less than 1 second`: cronJob("59 23 31 2 *"),
		`tick Warning UnparseableSchedule: unparseable schedule: "x" : expected exactly 5 fields, found 1: [x]`:                      cronJob("x"),
	} {
		synctest.Test(t, func(t *testing.T) {
			c.CreationTimestamp = metav1.Now()
			b := bench(t, c)
			b.Pass(24 * time.Hour)
			if got := b.Events.Take(); len(got) != 1 || got[0] != want {
				t.Errorf("events %q, want %q", got, want)
			}
		})
	}
}

// A new schedule does not make up for times it would have had before.
func TestNewSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bench(t, cronJob("0 12 * * *"))
		b.Pass(90 * time.Second)
		controllertest.Each(b, client.CronJobs, func(c *batchv1.CronJob) bool { c.Spec.Schedule = "* * * * *"; return true })
		if got := jobNames(b); got != "" {
			t.Errorf("jobs %s at once", got)
		}
		b.Pass(30 * time.Second)
		if got := jobNames(b); got != fmt.Sprint(minutes+2) {
			t.Errorf("jobs %s", got)
		}
	})
}

// The status could not be written, so the job is found by its name.
func TestJobIsMadeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bench(t, cronJob("0 * * * *"))
		var fails atomic.Int32
		b.Server.React(func(r *client.Request) (bool, *client.Response, error) {
			if r.Subresource != "status" || fails.Add(1) > 3 {
				return false, nil, nil
			}
			return true, nil, apierrors.NewInternalError(errors.New("not now"))
		})
		b.Pass(time.Hour + time.Minute)
		if c := get(b); len(clienttest.List(b.Server, client.Jobs)) != 1 || len(c.Status.Active) != 1 || c.Status.LastScheduleTime == nil {
			t.Errorf("jobs %s, status %+v", jobNames(b), c.Status)
		}
	})
}

func TestActiveJobGoesMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bench(t, cronJob("0 * * * *"))
		b.Pass(time.Hour)
		b.Server.Remove(clienttest.List(b.Server, client.Jobs)[0])
		b.Settle()
		if c := get(b); len(c.Status.Active) != 0 {
			t.Errorf("status %+v", c.Status)
		}
		want := fmt.Sprintf("tick Normal MissingJob: Active job went missing: tick-%d", minutes+60)
		if got := b.Events.Take(); !slices.Contains(got, want) {
			t.Errorf("events %q", got)
		}
		if got := jobNames(b); got != "" {
			t.Errorf("started again: %s", got)
		}
	})
}
