// Package authorization defines the resources of authorization.k8s.io. They are questions: nothing is
// stored, and the API layer answers them.
package authorization

import (
	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/proa-dev/proa/internal/registry"
)

// SubjectAccessReviews ask whether somebody may do something.
var SubjectAccessReviews = registry.Resource[authorizationv1.SubjectAccessReview]{
	Group: authorizationv1.GroupName, Kind: "SubjectAccessReview", Name: "subjectaccessreviews",
	Versions: []registry.Version[authorizationv1.SubjectAccessReview]{registry.Hub[authorizationv1.SubjectAccessReview]("v1")},
	Verbs:    []string{"create"},
	Validate: validateSubjectAccessReview,
	Columns:  []registry.Column[authorizationv1.SubjectAccessReview]{registry.CreatedAt[authorizationv1.SubjectAccessReview]()},
}

// LocalSubjectAccessReviews ask the same of one namespace.
var LocalSubjectAccessReviews = registry.Resource[authorizationv1.LocalSubjectAccessReview]{
	Group: authorizationv1.GroupName, Kind: "LocalSubjectAccessReview", Name: "localsubjectaccessreviews",
	Namespaced: true,
	Versions:   []registry.Version[authorizationv1.LocalSubjectAccessReview]{registry.Hub[authorizationv1.LocalSubjectAccessReview]("v1")},
	Verbs:      []string{"create"},
	Validate:   validateLocalSubjectAccessReview,
	Columns:    []registry.Column[authorizationv1.LocalSubjectAccessReview]{registry.CreatedAt[authorizationv1.LocalSubjectAccessReview]()},
}

// SelfSubjectAccessReviews ask whether oneself may do something.
var SelfSubjectAccessReviews = registry.Resource[authorizationv1.SelfSubjectAccessReview]{
	Group: authorizationv1.GroupName, Kind: "SelfSubjectAccessReview", Name: "selfsubjectaccessreviews",
	Versions: []registry.Version[authorizationv1.SelfSubjectAccessReview]{registry.Hub[authorizationv1.SelfSubjectAccessReview]("v1")},
	Verbs:    []string{"create"},
	Validate: validateSelfSubjectAccessReview,
	Columns:  []registry.Column[authorizationv1.SelfSubjectAccessReview]{registry.CreatedAt[authorizationv1.SelfSubjectAccessReview]()},
}

// SelfSubjectRulesReviews ask what oneself may do in a namespace.
var SelfSubjectRulesReviews = registry.Resource[authorizationv1.SelfSubjectRulesReview]{
	Group: authorizationv1.GroupName, Kind: "SelfSubjectRulesReview", Name: "selfsubjectrulesreviews",
	Versions: []registry.Version[authorizationv1.SelfSubjectRulesReview]{registry.Hub[authorizationv1.SelfSubjectRulesReview]("v1")},
	Verbs:    []string{"create"},
	Columns:  []registry.Column[authorizationv1.SelfSubjectRulesReview]{registry.CreatedAt[authorizationv1.SelfSubjectRulesReview]()},
}
