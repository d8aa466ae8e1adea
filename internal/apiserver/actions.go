package apiserver

import (
	"context"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/access/admission"
)

// doAction carries out a subresource that takes one object and gives one back.
func (s *Server) doAction(ctx context.Context, c *call) (*answer, error) {
	c.dryRun = len(c.create.DryRun) > 0
	switch c.resourceName() {
	case "pods/binding":
		return s.bind(ctx, c)
	case "pods/eviction":
		return s.evict(ctx, c)
	case "serviceaccounts/token":
		return s.createToken(ctx, c)
	default:
		return nil, apierrors.NewMethodNotSupported(c.groupResource(), c.verb)
	}
}

var tokenRequestKind = schema.GroupVersionKind{Group: "authentication.k8s.io", Version: "v1", Kind: "TokenRequest"}

// createToken issues a token for a service account.
func (s *Server) createToken(ctx context.Context, c *call) (*answer, error) {
	req := &authenticationv1.TokenRequest{}
	if err := c.decodeBody(req, tokenRequestKind); err != nil {
		return nil, err
	}
	if s.tokens == nil {
		return nil, apierrors.NewMethodNotSupported(c.groupResource(), c.verb)
	}
	adm := c.admission(admission.Create, nil, nil)
	adm.Object, adm.Kind = req, tokenRequestKind
	_, err := s.tokens.Create(ctx, c.namespace, c.name, req, func() error { return s.admit(ctx, adm) }, c.warn)
	if err != nil {
		return nil, err
	}
	req.SetGroupVersionKind(tokenRequestKind)
	return &answer{code: http.StatusCreated, other: req}, nil
}
