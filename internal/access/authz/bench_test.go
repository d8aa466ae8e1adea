package authz_test

import (
	"fmt"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/access/accesstest"
	"github.com/proa-dev/proa/internal/access/authz"
	"github.com/proa-dev/proa/internal/access/authz/bootstrap"
	"github.com/proa-dev/proa/internal/registry"
)

// BenchmarkAuthorize asks for one of a thousand bound service accounts beside the bootstrap policy.
func BenchmarkAuthorize(b *testing.B) {
	store := &accesstest.Objects{}
	for _, s := range bootstrap.Plan(func(schema.GroupVersionResource, string, string) registry.Object { return nil }) {
		store.Put(s.Resource.GroupResource(), s.Object)
	}
	for i := range 1000 {
		store.Put(rbacv1.Resource("rolebindings"), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: fmt.Sprintf("ns%d", i%50), Name: fmt.Sprintf("b%d", i)},
			RoleRef:    rbacv1.RoleRef{Kind: "ClusterRole", Name: "edit"},
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: fmt.Sprintf("sa%d", i)}},
		})
	}
	z := authz.Union{authz.Masters{}, authz.NewRBAC(store)}
	user := &access.User{
		Name:   "system:serviceaccount:ns7:sa57",
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:ns7", "system:authenticated"},
	}
	for _, c := range []struct {
		name string
		want access.Decision
		a    access.Attributes
	}{
		{"allowed", access.Allow, access.Attributes{Verb: "list", Resource: "pods", Namespace: "ns7"}},
		{"subresource", access.Allow, access.Attributes{Verb: "create", Resource: "pods", Subresource: "eviction", Namespace: "ns7", Name: "p"}},
		{"denied", access.NoOpinion, access.Attributes{Verb: "list", Resource: "pods", Namespace: "ns8"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			c.a.User, c.a.IsResource, c.a.Version = user, true, "v1"
			b.ReportAllocs()
			for b.Loop() {
				if d, reason, _ := z.Authorize(b.Context(), &c.a); d != c.want {
					b.Fatal(d, reason)
				}
			}
		})
	}
}
