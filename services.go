package proa

import (
	"context"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/core/allocate"
)

// repairInterval is how often Services' claims are looked through; sooner if an address lost its claim.
const (
	repairInterval = 3 * time.Minute
	repairSoon     = time.Second
)

// openServices makes what gives Services their addresses and node ports.
func (p *plane) openServices() (err error) {
	p.serviceRange = allocate.DefaultClusterIPRange
	if r := p.config.ServiceClusterIPRange; r != "" {
		if p.serviceRange, err = netip.ParsePrefix(r); err != nil {
			return err
		}
		p.serviceRange = p.serviceRange.Masked()
	}
	p.clusterIP = p.serviceRange.Addr().Next()
	p.services, err = allocate.New(allocate.Config{ClusterIPRanges: []netip.Prefix{p.serviceRange}, Store: p.store})
	return err
}

// followServices tells the allocator what is taken and from where it may take, and brings the claims that are
// stored in line with the Services before anybody can ask for more.
func (p *plane) followServices(ctx context.Context, objects access.Objects) error {
	objects.Follow(networkingv1.Resource("servicecidrs"), func(_, name string, o registry.Object) {
		cidr, _ := o.(*networkingv1.ServiceCIDR)
		if err := p.services.RangeChanged(name, cidr); err != nil {
			p.log.Warn("Services get no addresses from a range", "servicecidr", name, "err", err)
		}
	})
	objects.Follow(networkingv1.Resource("ipaddresses"), func(_, name string, o registry.Object) {
		address, _ := o.(*networkingv1.IPAddress)
		p.services.Changed(name, address)
	})
	claims := allocate.Objects{
		IPAddresses: func(ctx context.Context) ([]*networkingv1.IPAddress, error) {
			return access.List[networkingv1.IPAddress](ctx, objects, networkingv1.Resource("ipaddresses"), "", nil)
		},
		Services: func(ctx context.Context) ([]*corev1.Service, error) {
			return access.List[corev1.Service](ctx, objects, schema.GroupResource{Resource: "services"}, "", nil)
		},
	}
	if err := p.services.Repair(ctx, claims, p.log); noRoom(err) || nobodyKnows(err) {
		p.log.Warn("Services' addresses and node ports could not be looked through", "err", err)
	} else if err != nil {
		return err
	}
	go p.keepRepairing(ctx, claims)
	return nil
}

func (p *plane) keepRepairing(ctx context.Context, claims allocate.Objects) {
	for {
		wait := time.NewTimer(repairInterval)
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		case <-p.services.Unclaimed():
			select {
			case <-ctx.Done():
				return
			case <-time.After(repairSoon):
			}
		}
		if err := p.services.Repair(ctx, claims, p.log); err != nil && ctx.Err() == nil {
			p.log.Warn("Services' addresses and node ports could not be looked through", "err", err)
		}
	}
}
