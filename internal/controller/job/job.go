// Package job runs pods until enough of them have succeeded.
//
// A look at a job has three parts, each pure: survey (survey.go) counts what its pods have come to; plan and
// verdict (plan.go) say how many pods there should be and whether the job is over; account (account.go)
// writes into the status what pods have come to before they may vanish.
package job

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/expect"
	"github.com/proa-dev/proa/internal/controller/owned"
	"github.com/proa-dev/proa/internal/controller/pods"
	"github.com/proa-dev/proa/internal/informer"
)

// gather is how long pods are waited for that finish together.
const gather = 100 * time.Millisecond

type jobs struct {
	client client.Transport
	events controller.Events
	clock  clock.WithTicker
	tally  *controller.Tally
	jobs   *informer.Informer[batchv1.Job]
	pods   *informer.Informer[corev1.Pod]
	expect expect.Expectations

	mu    sync.Mutex
	state map[controller.Key]*memory // guarded by mu; each is used by one worker at a time
}

// memory is what is known of a job that its informer may not show.
type memory struct {
	uid      types.UID
	wrote    uint64 // revision of the last write of the status
	backoff  backoff
	released map[types.UID]struct{}
}

// Start makes the controller.
func Start(d controller.Deps) controller.Runner {
	c := &jobs{
		client: d.Client, events: d.Events, clock: d.Clock, tally: d.Tally, state: map[controller.Key]*memory{},
		jobs: informer.For(d.Informers, client.Jobs), pods: informer.For(d.Informers, client.Pods),
	}
	owned.Index(c.pods)
	l := &controller.Loop{
		Name: "job-controller", Sync: c.sync, Needs: []informer.Syncer{c.jobs, c.pods}, Logger: d.Logger, Metrics: d.Metrics,
		Queue: informer.QueueOptions{Name: "job", BaseDelay: time.Second, MaxDelay: time.Minute},
	}
	c.jobs.Handle(controller.Enqueue[batchv1.Job](l))
	follow := &owned.Follower[corev1.Pod, batchv1.Job]{
		Loop: l, Owners: c.jobs, Kind: client.Jobs, Expect: &c.expect, Delay: gather, Match: wants,
	}
	c.pods.Handle(follow.Handler())
	return controller.Together(l, c.startOrphans(d))
}

func wants(j *batchv1.Job, p *corev1.Pod) bool { return owned.Selects(j.Spec.Selector, p.Labels) }

func (c *jobs) sync(ctx context.Context, k controller.Key) (time.Duration, error) {
	present, ok := c.jobs.Get(k.Namespace, k.Name)
	if !ok {
		c.expect.Forget(k)
		c.forget(k)
		return 0, nil
	}
	if isOthers(present) {
		return 0, nil
	}
	if isFinished(present) {
		c.forget(k)
		return 0, nil
	}
	if m := ptr.Deref(present.Spec.CompletionMode, batchv1.NonIndexedCompletion); m != batchv1.NonIndexedCompletion && m != batchv1.IndexedCompletion {
		c.events.Event(present, corev1.EventTypeWarning, "UnknownCompletionMode", "Skipped Job sync because completion mode is unknown")
		return 0, nil
	}
	known := c.memory(k, present.UID)
	if revision(present) < known.wrote {
		return 0, nil // the informer will tell
	}
	began := c.clock.Now()
	again, action, err := c.proceed(ctx, k, known, present)
	c.tally.JobSynced(modeOf(present), action, err, c.clock.Since(began))
	return again, err
}

// proceed looks at a job that is not over, and tells which action that was.
func (c *jobs) proceed(ctx context.Context, k controller.Key, known *memory, present *batchv1.Job) (again time.Duration, action string, err error) {
	// Asked before the pods are: one that comes in between must not be missed.
	seenAll := c.expect.Satisfied(k)
	all, err := c.claim(ctx, present)
	if err != nil {
		return 0, reconciling, err
	}
	known.observe(all)
	return c.work(ctx, k, known, present, all, seenAll)
}

func (c *jobs) work(ctx context.Context, k controller.Key, known *memory, present *batchv1.Job, all []*corev1.Pod, seenAll bool) (again time.Duration, action string, err error) {
	now := c.clock.Now()
	j := present.DeepCopy()
	if j.Status.StartTime == nil && !isSuspended(j) {
		j.Status.StartTime = ptr.To(metav1.NewTime(now))
	}
	s := look(j, all, known.released, known.backoff)
	active := int32(len(s.active))
	finish, again := s.verdict(now)
	action = reconciling
	var failure error
	switch {
	case finish != nil:
		var removed int32
		removed, failure = c.removeAll(ctx, s)
		active -= removed
		if active > 0 || !seenAll {
			finish = nil // there may be pods that are not known yet
		}
	default:
		managed := seenAll && j.DeletionTimestamp == nil
		if managed {
			p := s.plan(now)
			action = p.action(isSuspended(j))
			active, failure = c.act(ctx, k, s, p)
			again = sooner(again, p.again)
		}
		if s.isComplete(active) {
			finish = newCondition(batchv1.JobSuccessCriteriaMet, batchv1.JobReasonCompletionsReached, "Reached expected number of succeeded pods", now)
		} else if managed {
			c.suspendOrResume(j, now)
		}
	}
	j.Status.Active, j.Status.Ready, j.Status.Terminating = active, ptr.To(s.ready), ptr.To(s.terminating)
	return again, action, errors.Join(c.settle(ctx, known, present, s, finish, now), failure)
}

// settle carries out the accounting.
func (c *jobs) settle(ctx context.Context, known *memory, present *batchv1.Job, s *survey, finish *batchv1.JobCondition, now time.Time) error {
	release, more, final := s.account(finish, now)
	if err := c.write(ctx, known, present, s); err != nil {
		return err
	}
	known.backoff = s.backoff
	written := s.job.DeepCopy()
	var mu sync.Mutex
	var released []*corev1.Pod
	failure := pods.Each(release, func(p *corev1.Pod) error {
		err := c.release(ctx, p)
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			released = append(released, p)
		}
		return err
	})
	for _, p := range released {
		known.released[p.UID] = struct{}{}
	}
	s.settle(released)
	finished := failure == nil && !more && s.end(final)
	if err := c.write(ctx, known, written, s); err != nil {
		return err
	}
	if finished {
		c.reportEnd(s.job, final)
	}
	return failure
}

// write writes the job's status if it is not as it was.
func (c *jobs) write(ctx context.Context, known *memory, was *batchv1.Job, s *survey) error {
	if equality.Semantic.DeepEqual(was.Status, s.job.Status) {
		return nil
	}
	written, err := client.Jobs.UpdateStatus(ctx, c.client, s.job)
	if err != nil {
		return err
	}
	s.job = written.DeepCopy()
	if s.job.Status.UncountedTerminatedPods == nil {
		s.job.Status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{}
	}
	known.wrote = revision(written)
	c.count(was, written)
	return nil
}

func (c *jobs) suspendOrResume(j *batchv1.Job, now time.Time) {
	at := metav1.NewTime(now)
	x := batchv1.JobCondition{
		Type: batchv1.JobSuspended, Status: corev1.ConditionFalse, LastProbeTime: at, LastTransitionTime: at,
		Reason: "JobResumed", Message: "Job resumed",
	}
	if isSuspended(j) {
		x.Status, x.Reason, x.Message = corev1.ConditionTrue, "JobSuspended", "Job suspended"
	}
	if !setCondition(&j.Status, x) {
		return
	}
	// The deadline is about how long a job is active without a break.
	if isSuspended(j) {
		j.Status.StartTime = nil
		c.events.Event(j, corev1.EventTypeNormal, "Suspended", x.Message)
		return
	}
	j.Status.StartTime = &at
	c.events.Event(j, corev1.EventTypeNormal, "Resumed", x.Message)
}

func (c *jobs) reportEnd(j *batchv1.Job, final *batchv1.JobCondition) {
	c.tally.JobFinished(modeOf(j), final.Type == batchv1.JobComplete, final.Reason)
	if final.Type == batchv1.JobFailed {
		c.events.Event(j, corev1.EventTypeWarning, final.Reason, final.Message)
		return
	}
	if j.Spec.Completions != nil && j.Status.Succeeded > *j.Spec.Completions {
		c.events.Event(j, corev1.EventTypeWarning, "TooManySucceededPods", "Too many succeeded pods running after completion count reached")
	}
	c.events.Event(j, corev1.EventTypeNormal, "Completed", "Job completed")
}

func (c *jobs) claim(ctx context.Context, j *batchv1.Job) ([]*corev1.Pod, error) {
	candidates := owned.By(c.pods, j.UID)
	for _, p := range owned.Orphans(c.pods, j.Namespace) {
		if wants(j, p) {
			candidates = append(candidates, p)
		}
	}
	claim := owned.Claim[corev1.Pod, batchv1.Job]{
		Client: c.client, Kind: client.Pods, Owner: j, Owners: client.Jobs, Finalizers: []string{batchv1.JobTrackingFinalizer},
		Match: func(p *corev1.Pod) bool { return wants(j, p) },
	}
	return claim.Of(ctx, candidates)
}

func (c *jobs) memory(k controller.Key, uid types.UID) *memory {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.state[k]; m != nil && m.uid == uid {
		return m
	}
	m := &memory{uid: uid, released: map[types.UID]struct{}{}}
	c.state[k] = m
	return m
}

func (c *jobs) forget(k controller.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.state, k)
}

// observe drops what the informer shows by now.
func (m *memory) observe(all []*corev1.Pod) {
	still := map[types.UID]struct{}{}
	for _, p := range all {
		if _, ok := m.released[p.UID]; ok && isTracked(p) {
			still[p.UID] = struct{}{}
		}
	}
	m.released = still
}

// isOthers tells whether another controller takes care of a job.
func isOthers(j *batchv1.Job) bool {
	return ptr.Deref(j.Spec.ManagedBy, batchv1.JobControllerName) != batchv1.JobControllerName
}

// revision is 0 if it is not a number.
func revision(j *batchv1.Job) uint64 {
	n, _ := strconv.ParseUint(j.ResourceVersion, 10, 64)
	return n
}

// sooner is the lesser of two delays, of which zero is none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}
