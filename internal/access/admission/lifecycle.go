package admission

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/access"
)

var (
	namespaces = schema.GroupResource{Resource: "namespaces"}
	pods       = schema.GroupResource{Resource: "pods"}
	nodes      = schema.GroupResource{Resource: "nodes"}
)

// NamespaceLifecycle refuses writes into namespaces that are not there, creations in those that are on
// their way out, and deletions of those that the system needs.
type NamespaceLifecycle struct {
	Objects access.Objects
}

var _ Mutator = NamespaceLifecycle{}

// Name implements Plugin.
func (NamespaceLifecycle) Name() string { return "NamespaceLifecycle" }

// Handles implements Plugin. Reviews of access are let through: what they would tell of a namespace is not
// everybody's.
func (NamespaceLifecycle) Handles(op Operation, resource schema.GroupResource, _ string) bool {
	switch op {
	case Create, Update:
		return resource != namespaces &&
			resource != schema.GroupResource{Group: "authorization.k8s.io", Resource: "localsubjectaccessreviews"}
	case Delete:
		return resource == namespaces
	}
	return false
}

// Mutate changes nothing; it comes as early as it can.
func (n NamespaceLifecycle) Mutate(ctx context.Context, r *Request) error {
	if r.Operation == Delete {
		switch r.Name {
		case metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic:
			return apierrors.NewForbidden(namespaces, r.Name, errors.New("this namespace may not be deleted"))
		}
		return nil
	}
	if r.Namespace == "" {
		return nil
	}
	ns, err := access.Get[corev1.Namespace](ctx, n.Objects, namespaces, "", r.Namespace)
	if apierrors.IsNotFound(err) {
		return err
	}
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	if r.Operation != Create || ns.Status.Phase != corev1.NamespaceTerminating {
		return nil
	}
	refusal := Forbidden(r, fmt.Errorf("unable to create new content in namespace %s because it is being terminated", r.Namespace))
	refusal.ErrStatus.Details.Causes = append(refusal.ErrStatus.Details.Causes, metav1.StatusCause{
		Type:    corev1.NamespaceTerminatingCause,
		Message: fmt.Sprintf("namespace %s is being terminated", r.Namespace),
		Field:   "metadata.namespace",
	})
	return refusal
}
