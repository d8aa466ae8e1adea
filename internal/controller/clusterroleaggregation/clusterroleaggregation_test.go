package clusterroleaggregation

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/informer"
)

func role(name, selects string, labels map[string]string, resources ...string) *rbacv1.ClusterRole {
	r := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	if selects != "" {
		r.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{selects: "true"}}}}
	}
	for _, x := range resources {
		r.Rules = append(r.Rules, rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{x}})
	}
	return r
}

func TestRulesFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		toEdit := map[string]string{"to-edit": "true"}
		server := clienttest.New(role("admin", "to-admin", nil, "stale"), role("edit", "to-edit", map[string]string{"to-admin": "true"}), role("a", "", toEdit, "pods"))
		set := informer.NewSet(server, informer.SetOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{}, 2)
		runner := Start(controller.Deps{Client: server, Informers: set, Logger: slog.Default()})
		go func() { set.Run(ctx); done <- struct{}{} }()
		go func() { runner.Run(ctx); done <- struct{}{} }()
		expect := func(when string, resources ...string) {
			t.Helper()
			synctest.Wait()
			for _, name := range []string{"admin", "edit"} {
				var got []string
				for _, x := range clienttest.Get(server, client.ClusterRoles, "", name).Rules {
					got = append(got, x.Resources...)
				}
				if len(got) != len(resources) {
					t.Fatalf("%s: %s has %v, want %v", when, name, got, resources)
				}
				for i := range got {
					if got[i] != resources[i] {
						t.Errorf("%s: %s has %v, want %v", when, name, got, resources)
					}
				}
			}
		}
		expect("at start", "pods")
		b := server.Put(role("b", "", toEdit, "services"))
		expect("with another", "pods", "services")
		server.Remove(b)
		expect("without it", "pods")
		cancel()
		<-done
		<-done
	})
}
