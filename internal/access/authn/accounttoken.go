package authn

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/access"
)

var (
	serviceAccounts = schema.GroupResource{Resource: "serviceaccounts"}
	secrets         = schema.GroupResource{Resource: "secrets"}
	pods            = schema.GroupResource{Resource: "pods"}
	nodes           = schema.GroupResource{Resource: "nodes"}
)

var errInvalidated = errors.New("service account token has been invalidated")

// leeway is how long a token outlives the deletion of what it is bound to, and how far clocks may differ.
const leeway = jwt.DefaultLeeway

// invalidSince is the label of Secrets whose tokens are no longer accepted.
const invalidSince = "kubernetes.io/legacy-token-invalid-since"

// AccountTokens verifies the tokens that an Issuer makes: the signature, the time, the audience, and that
// the service account and what the token is bound to are still there.
type AccountTokens struct {
	Issuer  *Issuer
	Objects access.Objects
	// Audiences are the API server's own. Tokens that name none are for it.
	Audiences []string
	// Now is the clock; nil is the machine's.
	Now func() time.Time
}

var _ Tokens = AccountTokens{}

// Verify implements Tokens.
func (a AccountTokens) Verify(ctx context.Context, token string, audiences []string) (*Verified, error) {
	issuer := unverifiedIssuer(token)
	if issuer != a.Issuer.url && issuer != legacyIssuer {
		return nil, nil
	}
	var public jwt.Claims
	var private struct {
		privateClaims
		legacyClaims
	}
	if err := a.open(token, &public, &private); err != nil {
		return nil, err
	}
	granted, err := a.grant(public.Audience, audiences)
	if err != nil {
		return nil, err
	}
	var u *access.User
	if issuer == legacyIssuer {
		u, err = a.checkLegacy(ctx, token, &public, &private.legacyClaims)
	} else {
		u, err = a.check(ctx, &public, &private.Kubernetes)
	}
	if err != nil {
		return nil, err
	}
	v := &Verified{User: u, Audiences: granted}
	if public.Expiry != nil {
		v.Until = public.Expiry.Time()
	}
	return v, nil
}

// unverifiedIssuer is who a token says that it comes from, "" if it is no JWT.
func unverifiedIssuer(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Issuer
}

// open verifies the signature and decodes the claims.
func (a AccountTokens) open(token string, into ...any) error {
	parsed, err := jwt.ParseSigned(token, algorithms())
	if err != nil {
		return err
	}
	keys := a.Issuer.keys
	if id := parsed.Headers[0].KeyID; id != "" {
		keys = slices.DeleteFunc(slices.Clone(keys), func(k jose.JSONWebKey) bool { return k.KeyID != id })
	}
	if len(keys) == 0 {
		return errors.New("invalid signature, no keys found")
	}
	err = nil
	for _, k := range keys {
		if e := parsed.Claims(k, into...); e != nil {
			err = errors.Join(err, e)
			continue
		}
		return nil
	}
	return err
}

// grant returns which of the wanted audiences the token is for.
func (a AccountTokens) grant(has, wanted []string) ([]string, error) {
	if len(has) == 0 {
		has = a.Audiences
	}
	if len(wanted) == 0 {
		wanted = a.Audiences
	}
	var granted []string
	for _, aud := range has {
		if slices.Contains(wanted, aud) {
			granted = append(granted, aud)
		}
	}
	if len(granted) == 0 {
		return nil, fmt.Errorf("token audiences %q is invalid for the target audiences %q", has, wanted)
	}
	return granted, nil
}

func (a AccountTokens) now() time.Time {
	if a.Now == nil {
		return time.Now()
	}
	return a.Now()
}

func (a AccountTokens) check(ctx context.Context, public *jwt.Claims, k *kubernetesClaims) (*access.User, error) {
	now := a.now()
	if err := checkTime(public, now); err != nil {
		return nil, err
	}
	gone := func(o metav1.Object) bool {
		deleted := o.GetDeletionTimestamp()
		return deleted != nil && deleted.Time.Before(now.Add(-leeway))
	}
	sa, err := access.Get[corev1.ServiceAccount](ctx, a.Objects, serviceAccounts, k.Namespace, k.ServiceAccount.Name)
	if err != nil {
		return nil, err
	}
	if string(sa.UID) != k.ServiceAccount.UID {
		return nil, fmt.Errorf("service account UID (%s) does not match claim (%s)", sa.UID, k.ServiceAccount.UID)
	}
	if gone(sa) {
		return nil, fmt.Errorf("service account %s/%s has been deleted", k.Namespace, sa.Name)
	}
	u := access.User{
		Name: accountUser(k.Namespace, sa.Name), UID: string(sa.UID), Groups: accountGroups(k.Namespace),
		Extra: map[string][]string{},
	}
	if public.ID != "" {
		u.Extra[extraCredential] = []string{"JTI=" + public.ID}
	}
	if err := a.checkBound(ctx, k, gone); err != nil {
		return nil, err
	}
	if k.Pod != nil {
		u.Extra[extraPodName], u.Extra[extraPodUID] = []string{k.Pod.Name}, []string{k.Pod.UID}
	}
	if k.Node != nil {
		u.Extra[extraNodeName] = []string{k.Node.Name}
		// The node of a pod may have been gone already.
		if k.Node.UID != "" {
			u.Extra[extraNodeUID] = []string{k.Node.UID}
		}
	}
	return known(u), nil
}

// checkBound finds what the token is bound to. A node beside a pod is not that: it only says where the pod
// ran when the token was made.
func (a AccountTokens) checkBound(ctx context.Context, k *kubernetesClaims, gone func(metav1.Object) bool) error {
	node := k.Node
	if k.Pod != nil {
		node = nil
	}
	for _, b := range []struct {
		// Words of the message for another object of the same name.
		what, claim string
		resource    schema.GroupResource
		namespace   string
		ref         *ref
	}{
		{"secret", "service account secret", secrets, k.Namespace, k.Secret},
		{"pod", "service account pod", pods, k.Namespace, k.Pod},
		{"node", "service account node", nodes, "", node},
	} {
		if b.ref == nil {
			continue
		}
		o, err := a.Objects.Get(ctx, b.resource, b.namespace, b.ref.Name)
		if err != nil {
			return errInvalidated
		}
		if string(o.GetUID()) != b.ref.UID {
			return fmt.Errorf("%s UID (%s) does not match %s ref claim (%s)", b.what, o.GetUID(), b.claim, b.ref.UID)
		}
		if gone(o) {
			return errInvalidated
		}
	}
	return nil
}

func checkTime(public *jwt.Claims, now time.Time) error {
	switch err := public.Validate(jwt.Expected{Time: now}); {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrExpired):
		return errors.New("service account token has expired")
	case errors.Is(err, jwt.ErrNotValidYet):
		return errors.New("service account token is not valid yet")
	case errors.Is(err, jwt.ErrIssuedInTheFuture):
		return errors.New("service account token is issued in the future")
	default:
		return errors.New("service account token claims could not be validated due to unexpected validation error")
	}
}

func (a AccountTokens) checkLegacy(ctx context.Context, token string, public *jwt.Claims, c *legacyClaims) (*access.User, error) {
	for _, claim := range []struct{ name, value string }{
		{"sub", public.Subject}, {"namespace", c.Namespace}, {"secretName", c.SecretName},
		{"serviceAccountName", c.ServiceAccountName}, {"serviceAccountUID", c.ServiceAccountUID},
	} {
		if claim.value == "" {
			return nil, fmt.Errorf("%s claim is missing", claim.name)
		}
	}
	if public.Subject != accountUser(c.Namespace, c.ServiceAccountName) {
		return nil, errors.New("sub claim is invalid")
	}
	secret, err := access.Get[corev1.Secret](ctx, a.Objects, secrets, c.Namespace, c.SecretName)
	if err != nil || secret.DeletionTimestamp != nil {
		return nil, errors.New("Token has been invalidated")
	}
	if subtle.ConstantTimeCompare(secret.Data[corev1.ServiceAccountTokenKey], []byte(token)) == 0 {
		return nil, errors.New("Token does not match server's copy")
	}
	sa, err := access.Get[corev1.ServiceAccount](ctx, a.Objects, serviceAccounts, c.Namespace, c.ServiceAccountName)
	if err != nil {
		return nil, err
	}
	if sa.DeletionTimestamp != nil {
		return nil, fmt.Errorf("ServiceAccount %s/%s has been deleted", c.Namespace, c.ServiceAccountName)
	}
	if string(sa.UID) != c.ServiceAccountUID {
		return nil, fmt.Errorf("ServiceAccount UID (%s) does not match claim (%s)", sa.UID, c.ServiceAccountUID)
	}
	if secret.Labels[invalidSince] != "" {
		return nil, fmt.Errorf("the token in secret %s/%s for service account %s/%s has been marked invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the '%s' label from the secret to temporarily allow use of this token",
			c.Namespace, c.SecretName, c.Namespace, c.ServiceAccountName, invalidSince)
	}
	return known(access.User{
		Name: public.Subject, UID: c.ServiceAccountUID, Groups: accountGroups(c.Namespace),
	}), nil
}
