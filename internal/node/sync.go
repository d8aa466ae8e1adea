package node

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/informer"
	"github.com/proa-dev/proa/internal/node/lifecycle"
)

// record is what the agent knows of a pod that it runs. Only the one who syncs the pod uses it, but for stirred.
type record struct {
	uid      types.UID
	member   *member
	demand   lifecycle.Demand
	rejected *lifecycle.Rejection
	backoff  map[string]lifecycle.Backoff // nil until a container is restarted
	told     map[string]time.Time         // the restarts after which people were told that a container waits
	wrote    uint64                       // revision of the last status written
	settled  bool                         // that status is all there was to do
	due      time.Time                    // when it no longer is; zero if time alone changes nothing
	stirred  atomic.Bool                  // the runtime has told of a change since
	done     bool                         // finished, and what it held was given back
	removed  bool                         // deleted from the API, as far as a node can
}

// sync makes of a pod what it shall be. Most pods are synced twice in their life as far as this costs
// anything: once to start all there is and write one status, once to stop it, write the last one, and delete.
func (a *Agent) sync(ctx context.Context, k informer.Key) (again time.Duration, err error) {
	p, ok := a.pods.Get(k.Namespace, k.Name)
	r := a.recordOf(k)
	if r != nil && (!ok || r.uid != p.UID) {
		if err := a.forget(ctx, k, r); err != nil {
			return 0, err
		}
		r = nil
	}
	if !ok {
		return 0, nil
	}
	m := a.byName[p.Spec.NodeName]
	switch {
	case m == nil:
		return 0, nil
	case lifecycle.Terminal(p) && (r == nil || r.done):
		return 0, a.bury(ctx, k, p, r)
	case r != nil && revision(p) < r.wrote, r != nil && r.done:
		return 0, nil // the informer has yet to see what was written
	case r != nil && r.holds(p):
		return r.pause(), nil // it has just seen that, or it was called for what was there before
	case r == nil:
		if r, err = a.take(ctx, k, p, m); err != nil {
			return 0, err
		}
	}
	return a.live(ctx, p, r)
}

// live drives a pod that has not ended, and writes down what has become of it.
func (a *Agent) live(ctx context.Context, p *corev1.Pod, r *record) (again time.Duration, err error) {
	r.settled = false
	r.stirred.Store(false)
	plan, err := a.drive(ctx, p, r)
	if err != nil {
		_, werr := a.write(ctx, p, r, plan.Status)
		return 0, errors.Join(err, werr)
	}
	a.tell(p, r, &plan)
	p, err = a.write(ctx, p, r, plan.Status)
	if err != nil || p == nil {
		return 0, err
	}
	if plan.Finished {
		if err := a.release(ctx, r); err != nil {
			return 0, err
		}
	}
	if plan.Delete {
		err := a.remove(ctx, p)
		r.removed = err == nil
		return 0, err
	}
	r.settled, r.due = true, plan.Again
	return r.pause(), nil
}

// pause is for how long time alone changes nothing; 0 is for ever.
func (r *record) pause() time.Duration {
	if r.due.IsZero() {
		return 0
	}
	return max(time.Until(r.due), time.Millisecond)
}

// holds tells whether a pod is as it was written last, and nothing has happened since.
func (r *record) holds(p *corev1.Pod) bool {
	return r.settled && revision(p) == r.wrote && !r.stirred.Load() && (r.due.IsZero() || time.Now().Before(r.due))
}

// changed is told by runtimes that something has become of a pod's containers.
func (a *Agent) changed(k informer.Key) {
	if r := a.recordOf(k); r != nil {
		r.stirred.Store(true)
	}
	a.queue.Add(k)
}

// maxSteps bounds how often a decision leads to another at the same time. Each step starts a container, so
// that only a defect can need more.
const maxSteps = 1000

// drive decides and acts until nothing is left to do for now.
func (a *Agent) drive(ctx context.Context, p *corev1.Pod, r *record) (lifecycle.Plan, error) {
	var plan lifecycle.Plan
	for range maxSteps {
		seen, err := r.member.runtime.Pod(ctx, p)
		if err != nil {
			return lifecycle.Plan{Status: p.Status}, err
		}
		plan = lifecycle.Decide(lifecycle.View{
			Pod: p, Seen: seen, HostIP: r.member.hostIP, Rejected: r.rejected, Backoff: r.backoff, Now: time.Now(),
		})
		if !plan.Acts() {
			return plan, nil
		}
		if err := a.act(ctx, p, r, &plan); err != nil {
			return plan, err
		}
	}
	return plan, fmt.Errorf("node: pod %s is never done with", lifecycle.Describe(p))
}

func (a *Agent) act(ctx context.Context, p *corev1.Pod, r *record, plan *lifecycle.Plan) error {
	runtime := r.member.runtime
	if plan.CreateSandbox {
		if err := runtime.CreateSandbox(ctx, p); err != nil {
			a.podEvent(p, corev1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: "+err.Error())
			return err
		}
	}
	for _, s := range plan.Start {
		if err := runtime.Start(ctx, p, s.Name, s.Attempt); err != nil {
			a.containerEvent(p, s.Name, corev1.EventTypeWarning, "Failed", "Error: "+err.Error())
			return err
		}
		if s.Backoff != (lifecycle.Backoff{}) {
			if r.backoff == nil {
				r.backoff = map[string]lifecycle.Backoff{}
			}
			r.backoff[s.Name] = s.Backoff
		}
		a.containerEvent(p, s.Name, corev1.EventTypeNormal, "Started", "Container started")
	}
	for _, s := range plan.Stop {
		if err := runtime.Stop(ctx, p, s.Name, s.Grace); err != nil {
			return err
		}
		a.containerEvent(p, s.Name, corev1.EventTypeNormal, "Killing", "Stopping container "+s.Name)
	}
	return nil
}

// write makes the status of a pod what it has to be. The pod is nil if it is gone.
func (a *Agent) write(ctx context.Context, p *corev1.Pod, r *record, s corev1.PodStatus) (*corev1.Pod, error) {
	if p.Status.Phase == s.Phase && equality.Semantic.DeepEqual(p.Status, s) {
		return p, nil
	}
	changed := *p
	changed.Status = s
	written, err := client.Pods.UpdateStatus(ctx, a.options.Client, &changed)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r.wrote = revision(written)
	return written, nil
}

// bury deletes a pod that has ended, if that was asked for and not done yet.
func (a *Agent) bury(ctx context.Context, k informer.Key, p *corev1.Pod, r *record) error {
	if r != nil && r.removed {
		return nil
	}
	a.drop(k)
	if !lifecycle.MayDelete(p) {
		return nil
	}
	return a.remove(ctx, p)
}

func (a *Agent) remove(ctx context.Context, p *corev1.Pod) error {
	err := client.Pods.Delete(ctx, a.options.Client, p.Namespace, p.Name, metav1.DeleteOptions{
		GracePeriodSeconds: ptr.To(int64(0)), Preconditions: &metav1.Preconditions{UID: &p.UID},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // it is gone, or another has its name by now
	}
	return err
}

// revision of an object; 0 if it is not a number.
func revision(p *corev1.Pod) uint64 {
	n, err := strconv.ParseUint(p.ResourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
