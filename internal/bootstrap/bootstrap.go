// Package bootstrap writes what every cluster has before anybody asks: the system namespaces, the roles and
// bindings of Kubernetes' own components, the Service through which pods find the API, and what extension
// servers need to trust this one. It runs at each start and writes only what is missing.
package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"golang.org/x/sync/errgroup"

	roles "github.com/proa-dev/proa/internal/access/authz/bootstrap"
	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/scheduling"
)

// Options say what the objects tell.
type Options struct {
	// Address and Port are where clients in the cluster reach the API server. Without a valid address
	// the Service has no endpoints.
	Address netip.Addr
	Port    int32
	// ServiceRange is where Services get their addresses from.
	ServiceRange netip.Prefix
	// ClusterIP of the Service default/kubernetes.
	ClusterIP netip.Addr
	// ClientCA is the PEM of the authority that signs client certificates.
	ClientCA []byte
}

// writers is how many writes are under way at a time: the store syncs them together.
const writers = 32

// Namespaces that are always there.
var Namespaces = []string{metav1.NamespaceSystem, metav1.NamespacePublic, metav1.NamespaceDefault, corev1.NamespaceNodeLease}

// Run writes what is missing. It is done when all of it can be read.
func Run(ctx context.Context, t client.Transport, o Options) error {
	if err := each(ctx, Namespaces, func(ctx context.Context, name string) error {
		return ensure(ctx, t, client.Namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}); err != nil {
		return fmt.Errorf("system namespaces: %w", err)
	}
	if err := accessRules(ctx, t); err != nil {
		return fmt.Errorf("roles and bindings: %w", err)
	}
	if err := ensure(ctx, t, client.ClusterRoleBindings, simulatedNodes()); err != nil {
		return fmt.Errorf("binding of simulated nodes: %w", err)
	}
	if err := each(ctx, scheduling.SystemPriorityClasses(), func(ctx context.Context, c schedulingv1.PriorityClass) error {
		return ensure(ctx, t, client.PriorityClasses, &c)
	}); err != nil {
		return fmt.Errorf("priority classes: %w", err)
	}
	if err := ensure(ctx, t, client.ConfigMaps, authenticationInfo(o)); err != nil {
		return fmt.Errorf("authentication information: %w", err)
	}
	if err := serviceRange(ctx, t, o); err != nil {
		return fmt.Errorf("range of Services' addresses: %w", err)
	}
	if err := kubernetesService(ctx, t, o); err != nil {
		return fmt.Errorf("service kubernetes: %w", err)
	}
	return nil
}

// each runs f for all items at once, some at a time.
func each[T any](ctx context.Context, items []T, f func(context.Context, T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writers)
	for _, i := range items {
		g.Go(func() error { return f(ctx, i) })
	}
	return g.Wait()
}

// ensure creates an object unless it is there.
func ensure[T any](ctx context.Context, t client.Transport, k client.Kind[T], o *T) error {
	meta := any(o).(client.Object)
	_, err := k.Get(ctx, t, meta.GetNamespace(), meta.GetName())
	if !apierrors.IsNotFound(err) {
		return err
	}
	_, err = k.Create(ctx, t, o)
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// accessRules brings the RBAC objects to what the components need.
func accessRules(ctx context.Context, t client.Transport) error {
	var failed error
	steps := roles.Plan(func(r schema.GroupVersionResource, namespace, name string) registry.Object {
		res, err := t.Do(ctx, &client.Request{Verb: "get", Resource: r, Namespace: namespace, Name: name})
		if err != nil {
			if !apierrors.IsNotFound(err) {
				failed = errors.Join(failed, err)
			}
			return nil
		}
		return res.Object
	})
	if failed != nil {
		return failed
	}
	return each(ctx, steps, func(ctx context.Context, s roles.Step) error {
		r := &client.Request{
			Verb: "create", Resource: s.Resource, Namespace: s.Object.GetNamespace(), Object: s.Object,
		}
		switch s.Action {
		case roles.Update:
			r.Verb, r.Name = "update", s.Object.GetName()
		case roles.Recreate:
			if _, err := t.Do(ctx, &client.Request{Verb: "delete", Resource: s.Resource, Namespace: r.Namespace, Name: s.Object.GetName()}); err != nil && !apierrors.IsNotFound(err) {
				return err
			}
		}
		_, err := t.Do(ctx, r)
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	})
}

// SimulatedNodesUser is the user that the agent of all simulated nodes acts as. It is no node of the Node
// authorizer, which knows one node a user, so it has a binding to what all nodes may do.
const SimulatedNodesUser = "system:simulated-nodes"

func simulatedNodes() *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: SimulatedNodesUser},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:node"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: SimulatedNodesUser}},
	}
}

// authenticationInfo tells extension servers whose certificates to trust.
func authenticationInfo(o Options) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "extension-apiserver-authentication"},
		Data:       map[string]string{"client-ca-file": string(o.ClientCA)},
	}
}

// serviceRange makes the ServiceCIDR of the server's own range. It is ready at once, with or without
// controllers. One that is there is left as it is, of whatever range: Services have addresses from it.
func serviceRange(ctx context.Context, t client.Transport, o Options) error {
	cidr, err := client.ServiceCIDRs.Get(ctx, t, "", kubernetes)
	if apierrors.IsNotFound(err) {
		cidr, err = client.ServiceCIDRs.Create(ctx, t, &networkingv1.ServiceCIDR{
			ObjectMeta: metav1.ObjectMeta{Name: kubernetes},
			Spec:       networkingv1.ServiceCIDRSpec{CIDRs: []string{o.ServiceRange.String()}},
		})
		if apierrors.IsAlreadyExists(err) {
			return nil // another server is a step ahead
		}
	}
	if err != nil || cidr.DeletionTimestamp != nil || meta.FindStatusCondition(cidr.Status.Conditions, networkingv1.ServiceCIDRConditionReady) != nil {
		return err
	}
	cidr = cidr.DeepCopy()
	meta.SetStatusCondition(&cidr.Status.Conditions, metav1.Condition{
		Type: networkingv1.ServiceCIDRConditionReady, Status: metav1.ConditionTrue, Message: "Kubernetes default Service CIDR is ready",
	})
	_, err = client.ServiceCIDRs.UpdateStatus(ctx, t, cidr)
	if apierrors.IsConflict(err) {
		return nil // somebody else looks after it
	}
	return err
}

// kubernetes is the name of what stands for the cluster itself.
const kubernetes = "kubernetes"

// kubernetesService makes default/kubernetes and points it at this server.
func kubernetesService(ctx context.Context, t client.Transport, o Options) error {
	const name = kubernetes
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceDefault, Name: name,
			Labels: map[string]string{"component": "apiserver", "provider": "kubernetes"},
		},
		Spec: corev1.ServiceSpec{
			ClusterIP: o.ClusterIP.String(), ClusterIPs: []string{o.ClusterIP.String()},
			Type: corev1.ServiceTypeClusterIP, SessionAffinity: corev1.ServiceAffinityNone,
			IPFamilyPolicy: ptr.To(corev1.IPFamilyPolicySingleStack),
			Ports:          []corev1.ServicePort{{Name: "https", Protocol: corev1.ProtocolTCP, Port: 443, TargetPort: intstr.FromInt32(o.Port)}},
		},
	}
	if err := ensure(ctx, t, client.Services, svc); err != nil || !o.Address.IsValid() {
		return err
	}
	meta := metav1.ObjectMeta{
		Namespace: metav1.NamespaceDefault, Name: name,
		Labels: map[string]string{discoveryv1.LabelSkipMirror: "true"},
	}
	endpoints := &corev1.Endpoints{ObjectMeta: meta, Subsets: []corev1.EndpointSubset{{
		Addresses: []corev1.EndpointAddress{{IP: o.Address.String()}},
		Ports:     []corev1.EndpointPort{{Name: "https", Port: o.Port, Protocol: corev1.ProtocolTCP}},
	}}}
	if err := set(ctx, t, client.Endpoints, endpoints, func(old *corev1.Endpoints) bool {
		return equality.Semantic.DeepEqual(old.Subsets, endpoints.Subsets)
	}); err != nil {
		return err
	}
	slice := &discoveryv1.EndpointSlice{ObjectMeta: *meta.DeepCopy(), AddressType: discoveryv1.AddressTypeIPv4}
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: name}
	if o.Address.Is6() {
		slice.AddressType = discoveryv1.AddressTypeIPv6
	}
	slice.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{o.Address.String()}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}}}
	slice.Ports = []discoveryv1.EndpointPort{{Name: ptr.To("https"), Port: ptr.To(o.Port), Protocol: ptr.To(corev1.ProtocolTCP)}}
	return set(ctx, t, client.EndpointSlices, slice, func(old *discoveryv1.EndpointSlice) bool {
		return equality.Semantic.DeepEqual(old.Endpoints, slice.Endpoints) && equality.Semantic.DeepEqual(old.Ports, slice.Ports)
	})
}

// set creates an object, or replaces one that is not as it should be.
func set[T any](ctx context.Context, t client.Transport, k client.Kind[T], o *T, same func(old *T) bool) error {
	meta := any(o).(client.Object)
	old, err := k.Get(ctx, t, meta.GetNamespace(), meta.GetName())
	switch {
	case apierrors.IsNotFound(err):
		_, err = k.Create(ctx, t, o)
	case err == nil && !same(old):
		meta.SetResourceVersion(any(old).(client.Object).GetResourceVersion())
		_, err = k.Update(ctx, t, o)
	}
	return err
}
