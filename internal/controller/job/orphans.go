package job

import (
	"context"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/owned"
	"github.com/proa-dev/proa/internal/informer"
)

// startOrphans makes the loop that frees pods which nobody will count any more: without it, they could never be
// deleted. Its keys are pods.
func (c *jobs) startOrphans(d controller.Deps) controller.Runner {
	l := &controller.Loop{
		Name: "job-controller-orphans", Workers: 1, Sync: c.syncOrphan, Needs: []informer.Syncer{c.jobs, c.pods}, Logger: d.Logger, Metrics: d.Metrics,
		Queue: informer.QueueOptions{Name: "job_orphan_pod"},
	}
	look := func(p *corev1.Pod) {
		if isTracked(p) && !c.awaited(p) {
			l.Add(informer.KeyOf(p))
		}
	}
	c.pods.Handle(informer.Handler[corev1.Pod]{
		Add:    func(p *corev1.Pod, _ bool) { look(p) },
		Update: func(_, p *corev1.Pod) { look(p) },
	})
	lookAtAll := func(j *batchv1.Job) {
		for _, p := range owned.By(c.pods, j.UID) {
			look(p)
		}
	}
	c.jobs.Handle(informer.Handler[batchv1.Job]{
		Update: func(_, j *batchv1.Job) {
			if isFinished(j) {
				lookAtAll(j)
			}
		},
		Delete: lookAtAll,
	})
	return l
}

// awaited tells whether a job that goes on will count a pod.
func (c *jobs) awaited(p *corev1.Pod) bool {
	j := c.ownerOf(p)
	return j != nil && (!isFinished(j) || isOthers(j))
}

// ownerOf is the job of a pod, nil if it has none or is not known.
func (c *jobs) ownerOf(p *corev1.Pod) *batchv1.Job {
	k, ok := controller.OwnerKey(p, client.Jobs)
	if !ok {
		return nil
	}
	j, ok := c.jobs.Get(k.Namespace, k.Name)
	if !ok || j.UID != metav1.GetControllerOfNoCopy(p).UID {
		return nil
	}
	return j
}

func (c *jobs) syncOrphan(ctx context.Context, k controller.Key) (time.Duration, error) {
	p, ok := c.pods.Get(k.Namespace, k.Name)
	if !ok || !isTracked(p) || c.awaited(p) {
		return 0, nil
	}
	ref := metav1.GetControllerOfNoCopy(p)
	if owner, ok := controller.OwnerKey(p, client.Jobs); ok && c.ownerOf(p) == nil {
		// The job may be newer than its copy.
		j, err := client.Jobs.Get(ctx, c.client, owner.Namespace, owner.Name)
		if err != nil && !apierrors.IsNotFound(err) {
			return 0, err
		}
		if err == nil && j.UID == ref.UID {
			return 0, nil
		}
	} else if !ok && ref != nil {
		return 0, nil // whoever controls it put the finalizer there
	}
	return 0, c.release(ctx, p)
}
