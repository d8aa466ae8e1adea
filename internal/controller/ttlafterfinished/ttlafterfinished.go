// Package ttlafterfinished deletes jobs some time after they have finished.
package ttlafterfinished

import (
	"context"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/informer"
)

// Start makes the controller.
func Start(d controller.Deps) controller.Runner {
	jobs := informer.For(d.Informers, client.Jobs)
	l := &controller.Loop{
		Name: "ttl-after-finished-controller", Needs: []informer.Syncer{jobs}, Logger: d.Logger, Metrics: d.Metrics,
		Queue: informer.QueueOptions{Name: "ttl_jobs_to_delete"},
	}
	l.Sync = func(ctx context.Context, k controller.Key) (time.Duration, error) {
		j, ok := jobs.Get(k.Namespace, k.Name)
		if !ok {
			return 0, nil
		}
		left, ok := remaining(j, d.Clock.Now())
		if !ok || left > 0 {
			return left, nil
		}
		// The time to live may have been changed since, so the server is asked.
		j, err := client.Jobs.Get(ctx, d.Client, k.Namespace, k.Name)
		if err != nil {
			return 0, ignoreGone(err)
		}
		if left, ok = remaining(j, d.Clock.Now()); !ok || left > 0 {
			return left, nil
		}
		foreground := metav1.DeletePropagationForeground
		return 0, ignoreGone(client.Jobs.Delete(ctx, d.Client, k.Namespace, k.Name, metav1.DeleteOptions{
			PropagationPolicy: &foreground, Preconditions: &metav1.Preconditions{UID: &j.UID},
		}))
	}
	look := func(j *batchv1.Job) {
		if left, ok := remaining(j, d.Clock.Now()); ok {
			l.AddAfter(informer.KeyOf(j), left)
		}
	}
	jobs.Handle(informer.Handler[batchv1.Job]{
		Add:    func(j *batchv1.Job, _ bool) { look(j) },
		Update: func(_, j *batchv1.Job) { look(j) },
	})
	return l
}

// remaining is how long a job has left, not more than nothing if its time is over. It is not ok if that is for
// ever.
func remaining(j *batchv1.Job, now time.Time) (left time.Duration, ok bool) {
	if j.DeletionTimestamp != nil || j.Spec.TTLSecondsAfterFinished == nil {
		return 0, false
	}
	for _, c := range j.Status.Conditions {
		finished := (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue
		if finished && !c.LastTransitionTime.IsZero() {
			return c.LastTransitionTime.Add(time.Duration(*j.Spec.TTLSecondsAfterFinished) * time.Second).Sub(now), true
		}
	}
	return 0, false
}

func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
