package allocate

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/encoding"
	"github.com/proa-dev/proa/internal/store"
)

// managedBy is the value of the label on IPAddresses that come and go with Services.
const managedBy = "ipallocator.k8s.io"

const (
	addressPrefix = "/registry/ipaddresses/"
	servicePrefix = "/registry/services/specs/"
)

func addressKey(ip netip.Addr) string { return addressPrefix + ip.String() }

// addressFields are what the server owns of an IPAddress that it made.
const addressFields = `{"f:metadata":{"f:labels":{".":{},"f:ipaddress.kubernetes.io/ip-family":{},"f:ipaddress.kubernetes.io/managed-by":{}}},` +
	`"f:spec":{"f:parentRef":{".":{},"f:name":{},"f:namespace":{},"f:resource":{}}}}`

// fieldManager is who made it.
const fieldManager = "kube-apiserver"

// newAddress is the IPAddress of a Service's address.
func (s *Services) newAddress(ip netip.Addr, svc *corev1.Service) *networkingv1.IPAddress {
	now := metav1.NewTime(s.now().Truncate(1e9))
	return &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{
			Name: ip.String(), UID: uuid.NewUUID(), CreationTimestamp: now,
			Labels: map[string]string{
				networkingv1.LabelIPAddressFamily: string(familyOf(ip)), networkingv1.LabelManagedBy: managedBy,
			},
			ManagedFields: []metav1.ManagedFieldsEntry{{
				Manager: fieldManager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: networkingv1.SchemeGroupVersion.String(),
				Time: &now, FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{Raw: []byte(addressFields)},
			}},
		},
		Spec: networkingv1.IPAddressSpec{ParentRef: &networkingv1.ParentReference{
			Resource: "services", Namespace: svc.Namespace, Name: svc.Name,
		}},
	}
}

func familyOf(ip netip.Addr) corev1.IPFamily {
	if ip.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

// ownerOf is the key of the Service that an IPAddress belongs to; "" if it belongs to something else.
func ownerOf(a *networkingv1.IPAddress) string {
	ref := a.Spec.ParentRef
	if ref == nil || ref.Group != "" || ref.Resource != "services" {
		return ""
	}
	return ref.Namespace + "/" + ref.Name
}

func keyOf(svc *corev1.Service) string { return svc.Namespace + "/" + svc.Name }

// serviceKey is where a Service is stored.
func serviceKey(svc *corev1.Service) string { return servicePrefix + keyOf(svc) }

func (s *Services) decode(kv store.KV) (*networkingv1.IPAddress, error) {
	o, err := encoding.DecodeStored(s.kind, kv.Value)
	if err != nil {
		return nil, err
	}
	return o.(*networkingv1.IPAddress), nil
}

// takeOp makes the IPAddress of an address that nobody has.
func (s *Services) takeOp(ip netip.Addr, svc *corev1.Service) (store.Op, error) {
	value, err := encoding.Stored(s.kind, s.newAddress(ip, svc))
	return store.Op{Key: addressKey(ip), Value: value, Expect: store.MustNotExist}, err
}

// giveOp deletes an IPAddress, or marks it as deleted if somebody keeps it by a finalizer. There is nothing to
// do if it is marked already.
func (s *Services) giveOp(a *networkingv1.IPAddress, kv store.KV) (op store.Op, needed bool, err error) {
	op = store.Op{Key: kv.Key, Expect: kv.Revision}
	if len(a.Finalizers) == 0 {
		return op, true, nil
	}
	if a.DeletionTimestamp != nil {
		return op, false, nil
	}
	now, zero := metav1.NewTime(s.now().Truncate(1e9)), int64(0)
	a.DeletionTimestamp, a.DeletionGracePeriodSeconds = &now, &zero
	op.Value, err = encoding.Stored(s.kind, registry.Object(a))
	return op, true, err
}
