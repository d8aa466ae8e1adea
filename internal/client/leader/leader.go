// Package leader lets one of several processes work at a time. Who holds the Lease leads; its records are
// those of client-go's leader election, so that both kinds of candidates can compete.
//
// Clocks of candidates need not agree: a candidate waits for the lease's duration after it has itself seen
// the record change for the last time. The leader stops when it could not renew for RenewDeadline, which is
// shorter; so at any time there is at most one, as long as clocks run about equally fast.
package leader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
)

// Options of an election. Namespace, Name and Identity are required.
type Options struct {
	Namespace, Name string        // of the Lease
	Identity        string        // of this candidate, unlike all others'
	LeaseDuration   time.Duration // 15 s if zero
	RenewDeadline   time.Duration // 10 s if zero
	RetryPeriod     time.Duration // 2 s if zero; candidates wait up to 2.2 times as long
	Logger          *slog.Logger  // slog.Default() if nil
}

const jitter = 1.2

// ErrLost is returned by Run when the lease was lost.
var ErrLost = errors.New("leader: the lease was lost")

// Validate says what is wrong with the options.
func (o Options) Validate() error {
	o = o.withDefaults()
	switch {
	case o.Namespace == "" || o.Name == "" || o.Identity == "":
		return errors.New("leader election needs a namespace, a name and an identity")
	case o.LeaseDuration <= o.RenewDeadline:
		return fmt.Errorf("the lease duration, %v, must be longer than the renew deadline, %v", o.LeaseDuration, o.RenewDeadline)
	case float64(o.RenewDeadline) <= jitter*float64(o.RetryPeriod):
		return fmt.Errorf("the renew deadline, %v, must be longer than %v times the retry period, %v", o.RenewDeadline, jitter, o.RetryPeriod)
	case o.LeaseDuration < time.Second || o.RetryPeriod < 0:
		return errors.New("the lease duration is at least a second, and no period is negative")
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.LeaseDuration == 0 {
		o.LeaseDuration = 15 * time.Second
	}
	if o.RenewDeadline == 0 {
		o.RenewDeadline = 10 * time.Second
	}
	if o.RetryPeriod == 0 {
		o.RetryPeriod = 2 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Run waits until this candidate leads, then calls lead, whose context ends when it no longer does. It
// returns when lead has: nil if the context ended or lead returned by itself, in which cases the lease is
// given up for others to take at once, and ErrLost if it was lost.
func Run(ctx context.Context, t client.Transport, o Options, lead func(ctx context.Context)) error {
	if err := o.Validate(); err != nil {
		return err
	}
	e := &elector{Options: o.withDefaults(), transport: t}
	e.Logger = e.Logger.With("lease", o.Namespace+"/"+o.Name, "identity", o.Identity)
	if !e.acquire(ctx) {
		return nil
	}
	e.Logger.Info("Leading")
	leading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		lead(leading)
		stop(nil)
	}()
	if e.renew(leading) {
		<-done
		e.release()
		return nil
	}
	stop(ErrLost)
	<-done
	e.Logger.Warn("No longer leading")
	return ErrLost
}

// heldError is the identity of another who leads.
type heldError string

func (e heldError) Error() string { return string(e) + " leads" }

type elector struct {
	Options
	transport client.Transport
	seen      *coordinationv1.Lease // as last seen; nil if never
	seenAt    time.Time             // when its record changed for the last time, by our clock
}

// acquire tries until it holds the lease, or is false if the context ended.
func (e *elector) acquire(ctx context.Context) bool {
	for {
		err := e.try(ctx)
		if err == nil {
			return true
		}
		e.Logger.Debug("Not leading", "why", err)
		if !sleep(ctx, e.RetryPeriod+time.Duration(rand.Float64()*jitter*float64(e.RetryPeriod))) {
			return false
		}
	}
}

// renew keeps the lease. It is true when the context ended and false when the lease was lost.
func (e *elector) renew(ctx context.Context) bool {
	for sleep(ctx, e.RetryPeriod) {
		if !e.renewOnce(ctx) {
			return ctx.Err() != nil
		}
	}
	return true
}

// renewOnce tries until RenewDeadline, or until another is seen to lead.
func (e *elector) renewOnce(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, e.RenewDeadline)
	defer cancel()
	for {
		err := e.try(ctx)
		if err == nil {
			return true
		}
		e.Logger.Warn("Lease not renewed", "err", err)
		var held heldError
		if errors.As(err, &held) || !sleep(ctx, e.RetryPeriod) {
			return false
		}
	}
}

// try takes the lease or renews it.
func (e *elector) try(ctx context.Context) error {
	now := time.Now()
	if e.holds(now) {
		if e.write(ctx, e.seen, e.record(&e.seen.Spec, now)) == nil {
			return nil
		}
	}
	lease, err := client.Leases.Get(ctx, e.transport, e.Namespace, e.Name)
	if apierrors.IsNotFound(err) {
		return e.create(ctx, now)
	}
	if err != nil {
		return err
	}
	if e.seen == nil || !equal(&e.seen.Spec, &lease.Spec) {
		e.seenAt = now
	}
	e.seen = lease
	if holder := ptr.Deref(lease.Spec.HolderIdentity, ""); holder != "" && holder != e.Identity && now.Before(e.expiry()) {
		return heldError(holder)
	}
	return e.write(ctx, lease, e.record(&lease.Spec, now))
}

func (e *elector) holds(now time.Time) bool {
	return e.seen != nil && ptr.Deref(e.seen.Spec.HolderIdentity, "") == e.Identity && now.Before(e.expiry())
}

func (e *elector) expiry() time.Time {
	return e.seenAt.Add(time.Duration(ptr.Deref(e.seen.Spec.LeaseDurationSeconds, 0)) * time.Second)
}

// record is what the holder of the lease writes, after the record before.
func (e *elector) record(before *coordinationv1.LeaseSpec, now time.Time) coordinationv1.LeaseSpec {
	after := *before
	after.LeaseDurationSeconds = ptr.To(int32(e.LeaseDuration / time.Second))
	after.RenewTime = ptr.To(metav1.NewMicroTime(now))
	if ptr.Deref(before.HolderIdentity, "") != e.Identity {
		after.HolderIdentity = ptr.To(e.Identity)
		after.AcquireTime = after.RenewTime
		after.LeaseTransitions = ptr.To(ptr.Deref(before.LeaseTransitions, 0) + 1)
	}
	return after
}

func (e *elector) create(ctx context.Context, now time.Time) error {
	spec := e.record(&coordinationv1.LeaseSpec{}, now)
	spec.LeaseTransitions = ptr.To[int32](0)
	lease, err := client.Leases.Create(ctx, e.transport, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: e.Name}, Spec: spec,
	})
	return e.written(lease, err)
}

func (e *elector) write(ctx context.Context, lease *coordinationv1.Lease, spec coordinationv1.LeaseSpec) error {
	lease = lease.DeepCopy()
	lease.Spec = spec
	lease, err := client.Leases.Update(ctx, e.transport, lease)
	return e.written(lease, err)
}

func (e *elector) written(lease *coordinationv1.Lease, err error) error {
	if err != nil {
		return err
	}
	e.seen, e.seenAt = lease, time.Now()
	return nil
}

// release lets others take the lease at once.
func (e *elector) release() {
	ctx, cancel := context.WithTimeout(context.Background(), e.RenewDeadline)
	defer cancel()
	now := metav1.NewMicroTime(time.Now())
	spec := e.seen.Spec
	spec.HolderIdentity = ptr.To("")
	spec.LeaseDurationSeconds = ptr.To[int32](1)
	spec.AcquireTime, spec.RenewTime = &now, &now
	if err := e.write(ctx, e.seen, spec); err != nil {
		e.Logger.Warn("Lease not released, others wait for it to expire", "err", err)
	}
}

func equal(a, b *coordinationv1.LeaseSpec) bool {
	return ptr.Equal(a.HolderIdentity, b.HolderIdentity) && ptr.Equal(a.LeaseTransitions, b.LeaseTransitions) &&
		ptr.Equal(a.LeaseDurationSeconds, b.LeaseDurationSeconds) && a.RenewTime.Equal(b.RenewTime) && a.AcquireTime.Equal(b.AcquireTime)
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
