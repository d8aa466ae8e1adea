package cronjob

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller/owned"
)

// event is what people are told.
type event struct{ kind, reason, message string }

func warning(reason, format string, args ...any) event {
	return event{corev1.EventTypeWarning, reason, fmt.Sprintf(format, args...)}
}

func normal(reason, format string, args ...any) event {
	return event{corev1.EventTypeNormal, reason, fmt.Sprintf(format, args...)}
}

// plan is what to do about a cron job at some time.
type plan struct {
	events []event
	start  *batchv1.Job // to be made now, for the time at
	at     time.Time
	// replace are the active jobs that have to go before.
	replace []corev1.ObjectReference
	again   time.Duration // until the next time; zero if there is none
}

// decide is about a cron job whose list of active jobs is up to date.
func decide(c *batchv1.CronJob, now time.Time) (p plan) {
	if c.DeletionTimestamp != nil {
		return p
	}
	location, err := time.LoadLocation(ptr.Deref(c.Spec.TimeZone, ""))
	if err != nil {
		p.events = append(p.events, warning("UnknownTimeZone", "invalid timeZone: %q: %s", *c.Spec.TimeZone, err))
		return p
	}
	if ptr.Deref(c.Spec.Suspend, false) {
		return p
	}
	if containsZone(c.Spec.Schedule) {
		p.events = append(p.events, warning("UnsupportedSchedule", "CRON_TZ or TZ used in schedule %q is not officially supported, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details", c.Spec.Schedule))
	}
	s, err := parse(&c.Spec)
	if err != nil {
		p.events = append(p.events, warning("UnparseableSchedule", "unparseable schedule: %q : %s", c.Spec.Schedule, err))
		return p
	}
	t, err := at(s, since(c, now), now)
	if err != nil {
		p.events = append(p.events, warning("InvalidSchedule", "invalid schedule: %s : %s", c.Spec.Schedule, err))
		return p
	}
	p.again = max(0, t.next.Sub(now))
	if t.due.IsZero() {
		return p
	}
	if t.many {
		p.events = append(p.events, warning("TooManyMissedTimes", "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"))
	}
	name := jobName(c, t.due)
	active := slices.ContainsFunc(c.Status.Active, func(r corev1.ObjectReference) bool { return r.Name == name && r.Namespace == c.Namespace })
	switch {
	case tooLate(c, t.due, now):
		p.events = append(p.events, warning("MissSchedule", "Missed scheduled time to start a job: %s", t.due.UTC().Format(time.RFC1123Z)))
	case active || c.Status.LastScheduleTime != nil && c.Status.LastScheduleTime.Time.Equal(t.due): // done
	case c.Spec.ConcurrencyPolicy == batchv1.ForbidConcurrent && len(c.Status.Active) > 0:
		p.events = append(p.events, normal("JobAlreadyActive", "Not starting job because prior execution is running and concurrency policy is Forbid"))
	default:
		p.start, p.at = jobFor(c, t.due, location), t.due
		if c.Spec.ConcurrencyPolicy == batchv1.ReplaceConcurrent {
			p.replace = c.Status.Active
		}
	}
	return p
}

// since is the time up to which nothing is to be done any more.
func since(c *batchv1.CronJob, now time.Time) time.Time {
	t := c.CreationTimestamp.Time
	if c.Status.LastScheduleTime != nil {
		t = c.Status.LastScheduleTime.Time
	}
	if d := c.Spec.StartingDeadlineSeconds; d != nil {
		if limit := now.Add(-time.Duration(*d) * time.Second); limit.After(t) {
			t = limit
		}
	}
	return t
}

func tooLate(c *batchv1.CronJob, due, now time.Time) bool {
	d := c.Spec.StartingDeadlineSeconds
	return d != nil && due.Add(time.Duration(*d)*time.Second).Before(now)
}

// jobName is the same for the same time, so that no job is made twice.
func jobName(c *batchv1.CronJob, at time.Time) string {
	return fmt.Sprintf("%s-%d", c.Name, at.Unix()/60)
}

func jobFor(c *batchv1.CronJob, at time.Time, location *time.Location) *batchv1.Job {
	t := c.Spec.JobTemplate.DeepCopy()
	annotations := map[string]string{}
	maps.Copy(annotations, t.Annotations)
	annotations[batchv1.CronJobScheduledTimestampAnnotation] = at.In(location).Format(time.RFC3339)
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.Namespace, Name: jobName(c, at), Labels: t.Labels, Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{owned.RefTo(c, client.CronJobs)},
		},
		Spec: t.Spec,
	}
}

// follow brings the status up to date with the jobs there are, and returns those that are not in the list of
// active ones and go on.
func follow(c *batchv1.CronJob, jobs []*batchv1.Job) (unexpected []*batchv1.Job, events []event) {
	for _, j := range jobs {
		end := outcome(j)
		listed := isActive(c, j.UID)
		switch {
		case end == "" && !listed:
			unexpected = append(unexpected, j)
		case end != "" && listed:
			drop(c, j.UID)
			events = append(events, normal("SawCompletedJob", "Saw completed job: %s, condition: %v", j.Name, end))
		}
		last, done := c.Status.LastSuccessfulTime, j.Status.CompletionTime
		if end == batchv1.JobComplete && done != nil && (last == nil || done.After(last.Time)) {
			c.Status.LastSuccessfulTime = done
		}
	}
	return unexpected, events
}

// missing is the active jobs that are not there.
func missing(c *batchv1.CronJob, jobs []*batchv1.Job) (gone []corev1.ObjectReference) {
	for _, ref := range c.Status.Active {
		if !slices.ContainsFunc(jobs, func(j *batchv1.Job) bool { return j.UID == ref.UID }) {
			gone = append(gone, ref)
		}
	}
	return gone
}

// surplus is the finished jobs that history has no room for, the oldest first.
func surplus(c *batchv1.CronJob, jobs []*batchv1.Job) (old []*batchv1.Job) {
	for end, limit := range map[batchv1.JobConditionType]*int32{
		batchv1.JobComplete: c.Spec.SuccessfulJobsHistoryLimit, batchv1.JobFailed: c.Spec.FailedJobsHistoryLimit,
	} {
		if limit == nil {
			continue
		}
		var finished []*batchv1.Job
		for _, j := range jobs {
			if outcome(j) == end && j.DeletionTimestamp == nil {
				finished = append(finished, j)
			}
		}
		slices.SortFunc(finished, byStart)
		old = append(old, finished[:max(0, len(finished)-int(*limit))]...)
	}
	return old
}

// byStart puts jobs that never started last.
func byStart(a, b *batchv1.Job) int {
	x, y := a.Status.StartTime, b.Status.StartTime
	switch {
	case x == nil && y != nil:
		return 1
	case x != nil && y == nil:
		return -1
	case x != nil && !x.Equal(y):
		return x.Compare(y.Time)
	}
	return cmp.Compare(a.Name, b.Name)
}

// outcome is Complete, Failed, or empty.
func outcome(j *batchv1.Job) batchv1.JobConditionType {
	for _, c := range j.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return c.Type
		}
	}
	return ""
}

func isActive(c *batchv1.CronJob, uid types.UID) bool {
	return slices.ContainsFunc(c.Status.Active, func(r corev1.ObjectReference) bool { return r.UID == uid })
}

// drop leaves the list that it changes to those who share it.
func drop(c *batchv1.CronJob, uid types.UID) {
	c.Status.Active = slices.DeleteFunc(slices.Clone(c.Status.Active), func(r corev1.ObjectReference) bool { return r.UID == uid })
	if len(c.Status.Active) == 0 {
		c.Status.Active = nil
	}
}
