package authn

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"testing"

	"github.com/proa-dev/proa/internal/access"
)

// lists allows what it lists and remembers what it was asked.
type lists struct {
	allowed []string
	asked   []string
}

func (l *lists) Authorize(_ context.Context, a *access.Attributes) (access.Decision, string, error) {
	what := a.Group + "/" + a.Resource
	if a.Subresource != "" {
		what += "/" + a.Subresource
	}
	what += " " + a.Namespace + ":" + a.Name
	l.asked = append(l.asked, what)
	if slices.Contains(l.allowed, "*") || slices.Contains(l.allowed, what) {
		return access.Allow, "", nil
	}
	return access.NoOpinion, "because", nil
}

func TestImpersonate(t *testing.T) {
	const group, extra = "Impersonate-Group", "Impersonate-Extra-"
	type user = access.User
	none := map[string][]string{}
	for _, c := range []struct {
		name    string
		header  http.Header
		allowed []string
		want    *user
		asked   []string
		err     string
	}{
		{"nobody", http.Header{"Accept": {"x"}}, nil, nil, nil, ""},
		{"user", http.Header{"Impersonate-User": {"bob"}}, []string{"*"},
			&user{Name: "bob", Groups: []string{"system:authenticated"}, Extra: none}, []string{"/users :bob"}, ""},
		{"groups", http.Header{"Impersonate-User": {"bob"}, group: {"a", "b"}}, []string{"*"},
			&user{Name: "bob", Groups: []string{"a", "b", "system:authenticated"}, Extra: none}, []string{"/users :bob", "/groups :a", "/groups :b"}, ""},
		{"unauthenticated", http.Header{"Impersonate-User": {"bob"}, group: {"system:unauthenticated"}}, []string{"*"},
			&user{Name: "bob", Groups: []string{"system:unauthenticated"}, Extra: none}, []string{"/users :bob", "/groups :system:unauthenticated"}, ""},
		{"anonymous", http.Header{"Impersonate-User": {"system:anonymous"}}, []string{"*"},
			&user{Name: "system:anonymous", Groups: []string{"system:unauthenticated"}, Extra: none}, []string{"/users :system:anonymous"}, ""},
		{"service account", http.Header{"Impersonate-User": {"system:serviceaccount:ns:sa"}}, []string{"*"},
			&user{Name: "system:serviceaccount:ns:sa", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"}, Extra: none},
			[]string{"/serviceaccounts ns:sa"}, ""},
		{"service account in groups", http.Header{"Impersonate-User": {"system:serviceaccount:ns:sa"}, group: {"a"}}, []string{"*"},
			&user{Name: "system:serviceaccount:ns:sa", Groups: []string{"a", "system:authenticated"}, Extra: none},
			[]string{"/serviceaccounts ns:sa", "/groups :a"}, ""},
		{"not quite a service account", http.Header{"Impersonate-User": {"system:serviceaccount:ns:sa:x"}}, []string{"*"},
			&user{Name: "system:serviceaccount:ns:sa:x", Groups: []string{"system:authenticated"}, Extra: none}, []string{"/users :system:serviceaccount:ns:sa:x"}, ""},
		{"uid and extra", http.Header{"Impersonate-User": {"bob"}, "Impersonate-Uid": {"u"}, extra + "Acme.com%2fproject": {"x", "y"}, extra + "Scopes": {"z"}}, []string{"*"},
			&user{Name: "bob", UID: "u", Groups: []string{"system:authenticated"}, Extra: map[string][]string{"acme.com/project": {"x", "y"}, "scopes": {"z"}}},
			[]string{"/users :bob", "authentication.k8s.io/userextras/acme.com/project :x", "authentication.k8s.io/userextras/acme.com/project :y",
				"authentication.k8s.io/userextras/scopes :z", "authentication.k8s.io/uids :u"}, ""},
		{"groups alone", http.Header{group: {"a"}}, []string{"*"}, nil, nil, "requested [{Group  a    }] without impersonating a user"},
		{"not allowed", http.Header{"Impersonate-User": {"bob"}, group: {"a"}}, []string{"/users :bob"}, nil, []string{"/users :bob", "/groups :a"},
			`groups "a" is forbidden: User "ann" cannot impersonate resource "groups" in API group "" at the cluster scope: because`},
		{"extra not allowed", http.Header{"Impersonate-User": {"bob"}, extra + "K": {"v"}}, []string{"/users :bob"}, nil, nil,
			`userextras.authentication.k8s.io "v" is forbidden: User "ann" cannot impersonate resource "userextras/k" in API group "authentication.k8s.io" at the cluster scope: because`},
		{"account not allowed", http.Header{"Impersonate-User": {"system:serviceaccount:ns:sa"}}, nil, nil, nil,
			`serviceaccounts "sa" is forbidden: User "ann" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "ns": because`},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &lists{allowed: c.allowed}
			u, err := Impersonate(t.Context(), c.header, &user{Name: "ann"}, l)
			if text(err) != c.err {
				t.Errorf("got  %v\nwant %s", err, c.err)
			}
			if !reflect.DeepEqual(u, c.want) {
				t.Errorf("got %+v, want %+v", u, c.want)
			}
			if c.asked != nil && !slices.Equal(l.asked, c.asked) {
				t.Errorf("asked %q, want %q", l.asked, c.asked)
			}
			for name := range c.header {
				if u != nil && name != "Accept" {
					t.Errorf("%s is still there", name)
				}
			}
		})
	}
}
