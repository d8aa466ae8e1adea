// Package authentication defines the resources of authentication.k8s.io. They are questions: nothing is
// stored, and the API layer answers them.
package authentication

import (
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/proa-dev/proa/internal/registry"
)

// TokenReviews ask whose token it is.
var TokenReviews = registry.Resource[authenticationv1.TokenReview]{
	Group: authenticationv1.GroupName, Kind: "TokenReview", Name: "tokenreviews",
	Versions: []registry.Version[authenticationv1.TokenReview]{registry.Hub[authenticationv1.TokenReview]("v1")},
	Verbs:    []string{"create"},
	Columns:  []registry.Column[authenticationv1.TokenReview]{registry.CreatedAt[authenticationv1.TokenReview]()},
}

// SelfSubjectReviews ask who oneself is.
var SelfSubjectReviews = registry.Resource[authenticationv1.SelfSubjectReview]{
	Group: authenticationv1.GroupName, Kind: "SelfSubjectReview", Name: "selfsubjectreviews",
	Versions: []registry.Version[authenticationv1.SelfSubjectReview]{registry.Hub[authenticationv1.SelfSubjectReview]("v1")},
	Verbs:    []string{"create"},
	Columns:  []registry.Column[authenticationv1.SelfSubjectReview]{registry.CreatedAt[authenticationv1.SelfSubjectReview]()},
}
