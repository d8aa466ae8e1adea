package core

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/core/allocate"
	"github.com/proa-dev/proa/internal/registry/field"
)

// serviceAllocator gives Services what they need: IP families first, for they say how many addresses,
// then addresses, then node ports. It runs before validation, so it expects any nonsense.
type serviceAllocator struct{ from *allocate.Services }

func (a serviceAllocator) begin(ctx context.Context, new, old *corev1.Service) (registry.Claim, error) {
	r := a.from.Request(new, old)
	if new == nil {
		return r, nil
	}
	if err := a.allocate(ctx, r, new, old); err != nil {
		r.End()
		return nil, err
	}
	return r, nil
}

func (a serviceAllocator) allocate(ctx context.Context, r *allocate.Request, new, old *corev1.Service) error {
	if !keepsPreferredStack(new, old) {
		if errs := a.chooseFamilies(new, old); len(errs) > 0 {
			return invalidService(new, errs...)
		}
		if err := takeAddresses(ctx, r, new, old); err != nil {
			return err
		}
	}
	if mayHaveNodePorts(new) {
		if err := takeNodePorts(ctx, r, new, old); err != nil {
			return err
		}
	}
	if needsHealthCheck(new) && (old == nil || !needsHealthCheck(old)) {
		return takeHealthCheckPort(ctx, r, new)
	}
	return nil
}

func invalidService(s *corev1.Service, errs ...*field.Error) error {
	return apierrors.NewInvalid(schema.GroupKind{Kind: "Service"}, s.Name, errs)
}

// takeAddresses fills clusterIPs, one for each family. Addresses that the old Service has stay, so only a
// Service that had none yet, or one that gains its second family, gets any.
func takeAddresses(ctx context.Context, r *allocate.Request, s, old *corev1.Service) error {
	if !hasClusterIP(s) || isHeadless(s) {
		return nil
	}
	first := 0
	if old != nil && hasClusterIP(old) {
		if isHeadless(old) || len(old.Spec.IPFamilies) != 1 || len(s.Spec.IPFamilies) != 2 {
			return nil
		}
		first = 1
	}
	asked := slices.Clone(s.Spec.ClusterIPs)
	for i := first; i < len(s.Spec.IPFamilies); i++ {
		for len(s.Spec.ClusterIPs) <= i {
			s.Spec.ClusterIPs = append(s.Spec.ClusterIPs, "")
		}
		if err := takeAddress(ctx, r, s, i, asked); err != nil {
			return err
		}
	}
	if len(s.Spec.ClusterIPs) > 0 {
		s.Spec.ClusterIP = s.Spec.ClusterIPs[0]
	}
	return nil
}

// takeAddress fills clusterIPs[i]. asked is what the client wrote, for the error.
func takeAddress(ctx context.Context, r *allocate.Request, s *corev1.Service, i int, asked []string) error {
	text := &s.Spec.ClusterIPs[i]
	if *text == "" {
		ip, err := r.Address(s.Spec.IPFamilies[i])
		if errors.Is(err, allocate.ErrFull) {
			return apierrors.NewInternalError(fmt.Errorf("failed to allocate a serviceIP for Service %q: %w", s.Name, err))
		}
		*text = ip.String()
		return err
	}
	refuse := func(reason error) error {
		return invalidService(s, field.Invalid(clusterIPsPath, asked, fmt.Sprintf("failed to allocate IP %v: %v", *text, reason)))
	}
	ip, err := netip.ParseAddr(*text)
	if err != nil {
		return refuse(err)
	}
	return r.TakeAddress(ctx, ip, refuse)
}

// takeNodePorts takes the node ports that are asked for and not held already, and gives the rest of the
// ports one if the Service wants that. On create only ports of the same number, with different protocols,
// share one node port, unasked too.
func takeNodePorts(ctx context.Context, r *allocate.Request, s, old *corev1.Service) error {
	var held []int32
	if old != nil {
		held = nodePorts(old)
	}
	for i := range s.Spec.Ports {
		port := s.Spec.Ports[i].NodePort
		same := func(p corev1.ServicePort) bool { return p.NodePort == port && p.Port == s.Spec.Ports[i].Port }
		if port == 0 || slices.Contains(held, port) || old == nil && slices.ContainsFunc(s.Spec.Ports[:i], same) {
			continue
		}
		err := r.TakePort(ctx, port, func(reason error) error {
			return invalidService(s, field.Invalid(field.NewPath("spec", "ports").Index(i).Child("nodePort"), port, reason.Error()))
		})
		if err != nil {
			return err
		}
		if old != nil {
			held = append(held, port)
		}
	}
	if !wantsNodePorts(s) {
		return nil
	}
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		if p.NodePort != 0 {
			continue
		}
		if old == nil {
			p.NodePort = sharedNodePort(s, p)
		}
		if p.NodePort != 0 {
			continue
		}
		var err error
		if p.NodePort, err = r.Port(); err != nil {
			return apierrors.NewInternalError(fmt.Errorf("failed to allocate a nodePort: %w", err))
		}
	}
	return nil
}

// sharedNodePort is the node port of another port with the same number, 0 if there is none.
func sharedNodePort(s *corev1.Service, p *corev1.ServicePort) int32 {
	for _, other := range s.Spec.Ports {
		if other.Port == p.Port && other.NodePort != 0 {
			return other.NodePort
		}
	}
	return 0
}

func takeHealthCheckPort(ctx context.Context, r *allocate.Request, s *corev1.Service) error {
	if port := s.Spec.HealthCheckNodePort; port != 0 {
		return r.TakePort(ctx, port, func(reason error) error {
			return apierrors.NewInternalError(fmt.Errorf("failed to allocate requested HealthCheck NodePort %v: %v", port, reason))
		})
	}
	port, err := r.Port()
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("failed to allocate a HealthCheck NodePort %v: %v", port, err))
	}
	s.Spec.HealthCheckNodePort = port
	return nil
}
