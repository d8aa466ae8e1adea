package authn

import (
	"errors"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"

	"github.com/proa-dev/proa/internal/access"
)

var errNoAccount = errors.New("Username must be in the form " + access.ServiceAccountPrefix + "namespace:name")

func accountUser(namespace, name string) string {
	return access.ServiceAccountPrefix + namespace + ":" + name
}

// accountGroups are the groups that every service account of the namespace is in.
func accountGroups(namespace string) []string {
	return []string{access.ServiceAccountsGroup, access.ServiceAccountsGroup + ":" + namespace}
}

// SplitAccount returns the service account that a user name means, or an error if it means none.
func SplitAccount(user string) (namespace, name string, err error) {
	rest, ok := strings.CutPrefix(user, access.ServiceAccountPrefix)
	if !ok {
		return "", "", errNoAccount
	}
	namespace, name, ok = strings.Cut(rest, ":")
	if !ok || len(validation.ValidateNamespaceName(namespace, false)) > 0 || len(validation.ValidateServiceAccountName(name, false)) > 0 {
		return "", "", errNoAccount
	}
	return namespace, name, nil
}

func sortedUnique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
