// Package clusterroleaggregation keeps the rules of ClusterRoles with an aggregationRule: those of all
// roles that its selectors find.
package clusterroleaggregation

import (
	"context"
	"errors"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/proa-dev/proa/internal/access/authz/aggregate"
	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/informer"
)

// Start makes the controller. Any role may be gathered by any other, so there is one key for all of them.
func Start(d controller.Deps) controller.Runner {
	roles := informer.For(d.Informers, client.ClusterRoles)
	l := &controller.Loop{
		Name: "clusterrole-aggregation-controller", Workers: 1, Logger: d.Logger, Metrics: d.Metrics, Needs: []informer.Syncer{roles},
		Queue: informer.QueueOptions{Name: "ClusterRoleAggregator"},
		Sync: func(ctx context.Context, _ controller.Key) (time.Duration, error) {
			return 0, write(ctx, d.Client, aggregate.Roles(roles.List()))
		},
	}
	roles.Handle(controller.EnqueueBy(l, func(*rbacv1.ClusterRole) []controller.Key {
		return []controller.Key{{Name: "all"}}
	}))
	return l
}

// write updates each role, and goes on where one fails.
func write(ctx context.Context, t client.Transport, roles []*rbacv1.ClusterRole) error {
	var errs []error
	for _, r := range roles {
		if _, err := client.ClusterRoles.Update(ctx, t, r); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
