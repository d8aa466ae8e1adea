package job

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/owned"
	"github.com/proa-dev/proa/internal/controller/pods"
)

// act carries out a plan and corrects the numbers by what it came to.
func (c *jobs) act(ctx context.Context, k controller.Key, s *survey, p plan) (active int32, err error) {
	active = int32(len(s.active))
	if len(p.delete) > 0 {
		uids := make([]types.UID, len(p.delete))
		for n, pod := range p.delete {
			uids[n] = pod.UID
		}
		c.expect.ExpectDeletions(k, uids...)
		n, err := c.remove(ctx, s, p.delete, func(pod *corev1.Pod) error {
			// A pod that is not wanted any more is none that failed.
			if err := c.release(ctx, pod); err != nil {
				c.expect.DeletionObserved(k, pod.UID)
				return err
			}
			gone, err := c.delete(ctx, s.job, pod)
			if gone || err != nil {
				c.expect.DeletionObserved(k, pod.UID)
			}
			return err
		})
		return active - n, err
	}
	if p.create == 0 {
		return active, nil
	}
	c.expect.ExpectCreations(k, p.create)
	done, err := c.create(ctx, s, p)
	for range p.create - done {
		c.expect.CreationObserved(k)
	}
	return active + int32(done), err
}

// removeAll deletes the active pods of a job that is over. They keep their finalizers until they are counted.
func (c *jobs) removeAll(ctx context.Context, s *survey) (int32, error) {
	return c.remove(ctx, s, s.active, func(p *corev1.Pod) error {
		_, err := c.delete(ctx, s.job, p)
		return err
	})
}

func (c *jobs) remove(ctx context.Context, s *survey, all []*corev1.Pod, f func(*corev1.Pod) error) (removed int32, err error) {
	var n, ready atomic.Int32
	err = pods.Each(all, func(p *corev1.Pod) error {
		if err := f(p); err != nil {
			return err
		}
		n.Add(1)
		if pods.IsReady(p) {
			ready.Add(1)
		}
		return nil
	})
	s.terminating += n.Load()
	s.ready -= ready.Load()
	return n.Load(), err
}

// delete tells whether the pod was gone before.
func (c *jobs) delete(ctx context.Context, j *batchv1.Job, p *corev1.Pod) (gone bool, err error) {
	uid := p.UID
	err = client.Pods.Delete(ctx, c.client, p.Namespace, p.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	switch {
	case err == nil:
		c.events.Eventf(j, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted pod: %v", p.Name)
		return false, nil
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		return true, nil
	}
	c.events.Eventf(j, corev1.EventTypeWarning, "FailedDelete", "Error deleting: %v", err)
	return false, err
}

// release takes the tracking finalizer from a pod.
func (c *jobs) release(ctx context.Context, p *corev1.Pod) error {
	if !isTracked(p) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": p.UID, "$deleteFromPrimitiveList/finalizers": []string{batchv1.JobTrackingFinalizer},
	}})
	if err != nil {
		return err
	}
	_, err = client.Pods.Patch(ctx, c.client, p.Namespace, p.Name, types.StrategicMergePatchType, patch, "")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // it is gone, or another by its name is there
		return nil
	}
	if err != nil {
		return fmt.Errorf("removing completion finalizer: %w", err)
	}
	return nil
}

func (c *jobs) create(ctx context.Context, s *survey, p plan) (done int, err error) {
	template := templateOf(s.job)
	ref := owned.RefTo(s.job, client.Jobs)
	return pods.SlowStartEach(p.create, func(n int) error {
		pod := pods.New(template, s.job, ref)
		if len(p.indexes) > 0 {
			s.giveIndex(pod, p.indexes[n])
		}
		created, err := client.Pods.Create(ctx, c.client, pod)
		switch {
		case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
			return nil // nor will any other be created; what is expected stays so, and keeps the loop quiet
		case err != nil:
			c.events.Eventf(s.job, corev1.EventTypeWarning, "FailedCreate", "Error creating: %v", err)
			return err
		}
		c.events.Eventf(s.job, corev1.EventTypeNormal, "SuccessfulCreate", "Created pod: %v", created.Name)
		return nil
	})
}

// templateOf is what all pods of a job are made from.
func templateOf(j *batchv1.Job) *corev1.PodTemplateSpec {
	t := j.Spec.Template.DeepCopy()
	if !slices.Contains(t.Finalizers, batchv1.JobTrackingFinalizer) {
		t.Finalizers = append(t.Finalizers, batchv1.JobTrackingFinalizer)
	}
	if isIndexed(j) {
		for _, all := range [][]corev1.Container{t.Spec.InitContainers, t.Spec.Containers} {
			for n := range all {
				tellIndex(&all[n])
			}
		}
	}
	return t
}

const indexVariable = "JOB_COMPLETION_INDEX"

func tellIndex(c *corev1.Container) {
	if slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name == indexVariable }) {
		return
	}
	c.Env = append(c.Env, corev1.EnvVar{Name: indexVariable, ValueFrom: &corev1.EnvVarSource{
		FieldRef: &corev1.ObjectFieldSelector{FieldPath: fmt.Sprintf("metadata.labels['%s']", batchv1.JobCompletionIndexAnnotation)},
	}})
}

// giveIndex makes a pod that of an index. The pod shares its labels and annotations with the others before.
func (s *survey) giveIndex(p *corev1.Pod, index int) {
	value := map[string]string{batchv1.JobCompletionIndexAnnotation: strconv.Itoa(index)}
	p.Labels, p.Annotations = merged(p.Labels, value), merged(p.Annotations, value)
	if s.failedOnes != nil {
		maps.Copy(p.Annotations, s.failuresBefore(index))
	}
	p.Spec.Hostname = fmt.Sprintf("%s-%d", s.job.Name, index)
	p.GenerateName = prefix(s.job.Name, index)
}

func merged(a, b map[string]string) map[string]string {
	all := make(map[string]string, len(a)+len(b)+2)
	maps.Copy(all, a)
	maps.Copy(all, b)
	return all
}

// longestPrefix leaves room for what the server appends, in the 63 characters of a label.
const longestPrefix = 58

func prefix(job string, index int) string {
	suffix := fmt.Sprintf("-%d-", index)
	return job[:min(len(job), longestPrefix-len(suffix))] + suffix
}
