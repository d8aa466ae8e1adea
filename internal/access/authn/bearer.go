package authn

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/proa-dev/proa/internal/access"
)

// Tokens verifies tokens of one kind.
type Tokens interface {
	// Verify returns nil, nil for tokens of other kinds, and an error for one of its own that is not
	// valid. audiences are those that the token must be for one of.
	Verify(ctx context.Context, token string, audiences []string) (*Verified, error)
}

// Verified is a token that was found valid.
type Verified struct {
	User *access.User
	// Audiences are those of the wanted ones that the token is for.
	Audiences []string
	// Until is when the token ends; zero is never.
	Until time.Time
}

// TokenKinds tries kinds of tokens in order, like Union does authenticators.
type TokenKinds []Tokens

var _ Tokens = TokenKinds{}

// Verify implements Tokens.
func (k TokenKinds) Verify(ctx context.Context, token string, audiences []string) (*Verified, error) {
	var errs []error
	for _, t := range k {
		v, err := t.Verify(ctx, token, audiences)
		if v != nil {
			return v, nil
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return nil, utilerrors.NewAggregate(errs)
}

var errInvalidToken = errors.New("invalid bearer token")

const (
	protocolHeader = "Sec-Websocket-Protocol"
	protocolPrefix = "base64url.bearer.authorization.k8s.io."
)

// Bearer authenticates by the token in the Authorization header or, for browsers' websockets, in a
// subprotocol. It takes the token out of the request that it was found valid in, so that nothing further
// along can pass it on.
type Bearer struct {
	Tokens Tokens
	// Audiences are the API server's own.
	Audiences []string
}

var _ access.Authenticator = Bearer{}

// Authenticate implements access.Authenticator.
func (b Bearer) Authenticate(r *http.Request) (*access.User, error) {
	if token := headerToken(r); token != "" {
		u, err := b.verify(r.Context(), token)
		if err == nil {
			r.Header.Del("Authorization")
		}
		return u, err
	}
	token, others, err := protocolToken(r)
	if token == "" || err != nil {
		return nil, err
	}
	u, err := b.verify(r.Context(), token)
	if err == nil {
		r.Header.Set(protocolHeader, strings.Join(others, ","))
	}
	return u, err
}

func (b Bearer) verify(ctx context.Context, token string) (*access.User, error) {
	v, err := b.Tokens.Verify(ctx, token, b.Audiences)
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, errInvalidToken
	}
	return v.User, nil
}

func headerToken(r *http.Request) string {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	// Two spaces before the token make it empty: such headers are ignored, here as everywhere.
	token, _, _ := strings.Cut(rest, " ")
	return token
}

// protocolToken finds the token among a websocket's subprotocols. There must be another one beside it,
// which the server can answer with.
func protocolToken(r *http.Request) (token string, others []string, err error) {
	if !isWebSocket(r) {
		return "", nil, nil
	}
	found := false
	for _, header := range r.Header[protocolHeader] {
		for p := range strings.SplitSeq(header, ",") {
			p = strings.TrimSpace(p)
			encoded, ok := strings.CutPrefix(p, protocolPrefix)
			if !ok {
				others = append(others, p)
				continue
			}
			if found {
				return "", nil, errors.New("multiple base64.bearer.authorization tokens specified")
			}
			found = true
			data, err := base64.RawURLEncoding.DecodeString(encoded)
			if err != nil {
				return "", nil, errors.New("invalid base64.bearer.authorization token encoding")
			}
			if !utf8.Valid(data) {
				return "", nil, errors.New("invalid base64.bearer.authorization token")
			}
			token = string(data)
		}
	}
	if token != "" && len(others) == 0 {
		return "", nil, errors.New("missing additional subprotocol")
	}
	return token, others, nil
}

func isWebSocket(r *http.Request) bool {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return false
	}
	for part := range strings.SplitSeq(r.Header.Get("Connection"), ",") {
		if strings.EqualFold(strings.TrimSpace(part), "upgrade") {
			return true
		}
	}
	return false
}
