package pods

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/expect"
	"github.com/proa-dev/proa/internal/informer"
)

// Control creates and deletes pods on behalf of an owner, reports it in events, and expects to see it. All
// fields are set.
type Control struct {
	Client client.Transport
	Events controller.Events
	Expect *expect.Expectations
}

// Create creates up to n pods, slowly at first; pod makes the one with a number.
func (c *Control) Create(ctx context.Context, owner client.Object, n int, pod func(n int) *corev1.Pod) error {
	if n <= 0 {
		return nil
	}
	about, k := client.ReferenceTo(owner), informer.KeyOf(owner)
	c.Expect.ExpectCreations(k, n)
	done, err := SlowStartEach(n, func(n int) error {
		p := pod(n)
		if len(p.Labels) == 0 {
			return ErrNoLabels
		}
		created, err := client.Pods.Create(ctx, c.Client, p)
		switch {
		case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
			return nil // nor will any other be created; what is expected stays so, and keeps the loop quiet
		case err != nil:
			c.Events.EventFor(about, corev1.EventTypeWarning, "FailedCreate", fmt.Sprintf("Error creating: %v", err))
			return err
		}
		c.Events.EventFor(about, corev1.EventTypeNormal, "SuccessfulCreate", "Created pod: "+created.Name)
		return nil
	})
	for range n - done {
		c.Expect.CreationObserved(k)
	}
	return err
}

// Delete deletes all the pods.
func (c *Control) Delete(ctx context.Context, owner client.Object, extra []*corev1.Pod) error {
	if len(extra) == 0 {
		return nil
	}
	about, k := client.ReferenceTo(owner), informer.KeyOf(owner)
	uids := make([]types.UID, len(extra))
	for n, p := range extra {
		uids[n] = p.UID
	}
	c.Expect.ExpectDeletions(k, uids...)
	return Each(extra, func(p *corev1.Pod) error {
		uid := p.UID
		err := client.Pods.Delete(ctx, c.Client, p.Namespace, p.Name,
			metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
		switch {
		case err == nil:
			c.Events.EventFor(about, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted pod: "+p.Name)
			return nil
		case apierrors.IsNotFound(err), apierrors.IsConflict(err): // it is gone, or another by its name is there
			c.Expect.DeletionObserved(k, uid)
			return nil
		}
		c.Expect.DeletionObserved(k, uid)
		c.Events.EventFor(about, corev1.EventTypeWarning, "FailedDelete", fmt.Sprintf("Error deleting: %v", err))
		return fmt.Errorf("unable to delete pods: %w", err)
	})
}
