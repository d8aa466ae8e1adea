// Package authn finds out who sends a request: by client certificate, by bearer token, or nobody in
// particular. Authenticators stand in one list; the first that knows the credentials has answered.
package authn

import (
	"net/http"
	"slices"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/proa-dev/proa/internal/access"
)

// Keys of access.User.Extra.
const (
	extraCredential = "authentication.kubernetes.io/credential-id"
	extraPodName    = "authentication.kubernetes.io/pod-name"
	extraPodUID     = "authentication.kubernetes.io/pod-uid"
	extraNodeName   = "authentication.kubernetes.io/node-name"
	extraNodeUID    = "authentication.kubernetes.io/node-uid"
)

// Union asks authenticators in order.
type Union struct {
	Authenticators []access.Authenticator
	// Anonymous makes requests without credentials system:anonymous. Those with credentials that are not
	// valid are refused nevertheless.
	Anonymous bool
}

var _ access.Authenticator = Union{}

var anonymous = &access.User{Name: access.Anonymous, Groups: []string{access.UnauthenticatedGroup}}

// Authenticate returns the first user found; the errors of the others count only if there is none.
func (u Union) Authenticate(r *http.Request) (*access.User, error) {
	var errs []error
	for _, a := range u.Authenticators {
		user, err := a.Authenticate(r)
		if user != nil {
			return user, nil
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, utilerrors.NewAggregate(errs)
	}
	if u.Anonymous {
		return anonymous, nil
	}
	return nil, nil
}

// known adds the group that every user with valid credentials is in.
func known(u access.User) *access.User {
	if u.Name != access.Anonymous &&
		!slices.Contains(u.Groups, access.AuthenticatedGroup) && !slices.Contains(u.Groups, access.UnauthenticatedGroup) {
		u.Groups = append(slices.Clip(u.Groups), access.AuthenticatedGroup)
	}
	return &u
}
