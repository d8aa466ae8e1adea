package review

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/access/authn"
)

// Token answers a TokenReview: whose token is this, and for which of those audiences? own are the API
// server's, meant where the review names none.
func Token(ctx context.Context, r *authenticationv1.TokenReview, tokens authn.Tokens, own []string) error {
	if r.Spec.Token == "" {
		return apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	audiences := r.Spec.Audiences
	if len(audiences) == 0 {
		audiences = own
	}
	r.Status = authenticationv1.TokenReviewStatus{}
	v, err := tokens.Verify(ctx, r.Spec.Token, audiences)
	switch {
	case err != nil:
		r.Status.Error = err.Error()
	case v == nil:
		r.Status.Error = "invalid bearer token"
	default:
		r.Status.Authenticated, r.Status.User, r.Status.Audiences = true, info(v.User), v.Audiences
	}
	return nil
}

// Who answers a SelfSubjectReview: who am I?
func Who(r *authenticationv1.SelfSubjectReview, u *access.User) {
	r.Status.UserInfo = info(u)
}

func info(u *access.User) authenticationv1.UserInfo {
	i := authenticationv1.UserInfo{Username: u.Name, UID: u.UID, Groups: u.Groups}
	for k, v := range u.Extra {
		if i.Extra == nil {
			i.Extra = map[string]authenticationv1.ExtraValue{}
		}
		i.Extra[k] = v
	}
	return i
}
