// Package serviceaccounttoken fills Secrets of type kubernetes.io/service-account-token, and deletes them with
// their service account.
package serviceaccounttoken

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/informer"
)

type filler struct {
	controller.Deps
	accounts *informer.Informer[corev1.ServiceAccount]
	secrets  *informer.Informer[corev1.Secret]
}

// Start makes the controller. Its keys are Secrets. Without a maker of tokens it does nothing.
func Start(d controller.Deps) controller.Runner {
	if d.Tokens == nil {
		return controller.RunnerFunc(func(ctx context.Context) error { <-ctx.Done(); return nil })
	}
	f := &filler{
		Deps: d, accounts: informer.For(d.Informers, client.ServiceAccounts),
		secrets: informer.ForSelected(d.Informers, client.Secrets, "", "type="+string(corev1.SecretTypeServiceAccountToken)),
	}
	l := &controller.Loop{
		Name: "serviceaccount-token-controller", Logger: d.Logger, Metrics: d.Metrics, Sync: f.sync,
		Needs: []informer.Syncer{f.accounts, f.secrets}, Queue: informer.QueueOptions{Name: "serviceaccount_tokens_service"},
	}
	f.secrets.Handle(controller.Enqueue[corev1.Secret](l))
	look := func(a *corev1.ServiceAccount) {
		for _, s := range f.secrets.InNamespace(a.Namespace) {
			if s.Annotations[corev1.ServiceAccountNameKey] == a.Name {
				l.Add(informer.KeyOf(s))
			}
		}
	}
	f.accounts.Handle(informer.Handler[corev1.ServiceAccount]{
		Add: func(a *corev1.ServiceAccount, _ bool) { look(a) }, Delete: look,
	})
	return l
}

func (f *filler) sync(ctx context.Context, k controller.Key) (time.Duration, error) {
	s, ok := f.secrets.Get(k.Namespace, k.Name)
	if !ok {
		return 0, f.unmention(ctx, k)
	}
	if s.Annotations[corev1.ServiceAccountNameKey] == "" {
		return 0, nil
	}
	a, err := f.account(ctx, s)
	if err != nil {
		return 0, err
	}
	if a == nil {
		return 0, f.delete(ctx, s)
	}
	return 0, f.fill(ctx, a, s)
}

// account is the one a Secret is for, or nil. The server is asked too: the account may be newer than its copy.
func (f *filler) account(ctx context.Context, s *corev1.Secret) (*corev1.ServiceAccount, error) {
	name := s.Annotations[corev1.ServiceAccountNameKey]
	if a, ok := f.accounts.Get(s.Namespace, name); ok && holds(s, a) {
		return a, nil
	}
	a, err := client.ServiceAccounts.Get(ctx, f.Client, s.Namespace, name)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil || !holds(s, a) {
		return nil, err
	}
	return a, nil
}

func (f *filler) delete(ctx context.Context, s *corev1.Secret) error {
	err := client.Secrets.Delete(ctx, f.Client, s.Namespace, s.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &s.UID}})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

func (f *filler) fill(ctx context.Context, a *corev1.ServiceAccount, s *corev1.Secret) error {
	missing := lackOf(s, f.RootCA)
	if missing == (lack{}) {
		return nil
	}
	s = s.DeepCopy()
	if s.Data == nil {
		s.Data = map[string][]byte{}
	}
	if missing.ca {
		s.Data[corev1.ServiceAccountRootCAKey] = f.RootCA
	}
	if missing.namespace {
		s.Data[corev1.ServiceAccountNamespaceKey] = []byte(s.Namespace)
	}
	if missing.token {
		token, err := f.Tokens(ctx, a, s)
		if err != nil {
			return err
		}
		s.Data[corev1.ServiceAccountTokenKey] = []byte(token)
	}
	metav1.SetMetaDataAnnotation(&s.ObjectMeta, corev1.ServiceAccountNameKey, a.Name)
	metav1.SetMetaDataAnnotation(&s.ObjectMeta, corev1.ServiceAccountUIDKey, string(a.UID))
	_, err := client.Secrets.Update(ctx, f.Client, s)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // its change or end will be heard of
		return nil
	}
	return err
}

// unmention takes a Secret that is gone from the accounts that list it.
func (f *filler) unmention(ctx context.Context, k controller.Key) error {
	var errs []error
	for _, a := range f.accounts.InNamespace(k.Namespace) {
		if rest := without(a, k.Name); rest != nil {
			_, err := client.ServiceAccounts.Update(ctx, f.Client, rest)
			if !apierrors.IsNotFound(err) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}
