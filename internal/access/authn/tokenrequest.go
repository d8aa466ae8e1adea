package authn

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/access"
)

const (
	defaultTokenSeconds = 60 * 60
	minTokenSeconds     = 10 * 60
	maxTokenSeconds     = 1 << 32
	// Pods ask for tokens of an hour and seven seconds. Clients from before tokens ended do not read them
	// again, so such a token lives a year and carries the time it should have ended.
	podTokenSeconds      = 60*60 + 7
	extendedTokenSeconds = 365 * 24 * 60 * 60
)

// TokenRequests answers creations of serviceaccounts/token.
type TokenRequests struct {
	Issuer  *Issuer
	Objects access.Objects
	// Audiences are the API server's own, those of tokens that ask for none.
	Audiences []string
	// MaxSeconds shortens what lives longer; 0 is no bound.
	MaxSeconds int64
	// Now is the clock; nil is the machine's.
	Now func() time.Time
}

// DefaultTokenRequest fills what a request leaves open.
func DefaultTokenRequest(req *authenticationv1.TokenRequest) {
	if req.Spec.ExpirationSeconds == nil {
		req.Spec.ExpirationSeconds = ptr.To[int64](defaultTokenSeconds)
	}
}

// Create makes a token for the service account and writes it to the request's status. admit runs once the
// request is known to be valid; nil admits. warn takes the texts of Warning headers; nil drops them.
// credential is the id that users of the token have in their extra, for the audit event.
func (t TokenRequests) Create(ctx context.Context, namespace, name string, req *authenticationv1.TokenRequest, admit func() error, warn func(string)) (credential string, err error) {
	DefaultTokenRequest(req)
	sa, err := t.account(ctx, namespace, name, req)
	if err != nil {
		return "", err
	}
	if len(req.Spec.Audiences) == 0 {
		req.Spec.Audiences = t.Audiences
	}
	req.Name, req.Namespace, req.UID = sa.Name, sa.Namespace, sa.UID
	now := time.Now
	if t.Now != nil {
		now = t.Now
	}
	issued := now()
	req.CreationTimestamp = metav1.NewTime(issued)
	req.Status = authenticationv1.TokenRequestStatus{}
	if errs := validateTokenRequest(req); len(errs) > 0 {
		return "", apierrors.NewInvalid(tokenRequestKind(), "", errs)
	}
	if admit != nil {
		if err := admit(); err != nil {
			return "", err
		}
	}
	binding, err := t.binding(ctx, sa, req.Spec.BoundObjectRef)
	if err != nil {
		return "", err
	}
	if asked := *req.Spec.ExpirationSeconds; t.MaxSeconds > 0 && asked > t.MaxSeconds {
		if warn != nil {
			warn(fmt.Sprintf("requested expiration of %d seconds shortened to %d seconds", asked, t.MaxSeconds))
		}
		req.Spec.ExpirationSeconds = ptr.To(t.MaxSeconds)
	}
	told := issued.Add(time.Duration(*req.Spec.ExpirationSeconds) * time.Second)
	until, warnAfter := told, time.Time{}
	if binding.Pod != nil && *req.Spec.ExpirationSeconds == podTokenSeconds && t.ours(req.Spec.Audiences) {
		until, warnAfter = issued.Add(extendedTokenSeconds*time.Second), told
	}
	id := uuid.NewString()
	token, err := t.Issuer.Issue(sa, binding, req.Spec.Audiences, issued, until, warnAfter, id)
	if err != nil {
		return "", apierrors.NewInternalError(fmt.Errorf("failed to generate token: %w", err))
	}
	req.Status = authenticationv1.TokenRequestStatus{Token: token, ExpirationTimestamp: metav1.NewTime(told)}
	return "JTI=" + id, nil
}

func tokenRequestKind() schema.GroupKind {
	return schema.GroupKind{Group: authenticationv1.GroupName, Kind: "TokenRequest"}
}

// account finds the service account; what the body says about it must be so.
func (t TokenRequests) account(ctx context.Context, namespace, name string, req *authenticationv1.TokenRequest) (*corev1.ServiceAccount, error) {
	meta := field.NewPath("metadata")
	if req.Name != "" && req.Name != name {
		return nil, apierrors.NewInvalid(tokenRequestKind(), name, field.ErrorList{
			field.Invalid(meta.Child("name"), req.Name, "must match the service account name if specified")})
	}
	if req.Namespace != "" && req.Namespace != namespace {
		return nil, apierrors.NewInvalid(tokenRequestKind(), name, field.ErrorList{
			field.Invalid(meta.Child("namespace"), req.Namespace, "must match the service account namespace if specified")})
	}
	sa, err := access.Get[corev1.ServiceAccount](ctx, t.Objects, serviceAccounts, namespace, name)
	if err != nil {
		return nil, err
	}
	if req.UID != "" && req.UID != sa.UID {
		return nil, apierrors.NewConflict(schema.GroupResource{Group: authenticationv1.GroupName, Resource: "TokenRequest"}, name,
			fmt.Errorf("the UID in the token request (%s) does not match the UID of the service account (%s)", req.UID, sa.UID))
	}
	return sa, nil
}

func validateTokenRequest(req *authenticationv1.TokenRequest) (errs field.ErrorList) {
	path, seconds := field.NewPath("spec", "expirationSeconds"), *req.Spec.ExpirationSeconds
	if seconds < minTokenSeconds {
		errs = append(errs, field.Invalid(path, seconds, "may not specify a duration less than 10 minutes"))
	}
	if seconds > maxTokenSeconds {
		errs = append(errs, field.Invalid(path, seconds, "may not specify a duration larger than 2^32 seconds"))
	}
	return errs
}

// binding finds what the token shall be bound to.
func (t TokenRequests) binding(ctx context.Context, sa *corev1.ServiceAccount, to *authenticationv1.BoundObjectReference) (b Binding, err error) {
	if to == nil {
		return b, nil
	}
	var uid types.UID
	kind := schema.FromAPIVersionAndKind(to.APIVersion, to.Kind)
	switch kind.GroupKind() {
	case schema.GroupKind{Kind: "Pod"}:
		if b.Pod, err = access.Get[corev1.Pod](ctx, t.Objects, pods, sa.Namespace, to.Name); err != nil {
			return b, err
		}
		if b.Pod.Spec.ServiceAccountName != sa.Name {
			return b, apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", sa.Name))
		}
		uid = b.Pod.UID
		b.Node, err = t.nodeOf(ctx, b.Pod)
	case schema.GroupKind{Kind: "Node"}:
		if b.Node, err = access.Get[corev1.Node](ctx, t.Objects, nodes, "", to.Name); err == nil {
			uid = b.Node.UID
		}
	case schema.GroupKind{Kind: "Secret"}:
		if b.Secret, err = access.Get[corev1.Secret](ctx, t.Objects, secrets, sa.Namespace, to.Name); err == nil {
			uid = b.Secret.UID
		}
	default:
		err = apierrors.NewBadRequest(fmt.Sprintf("cannot bind token to object of type %s", kind))
	}
	if err != nil {
		return b, err
	}
	if to.UID != "" && to.UID != uid {
		return b, apierrors.NewConflict(schema.GroupResource{Group: kind.Group, Resource: kind.Kind}, to.Name,
			fmt.Errorf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", to.UID))
	}
	return b, nil
}

// nodeOf is the node that the pod runs on; if it is gone, its name is still worth telling.
func (t TokenRequests) nodeOf(ctx context.Context, pod *corev1.Pod) (*corev1.Node, error) {
	if pod.Spec.NodeName == "" {
		return nil, nil
	}
	n, err := access.Get[corev1.Node](ctx, t.Objects, nodes, "", pod.Spec.NodeName)
	if apierrors.IsNotFound(err) {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: pod.Spec.NodeName}}, nil
	}
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	return n, nil
}

// ours tells whether the audiences are all the API server's.
func (t TokenRequests) ours(audiences []string) bool {
	return !slices.ContainsFunc(audiences, func(a string) bool { return !slices.Contains(t.Audiences, a) })
}
