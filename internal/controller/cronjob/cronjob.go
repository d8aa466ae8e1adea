// Package cronjob starts jobs on a schedule. It wakes when the next time comes, and not before.
package cronjob

import (
	"context"
	"errors"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/owned"
	"github.com/proa-dev/proa/internal/informer"
)

type crons struct {
	client client.Transport
	events controller.Events
	clock  clock.WithTicker
	tally  *controller.Tally
	crons  *informer.Informer[batchv1.CronJob]
	jobs   *informer.Informer[batchv1.Job]
}

// Start makes the controller.
func Start(d controller.Deps) controller.Runner {
	c := &crons{
		client: d.Client, events: d.Events, clock: d.Clock, tally: d.Tally,
		crons: informer.For(d.Informers, client.CronJobs), jobs: informer.For(d.Informers, client.Jobs),
	}
	owned.Index(c.jobs)
	l := &controller.Loop{
		Name: "cronjob-controller", Sync: c.sync, Needs: []informer.Syncer{c.crons, c.jobs}, Logger: d.Logger, Metrics: d.Metrics,
		Queue: informer.QueueOptions{Name: "cronjob"},
	}
	h := controller.Enqueue[batchv1.CronJob](l)
	h.Update = func(old, new *batchv1.CronJob) { l.AddAfter(informer.KeyOf(new), c.pause(old, new)) }
	c.crons.Handle(h)
	c.jobs.Handle(controller.EnqueueOwner[batchv1.Job](l, client.CronJobs))
	return l
}

// pause is how long to leave a cron job alone that has changed. A new schedule holds from its next time on: what
// it would have meant in the past is not made up for.
func (c *crons) pause(old, new *batchv1.CronJob) time.Duration {
	if old.Spec.Schedule == new.Spec.Schedule && ptr.Equal(old.Spec.TimeZone, new.Spec.TimeZone) {
		return 0
	}
	s, err := parse(&new.Spec)
	if err != nil {
		return 0
	}
	now := c.clock.Now()
	t, err := at(s, since(new, now), now)
	if err != nil {
		return 0
	}
	return t.next.Sub(now)
}

func (c *crons) sync(ctx context.Context, k controller.Key) (time.Duration, error) {
	present, ok := c.crons.Get(k.Namespace, k.Name)
	if !ok {
		return 0, nil
	}
	cron := present.DeepCopy()
	jobs := owned.By(c.jobs, cron.UID)
	for _, j := range surplus(cron, jobs) {
		c.delete(ctx, cron, j.Namespace, j.Name, j) // what fails is tried again with the next job
	}
	again, failure := c.proceed(ctx, cron, jobs)
	if !equality.Semantic.DeepEqual(present.Status, cron.Status) {
		if _, err := client.CronJobs.UpdateStatus(ctx, c.client, cron); err != nil && !apierrors.IsNotFound(err) {
			return 0, errors.Join(failure, err)
		}
	}
	return again, failure
}

// proceed changes the cron job's status, which its caller writes whether it failed or not.
func (c *crons) proceed(ctx context.Context, cron *batchv1.CronJob, jobs []*batchv1.Job) (time.Duration, error) {
	unexpected, events := follow(cron, jobs)
	c.tell(cron, events)
	if err := c.doubt(ctx, cron, unexpected); err != nil {
		return 0, err
	}
	if err := c.search(ctx, cron, missing(cron, jobs)); err != nil {
		return 0, err
	}
	p := decide(cron, c.clock.Now())
	c.tell(cron, p.events)
	for _, ref := range p.replace {
		if err := c.replace(ctx, cron, ref); err != nil {
			return 0, err
		}
	}
	if p.start == nil {
		return p.again, nil
	}
	return p.again, c.start(ctx, cron, p)
}

// doubt looks at active jobs that the status does not mention. It may just be older than they are.
func (c *crons) doubt(ctx context.Context, cron *batchv1.CronJob, unexpected []*batchv1.Job) error {
	if len(unexpected) == 0 {
		return nil
	}
	fresh, err := client.CronJobs.Get(ctx, c.client, cron.Namespace, cron.Name)
	if err != nil {
		return err
	}
	for _, j := range unexpected {
		if isActive(fresh, j.UID) {
			*cron = *fresh.DeepCopy()
			continue
		}
		c.events.Eventf(cron, corev1.EventTypeWarning, "UnexpectedJob", "Saw a job that the controller did not create or forgot: %s", j.Name)
	}
	return nil
}

// search asks the server for active jobs that the informer does not have, and drops those that are gone.
func (c *crons) search(ctx context.Context, cron *batchv1.CronJob, missing []corev1.ObjectReference) error {
	for _, ref := range missing {
		_, err := client.Jobs.Get(ctx, c.client, ref.Namespace, ref.Name)
		switch {
		case apierrors.IsNotFound(err):
			drop(cron, ref.UID)
			c.events.Eventf(cron, corev1.EventTypeNormal, "MissingJob", "Active job went missing: %v", ref.Name)
		case err != nil:
			return err
		}
	}
	return nil
}

func (c *crons) replace(ctx context.Context, cron *batchv1.CronJob, ref corev1.ObjectReference) error {
	j, err := client.Jobs.Get(ctx, c.client, ref.Namespace, ref.Name)
	if err != nil {
		c.events.Eventf(cron, corev1.EventTypeWarning, "FailedGet", "Get job: %v", err)
		return err
	}
	return c.delete(ctx, cron, ref.Namespace, ref.Name, j)
}

func (c *crons) delete(ctx context.Context, cron *batchv1.CronJob, namespace, name string, j *batchv1.Job) error {
	background := metav1.DeletePropagationBackground
	err := client.Jobs.Delete(ctx, c.client, namespace, name, metav1.DeleteOptions{
		PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &j.UID},
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		c.events.Eventf(cron, corev1.EventTypeWarning, "FailedDelete", "Deleted job: %v", err)
		return err
	}
	drop(cron, j.UID)
	c.events.Eventf(cron, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted job %v", name)
	return nil
}

// start makes a job and lists it. A job that is there already is one that was made before and could not be
// listed.
func (c *crons) start(ctx context.Context, cron *batchv1.CronJob, p plan) error {
	j, err := client.Jobs.Create(ctx, c.client, p.start)
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	case apierrors.IsAlreadyExists(err):
		if j, err = client.Jobs.Get(ctx, c.client, p.start.Namespace, p.start.Name); err != nil {
			return err
		}
		if !metav1.IsControlledBy(j, cron) || isActive(cron, j.UID) {
			return nil
		}
	case err != nil:
		c.events.Eventf(cron, corev1.EventTypeWarning, "FailedCreate", "Error creating job: %v", err)
		return err
	default:
		c.tally.CronJobStarted(j.CreationTimestamp.Sub(p.at))
		c.events.Eventf(cron, corev1.EventTypeNormal, "SuccessfulCreate", "Created job %v", j.Name)
	}
	ref := client.ReferenceTo(j)
	ref.APIVersion, ref.Kind = client.Jobs.Resource.GroupVersion().String(), client.Jobs.Kind
	cron.Status.Active = append(cron.Status.Active, ref)
	cron.Status.LastScheduleTime = &metav1.Time{Time: p.at}
	return nil
}

func (c *crons) tell(cron *batchv1.CronJob, events []event) {
	for _, e := range events {
		c.events.Event(cron, e.kind, e.reason, e.message)
	}
}

// containsZone tells whether a schedule names its time zone itself, in a way that is not official.
func containsZone(schedule string) bool { return strings.Contains(schedule, "TZ") }
