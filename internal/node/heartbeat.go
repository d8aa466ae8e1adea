package node

import (
	"context"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
)

// A node is taken for dead when its lease was not renewed for leaseDuration. Its status is written when it
// has changed, and every statusInterval in any case.
const (
	leaseDuration  = 40 * time.Second
	leaseInterval  = leaseDuration / 4
	statusInterval = 5 * time.Minute

	// together is how many nodes of an agent share a moment, and so a wake-up and the store's sync.
	together = 16
)

// beginHeartbeats gives each node its moment in every interval.
func (a *Agent) beginHeartbeats() {
	a.begun = time.Now()
	for _, m := range a.members {
		a.beats.AddAfter(m, a.momentOf(m))
	}
}

// momentOf is when in an interval a node's heartbeat is due: moments are spread over it.
func (a *Agent) momentOf(m *member) time.Duration {
	moments := (len(a.members) + together - 1) / together
	return leaseInterval * time.Duration(m.index/together) / time.Duration(moments)
}

// untilNext is how long it is to a node's next moment.
func (a *Agent) untilNext(m *member, now time.Time) time.Duration {
	return leaseInterval - (now.Sub(a.begun)-a.momentOf(m))%leaseInterval
}

// beat is one heartbeat. A node that was deleted has none; it is not made again.
func (a *Agent) beat(ctx context.Context, m *member) (time.Duration, error) {
	n, ok := a.nodes.Get("", m.name)
	if !ok {
		m.lease = nil
		return a.untilNext(m, time.Now()), nil
	}
	if err := a.renew(ctx, m, n); err != nil {
		m.lease = nil
		return 0, err
	}
	now := time.Now()
	status := a.status(m, n, now)
	if now.Sub(m.reported) >= statusInterval || !sameButHeartbeat(&n.Status, &status) {
		changed := *n
		changed.Status = status
		if _, err := client.Nodes.UpdateStatus(ctx, a.options.Client, &changed); err != nil {
			return 0, err
		}
		m.reported = now
	}
	return a.untilNext(m, time.Now()), nil
}

// renew writes the node's lease, and makes it if there is none.
func (a *Agent) renew(ctx context.Context, m *member, n *corev1.Node) (err error) {
	if m.lease == nil {
		m.lease, err = client.Leases.Get(ctx, a.options.Client, corev1.NamespaceNodeLease, m.name)
		if apierrors.IsNotFound(err) {
			m.lease, err = client.Leases.Create(ctx, a.options.Client, newLease(n, time.Now()))
			return err
		}
		if err != nil {
			return err
		}
	}
	l := *m.lease
	l.Spec = leaseSpec(n, time.Now())
	m.lease, err = client.Leases.Update(ctx, a.options.Client, &l)
	return err
}

func newLease(n *corev1.Node, now time.Time) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: corev1.NamespaceNodeLease, Name: n.Name,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: n.Name, UID: n.UID}},
		},
		Spec: leaseSpec(n, now),
	}
}

func leaseSpec(n *corev1.Node, now time.Time) coordinationv1.LeaseSpec {
	return coordinationv1.LeaseSpec{
		HolderIdentity:       ptr.To(n.Name),
		LeaseDurationSeconds: ptr.To(int32(leaseDuration / time.Second)),
		RenewTime:            ptr.To(metav1.NewMicroTime(now)),
	}
}
