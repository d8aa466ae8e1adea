// Package access says who may do what: the words that authentication, authorization, admission and audit
// share. Each of them is an ordered list of small plugins behind one interface, in a folder of its own.
package access

import (
	"context"
	"net/http"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// Names of users and groups that the system itself gives a meaning to.
const (
	Anonymous            = "system:anonymous"
	UnauthenticatedGroup = "system:unauthenticated"
	AuthenticatedGroup   = "system:authenticated"
	MastersGroup         = "system:masters"
	NodesGroup           = "system:nodes"
	NodeUserPrefix       = "system:node:"
	ServiceAccountPrefix = "system:serviceaccount:"
	ServiceAccountsGroup = "system:serviceaccounts"
)

// User is who a request comes from. It is shared and never changed.
type User struct {
	Name   string
	UID    string
	Groups []string
	Extra  map[string][]string
}

// Attributes are what authorization decides on. They live for one request.
type Attributes struct {
	User *User
	Verb string
	// Resource requests name these; Name may be empty.
	Group, Version, Resource, Subresource, Namespace, Name string
	// IsResource is false for a request that only has a Path.
	IsResource bool
	Path       string
	// Selectors of list, watch and deletecollection; nil if there are none or they cannot be parsed.
	Fields fields.Requirements
	Labels labels.Requirements
}

// Decision is an authorizer's word on a request.
type Decision int

const (
	// NoOpinion passes the question on; if all have none, the answer is no.
	NoOpinion Decision = iota
	Allow
	Deny
)

// Authenticator finds out who sent a request.
type Authenticator interface {
	// Authenticate returns nil, nil when the request carries none of the credentials that it knows, and
	// an error when it carries one that is not valid. An error of one authenticator does not keep the
	// next ones from succeeding.
	Authenticate(r *http.Request) (*User, error)
}

// Authorizer decides whether a request may proceed.
type Authorizer interface {
	// Authorize answers from memory, in microseconds, and returns the reason that it tells the user, or
	// "". An error is a failure to decide; it does not turn NoOpinion into Deny.
	Authorize(ctx context.Context, a *Attributes) (Decision, string, error)
}

// Rule is one line of what a user may do, as SelfSubjectRulesReview tells it.
type Rule struct {
	Verbs, Groups, Resources, Names []string
	// Paths is set for rules on paths that are no resources; the three above are empty then.
	Paths []string
}

// RuleLister is an Authorizer that can list what it allows.
type RuleLister interface {
	// Rules lists what the user may do in the namespace. incomplete is a sentence on what the list
	// leaves out, "" if it is whole.
	Rules(ctx context.Context, u *User, namespace string) (rules []Rule, incomplete string)
}
