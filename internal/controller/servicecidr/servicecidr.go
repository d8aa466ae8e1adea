// Package servicecidr keeps ServiceCIDRs as long as there are addresses that only they contain, and says of the
// others that they are ready.
package servicecidr

import (
	"context"
	"net/netip"
	"slices"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/informer"
)

const (
	finalizer = "networking.k8s.io/service-cidr-finalizer"
	// settle is how long servers may take to hear that a ServiceCIDR is going, and go on choosing from it.
	settle = 10 * time.Second
)

type keeper struct {
	deps      controller.Deps
	cidrs     *informer.Informer[networkingv1.ServiceCIDR]
	addresses *informer.Informer[networkingv1.IPAddress]
}

// Start makes the controller.
func Start(d controller.Deps) controller.Runner {
	x := &keeper{deps: d, cidrs: informer.For(d.Informers, client.ServiceCIDRs), addresses: informer.For(d.Informers, client.IPAddresses)}
	l := &controller.Loop{
		Name: "service-cidr-controller", Logger: d.Logger, Metrics: d.Metrics, Sync: x.sync, Needs: []informer.Syncer{x.cidrs, x.addresses},
		Queue: informer.QueueOptions{Name: "ipaddresses"},
	}
	// One that comes or goes may free another that overlaps with it.
	x.cidrs.Handle(controller.EnqueueBy(l, func(c *networkingv1.ServiceCIDR) []controller.Key {
		return append(x.going(), informer.KeyOf(c))
	}))
	x.addresses.Handle(informer.Handler[networkingv1.IPAddress]{Delete: func(*networkingv1.IPAddress) {
		for _, k := range x.going() {
			l.Add(k)
		}
	}})
	return l
}

// going are the ServiceCIDRs that are being deleted.
func (x *keeper) going() []controller.Key {
	var keys []controller.Key
	for _, c := range x.cidrs.List() {
		if c.DeletionTimestamp != nil {
			keys = append(keys, informer.KeyOf(c))
		}
	}
	return keys
}

func (x *keeper) sync(ctx context.Context, k controller.Key) (time.Duration, error) {
	c, ok := x.cidrs.Get("", k.Name)
	if !ok {
		return 0, nil
	}
	if c.DeletionTimestamp == nil {
		c, err := x.setFinalizer(ctx, c, true)
		if err != nil {
			return 0, ignoreGone(err)
		}
		return 0, x.tell(ctx, c, metav1.Condition{Status: metav1.ConditionTrue, Message: "Kubernetes Service CIDR is ready"})
	}
	if needed(c, x.cidrs.List(), x.addresses.List()) {
		return 0, x.tell(ctx, c, metav1.Condition{
			Status: metav1.ConditionFalse, Reason: networkingv1.ServiceCIDRReasonTerminating,
			Message: "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR",
		})
	}
	if left := c.DeletionTimestamp.Add(settle).Sub(x.deps.Clock.Now()); left > 0 {
		return left, nil
	}
	_, err := x.setFinalizer(ctx, c, false)
	return 0, ignoreGone(err)
}

// needed tells whether there are Services' addresses that no other ServiceCIDR contains. One whose ranges all lie
// in others' is not needed, whatever the addresses.
func needed(c *networkingv1.ServiceCIDR, all []*networkingv1.ServiceCIDR, addresses []*networkingv1.IPAddress) bool {
	var own, others []netip.Prefix
	for _, o := range all {
		if o.Name == c.Name {
			own = prefixes(o)
		} else {
			others = append(others, prefixes(o)...)
		}
	}
	covered := !slices.ContainsFunc(own, func(p netip.Prefix) bool {
		return !slices.ContainsFunc(others, func(o netip.Prefix) bool { return o.Overlaps(p) && o.Bits() <= p.Bits() })
	})
	if covered {
		return false
	}
	return slices.ContainsFunc(addresses, func(a *networkingv1.IPAddress) bool {
		ip, err := netip.ParseAddr(a.Name)
		return err == nil && a.Labels[networkingv1.LabelManagedBy] == "ipallocator.k8s.io" && contain(own, ip) && !contain(others, ip)
	})
}

func prefixes(c *networkingv1.ServiceCIDR) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range c.Spec.CIDRs {
		if p, err := netip.ParsePrefix(text); err == nil {
			all = append(all, p.Masked())
		}
	}
	return all
}

// contain tells whether a Service may have the address from one of the ranges: neither their first nor, of IPv4,
// their last address is handed out.
func contain(ranges []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(p netip.Prefix) bool {
		return p.Contains(ip) && ip != p.Addr() && (ip.Is6() || p.Contains(ip.Next()))
	})
}

// setFinalizer adds or takes away the finalizer.
func (x *keeper) setFinalizer(ctx context.Context, c *networkingv1.ServiceCIDR, there bool) (*networkingv1.ServiceCIDR, error) {
	if slices.Contains(c.Finalizers, finalizer) == there {
		return c, nil
	}
	c = c.DeepCopy()
	if there {
		c.Finalizers = append(c.Finalizers, finalizer)
	} else {
		c.Finalizers = slices.DeleteFunc(c.Finalizers, func(f string) bool { return f == finalizer })
	}
	patch := map[string]any{"metadata": map[string]any{"finalizers": c.Finalizers, "resourceVersion": c.ResourceVersion}}
	return client.ServiceCIDRs.MergePatch(ctx, x.deps.Client, "", c.Name, patch, "")
}

// tell sets the condition Ready.
func (x *keeper) tell(ctx context.Context, c *networkingv1.ServiceCIDR, ready metav1.Condition) error {
	ready.Type = networkingv1.ServiceCIDRConditionReady
	is := meta.FindStatusCondition(c.Status.Conditions, ready.Type)
	if is != nil && is.Status == ready.Status && is.Reason == ready.Reason && is.Message == ready.Message {
		return nil
	}
	ready.LastTransitionTime = metav1.NewTime(x.deps.Clock.Now().Truncate(time.Second))
	conditions := slices.DeleteFunc(slices.Clone(c.Status.Conditions), func(o metav1.Condition) bool { return o.Type == ready.Type })
	patch := map[string]any{
		"metadata": map[string]any{"resourceVersion": c.ResourceVersion},
		"status":   map[string]any{"conditions": append(conditions, ready)},
	}
	_, err := client.ServiceCIDRs.MergePatch(ctx, x.deps.Client, "", c.Name, patch, "status")
	return ignoreGone(err)
}

func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
