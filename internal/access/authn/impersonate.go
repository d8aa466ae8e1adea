package authn

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/proa-dev/proa/internal/access"
)

// Impersonate returns the user that a request wants to act as, nil if it wants to act as its own. The
// user of the request needs the verb impersonate on each thing that the headers ask for; if one is
// missing, the error is Forbidden. When it succeeds, the headers are gone from h.
func Impersonate(ctx context.Context, h http.Header, user *access.User, authorizer access.Authorizer) (*access.User, error) {
	if !impersonates(h) {
		return nil, nil
	}
	wanted := wantedIdentity(h)
	if len(wanted) == 0 {
		return nil, nil
	}
	if h.Get(authenticationv1.ImpersonateUserHeader) == "" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("requested %v without impersonating a user", wanted))
	}
	u := access.User{Extra: map[string][]string{}}
	for _, part := range wanted {
		a := assume(&u, part)
		a.User, a.Verb, a.IsResource = user, "impersonate", true
		decision, reason, err := authorizer.Authorize(ctx, a)
		if err != nil || decision != access.Allow {
			return nil, access.Forbidden(a, reason)
		}
	}
	finishGroups(&u, len(h[authenticationv1.ImpersonateGroupHeader]) > 0)
	for name := range h {
		if strings.HasPrefix(name, "Impersonate-") {
			delete(h, name)
		}
	}
	return &u, nil
}

// impersonates tells whether there is any header of impersonation: hardly a request has one.
func impersonates(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(name, "Impersonate-") {
			return true
		}
	}
	return false
}

// wantedIdentity lists what the headers ask for. The kinds are those that a bad request's message shows.
func wantedIdentity(h http.Header) (wanted []corev1.ObjectReference) {
	if name := h.Get(authenticationv1.ImpersonateUserHeader); name != "" {
		if namespace, account, err := SplitAccount(name); err == nil {
			wanted = append(wanted, corev1.ObjectReference{Kind: "ServiceAccount", Namespace: namespace, Name: account})
		} else {
			wanted = append(wanted, corev1.ObjectReference{Kind: "User", Name: name})
		}
	}
	for _, g := range h[authenticationv1.ImpersonateGroupHeader] {
		wanted = append(wanted, corev1.ObjectReference{Kind: "Group", Name: g})
	}
	version := authenticationv1.SchemeGroupVersion.String()
	var extras []string
	for name := range h {
		if strings.HasPrefix(name, authenticationv1.ImpersonateUserExtraHeaderPrefix) {
			extras = append(extras, name)
		}
	}
	slices.Sort(extras)
	for _, name := range extras {
		key := strings.ToLower(strings.TrimPrefix(name, authenticationv1.ImpersonateUserExtraHeaderPrefix))
		if plain, err := url.PathUnescape(key); err == nil {
			key = plain
		}
		for _, value := range h[name] {
			wanted = append(wanted, corev1.ObjectReference{Kind: "UserExtra", APIVersion: version, Name: value, FieldPath: key})
		}
	}
	if uid := h.Get(authenticationv1.ImpersonateUIDHeader); uid != "" {
		wanted = append(wanted, corev1.ObjectReference{Kind: "UID", Name: uid, APIVersion: version})
	}
	return wanted
}

// assume adds a part to the user and returns the resource that it takes the verb on.
func assume(u *access.User, part corev1.ObjectReference) *access.Attributes {
	a := &access.Attributes{Version: "v1", Namespace: part.Namespace, Name: part.Name}
	switch part.Kind {
	case "ServiceAccount":
		a.Resource = "serviceaccounts"
		u.Name = accountUser(part.Namespace, part.Name)
	case "User":
		a.Resource = "users"
		u.Name = part.Name
	case "Group":
		a.Resource = "groups"
		u.Groups = append(u.Groups, part.Name)
	case "UserExtra":
		a.Group, a.Resource, a.Subresource = authenticationv1.GroupName, "userextras", part.FieldPath
		u.Extra[part.FieldPath] = append(u.Extra[part.FieldPath], part.Name)
	case "UID":
		a.Group, a.Resource = authenticationv1.GroupName, "uids"
		u.UID = part.Name
	}
	return a
}

// finishGroups adds the groups that come with being who one is. A service account's own are added only if
// the request names none.
func finishGroups(u *access.User, named bool) {
	if namespace, _, err := SplitAccount(u.Name); err == nil && !named {
		u.Groups = accountGroups(namespace)
	}
	if u.Name == access.Anonymous {
		if !slices.Contains(u.Groups, access.UnauthenticatedGroup) {
			u.Groups = append(u.Groups, access.UnauthenticatedGroup)
		}
		return
	}
	if !slices.Contains(u.Groups, access.AuthenticatedGroup) && !slices.Contains(u.Groups, access.UnauthenticatedGroup) {
		u.Groups = append(u.Groups, access.AuthenticatedGroup)
	}
}
