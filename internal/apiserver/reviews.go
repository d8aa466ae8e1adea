package apiserver

import (
	"context"
	"net/http"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/access/admission"
	"github.com/proa-dev/proa/internal/access/review"
	"github.com/proa-dev/proa/internal/registry"
)

// doReview answers the kinds that are not stored: a question goes in, and comes back with its answer.
func (s *Server) doReview(ctx context.Context, c *call) (*answer, error) {
	o, err := c.decode()
	if err != nil {
		return nil, err
	}
	if err := c.checkNamespace(o); err != nil {
		return nil, err
	}
	if b, ok := o.(*corev1.Binding); ok {
		return s.bindByName(ctx, c, b)
	}
	wipe(o)
	s.own(c, nil, o)
	if err := s.admit(ctx, c.admission(admission.Create, o, nil)); err != nil {
		return nil, err
	}
	if err := s.review(ctx, c, o); err != nil {
		return nil, err
	}
	return &answer{code: http.StatusCreated, object: o}, nil
}

func (s *Server) review(ctx context.Context, c *call, o registry.Object) error {
	switch r := o.(type) {
	case *authorizationv1.SubjectAccessReview:
		return review.Subject(ctx, r, s.authz)
	case *authorizationv1.LocalSubjectAccessReview:
		return review.Local(ctx, r, c.namespace, s.authz)
	case *authorizationv1.SelfSubjectAccessReview:
		return review.Self(ctx, r, c.user, s.authz)
	case *authorizationv1.SelfSubjectRulesReview:
		return review.Rules(ctx, r, c.user, s.rules)
	case *authenticationv1.TokenReview:
		return review.Token(ctx, r, s.verifier, s.audiences)
	case *authenticationv1.SelfSubjectReview:
		review.Who(r, c.user)
		r.CreationTimestamp = metav1.NewTime(s.now().Truncate(time.Second))
		return nil
	default:
		return apierrors.NewMethodNotSupported(c.groupResource(), c.verb)
	}
}

// bindByName is the old way to bind a pod: a Binding posted to the namespace, named as the pod.
func (s *Server) bindByName(ctx context.Context, c *call, b *corev1.Binding) (*answer, error) {
	rt := s.routes.Load().find(corev1.SchemeGroupVersion, "pods")
	pod := *c
	pod.res, pod.typ, pod.version = rt.res, rt.res.Type, rt.version
	pod.name, pod.subresource, pod.body = b.Name, "binding", body{object: b}
	return s.bind(ctx, &pod)
}
