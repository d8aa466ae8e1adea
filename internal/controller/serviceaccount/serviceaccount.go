// Package serviceaccount gives every namespace its service account "default".
package serviceaccount

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/informer"
)

const name = "default"

// Start makes the controller. Its keys are namespaces.
func Start(d controller.Deps) controller.Runner {
	namespaces := informer.For(d.Informers, client.Namespaces)
	accounts := informer.For(d.Informers, client.ServiceAccounts)
	l := &controller.Loop{
		Name: "serviceaccount-controller", Workers: 1, Logger: d.Logger, Metrics: d.Metrics, Needs: []informer.Syncer{namespaces, accounts},
		Queue: informer.QueueOptions{Name: "serviceaccount"},
	}
	l.Sync = func(ctx context.Context, k controller.Key) (time.Duration, error) {
		n, ok := namespaces.Get("", k.Name)
		if !ok || n.Status.Phase != corev1.NamespaceActive {
			return 0, nil
		}
		if _, ok := accounts.Get(k.Name, name); ok {
			return 0, nil
		}
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: k.Name, Name: name}}
		_, err := client.ServiceAccounts.Create(ctx, d.Client, account)
		if apierrors.IsAlreadyExists(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			return 0, nil
		}
		return 0, err
	}
	namespaces.Handle(controller.Enqueue[corev1.Namespace](l))
	accounts.Handle(informer.Handler[corev1.ServiceAccount]{Delete: func(a *corev1.ServiceAccount) {
		l.Add(controller.Key{Name: a.Namespace})
	}})
	return l
}
