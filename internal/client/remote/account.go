package remote

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/proa-dev/proa/internal/client"
)

// renewTokenAfter is the part of a token's life after which the next one is asked for.
const renewTokenAfter = 0.8

// Accounts makes transports that act as service accounts of one namespace. Its owner must be allowed to
// create service accounts there and tokens for them. All share one set of connections.
type Accounts struct {
	owner     *Transport
	namespace string
	config    *rest.Config
}

// Accounts returns the service accounts of a namespace as this transport's user can act as them.
func (t *Transport) Accounts(namespace string) (*Accounts, error) {
	c := rest.AnonymousClientConfig(t.config)
	shared, err := rest.TransportFor(c)
	if err != nil {
		return nil, fmt.Errorf("remote: %w", err)
	}
	return &Accounts{owner: t, namespace: namespace, config: &rest.Config{
		Host: t.config.Host, UserAgent: t.config.UserAgent, Timeout: t.config.Timeout, Transport: shared,
	}}, nil
}

// Transport acts as a service account, which is created if it is missing.
func (a *Accounts) Transport(ctx context.Context, name string) (*Transport, error) {
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: name}}
	_, err := client.ServiceAccounts.Create(ctx, a.owner, sa)
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("service account %s: %w", name, err)
	}
	c := rest.CopyConfig(a.config)
	c.Transport = &tokenTransport{owner: a.owner, namespace: a.namespace, name: name, next: a.config.Transport}
	return New(c)
}

// tokenTransport sends a service account's token along, and renews it in time.
type tokenTransport struct {
	owner           *Transport
	namespace, name string
	next            http.RoundTripper

	mu    sync.Mutex
	token string    // guarded by mu
	renew time.Time // guarded by mu
}

// RoundTrip implements http.RoundTripper.
func (t *tokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := t.current(r.Context())
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := t.next.RoundTrip(r)
	if err == nil && res.StatusCode == http.StatusUnauthorized {
		t.forget(token)
	}
	return res, err
}

func (t *tokenTransport) current(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.token != "" && now.Before(t.renew) {
		return t.token, nil
	}
	res, err := t.owner.Do(ctx, &client.Request{
		Verb: "create", Resource: client.ServiceAccounts.Resource, Subresource: "token",
		Namespace: t.namespace, Name: t.name, Object: &authenticationv1.TokenRequest{},
		New: func() client.Object { return &authenticationv1.TokenRequest{} },
	})
	if err != nil {
		return "", fmt.Errorf("token of service account %s/%s: %w", t.namespace, t.name, err)
	}
	status := res.Object.(*authenticationv1.TokenRequest).Status
	life := status.ExpirationTimestamp.Sub(now)
	t.token, t.renew = status.Token, now.Add(time.Duration(float64(life)*renewTokenAfter))
	return t.token, nil
}

// forget drops a token that the server did not accept.
func (t *tokenTransport) forget(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == token {
		t.token = ""
	}
}
